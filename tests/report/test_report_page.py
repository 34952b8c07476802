from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from run_folder import FINGERPRINT, SET, change_record, evaluation, make_run, manifest, write_set

from potstill.report import read_run, write_report
from potstill.report.page import render
from potstill.runtime.errors import UserError

pytestmark = pytest.mark.slow

HOSTILE = '<script>alert(1)</script>&"'
FIGURES = {"before.png", "after.png", "difference.png", "accuracy.png", "curves.png", "confusion.png"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text outside of scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.within: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.within and self.within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.within[-1:]):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(path: Path) -> Page:
    return Page(render(read_run(path)))


def test_the_page_and_its_figures_are_written(run_path: Path) -> None:
    path = write_report(str(run_path))
    assert path == run_path / "report.html"
    assert {file.name for file in (run_path / "figures").iterdir()} == FIGURES
    for file in (run_path / "figures").iterdir():
        with Image.open(file) as image:
            assert min(image.size) > 100


def test_equal_records_give_equal_pages(run_path: Path) -> None:
    assert render(read_run(run_path)) == render(read_run(run_path))


def test_contents_stand_in_order(run_path: Path) -> None:
    page = page_of(run_path)
    hashed = json.loads((run_path / "manifest.json").read_text())["tensors_sha256"]
    sections = [attributes["id"] for attributes in page.all("section")]
    assert sections == ["accuracy", "images", "learning", "confusion", "cost", "settings", "citation"]
    text = page.text.replace("\u00a0", " ")
    for expected in (
        "dm distils digits into 20 images",
        "13 min 32 s",
        "734 MB",
        "potstill distill dm --dataset digits --ipc 1 --iterations 600",
        "learning_rate = 1.0",
        "AMD EPYC 7B13",
        "2.13.0+cpu",
        FINGERPRINT,
        hashed,
        "@inproceedings{zhao2023dm,",
        "failed: the loss stopped being finite in epoch 12",
        "dsa-1000, version 1",
        "1,000 epochs of SGD in steps on all images at once; learning rate 0.01, cut to a tenth just after the middle; "
        "momentum 0.9; weight decay 0.0005; Siamese augmentation",
        "30 epochs of SGD in batches of 256",
    ):
        assert expected in text


def test_nothing_is_fetched(run_path: Path) -> None:
    page = page_of(run_path)
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href", "poster", "data", "action"):
            if tag == "a":
                continue
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    assert "@import" not in page.source
    assert all(url.startswith("data:") for url in re.findall(r"url\((.*?)\)", page.source))
    assert [link["href"] for link in page.all("a")] == ["https://arxiv.org/abs/2110.04181"]


def test_a_link_that_is_no_web_address_is_not_made(run_path: Path) -> None:
    record = manifest((1, 8, 8), 10, 20)["method"]
    change_record(run_path / "manifest.json", method=record | {"url": "javascript:alert(1)"})
    assert page_of(run_path).all("a") == []


def test_names_are_escaped(tmp_path: Path) -> None:
    record: dict[str, Any] = evaluation(classes=3)
    record["networks"][HOSTILE] = {"failed": HOSTILE}
    path = make_run(tmp_path, shape=(3, 4, 6), names=("plain", HOSTILE, "$x^2$ {{ 7*7 }}"), evaluated=record)
    change_record(path / "manifest.json", command=f"potstill distill {HOSTILE}")
    (path / "config.toml").write_text(f"network = 'convnet'\nnote = '{HOSTILE}'\n")
    page = page_of(path)
    assert len(page.all("script")) == 1
    assert "alert(1)</script>" not in page.source
    assert page.text.count(HOSTILE) >= 6
    assert "{{ 7*7 }}" in page.text


def test_every_picture_has_an_alternative_and_every_header_a_scope(run_path: Path) -> None:
    page = page_of(run_path)
    assert all("alt" in image for image in page.all("img"))
    assert all(image["alt"] for image in page.all("img") if image["class"] == "difference")
    assert all("scope" in header for header in page.all("th"))
    labelled = [attributes for _, attributes in page.elements if attributes.get("role") in ("img", "region")]
    assert labelled
    assert all(attributes["aria-label"] for attributes in labelled)


def test_a_run_not_evaluated_says_how_to(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", started=False)
    page = Page(write_report(path).read_text(encoding="utf-8"))
    assert f"potstill evaluate {path}" in page.text
    assert [attributes["id"] for attributes in page.all("section")][:3] == ["accuracy", "images", "learning"]
    assert "confusion" not in [attributes["id"] for attributes in page.all("section")]
    assert page.all("input") == []
    assert "The initial set is not in the folder" in page.text
    assert {file.name for file in (path / "figures").iterdir()} == {"after.png", "curves.png"}


def test_a_figure_out_of_date_is_removed(run_path: Path) -> None:
    write_report(run_path)
    (run_path / "evaluation.json").unlink()
    write_report(run_path)
    assert not (run_path / "figures" / "accuracy.png").exists()


def test_one_repeat_is_told_without_an_interval(tmp_path: Path) -> None:
    text = page_of(make_run(tmp_path, evaluated=evaluation(repeats=1))).text
    assert "the only repeat" in text
    assert "bar: its" not in text


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_number_of_channels_and_any_shape_is_shown(tmp_path: Path, channels: int) -> None:
    path = make_run(tmp_path, shape=(channels, 6, 9), names=("a", "b"), evaluated=evaluation(classes=2))
    page = page_of(path)
    assert len(page.all("img")) == 6
    assert ("magenta" in page.text) == (channels == 2)
    assert ("fourth" in page.text) == (channels == 4)


def test_soft_labels_stand_under_their_most_probable_class(run_path: Path) -> None:
    generator = np.random.default_rng(0)
    soft = np.full((20, 10), 0.05, dtype=np.float32)
    soft[:, 7] = 0.55
    write_set(run_path / "synthetic.safetensors", generator.standard_normal((20, 1, 8, 8)), soft, "0123456789")
    change_record(run_path / "manifest.json", tensors_sha256=SET)
    page = page_of(run_path)
    labels = [element["aria-label"] for element in page.all("div") if "pair" in element.get("class", "").split()]
    assert labels[0] == "7, image 1, before and after"
    assert {label[0] for label in labels} == {"7"}
    assert "showing 10 of 20" in page.text
    assert "The labels are probabilities" in page.text


def test_a_large_set_makes_a_page_of_a_few_megabytes(tmp_path: Path) -> None:
    names = [f"class {index}" for index in range(120)]
    path = make_run(tmp_path, per_class=3, shape=(3, 64, 64), names=names, evaluated=evaluation(classes=120))
    page = page_of(path)
    assert 1e6 < len(page.source) < 6e6
    assert "showing 2 of 3" in page.text


def test_a_damaged_record_leaves_the_old_page(run_path: Path) -> None:
    before = write_report(run_path).read_bytes()
    (run_path / "evaluation.json").write_text("{")
    with pytest.raises(UserError, match=r"evaluation\.json"):
        write_report(run_path)
    assert (run_path / "report.html").read_bytes() == before
