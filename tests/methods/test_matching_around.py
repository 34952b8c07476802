"""Methods that match networks near given weights, and those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from potstill.distillation import distill
from potstill.distillation.settings import Settings
from potstill.methods import DC, DM, METHODS, DataDAM, Method
from potstill.networks.weights import keep_weights, kept_weights, snapshot
from potstill.runtime.errors import UserError
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet
from tests.small import problem, small_digits

NETWORK = "mlp:width=8"


def weights_of(folder: Path, seed: int = 0, network: str = NETWORK) -> Path:
    built = problem(network=network).build_network(torch.Generator().manual_seed(seed))
    return kept_weights(folder, keep_weights(folder, snapshot(built), {}))


@pytest.mark.parametrize("kind", [DM, DataDAM])
def test_a_copy_names_the_file_that_it_reads(kind: type[DM | DataDAM], tmp_path: Path):
    near = kind(momentum=0.3).matching_around(tmp_path / "absent.safetensors", 2.0)
    assert near == kind(momentum=0.3, around=str(tmp_path / "absent.safetensors"), radius=2.0)
    assert near.input_files() == [tmp_path / "absent.safetensors"]
    assert kind().input_files() == []
    assert kind(around="w").resolved(1).radius == 5


@pytest.mark.parametrize("method", [DC(), *(METHODS[name]() for name in SELECTIONS)])
def test_other_methods_refuse_in_one_line(method: Method):
    with pytest.raises(UserError, match=rf"^{method.name} does not match networks near given weights; use a method"):
        method.matching_around(Path("weights.safetensors"), 1.0)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UserError, match="`network_iterations=2` trains a network, and `around` draws one near"):
        DataDAM(network_iterations=2).matching_around(Path("w"), 1.0)
    with pytest.raises(UserError, match=r"`radius=1.0` has no effect without `around`"):
        DM(radius=1.0)
    with pytest.raises(UserError, match=r"`radius=-1.0` is too small"):
        DM(around="w", radius=-1.0)


def test_weights_that_do_not_fit_are_refused_before_any_step(tmp_path: Path):
    given = problem(network=NETWORK)
    with pytest.raises(UserError, match=r"the weights in .* do not fit: blocks"):
        DM(around=str(weights_of(tmp_path, network="mlp:width=9"))).prepare(given)
    with pytest.raises(UserError, match="does not exist"):
        DM(around=str(tmp_path / "absent.safetensors")).prepare(given)


def test_weights_of_its_own_are_not_replaced(tmp_path: Path):
    with pytest.raises(UserError, match="has weights of its own"):
        DM(around="mine.safetensors").matching_around(tmp_path / "others.safetensors", 1.0)


def test_a_run_matches_its_weights_and_is_resumed_with_no_others(tmp_path: Path):
    one, other = (weights_of(tmp_path / "weights", seed) for seed in (0, 1))

    def run(weights: Path, out: str, time_limit: float | None = None) -> SyntheticSet:
        method = DM(around=str(weights), radius=0.5, batch_real=8)
        settings = Settings(method=method, dataset="digits", ipc=1, network=NETWORK, iterations=3, device="cpu")
        return distill(settings, small_digits(), out=tmp_path / out, resume="auto", time_limit=time_limit).synthetic

    whole = run(one, "whole")
    assert not run(other, "elsewhere").images.equal(whole.images)
    assert not run(one, "cut", time_limit=1e-9).images.equal(whole.images)
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    with pytest.raises(UserError, match=r"the weights that .* was started with have changed"):
        run(one, "cut")
    one.write_bytes(kept)
    assert run(one, "cut").images.equal(whole.images)
