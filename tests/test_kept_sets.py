"""The records in the repository: every run that was made since 26 November 2026 keeps its set."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths
from potstill.synthetic import SyntheticSet

RECORDS = Path(__file__).parents[1] / "records"
LARGEST = 1_000_000
"""Bytes up to which a set is kept."""

WITHOUT_SETS = frozenset(
    [
        "digits-datm-ipc1",
        "digits-datm-ipc10",
        "digits-dm-ipc1",
        "digits-dm-ipc10",
        "digits-mtt-ipc1",
        "digits-mtt-ipc10",
        "digits-pad-ipc1",
        "digits-pad-ipc10",
        "mnist-coresets/average-nearest-ipc-10",
        "mnist-coresets/average-nearest-ipc-50",
        "mnist-coresets/forgetting-ipc-1",
        "mnist-coresets/forgetting-ipc-10",
        "mnist-coresets/forgetting-ipc-50",
        "mnist-coresets/herding-ipc-1",
        "mnist-coresets/herding-ipc-10",
        "mnist-coresets/herding-ipc-50",
        "mnist-coresets/herding-pixels-ipc-1",
        "mnist-coresets/herding-pixels-ipc-10",
        "mnist-coresets/herding-pixels-ipc-50",
        "mnist-coresets/herding-plain-ipc-10",
        "mnist-coresets/k-center-ipc-1",
        "mnist-coresets/k-center-ipc-10",
        "mnist-coresets/k-center-ipc-50",
        "mnist-coresets/k-means-ipc-1",
        "mnist-coresets/k-means-ipc-10",
        "mnist-coresets/k-means-ipc-50",
        "mnist-coresets/most-forgotten-ipc-1",
        "mnist-coresets/most-forgotten-ipc-10",
        "mnist-coresets/most-forgotten-ipc-50",
        "mnist-coresets/random-ipc-1",
        "mnist-coresets/random-ipc-10",
        "mnist-coresets/random-ipc-50",
        "mnist-datadam-ipc10",
        "mnist-datadam-noise",
        "mnist-datadam-real",
        "mnist-datm-ipc1",
        "mnist-datm-ipc10",
        "mnist-dc-distances/cosine",
        "mnist-dc-distances/cosine-rate-40",
        "mnist-dc-distances/euclidean",
        "mnist-dc-distances/euclidean-1000",
        "mnist-dc-distances/euclidean-rate-1",
        "mnist-dc-distances/layerwise",
        "mnist-dc-distances/layerwise-1000",
        "mnist-dc-ipc1",
        "mnist-dd-fixed",
        "mnist-dd-fixed-paper",
        "mnist-dd-random",
        "mnist-dd-random-k-means",
        "mnist-dm-ipc1",
        "mnist-dm-ipc10",
        "mnist-dm-kmeans",
        "mnist-dm-precision/bfloat16",
        "mnist-dm-precision/float32",
        "mnist-dm-tuned",
        "mnist-mtt-ipc1",
        "mnist-mtt-ipc10",
        "mnist-mtt-real-ipc1",
        "mnist-pad-curriculum-ipc1",
        "mnist-pad-ipc1",
        "mnist-pad-ipc10",
        "mnist-to-usps",
        "mnist-to-usps-one",
    ]
)
"""Runs before 26 November 2026, whose sets were not kept. No run is added to them."""

RUNS = sorted(str(path.parent.relative_to(RECORDS)) for path in RECORDS.rglob("manifest.json"))


@pytest.mark.parametrize("name", [name for name in RUNS if name not in WITHOUT_SETS])
def test_a_run_on_record_keeps_its_set(name: str):
    paths = RunPaths(RECORDS / name)
    manifest = Manifest.read(paths.manifest)
    if manifest.set_bytes <= LARGEST:
        assert SyntheticSet.load(paths.synthetic).fingerprint() == manifest.tensors_sha256


def test_runs_without_sets_are_old_ones():
    assert set(RUNS) >= WITHOUT_SETS
    for name in WITHOUT_SETS:
        assert Manifest.read(RECORDS / name / "manifest.json").started < "2026-11-26", name
