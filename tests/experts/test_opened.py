"""Stored experts are opened only if they have the epochs that are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.experts import ExpertPlan, train_experts
from potstill.experts.feature_source import StoredExperts, Training
from potstill.experts.opened import open_experts
from potstill.methods import MTT
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from tests.small import problem, small_digits

NETWORK = "convnet:depth=1:width=4"


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Experts of three epochs whose first and last weights are kept."""
    folder = tmp_path_factory.mktemp("experts") / "ends"
    train_experts(ExpertPlan(network=NETWORK, count=2, epochs=3, ends_only=True), small_digits(), folder, CPU)
    return str(folder)


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An expert whose last weights are kept."""
    folder = tmp_path_factory.mktemp("experts") / "last"
    train_experts(ExpertPlan(network=NETWORK, count=1, epochs=2, last_only=True), small_digits(), folder, CPU)
    return str(folder)


def test_ends_are_enough_for_a_pool_and_not_for_trajectories(ends: str):
    dataset = small_digits()
    assert len(open_experts(ends, NETWORK, dataset.train, dataset.fingerprint)) == 2
    with pytest.raises(UserError, match="has not every epoch, but 0 to 2 are needed"):
        open_experts(ends, NETWORK, dataset.train, dataset.fingerprint, needed=range(3))
    given = problem(real=dataset.train, network=NETWORK)
    with pytest.raises(UserError, match="not every epoch"):
        MTT(experts=ends, latest_start=2, expert_epochs=1).prepare(given)


@pytest.mark.parametrize("score", ["el2n", "grand", "forgetting", "aum"])
@pytest.mark.parametrize("kept", ["ends", "last"])
def test_scores_need_every_epoch_and_features_do_not(kept: str, score: str, request: pytest.FixtureRequest):
    training = Training(real=small_digits().train, network=NETWORK, streams=Streams(0), compute=CPU, flips=False)
    source = StoredExperts(training, Path(request.getfixturevalue(kept)))
    assert len(source.features) == len(small_digits().train)
    assert not source.every_epoch
    with pytest.raises(UserError, match="does not have every epoch"):
        getattr(source, score)()
