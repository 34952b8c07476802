"""The section on labels: each regime in its row, random images beside the set, and the bytes that it needs."""

from __future__ import annotations

from pathlib import Path

from potstill.report.page import read_run, render
from potstill.report.sections.labels import SECTION, label_sentence
from potstill.report.wording import percent
from potstill.schema.evaluation import NetworkResult
from potstill.schema.label_regimes import LabelRegimes
from potstill.schema.recipe import Recipe
from tests.report.run_folder import FINGERPRINT, SET, make_run, write_record


def regimes(**change: object) -> LabelRegimes:
    def result(mean: float) -> NetworkResult:
        return NetworkResult(accuracies=[mean - 0.01, mean, mean + 0.01])

    networks = {
        "convnet": {
            "hard": {"the set": result(0.5), "random images": result(0.6)},
            "stored": {"the set": result(0.7), "random images": result(0.65)},
            "teacher": {"the set": result(0.9), "random images": NetworkResult(failed="the loss was not finite")},
        }
    }
    given = {
        "set_sha256": SET,
        "dataset_fingerprint": FINGERPRINT,
        "seed": 0,
        "recipe": Recipe(name="dsa-1000", summary="", epochs=1000, full_epochs=50),
        "teacher": "resnet18",
        "teacher_weights": "ab" * 32,
        "teacher_accuracy": 0.951,
        "teacher_bytes": 44_000_000,
        "own_labels": False,
        "image_bytes": 2560,
        "label_bytes": {"hard": 80, "stored": 400, "teacher": 0},
        "networks": networks,
        **change,
    }
    return LabelRegimes(**given)  # type: ignore[arg-type]


def with_labels(folder: Path, record: LabelRegimes) -> Path:
    make_run(folder)
    write_record(folder / "labels.json", record.to_json())
    return folder


def test_each_regime_has_its_row(tmp_path: Path):
    view = SECTION.view(read_run(with_labels(tmp_path / "run", regimes())))
    assert view is not None
    ((network, rows),) = view.tables
    assert network == "ConvNet"
    assert [row.regime.split(":")[0] for row in rows] == ["hard", "stored", "teacher"]
    assert [row.difference.replace("\xa0", " ") for row in rows] == ["−10.0 points", "+5.0 points", "–"]
    assert rows[0].size.replace("\xa0", " ") == "2.64 kB"
    assert rows[2].size.replace("\xa0", " ") == "44 MB"
    assert rows[2].on_random == "–"
    assert "ResNet-18 with 95.1" in view.measured


def test_the_page_has_the_table_and_says_whose_the_stored_labels_are(tmp_path: Path):
    page = render(read_run(with_labels(tmp_path / "run", regimes(own_labels=True))))
    assert '<table class="labels">' in page
    assert "own, learned ones" in page


def test_a_sentence_says_how_far_the_set_is_above_random_images():
    assert "beside random vectors:" in label_sentence(regimes(), "convnet", "vector")
    sentence = label_sentence(regimes(), "convnet")
    assert "−10.0 points with hard labels, +5.0 points with stored labels" in sentence
    assert "not measured with teacher labels" in sentence
    assert sentence.endswith(f"; the teacher has {percent(regimes().teacher_accuracy)} test accuracy.")


def test_a_record_survives_its_file(tmp_path: Path):
    record = regimes()
    record.write(tmp_path / "labels.json")
    assert LabelRegimes.read(tmp_path / "labels.json").to_json() == record.to_json()
    assert record.protocol == regimes(networks={}).protocol
    assert record.protocol != regimes(seed=1).protocol
