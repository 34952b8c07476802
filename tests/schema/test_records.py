"""Every record: written and read back the same, the files of ``records/`` are read, and damage is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.runtime.errors import UserError
from potstill.runtime.text import visible
from potstill.schema import Record
from potstill.schema.attacks import AttackCurves
from potstill.schema.audit import Audit
from potstill.schema.comparison import Comparison
from potstill.schema.continual import Continual
from potstill.schema.evaluation import Evaluation
from potstill.schema.events import Traces
from potstill.schema.exchange import Exchange
from potstill.schema.experts import ExpertsManifest
from potstill.schema.federated import Federated
from potstill.schema.fields import Fields
from potstill.schema.label_regimes import LabelRegimes
from potstill.schema.manifest import Manifest
from potstill.schema.poisoning import Poisoning
from potstill.schema.reproduction import ReproductionRecord
from potstill.schema.robustness import Robustness
from potstill.schema.search import SearchResult
from potstill.schema.subset import Subset
from potstill.schema.vector_map import VectorMap
from tests.schema.records import RECORDS

KINDS: dict[str, type[Record]] = {
    "attacks": AttackCurves,
    "audit": Audit,
    "comparison": Comparison,
    "continual": Continual,
    "evaluation": Evaluation,
    "exchange": Exchange,
    "experts": ExpertsManifest,
    "federated": Federated,
    "manifest": Manifest,
    "labels": LabelRegimes,
    "map": VectorMap,
    "poisoning": Poisoning,
    "reproduction": ReproductionRecord,
    "robustness": Robustness,
    "search": SearchResult,
    "selection": Subset,
}
"""By the first word of a file's name."""
ROOT = Path(__file__).parents[2] / "records"
FILES = [path for path in sorted(ROOT.rglob("*.json")) if path.parent.name != "benchmarks"]
FILE = Path("record.json")
slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read_back(record: Record) -> Record:
    return type(record).from_json(Fields.of(FILE, json.loads(json.dumps(record.to_json(), allow_nan=False))))


@pytest.mark.parametrize("kind", RECORDS)
@slow
@given(data=st.data())
def test_what_is_written_is_read_back(kind: str, data: st.DataObject):
    record = data.draw(RECORDS[kind])
    assert read_back(record) == record


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_records_on_file_are_read_and_keep_their_content(path: Path):
    kind = KINDS[path.stem.split("-")[0]]
    stored = kind.read(path)
    again = read_back(stored)
    assert again == stored
    written, old = again.to_json(), json.loads(path.read_text())
    assert {name for name in old if name not in written} == set()
    for name in {"networks", "candidates", "outcomes", "experts", "machine", "iterations"} & set(old):
        assert _as_in(old[name], written[name]) == old[name]


def _as_in(old: Any, new: Any) -> Any:
    """``new`` without the keys that ``old`` has not, and without the digits in which versions of SciPy differ."""
    if isinstance(old, dict):
        return {name: _as_in(value, new[name]) for name, value in old.items()}
    if isinstance(old, list):
        return [_as_in(*pair) for pair in zip(old, new, strict=True)]
    return old if isinstance(old, float) and new == pytest.approx(old, rel=1e-9, abs=1e-9) else new


def test_there_is_a_file_of_almost_every_kind():
    without = {"robustness", "attacks", "map"}
    assert {path.stem.split("-")[0] for path in FILES} == set(KINDS) - without


def test_events_on_file_are_read():
    for path in ROOT.rglob("metrics.jsonl"):
        assert len(Traces.read(path).losses.values) > 1


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every scalar below an object."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield from places(part, (*place, name))
    if not isinstance(value, dict | list):
        yield place


FREE = {"plan", "machine", "bootstrap95", "std", "verdict", "ranked", "initial", "space", "compute", "metrics", "worth"}
FREE |= {"prediction", "settings"}
"""Values of any kind, those that are derived anew, and those of which several kinds are accepted."""


@pytest.mark.parametrize("kind", RECORDS)
@slow
@given(data=st.data())
def test_damage_anywhere_names_the_file_and_the_field(kind: str, data: st.DataObject):
    record = data.draw(RECORDS[kind])
    content = json.loads(json.dumps(record.to_json()))
    candidates = [place for place in places(content) if not FREE & set(place) and place[0] not in ("seconds", "schema")]
    candidates = [place for place in candidates if "ci95" not in place or "differences" in place]
    if not candidates:
        return
    *outer, last = data.draw(st.sampled_from(candidates))
    inner = content
    for name in outer:
        inner = inner[name]
    inner[last] = [["damaged"]]
    with pytest.raises(UserError) as error:
        type(record).from_json(Fields.of(FILE, content))
    assert error.value.problem.startswith(f"{FILE}: ")
    named = visible(str(last) if isinstance(last, str) else str(outer[-1]))
    assert named in error.value.problem


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("manifest", {"status": "asleep"}, "status is not one of complete, interrupted"),
        ("manifest", {"schema": 2}, "schema is not 1, the version"),
        ("manifest", {"seed": True}, "seed is not an integer"),
        ("manifest", {"seconds": -0.5}, "seconds is not a number of at least 0"),
        ("manifest", {"seconds": float("nan")}, "is not valid JSON: NaN"),
        ("evaluation", {"seed": None}, "seed is not an integer"),
        ("evaluation", {"recipe": {"name": "x"}}, r"recipe\.summary is missing"),
        ("evaluation", {"initial": {}}, r"initial\.source is missing"),
        ("evaluation", {"schema": 1}, "schema is not 2"),
        ("search", {"ranked": []}, "ranked is not a list of the candidates"),
        ("search", {"space": 3}, "space is not an object"),
        ("experts", {"experts": [3]}, r"experts\[0\] is not an object"),
        ("experts", {"shape": [1, 28]}, "shape is not a list of 3 values"),
        ("comparison", {"significance": 5}, "significance is not a fraction"),
        ("reproduction", {"outcomes": {}}, "outcomes is not a list"),
    ],
)
def test_a_damaged_file_is_one_error(name: str, change: dict[str, Any], message: str, tmp_path: Path):
    path = next(path for path in FILES if path.stem == name)
    (tmp_path / path.name).write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=rf"{name}\.json:? {message}"):
        KINDS[name].read(tmp_path / path.name)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("accuracies", [], "accuracies is not a list of at least one fraction"),
        ("accuracies", [1.5], r"accuracies\[0\] is not a fraction"),
        ("mean", 0.123, "mean is not .* which follows from the accuracies"),
        ("confusion", [[1, 2], [3]], "confusion is not a square table"),
        ("confusion", [[-1]], r"confusion\[0\]\[0\] is not a whole number"),
        ("curve", {"epochs": [1, 2], "loss": [0.5], "accuracy": []}, r"curve\.loss is not as long as epochs \(2\)"),
    ],
)
def test_a_damaged_result_of_a_network_is_named(name: str, values: Any, message: str, tmp_path: Path):
    content = json.loads((ROOT / "mnist-dm-ipc10" / "evaluation.json").read_text())
    content["networks"]["convnet"][name] = values
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"evaluation\.json: networks\.convnet\.{message}"):
        Evaluation.read(tmp_path / "evaluation.json")


def test_what_a_newer_version_adds_is_ignored(tmp_path: Path):
    content = json.loads((ROOT / "mnist-dm-ipc10" / "evaluation.json").read_text())
    (tmp_path / "evaluation.json").write_text(json.dumps(content | {"addition": 1}))
    assert Evaluation.read(tmp_path / "evaluation.json") == Evaluation.read(ROOT / "mnist-dm-ipc10" / "evaluation.json")
