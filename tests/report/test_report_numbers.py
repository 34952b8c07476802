"""Every number on a page is one of the record that it comes from, and is called what was done.

The records are as far from the defaults as possible, and hardly any two of their numbers are equal, so that a number on
the page can come from one place only.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folder import FINGERPRINT, SET, change_record, make_run, write_record, write_set

from potstill.report import read_run, wording
from potstill.report.comparison import render as render_comparison
from potstill.report.page import render
from potstill.schema.comparison import ComparedDataset, ComparedSet, Comparison, Difference, Reached, TrainedNetwork
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.schema.exchange import CurvePoint, Exchange, NetworkExchange
from potstill.schema.recipe import Recipe
from potstill.schema.robustness import Robustness
from potstill.schema.search import Candidate, SearchResult
from potstill.schema.statistics import summary, welch_interval

NAMES = ("ape", "bee", "cat")
STEP_SIZE = 0.04731
RECIPE = Recipe(
    name="own",
    version=7,
    summary="",
    epochs=1111,
    full_epochs=2222,
    batch_size=17,
    learning_rate=0.019,
    momentum=0.23,
    weight_decay=0.0029,
    decay="cosine",
    augmentation="condensation",
    cutmix=True,
    ema_decay=0.313,
    learned_rate=True,
)
FIXED = {"95", "8", "32", "2"}
"""Numbers in sentences: 95 % intervals, 8-bit and 32-bit pixels; and the version of Holm's and DD-Ranking's scores."""


def result(first: float, seconds: float, epochs: int, counts: int, **rest: Any) -> NetworkResult:
    """Three repeats, with a curve, and a confusion matrix of different counts."""
    return NetworkResult(
        accuracies=[first, first + 0.0123, first + 0.0371],
        seconds=seconds,
        epochs=epochs,
        made_on=[f"machine {counts}"],
        curve_epochs=[epochs // 2, epochs],
        curve_loss=[1.5, 0.25],
        curve_accuracy=[0.5, first],
        confusion=[[counts + 3 * row + column for column in range(3)] for row in range(3)],
        **rest,
    )


EVALUATION = Evaluation(
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    recipe=RECIPE,
    seed=23,
    full_epochs=3333,
    initial={"source": "runs/experts", "seed": 0, "sha256": "e0"},
    networks={
        "convnet": result(0.5871, 71.3, 137, 500, learning_rate=0.00037),
        "mlp": result(0.4511, 83.9, 139, 600),
        "lenet": NetworkResult(failed="the loss stopped being finite"),
    },
    baselines={
        "random": {"convnet": result(0.3717, 97.1, 149, 700)},
        "full": {"convnet": result(0.8139, 4321.0, 151, 800)},
        "herding": {"convnet": result(0.4127, 101.7, 157, 900)},
        "initial": {"convnet": result(0.3313, 1.7, 0, 950)},
    },
)
ROBUSTNESS = Robustness(
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    seed=29,
    made_on="machine 31",
    track="soft",
    recipe="own@7",
    network="convnet",
    full_epochs=163,
    full=0.9173,
    accuracies={
        "synthetic augmented": [0.6113, 0.6331],
        "random augmented": [0.5119, 0.5237],
        "synthetic plain": [0.4339, 0.4551],
        "random plain": [0.3529, 0.3643],
        "synthetic hard": [0.5347, 0.5469],
    },
    rates={
        "synthetic augmented": 0.0011,
        "random augmented": 0.0013,
        "synthetic plain": 0.0017,
        "random plain": 0.0019,
        "synthetic hard": 0.0043,
    },
)
EXCHANGE = Exchange(
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    recipe=RECIPE,
    seed=37,
    initial={"source": "runs/experts", "seed": 0, "sha256": "e0"},
    classes=3,
    image_bytes=162,
    set_bytes=9_753,
    networks={
        "convnet": NetworkExchange(
            accuracies=[0.5871, 0.5994, 0.6242],
            points=[
                CurvePoint(images_per_class=7, accuracies=[0.4219, 0.4327, 0.4433], seconds=19.3),
                CurvePoint(images_per_class=41, accuracies=[0.7129, 0.7247, 0.7313], seconds=61.7),
            ],
            made_on=["machine 71"],
            failed="on 43 random images per class: the loss stopped being finite in epoch 79",
        )
    },
)
SEARCH = SearchResult(
    space="own",
    recipe=RECIPE,
    seed=47,
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    candidates={
        "Large": Candidate(spec="convnet", accuracies=[0.6619, 0.6733], seconds=103.3, parameters=51_234),
        "Small": Candidate(spec="mlp", accuracies=[0.5441, 0.5557], seconds=107.7, parameters=6_789),
    },
    full={"Large": NetworkResult(accuracies=[0.77123], seconds=55.0, epochs=167)},
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every record, and with a set of soft labels and a learned step size."""
    path = make_run(tmp_path_factory.mktemp("runs") / "run", per_class=4, shape=(3, 6, 9), names=NAMES)
    generator = np.random.default_rng(0)
    soft = np.eye(3, dtype=np.float32)[np.arange(12) // 4]
    step = np.array(STEP_SIZE, dtype=np.float32)
    write_set(path / "synthetic.safetensors", generator.standard_normal((12, 3, 6, 9)), soft, NAMES, step_size=step)
    dataset = {"name": "own", "fingerprint": FINGERPRINT, "shape": [3, 6, 9], "classes": 3}
    change_record(
        path / "manifest.json",
        dataset=dataset | {"train": 12_345, "validation": 1_357, "test": 2_468},
        seed=53,
        iterations={"done": 5_678, "asked": 7_890},
        chosen_iteration=4_567,
        seconds=34_567.0,
        peak_memory_bytes=876_543_210,
        set_bytes=9_753,
        machine={"processor": "processor 59", "cores": 61, "torch": "2.13.0"},
        compute={"device": "cuda", "precision": "bfloat16", "compile": True},
        status="time limit",
        tensors_sha256=SET,
    )
    for record in (EVALUATION, EXCHANGE, ROBUSTNESS, SEARCH):
        write_record(path / record.FILE, record.to_json())
    return path


def words_of(page: str) -> str:
    """The text of a page, without copied files, ticks of charts, and explanations of pictures."""
    for pattern in (
        r"<(script|style|pre|svg|head)\b.*?</\1>", r"<b style.*?</b>", r'<section id="images".*?</section>',
        r'aria-label="[^"]*"', r"<[^>]+>",
    ):  # fmt: skip
        page = re.sub(pattern, " ", page, flags=re.DOTALL)
    return html.unescape(page).replace("\u00a0", " ")


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and text in a record, with its name."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{name}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part, name)
    else:
        yield name, value


def explained(records: list[Any]) -> set[str]:
    """How pages may write the numbers of records."""
    known = set(FIXED)
    for name, value in leaves(records):
        if isinstance(value, str):
            known |= set(re.findall(r"\d[\d,.]*\d|\d", value))
        elif isinstance(value, float | int) and not isinstance(value, bool):
            known |= {f"{value:,}", f"{value:g}", f"{value:.4g}", f"{abs(100 * value):.1f}", f"{100 * value:.2f}"}
            if "seconds" in name:
                known.add(wording.duration(value).replace("\u00a0", " "))
            if "bytes" in name:
                known.add(wording.size(value).replace("\u00a0", " "))
    return known


QUANTITY = re.compile(
    r"\d+ h \d+ min|\d+ min \d+ s|[\d.]+ (?:ms|s|kB|MB|GB|bytes)\b|(?<![\w.])\d[\d,]*(?:\.\d+)*(?:\+[0-9a-z]+)?"
)


def unexplained(page: str, records: list[Any]) -> list[str]:
    """The numbers on a page that no record has, with their surroundings."""
    words, known = re.sub(r"\b[0-9a-f]{64}\b|T[\d:+]+|SHA-256", "", words_of(page)), explained(records)
    found = [(match, match[0].rstrip(",")) for match in QUANTITY.finditer(words)]
    assert len(found) > 50
    return [f"{number}: {match.string[match.start() - 30 : match.end() + 20]!r}" for match, number in found
            if number not in known]  # fmt: skip


def test_every_number_on_the_page_of_a_run_is_in_its_records(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    evaluation = json.loads((run / "evaluation.json").read_text())
    results = [*EVALUATION.networks.values(), *(r for table in EVALUATION.baselines.values() for r in table.values())]
    convnet, random = EVALUATION.networks["convnet"], EVALUATION.baselines["random"]["convnet"]
    derived = {
        "images": [12, 4, 3],
        "started": manifest["started"][:10],
        "gain": round(convnet.mean, 3) - round(random.mean, 3),
        "gain ends": list(welch_interval(convnet.accuracies, random.accuracies) or ()),
        "all seconds": sum(each.seconds for each in results if each.usable),
        "pace seconds": manifest["seconds"] / 5_678,
        "train bytes": 12_345 * 3 * 6 * 9,
        "ratio": f"{12_345 * 3 * 6 * 9 / 9_753:.3g}",
        "searched seconds": SEARCH.seconds,
        "candidates": len(SEARCH.candidates),
        "ranks": [1, 2],
        "whole": 100,
        "step": STEP_SIZE,
        "classes": [
            f"{100 * row[place] / sum(row):.1f}"
            for each in EVALUATION.networks.values()
            for place, row in enumerate(each.confusion)
        ],
        "means": [candidate.mean for candidate in SEARCH.candidates.values()],
        "tried": [3 * point.images_per_class for point in EXCHANGE.networks["convnet"].points],
        "exchanged on the set": summary(EXCHANGE.networks["convnet"].accuracies),
    }
    del evaluation["full_epochs"]
    del evaluation["recipe"]["epochs"]
    del evaluation["recipe"]["full_epochs"]
    search = {**SEARCH.to_json(), "recipe": "own@7"}
    exchange = {**EXCHANGE.to_json(), "recipe": "own@7"}
    records = [manifest, evaluation, exchange, ROBUSTNESS.to_json(), search, derived]
    assert unexplained(render(read_run(run)), records) == []


def test_a_wrong_number_is_found(run: Path) -> None:
    page = render(read_run(run)).replace("137 or 139 epochs", "1,111 epochs")
    assert any(found.startswith("1,111: ") for found in unexplained(page, [EVALUATION.to_json()["networks"]]))


def rows(page: str, section: str) -> dict[str, str]:
    """The rows of a section's tables in words, by their first cell; of equal first cells the first counts."""
    part = page[page.index(f'<section id="{section}">') :]
    part = part[: part.index("</section>")]
    found: dict[str, str] = {}
    for row in re.findall(r"<tr.*?</tr>", part, flags=re.DOTALL):
        first, *cells = (
            " ".join(html.unescape(re.sub(r"<[^>]+>", "", cell)).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, flags=re.DOTALL)
        )
        found.setdefault(first, " | ".join(cells))
    return found


def test_accuracies_are_called_what_networks_were_trained_on(run: Path) -> None:
    found = rows(render(read_run(run)), "accuracy")
    convnet = {"12 images, distilled, learning rate 0.00037": EVALUATION.networks["convnet"]}
    titles = {
        "random": "12 random real images",
        "full": "all 12,345 training images",
        "herding": "12 real images, by herding",
        "initial": "nothing: the network before training",
    }
    convnet |= {title: EVALUATION.baselines[name]["convnet"] for name, title in titles.items()}
    for title, each in convnet.items():
        assert each.interval is not None
        assert each.std is not None
        low, high = each.interval
        repeats = ", ".join(f"{100 * accuracy:.1f}" for accuracy in each.accuracies)
        seconds = wording.duration(each.seconds).replace("\u00a0", " ")
        assert found[title] == (
            f"{100 * each.mean:.1f} % | {100 * low:.1f}–{100 * high:.1f} | {100 * each.std:.1f} | {repeats} | "
            f"{each.epochs:,} | {seconds}"
        )


def test_the_protocol_is_what_was_done(run: Path) -> None:
    found = rows(render(read_run(run)), "settings")
    rest = (
        "decaying to zero along half a cosine; momentum 0.23; weight decay 0.0029; shifted, scaled and rotated images "
        "and CutMix; tested with an exponential average of the weights (decay 0.313)"
    )
    whole = "steps on all images at once"
    assert found["recipe"] == "own, version 7"
    assert found["training on the set"] == (
        f"137 or 139 epochs of SGD in {whole}; the set's own learning rate 0.04731, {rest}"
    )
    assert found["training on the full data"] == f"151 epochs of SGD in batches of 17; learning rate 0.019, {rest}"
    assert found["initial weights"] == "runs/experts"
    assert found["measured on"] == "machine 500"
    assert found["iterations"] == "5,678 of 7,890"
    assert found["compiled"] == "yes"


def test_what_a_set_is_worth_is_that_of_its_record(run: Path) -> None:
    worth = EXCHANGE.worth("convnet")
    assert worth is not None
    assert worth.images is not None
    assert worth.interval is not None
    page = render(read_run(run))
    low, high = worth.interval
    said = f"These 12 images teach a ConvNet as much as {worth.images} random real ones (95 % interval {low}–{high})."
    words = re.sub(r"\s+([.)])", r"\1", " ".join(words_of(page).split()))
    assert words.count(said) == 2, "in the headline and in the section"
    assert f"as many real images take {wording.size(worth.images * 162)}" in page
    found = rows(page, "exchange")
    assert found["the set"] == "60.4 % | 55.7–65.1 | –"
    assert found["21 images"] == "43.3 % | 40.6–45.9 | 19.3 s"
    assert found["123 images"] == "72.3 % | 70.0–74.6 | 1 min 2 s"


def test_costs_are_those_of_the_run(run: Path) -> None:
    found = rows(render(read_run(run)), "cost")
    assert found["Time to distil"] == "9 h 36 min | 5,678 iterations, 6.1 s each, with preparation and validation"
    assert found["Peak memory"] == "877 MB | on cuda"
    assert found["Images"] == "12 | of 12,345 for training"
    assert found["Size of the training images"] == "2 MB | 8-bit pixels: 205 times as much"
    assert found["Learned step size"].startswith("0.04731 | ")


@pytest.mark.parametrize(("images", "real"), [(2, 3), (3, 3), (5, 3), (7, 6)])
def test_as_many_real_images_are_named_as_were_used(run: Path, tmp_path: Path, images: int, real: int) -> None:
    """Real images are equally many of each class, also if the set has not as many of each."""
    path = make_run(tmp_path / "run", shape=(3, 6, 9), names=NAMES, started=False)
    labels = np.arange(images) % 3
    write_set(path / "synthetic.safetensors", np.zeros((images, 3, 6, 9)), labels, NAMES)
    change_record(path / "manifest.json", tensors_sha256=SET)
    write_record(path / "evaluation.json", EVALUATION.to_json())
    assert f"on {real} random real images" in render(read_run(path)).replace("\u00a0", " ")


def test_images_that_were_chosen_are_not_called_distilled(run: Path, tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", shape=(3, 6, 9), names=NAMES, started=False)
    method = {"name": "herding", "title": "Herding", "citation": "", "url": ""}
    change_record(path / "manifest.json", iterations={"done": 0, "asked": 0}, method=method, tensors_sha256=SET)
    (path / "metrics.jsonl").write_text("")
    for evaluated in (False, True):
        if evaluated:
            write_record(path / "evaluation.json", EVALUATION.to_json())
        page = words_of(render(read_run(path)))
        assert "3 images of digits by herding" in page
        assert "distil" not in page
        assert ("3 images, by herding" in page) == evaluated


def compared(first: float, seconds: float, epochs: int) -> TrainedNetwork:
    return TrainedNetwork(accuracies=[first, first + 0.0123], seconds=seconds, epochs=epochs)


def one_set(name: str, place: int, networks: dict[str, TrainedNetwork]) -> ComparedSet:
    return ComparedSet(
        name=name,
        method="dm",
        status="complete",
        ipc=13 + 4 * place,
        images=39 + 12 * place,
        bytes=7_531 + 2_222 * place,
        labels="hard",
        distilled_seconds=313.0 + 400 * place,
        peak_memory_bytes=765_432_100 + 10_000_000 * place,
        networks=networks,
    )


COMPARISON = Comparison(
    dataset=ComparedDataset(name="own", fingerprint=FINGERPRINT, train=12_345, test=2_468, bytes=1_999_890),
    recipe=RECIPE,
    seed=19,
    networks=["convnet", "mlp"],
    made_on=["machine 500"],
    sets=[
        one_set("one", 0, {"convnet": compared(0.5871, 71.3, 137), "mlp": compared(0.4511, 83.9, 139)}),
        one_set("other", 1, {"convnet": compared(0.6871, 73.7, 137), "mlp": compared(0.3511, 89.3, 139)}),
    ],
    full={"convnet": compared(0.8139, 4321.0, 151)},
    significance=0.037,
    differences=[
        Difference(
            network=network,
            first="one",
            second="other",
            mean=mean,
            ci95=(mean - 0.0171, mean + 0.0171),
            p=p,
            p_corrected=2 * p,
            repeats=2,
        )
        for network, mean, p in (("convnet", -0.1013, 0.0117), ("mlp", 0.0997, 0.0431))
    ],
    reached={"convnet": Reached(accuracy=0.43, seconds={"one": 33.1, "other": 35.9}), "mlp": Reached()},
)


def test_every_number_of_a_comparison_is_in_its_record() -> None:
    record = COMPARISON.to_json()
    del record["recipe"]["epochs"]
    del record["recipe"]["full_epochs"]
    ends = [end for item in COMPARISON.differences for end in item.ci95]
    p = [f"{value:.3f}" for item in COMPARISON.differences for value in (item.p, item.p_corrected)]
    derived = {"sets": 2, "differences": 2, "shown": 1, "ends": ends, "p": p}
    page = render_comparison(COMPARISON)
    assert unexplained(page, [record, derived]) == []
    words = " ".join(words_of(page).split())
    assert "Of 2 differences between two sets, 1 is significant, at 3.7 % for all together." in words
    assert "a difference is significant if the corrected p is below 0.037" in words
    assert "Training times are of ConvNet." in words


def test_the_rows_of_a_comparison_are_those_of_the_record() -> None:
    page = render_comparison(COMPARISON)
    assert rows(page, "cost")["one"] == "dm | 13 | hard | 7.53 kB | 5 min 13 s | 765 MB | 1 min 11 s | 33.1 s"
    assert rows(page, "differences")["ConvNet"] == "one | other | −10.1 | −11.8 to −8.4 | 0.012 | 0.023 | yes"
    assert rows(page, "differences")["MLP"] == "one | other | +10.0 | 8.3 to 11.7 | 0.043 | 0.086 | no"
    assert rows(page, "settings")["training on the set"].startswith("137 or 139 epochs of SGD in batches of 17; the")
