"""What else the page tells of a set: its worth in real images, robust scores, an architecture search with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folder import FINGERPRINT, SET, change_record, write_record, write_set
from test_report_page import Page

from potstill.evaluation import find_recipe
from potstill.report import attack_sentences, exchange_sentences, read_run
from potstill.report.lead import result
from potstill.report.page import render
from potstill.runtime.errors import UserError
from potstill.schema.attacks import AttackCurves, AttackedNetworks, Probe
from potstill.schema.evaluation import NetworkResult
from potstill.schema.exchange import CurvePoint, Exchange, NetworkExchange
from potstill.schema.recipe import Recipe
from potstill.schema.robustness import Robustness
from potstill.schema.search import Candidate, SearchResult

ROBUSTNESS = Robustness(
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    seed=0,
    made_on="this machine",
    track="soft",
    recipe="dsa-1000@1",
    network="convnet",
    full_epochs=50,
    full=0.95,
    accuracies={
        "synthetic augmented": [0.9, 0.92],
        "random augmented": [0.7, 0.74],
        "synthetic plain": [0.85, 0.85],
        "random plain": [0.6, 0.62],
        "synthetic hard": [0.8, 0.8],
    },
    rates={
        "synthetic augmented": 0.01,
        "random augmented": 0.05,
        "synthetic plain": 0.005,
        "random plain": 0.1,
        "synthetic hard": 0.01,
    },
)


ATTACKS = AttackCurves(
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    seed=0,
    recipe=find_recipe("quick"),
    images=300,
    chance=0.1,
    probes=[
        Probe(kind="clean"),
        Probe(kind="pgd", strength=0.2, steps=10),
        Probe(kind="blur", strength=3.0),
        Probe(kind="pgd", strength=1.0, steps=20),
    ],
    networks={
        "convnet": [
            AttackedNetworks(
                trained_on="the set",
                images_per_class=2,
                accuracies=[[0.8, 0.4, 0.6, 0.0], [0.82, 0.42, 0.62, 0.0]],
            ),
            AttackedNetworks(
                trained_on="equal accuracy",
                images_per_class=5,
                accuracies=[[0.79, 0.19, 0.59, 0.0], [0.81, 0.21, 0.61, 0.0]],
            ),
        ]
    },
    made_on=["a machine"],
)


def exchange(*points: tuple[int, list[float]], on_set: Sequence[float] = (0.5, 0.51), **changes: Any) -> Exchange:
    """The record of a set of twenty images, of the protocol of the evaluation in ``run_path``."""
    made = [CurvePoint(images_per_class=number, accuracies=found, seconds=2.0) for number, found in points]
    known = NetworkExchange(
        accuracies=[*on_set], points=made, made_on=["this machine"], failed=changes.pop("failed", None)
    )
    given: dict[str, Any] = {
        "set_sha256": SET,
        "dataset_fingerprint": FINGERPRINT,
        "recipe": Recipe(name="dsa-1000", summary="", epochs=1000, full_epochs=50),
        "seed": 0,
        "initial": {"source": "random", "seed": 0, "scheme": "kaiming"},
        "classes": 10,
        "image_bytes": 64,
        "set_bytes": 5280,
        "networks": {"convnet": known},
    }
    return Exchange(**given | changes)


POINTS = (1, [0.2, 0.21]), (10, [0.4, 0.41]), (100, [0.8, 0.81])
FAILED = "on 200 random images per class: it diverged"


MOST = "more than 1,000 random real ones, the most that were tried"
FEWEST = "less than 10 random real ones, the fewest that were tried"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (exchange(*POINTS), "as much as 178 random real ones (95 % interval 152–207)."),
        (exchange((1, [0.2]), (10, [0.8]), on_set=[0.5]), "as much as 32 random real ones (one repeat gives no "
         "interval)."),
        (exchange(*POINTS, on_set=(0.9, 0.91)), f"{MOST} (95 % interval from 1,000 up)."),
        (exchange(*POINTS, on_set=(0.1, 0.11)), f"{FEWEST} (95 % interval: 10 or fewer)."),
        (exchange(*POINTS, on_set=(0.19, 0.23)), "as much as 11 random real ones (95 % interval: 105 or fewer)."),
        (exchange(*POINTS, on_set=(0.5, 0.9)), "as much as 546 random real ones (95 % interval: wider than the 10 to "
         "1,000 that were tried)."),
        (exchange((1, [0.5]), (2, [0.9]), on_set=[0.5], classes=1), "as much as 1 random real one (one repeat gives no "
         "interval)."),
    ],
)  # fmt: skip
def test_what_a_set_is_worth_is_a_sentence(found: Exchange, expected: str):
    (said, *_) = exchange_sentences(found, "convnet", 20, 20)
    assert said.replace("\u00a0", " ") == f"These 20 images teach a ConvNet {expected}"


def test_the_sentence_names_images_and_pictures_and_the_network():
    networks = exchange(*POINTS).networks["convnet"]
    found = exchange(networks=dict.fromkeys(("mlp", "alexnet", "resnet18:width=16", "vgg11"), networks))
    for network, stored, pictures, expected in (
        ("mlp", 1, 1, "This image teaches an MLP as much"),
        ("alexnet", 10, 40, "These 10 images (40 pictures) teach an AlexNet as much"),
        ("resnet18:width=16", 1, 4, "This image (4 pictures) teaches a ResNet-18 (width=16) as much"),
        ("vgg11", 1_000, 1_000, "These 1,000 images teach a VGG-11 as much"),
    ):
        assert exchange_sentences(found, network, stored, pictures)[0].startswith(expected)


def test_bytes_and_failures_follow_the_sentence():
    assert exchange_sentences(exchange(*POINTS, failed=FAILED), "convnet", 20, 20)[1:] == [
        "The set takes 5.28\u00a0kB as it is stored; as many real images take 11.4\u00a0kB as 8-bit pixels.",
        "The curve ends early because a training failed on 200 random images per class: it diverged.",
    ]
    assert exchange_sentences(exchange(*POINTS, on_set=(0.9, 0.91)), "convnet", 20, 20)[1:] == []
    assert exchange_sentences(exchange(failed=FAILED), "convnet", 20, 20)[0] == (
        "It is not known how many random real images teach a ConvNet as much."
    )


def test_the_headline_is_what_the_set_is_worth(run_path: Path):
    found = exchange(*POINTS)
    write_record(run_path / "exchange.json", found.to_json())
    first, second, *_ = result(read_run(run_path))
    assert first == exchange_sentences(found, "convnet", 20, 20)[0]
    assert second.startswith("Trained on 20 images, ConvNet reaches")
    told = section(run_path, "exchange")
    assert first in told.text
    assert (
        "Trained by dsa-1000@1, with new random images for each repeat; seed 0; measured on this machine." in told.text
    )
    assert told.source.count("<polyline") == 2


@pytest.mark.parametrize(
    "other",
    [
        exchange(*POINTS, initial={"source": "runs/experts"}),
        exchange(*POINTS, networks={"mlp": exchange(*POINTS).networks["convnet"]}),
        exchange(failed=FAILED),
    ],
    ids=["initial weights", "network", "no curve"],
)
def test_what_was_measured_otherwise_is_in_its_section_only(run_path: Path, other: Exchange):
    write_record(run_path / "exchange.json", other.to_json())
    sentences = result(read_run(run_path))
    assert sentences[0].startswith("Trained on 20 images")
    assert not any("teach" in sentence for sentence in sentences)
    assert "random real" in section(run_path, "exchange").text


def test_what_was_measured_by_another_recipe_comes_last_with_its_name(run_path: Path):
    write_record(run_path / "exchange.json", exchange(*POINTS, recipe=find_recipe("quick")).to_json())
    first, *_, last = result(read_run(run_path))
    assert first.startswith("Trained on 20 images")
    assert last.startswith("By another recipe, quick@1: These 20 images teach")


def test_a_network_without_a_curve_is_told_of(run_path: Path):
    write_record(run_path / "exchange.json", exchange(failed=FAILED).to_json())
    told = section(run_path, "exchange")
    assert "It is not known how many" in told.text
    assert "a training failed on 200 random images per class: it diverged." in told.text
    assert "<polyline" not in told.source


FOUND = SearchResult(
    space="convnet-22",
    recipe=find_recipe("coursework-50"),
    seed=0,
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    candidates={
        "Small": Candidate(spec="convnet:depth=1", accuracies=[0.7, 0.8], seconds=3.0, parameters=1_000),
        "Large": Candidate(spec="convnet:depth=3", accuracies=[0.91], seconds=70.0, parameters=300_000),
        "Deep": Candidate(spec="convnet:depth=5", failed="too <small> images"),
    },
    full={"Large": NetworkResult(accuracies=[0.99424], seconds=100.0, epochs=50)},
)


def section(run: Path, name: str) -> Page:
    page = render(read_run(run))
    start = page.index(f'<section id="{name}">')
    return Page(page[start : page.index("</section>", start)])


def damaged(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def replace_set(run: Path) -> None:
    images = np.zeros((20, 1, 8, 8))
    write_set(run / "synthetic.safetensors", images, np.arange(10).repeat(2), [str(label) for label in range(10)])


def test_a_set_that_went_on_without_its_manifest_is_no_run_to_report(run_path: Path):
    replace_set(run_path)
    with pytest.raises(UserError, match=r"manifest\.json is of another set.*--resume"):
        read_run(run_path)


def test_figures_on_another_dataset_are_left_out_and_that_is_said(run_path: Path):
    write_record(run_path / "exchange.json", exchange(*POINTS, dataset_fingerprint="d1" * 32).to_json())
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json() | {"dataset_fingerprint": "d1" * 32})
    change_record(run_path / "evaluation.json", dataset_fingerprint="d1" * 32)
    run = read_run(run_path)
    assert run.elsewhere == ("evaluation.json", "exchange.json", "robustness.json")
    page = render(run)
    assert "measured on another dataset: evaluation.json, exchange.json, robustness.json." in page
    assert "random real ones" not in page
    assert "what they are worth has not been measured yet" in page


def test_networks_that_knew_something_before_are_told_of(run_path: Path):
    change_record(run_path / "evaluation.json", initial={"source": "runs/experts", "experts": 3})
    page = render(read_run(run_path))
    assert "they started from the weights in runs/experts" in page


def test_a_seed_may_be_negative_and_memory_untold(run_path: Path):
    change_record(run_path / "manifest.json", seed=-1, peak_memory_bytes=0)
    change_record(run_path / "evaluation.json", seed=-3)
    page = render(read_run(run_path))
    assert "seed -1" in page
    assert "not available" in page


def test_a_run_without_them_says_nothing_of_them(run_path: Path):
    page = render(read_run(run_path))
    assert 'id="search"' not in page
    assert 'id="robustness"' not in page
    assert 'id="exchange"' not in page
    assert 'id="attacks"' not in page


def test_robust_scores_are_told_with_what_they_are_made_of(run_path: Path):
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json())
    told = section(run_path, "robustness")
    assert f"Label robust score {100 * ROBUSTNESS.label_score:.1f}" in told.text
    assert f"augmentation robust score {100 * ROBUSTNESS.augmentation_score:.1f}, of 100: soft labels" in told.text
    assert "on the full data, after 50 epochs, 95.0\u00a0%" in told.text
    assert "2 repeats of each training; seed 0; measured on this machine." in told.text
    kinds = (("the set, with augmentation", "91.0", "0.01"), ("random images, without augmentation", "61.0", "0.1"))
    for name, mean, rate in kinds:
        row = told.text[told.text.index(name) :].split("\n")[0]
        assert mean in row
        assert row.endswith(rate)


def test_attacks_are_told_at_equal_clean_accuracy(run_path: Path):
    write_record(run_path / "attacks.json", ATTACKS.to_json())
    told = section(run_path, "attacks")
    said = " ".join(attack_sentences(ATTACKS, "convnet"))
    assert said in told.text
    # Student's 97.5 % quantile of 2 degrees of freedom, 4.303, times a standard error of 1.414 points: 6.1.
    assert said.replace("\u00a0", " ") == (
        "ConvNet recognises 81.0 % of 300 clean test images after training on the set, and 80.0 % after training on 50 "
        "random real ones, the number at which it comes nearest. Under attack the set leaves 41.0 % and random images "
        "leave 20.0 %, over all attacks and strengths: a difference of +21.0 points (95 % interval +14.9 to +27.1). "
        "With corruptions the set leaves 61.0 % and random images leave 60.0 %, over all kinds and severities: a "
        "difference of +1.0 points (95 % interval −5.1 to +7.1), so no difference is shown."
    )
    assert told.source.count("<polyline") == 2
    assert "Trained by quick@1, tested on 300 test images; seed 0; measured on a machine." in told.text
    row = told.text[told.text.index("PGD, changes up to 0.2") :].split("\n")[0]
    assert "41.0" in row
    assert "20.0" in row


def test_masked_gradients_and_failures_are_told():
    ours, equal = ATTACKS.networks["convnet"]
    masking = replace(ours, accuracies=[[*row[:-1], 0.5] for row in ours.accuracies])
    said = attack_sentences(replace(ATTACKS, networks={"mlp": [masking, equal]}), "mlp")
    assert said[-1].replace("\u00a0", " ") == (
        "After training on the set, PGD without a limit on the change still leaves 50.0 %, more than chance (10.0 %): "
        "gradients are masked there, and the other attacks cannot be trusted."
    )
    failed = replace(ours, accuracies=[], failed="it diverged")
    assert attack_sentences(replace(ATTACKS, networks={"mlp": [failed]}), "mlp") == [
        "MLP could not be trained on the set: it diverged."
    ]
    assert attack_sentences(replace(ATTACKS, networks={"mlp": [ours]}), "mlp") == [
        "The measurement of MLP is not complete."
    ]
    once = [replace(each, accuracies=each.accuracies[:1]) for each in (ours, equal)]
    assert "one repeat gives no interval" in attack_sentences(replace(ATTACKS, networks={"mlp": once}), "mlp")[1]


def test_a_search_is_told_from_the_best_down(run_path: Path):
    write_record(run_path / "search.json", FOUND.to_json())
    told = section(run_path, "search")
    assert "3 networks of convnet-22, trained on the set by coursework-50@1 in 1\u00a0min 13\u00a0s" in told.text
    assert "On the full data: Large 99.42\u00a0% after 50 epochs." in told.text
    assert [told.text.index(name) for name in ("1Large", "2Small", "3Deep")] == sorted(
        told.text.index(name) for name in ("1Large", "2Small", "3Deep")
    )
    assert "75.0\u00a0%" in told.text
    assert "failed: too <small> images" in told.text
    assert "<small>" not in told.source, "it is escaped"


def test_a_search_without_full_data_says_so(run_path: Path):
    write_record(run_path / "search.json", replace(FOUND, full={}).to_json())
    assert "none has been trained on the full data yet" in section(run_path, "search").text


def test_figures_of_an_earlier_set_are_left_out_and_that_is_said(run_path: Path):
    write_record(run_path / "exchange.json", exchange(*POINTS).to_json())
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json())
    write_record(run_path / "search.json", FOUND.to_json())
    assert read_run(run_path).outdated == ()
    replace_set(run_path)
    change_record(run_path / "manifest.json", tensors_sha256=SET)
    run = read_run(run_path)
    assert run.outdated == ("evaluation.json", "exchange.json", "robustness.json", "search.json")
    page = render(run)
    assert "the results of an earlier set in evaluation.json, exchange.json, robustness.json, search.json." in page
    assert "what they are worth has not been measured yet" in page
    assert not any(f'id="{name}"' in page for name in ("exchange", "search", "robustness"))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("search", lambda r: r.update(schema=2), "schema is not 1"),
        ("search", lambda r: r["ranked"].pop(), "ranked is not a list of the candidates"),
        ("search", lambda r: r["candidates"]["Large"].pop("mean"), r"candidates\.Large\.mean is missing"),
        ("search", lambda r: r.pop("recipe"), "recipe is missing"),
        ("robustness", lambda r: r.update(label_robust_score="high"), "label_robust_score is not a number"),
        ("robustness", lambda r: r["trained_on"]["random plain"].pop("mean"), r"random plain\.mean is missing"),
        (
            "exchange",
            lambda r: r["networks"]["convnet"]["worth"].update(images_per_class=9.9),
            "images_per_class is not",
        ),
    ],
)
def test_damage_names_the_file_and_the_field(run_path: Path, name: str, change: Any, message: str):
    write_record(run_path / "exchange.json", exchange(*POINTS).to_json())
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json())
    write_record(run_path / "search.json", FOUND.to_json())
    damaged(run_path / f"{name}.json", change)
    with pytest.raises(UserError, match=rf"{name}\.json: .*{message}|{name}\.json: {message}"):
        read_run(run_path)
