"""A set on the hub and back: the same tensors, a copy that ``datasets`` reads, a card that says what is true."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import yaml
from huggingface_hub import constants
from markdown_it import MarkdownIt
from PIL import Image

import potstill
from potstill.cli import main
from potstill.evaluation import find_recipe
from potstill.report.dataset_card import CardFacts, render_card
from potstill.runtime.errors import UserError
from potstill.runtime.hub import unresolved_hub
from potstill.schema.comparison import Comparison
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.schema.published import Published
from potstill.sharing import push, write_repository
from potstill.synthetic import SyntheticSet
from tests.forks import forked
from tests.sharing.stand_in import Hub, stand_in
from tests.small import digits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an evaluation, for one image of each digit."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["--network", "convnet:depth=1", "--validate-every", "0", "--batch-real", "8", "--device", "cpu"]
    assert (
        main(["distill", "dm", "--dataset", "digits", "--ipc", "1", "--iterations", "2", *words, "--out", str(folder)])
        == 0
    )
    few = ["--networks", "convnet:depth=1", "--repeats", "2", "--baselines", "random", "--device", "cpu"]
    assert main(["evaluate", str(folder), "--recipe", "quick", *few]) == 0
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with stand_in() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
        yield hub


def test_a_set_comes_back_as_it_was(run: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["push", str(run), "me/digits", "--licence", "cc-by-4.0", "--folder", str(tmp_path / "files")]) == 0
    assert "potstill evaluate hf:me/digits" in capsys.readouterr().out
    assert set(hub.files["me/digits"]) >= {
        "README.md",
        "synthetic.safetensors",
        "preview.png",
        "evaluation.json",
        "data/train-00000-of-00001.parquet",
    }
    assert len(hub.commits) == 1, "everything at once"
    card = hub.cards[-1]
    assert card["license"] == "cc-by-4.0"
    assert card["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    there = SyntheticSet.load(run / "synthetic.safetensors")
    back = potstill.SyntheticSet.from_hub("me/digits")
    assert back.fingerprint() == there.fingerprint()
    assert back.provenance == there.provenance


def test_a_set_on_the_hub_is_evaluated(
    run: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_repository(run, "me/digits", tmp_path / "files")
    assert push(tmp_path / "files", "me/digits", private=True).startswith(hub.address)
    assert hub.private == {"me/digits": True}
    monkeypatch.chdir(tmp_path)
    few = ["--recipe", "quick", "--networks", "convnet:depth=1", "--repeats", "2", "--baselines", "random"]
    assert main(["evaluate", "hf:me/digits", *few, "--device", "cpu"]) == 0
    ours = json.loads((tmp_path / "runs/me--digits/evaluation.json").read_text())
    first = json.loads((run / "evaluation.json").read_text())
    for table in ("networks",):
        assert ours[table]["convnet:depth=1"]["accuracies"] == first[table]["convnet:depth=1"]["accuracies"]


def test_the_folder_is_what_datasets_reads(run: Path, tmp_path: Path):
    folder = write_repository(run, "me/digits", tmp_path / "files")
    found: Any = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), split="train")
    there = SyntheticSet.load(run / "synthetic.safetensors")
    assert found["label"] == there.labels.tolist()
    first = torch.tensor(list(found[0]["image"].getdata())).reshape(8, 8) / 255
    assert torch.allclose(first, there.pixels()[0, 0], atol=0.51 / 255)
    with Image.open(folder / "preview.png") as picture:
        assert picture.width > 200


def test_the_card_says_what_the_records_say(run: Path, tmp_path: Path):
    card = (write_repository(run, "me/digits", tmp_path / "files") / "README.md").read_text(encoding="utf-8")
    there = SyntheticSet.load(run / "synthetic.safetensors")
    evaluation = json.loads((run / "evaluation.json").read_text())
    mean = evaluation["networks"]["convnet:depth=1"]["mean"]
    assert "# digits distilled: 1 image per class" in card
    assert (
        "| method | dm: [Dataset Condensation with Distribution Matching](https://arxiv.org/abs/2110.04181) |" in card
    )
    assert there.fingerprint() in card
    assert "| ConvNet (depth=1) | " in card
    assert f"{100 * mean:.1f} ± " in card
    assert "licence of its images: CC-BY-4.0" in card
    assert "@inproceedings{" in card or "@misc{" in card
    assert 'load_dataset("me/digits", split="train")' in card
    assert 'SyntheticSet.from_hub("me/digits")' in card
    assert "license:" not in card.split("---")[1], "none was given"


def test_results_of_another_set_are_left_out(run: Path, tmp_path: Path):
    other = replace(SyntheticSet.load(run / "synthetic.safetensors"), step_size=torch.tensor(0.1))
    (tmp_path / "run").mkdir()
    other.save(tmp_path / "run" / "synthetic.safetensors")
    (tmp_path / "run" / "evaluation.json").write_bytes((run / "evaluation.json").read_bytes())
    folder = write_repository(tmp_path / "run", "me/digits", tmp_path / "files")
    assert "This set came without an evaluation" in (folder / "README.md").read_text(encoding="utf-8")
    assert not (folder / "evaluation.json").exists()


def test_a_set_alone_and_a_formation(tmp_path: Path):
    real = digits().train
    made = SyntheticSet.from_indices(real, torch.cat([index[:4] for index in real.class_index])).formed(2)
    made.save(tmp_path / "set.safetensors")
    folder = write_repository(tmp_path / "set.safetensors", "me/set", tmp_path / "files")
    found: Any = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), split="train")
    assert len(found) == 40
    assert SyntheticSet.load(folder / "synthetic.safetensors").fingerprint() == made.fingerprint()
    assert "4, decoded in the 8-bit copy" in (folder / "README.md").read_text(encoding="utf-8")


FACTS = CardFacts(
    name="me/x",
    licence="",
    method="dm",
    paper=("A <b>title</b> | with *signs*", "https://arxiv.org/abs/1"),
    bibtex="",
    dataset="photos\nof [mine](javascript:x)",
    dataset_licence="not stated",
    images=20,
    classes=10,
    shape=(3, 32, 32),
    formation=1,
    soft=True,
    set_bytes=1000,
    set_sha256="ab",
    rounding=(0.01, 0.5),
    made=[],
    provenance={},
    evaluations=[],
    published=Published(26.0, 0.8),
)


def test_names_from_elsewhere_are_only_text():
    recipe = replace(find_recipe("quick"), name="<i>", summary="x\n\n# Licence\n<img src=x>[y](javascript:z)")
    found = Evaluation(
        recipe=recipe,
        seed=0,
        set_sha256="ab",
        dataset_fingerprint="ab",
        full_epochs=1,
        initial={},
        networks={"<u>": NetworkResult(accuracies=[0.5])},
    )
    facts = replace(FACTS, evaluations=[found], bibtex="@x{\n```\n# out", provenance={"a": "```\n# out"})
    for card in (render_card(FACTS), render_card(facts)):
        page = MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("---\n", 2)[2])
        assert not re.search(r"<(b|i|u|img)\b", page.replace('<img src="preview.png"', ""))
        assert "javascript:" not in re.sub(r"<code.*?</code>", "", page, flags=re.S).replace("(javascript:", "")
        assert page.count("<h1>") == 1
        assert "2 images per class" in card
    assert "26 ± 0.8" in render_card(facts)
    assert "26 ± 0.8" not in render_card(FACTS), "without results of ours there is nothing to compare"


def test_the_metadata_are_yaml_whatever_the_names():
    card = render_card(replace(FACTS, dataset="my_photos 😀: #1", licence="a: b"))
    read = yaml.safe_load(card.split("---")[1])
    assert read["pretty_name"] == "my_photos 😀: #1 distilled: 2 images per class"
    assert read["license"] == "a: b"


def test_a_connection_that_fails_is_not_an_absent_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # between its attempts
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", address)
        with pytest.raises(UserError, match="cannot get me/x from the Hugging Face hub"):
            SyntheticSet.from_hub("me/x")


def test_a_hub_that_cannot_be_found_is_not_waited_for(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("potstill.runtime.hub.getproxies", dict)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: pytest.fail("it tries again"))
    for words in ("evaluate hf:me/x", "report hf:me/x", "import hf:me/x", f"compare {run} hf:me/x", f"push {run} me/x"):
        assert main(words.split()) == 2
        captured = capfd.readouterr()
        assert captured.out == ""
        assert re.fullmatch(
            r"potstill: cannot (get|upload) me/x (from|to) the Hugging Face hub \(hub\.invalid: .+\); check .+\n",
            captured.err,
        )


def test_a_proxy_looks_the_hub_up_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr("potstill.runtime.hub.getproxies", dict)
    assert str(unresolved_hub()).startswith("hub.invalid: ")
    for scheme in ("https", "all"):
        monkeypatch.setattr("potstill.runtime.hub.getproxies", lambda scheme=scheme: {scheme: "http://proxy:3128"})
        assert unresolved_hub() is None
    monkeypatch.setattr("potstill.runtime.hub.getproxies", lambda: {"ftp": "http://proxy:3128"})
    assert str(unresolved_hub()).startswith("hub.invalid: ")


def test_an_address_that_no_hub_can_have_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", f"https://{'a' * 70}.invalid")
    monkeypatch.setattr("potstill.runtime.hub.getproxies", dict)
    assert str(unresolved_hub()).endswith("a.invalid is not the name of a machine")


@pytest.mark.parametrize("address", ["https://host:x", "https://[::1", "host", "localhost:8080", "https://"])
def test_an_address_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    said = f"HF_ENDPOINT is {address!r}, which (is not an address|names no host).*; write it as https://HOST"
    with pytest.raises(UserError, match=re.compile(said.replace("[", r"\["))):
        unresolved_hub()


@pytest.mark.parametrize(
    "words", ["evaluate hf:me/x", "inspect hf:me/x", "push run me/x", "export run --format parquet"]
)
def test_an_address_that_breaks_the_import_of_the_client_is_refused_before(words: str, run: Path, tmp_path: Path):
    """In a process of its own: here the client is imported already."""
    command = ["-m", "potstill", *words.replace("run", str(run)).split()]
    with forked(*command, folder=tmp_path, place=tmp_path, environment={"HF_ENDPOINT": "https://host:x"}) as process:
        code = process.wait(60)
    *lines, last = process.errors.read_text().splitlines()
    assert code == 2, last
    assert last.startswith("potstill: HF_ENDPOINT is 'https://host:x', which is not an address (")
    assert all(line.endswith("so far)") for line in lines), "only what takes long says so before"


def test_the_hub_is_found_without_a_list_of_services(monkeypatch: pytest.MonkeyPatch):
    def found(host: str, service: str | int | None) -> list[str]:
        if isinstance(service, str):
            raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
        return [host]

    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr("potstill.runtime.hub.getproxies", dict)
    monkeypatch.setattr("potstill.runtime.hub.socket.getaddrinfo", found)
    assert unresolved_hub() is None


def test_what_was_fetched_needs_no_hub(run: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch):
    assert main(["push", str(run), "me/digits"]) == 0
    fetched = SyntheticSet.from_hub("me/digits")
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr("potstill.runtime.hub.getproxies", dict)
    assert SyntheticSet.from_hub("me/digits").fingerprint() == fetched.fingerprint()


def test_a_later_push_leaves_no_evaluation_of_an_earlier_set(run: Path, hub: Hub, tmp_path: Path):
    earlier = tmp_path / "earlier"
    shutil.copytree(run, earlier)
    evaluated = Evaluation.read(run / "evaluation.json")
    replace(evaluated, seed=1).write(earlier / "evaluation-quick@1-abcdef.json")
    assert main(["push", str(earlier), "me/digits"]) == 0
    others = {"notes.md": b"mine", "extra/evaluation.json": b"{}", "data/train-00000-of-00002.parquet": b"real images"}
    hub.files["me/digits"] |= others
    assert "evaluation-quick@1-abcdef.json" in hub.files["me/digits"]
    there = SyntheticSet.load(run / "synthetic.safetensors")
    replace(there, images=there.images + 1).save(tmp_path / "later" / "synthetic.safetensors")
    assert main(["push", str(tmp_path / "later"), "me/digits"]) == 0
    assert set(hub.files["me/digits"]) == {
        *("README.md", "synthetic.safetensors", "preview.png", "data/train-00000-of-00001.parquet"),
        *others,
    }
    assert len(hub.commits) == 2, "each at once"


def test_commands_take_a_set_on_the_hub_and_a_revision_of_it(
    run: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(["push", str(run), "me/digits"]) == 0
    monkeypatch.chdir(tmp_path)
    there = SyntheticSet.load(run / "synthetic.safetensors")
    assert main(["import", "hf:me/digits@v1", "--out", "theirs"]) == 0
    assert set(hub.revisions) == {"v1"}
    assert SyntheticSet.load(tmp_path / "theirs/synthetic.safetensors").fingerprint() == there.fingerprint()
    few = ["--recipe", "quick", "--networks", "convnet:depth=1", "--repeats", "2", "--no-full", "--device", "cpu"]
    assert main(["compare", "hf:me/digits", str(run), "random", *few, "--out", "comparison"]) == 0
    record = Comparison.read(tmp_path / "comparison" / Comparison.FILE)
    assert [(item.method, item.status) for item in record.sets[:2]] == [("dm", None), ("dm", "complete")]
    first, second = (item.networks["convnet:depth=1"].accuracies for item in record.sets[:2])
    assert first == second
    assert (tmp_path / "runs/me--digits/evaluation.json").exists()
    assert (tmp_path / "runs/random-digits-ipc1/manifest.json").exists()
    assert main(["report", "hf:me/digits"]) == 0
    page = (tmp_path / "runs/me--digits/report.html").read_text()
    assert "<h1>10 images of digits by dm</h1>" in page
    assert main(["report", "hf:me/digits@refs/pr/1"]) == 0
    assert hub.revisions[-1] == "refs/pr/1"
    page = (tmp_path / "runs/me--digits@refs--pr--1/report.html").read_text()
    assert "potstill evaluate hf:me/digits@refs/pr/1" in page
    assert main(["export", "hf:me/digits@v1", "--format", "npz", "--out", "set.npz"]) == 0
    capsys.readouterr()
    assert main(["import", "hf:me/digits", "--pixels", "unit"]) == 2
    assert "--pixels does not apply to hf:me/digits, which states this itself" in capsys.readouterr().err
    assert main(["import", "hf:me/digits", "--label-column", "x", "--out", "new"]) == 2
    assert "--label-column does not apply to hf:me/digits" in capsys.readouterr().err
    assert main(["import", "hf:me/digits"]) == 2
    assert "runs/me--digits already exists" in capsys.readouterr().err


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_gets_one_line_and_nothing_is_lost(
    status: int, run: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    hub.refuses = status
    assert main(["push", str(run), "me/digits", "--folder", str(tmp_path / "files")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("potstill: cannot upload me/digits to the Hugging Face hub (")
    assert (tmp_path / "files" / "README.md").exists()
    hub.refuses = None
    assert main(["push", str(run), "hf:me/digits"]) == 0
    assert "potstill evaluate hf:me/digits" in capsys.readouterr().out
    hub.refuses = status
    with pytest.raises(UserError, match="cannot get me/digits from the Hugging Face hub"):
        SyntheticSet.from_hub("me/digits")


def test_what_is_not_there_is_named(run: Path, hub: Hub):
    with pytest.raises(UserError, match="cannot get me/absent from the Hugging Face hub"):
        SyntheticSet.from_hub("me/absent")
    hub.files["me/other"] = {"README.md": b"words"}
    with pytest.raises(UserError, match=r"me/other on the Hugging Face hub holds no synthetic\.safetensors"):
        SyntheticSet.from_hub("me/other")
    with pytest.raises(UserError, match="'me' is not a name on the hub"):
        SyntheticSet.from_hub("me")
    hub.files["me/bad"] = {"synthetic.safetensors": b"words"}
    with pytest.raises(UserError, match="it is truncated or not safetensors"):
        SyntheticSet.from_hub("me/bad")


def test_a_dry_run_uploads_nothing(run: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["push", str(run), "me/digits", "--dry-run", "--folder", str(tmp_path / "files")]) == 0
    assert hub.files == {}
    assert "nothing was uploaded" in capsys.readouterr().out


def test_a_set_of_vectors_is_shared_without_a_picture(tmp_path: Path):
    vectors = SyntheticSet(
        images=torch.randn(4, 6, 1, 1, generator=torch.Generator().manual_seed(0)),
        labels=torch.tensor([0, 0, 1, 1]),
        class_names=("a", "b"),
        mean=(0.5,) * 6,
        std=(2.0,) * 6,
    )
    vectors.save(tmp_path / "synthetic.safetensors")
    made = write_repository(tmp_path / "synthetic.safetensors", "me/sounds", tmp_path / "shared")
    assert not (made / "preview.png").exists()
    card = (made / "README.md").read_text()
    assert "4 synthetic vectors in place of a labelled dataset" in card
    assert "| vectors | 4 of 6 numbers each, 2 classes |" in card
    assert "image-classification" not in card
    assert "8 bits" not in card
    again = SyntheticSet.load(made / "synthetic.safetensors")
    assert again.fingerprint() == vectors.fingerprint()
