"""What every method promises, whatever its paper: one suite over ``METHODS``."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.driver import distill
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import Settings
from potstill.engine import layout
from potstill.evaluation import Recipe, find_recipe, validation_accuracy
from potstill.methods import METHODS, Method, Problem, State
from potstill.runtime.compute import CPU
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, digits, problem, small_experts

pytestmark = pytest.mark.slow

ITERATIONS = 4

SMALL = {"batch_real": 16, "learning_rate": 0.1, "teacher_epochs": 2, "tries": 2}
MATCHED = {
    "student_steps": 3,
    "expert_epochs": 2,
    "latest_start": 2,
    "student_batch": 0,
    "learning_rate": 20.0,
    "rate_learning_rate": 1e-5,
    "initial_rate": 0.05,
    "first_latest_start": 1,
    "growth": 2,
    "label_learning_rate": 2.0,
    "loss_threshold": 0.0,
}
"""Settings of what matches experts, of which each takes those that it has."""

CASES = {
    **{name: {} for name in METHODS},
    "datadam whose networks are trained": {"network_iterations": 3, "network_steps": 2, "network_learning_rate": 0.1},
    "dc whose networks are trained": {"outer_loops": 3, "inner_epochs": 2, "network_learning_rate": 0.1},
    "dsa whose networks are trained": {"outer_loops": 3, "inner_epochs": 2, "network_learning_rate": 0.1},
    "dd from one fixed network": {"initial": "fixed", "passes": 2},
}


def make(case: str, **changes: Any) -> Method:
    """The method of a case, made small."""
    kind = METHODS[case.split()[0]]
    names = {field.name for field in fields(kind)}
    given = {**SMALL, **MATCHED, "experts": small_experts()} if "experts" in names else SMALL
    small = {name: value for name, value in given.items() if name in names}
    return kind(**small | CASES[case] | changes)


every_method = pytest.mark.parametrize("case", CASES)
moves = [case for case in CASES if make(case).default_iterations(1) > 0]
every_method_that_moves = pytest.mark.parametrize("case", moves)


def run(problem: Problem, method: Method, iterations: int = ITERATIONS) -> State:
    state = method.prepare(problem)
    for iteration in range(iterations):
        state, _ = method.step(problem, state, iteration)
    return state


def distilled(problem: Problem, method: Method, iterations: int = ITERATIONS) -> SyntheticSet:
    return method.result(problem, run(problem, method, iterations))


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@every_method
def test_is_listed_under_its_name_with_its_paper(case: str):
    method = make(case)
    assert METHODS[method.name] is type(method)
    assert type(method).__doc__
    assert method.citation.url in method.citation.bibtex()
    kind = "misc" if method.citation.venue == "arXiv preprint" else "inproceedings"
    assert method.citation.bibtex().startswith(f"@{kind}{{{method.citation.key}")


@every_method
def test_resolved_settings_leave_nothing_open_and_change_nothing(case: str):
    method = make(case)
    resolved = method.resolved(3)
    assert None not in asdict(resolved).values()
    assert resolved.resolved(3) == resolved
    assert resolved.default_iterations(3) == method.default_iterations(3)
    assert same(run(problem(ipc=3), resolved, 2), run(problem(ipc=3), method, 2))


@every_method
@pytest.mark.parametrize("ipc", [1, 3])
def test_result_has_the_shape_and_balance_of_its_start(case: str, ipc: int):
    given = problem(ipc=ipc)
    result = distilled(given, make(case))
    assert result.images.shape == (10 * ipc, 1, 8, 8)
    assert result.images.dtype == torch.float32
    if result.has_soft_labels:
        assert result.labels.shape == (10 * ipc, 10)
        torch.testing.assert_close(result.labels.sum(1), torch.ones(10 * ipc))
    else:
        assert result.labels.equal(torch.arange(10).repeat_interleave(ipc))
    assert result.class_names == given.real.class_names


@every_method
def test_everything_stays_finite(case: str):
    given, method = problem(), make(case)
    state = method.prepare(given)
    for iteration in range(ITERATIONS):
        state, loss = method.step(given, state, iteration)
        assert isinstance(loss, float)
        assert torch.tensor(loss).isfinite()
    assert all(tensor.isfinite().all() for tensor in state.values())


@every_method
def test_state_is_a_flat_dict_of_tensors(case: str):
    state = run(problem(), make(case))
    assert type(state) is dict
    assert all(type(name) is str and type(tensor) is torch.Tensor for name, tensor in state.items())
    assert not any(tensor.requires_grad for tensor in state.values())


@every_method
def test_a_step_leaves_its_arguments_alone(case: str):
    given, method = problem(), make(case)
    state = run(given, method, 1)
    before = {name: tensor.clone() for name, tensor in state.items()}
    start = given.start.images.clone()
    method.step(given, state, 1)
    assert same(state, before)
    assert given.start.images.equal(start)


@every_method
def test_one_seed_gives_the_same_bits(case: str):
    torch.manual_seed(1)
    first = run(problem(seed=3), make(case))
    torch.manual_seed(2)
    assert same(first, run(problem(seed=3), make(case)))


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("average", "k-means")])
def test_another_seed_gives_another_set(case: str):
    settings = Settings(method=make(case), ipc=1, network=NETWORK, iterations=1, validate_every=0)
    first, second = (distill(replace(settings, seed=seed), digits()).synthetic for seed in (0, 1))
    assert not first.images.equal(second.images)


@every_method_that_moves
def test_another_seed_moves_the_same_start_elsewhere(case: str):
    first, second = (distilled(problem(seed=seed), make(case)) for seed in (0, 1))
    assert first.fingerprint() != second.fingerprint()


@every_method_that_moves
def test_the_gradient_reaches_every_image_or_its_label(case: str):
    given = problem(ipc=2)
    before, after = (distilled(given, make(case), iterations) for iterations in (0, ITERATIONS))
    moved = (after.images - before.images).flatten(1).abs().amax(1)
    if after.has_soft_labels:
        moved += (after.labels - before.labels).abs().amax(1)
    assert (moved > 0).all()


@every_method
def test_one_worker_or_two_give_the_same_bits(case: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layout, "CPU_CHUNK_PIXELS", 7 * 8 * 8)  # work for both
    states = []
    for workers in (1, 2):
        with cpu_workers(CPU.device, workers):
            states.append(run(problem(ipc=3), make(case)))
    assert same(*states)


@every_method
@pytest.mark.parametrize("stop", range(1, ITERATIONS))
def test_resumed_from_a_file_equals_uninterrupted(case: str, stop: int, tmp_path: Path):
    uninterrupted = run(problem(), make(case))
    folder = RunFolder(tmp_path)
    Checkpoint(state=run(problem(), make(case), stop)).save(folder.checkpoint)
    stored = Checkpoint.load(folder.checkpoint)
    assert stored is not None
    state, later, method = stored.state, problem(), make(case)  # nothing else is left of the first session
    for iteration in range(stop, ITERATIONS):
        state, _ = method.step(later, state, iteration)
    assert same(state, uninterrupted)


@every_method
def test_a_set_survives_its_file(case: str, tmp_path: Path):
    result = distilled(problem(), make(case))
    result.save(tmp_path / "set.safetensors")
    loaded = SyntheticSet.load(tmp_path / "set.safetensors")
    assert loaded.fingerprint() == result.fingerprint()


@every_method_that_moves
def test_double_precision_is_kept_until_the_result(case: str):
    given = problem(precision="float64")
    state = run(given, make(case), 1)
    assert state.get("images", state.get("labels", torch.zeros(()))).dtype == torch.float64
    assert make(case).result(given, state).images.dtype == torch.float32


# Of what some methods are for, a toy shows nothing in 40 iterations: labels of noise take larger steps.
TOYS: dict[str, dict[str, Any]] = {
    "dd": {"learning_rate": 0.1, "batch_real": 256, "passes": 5},
    "ld": {"learning_rate": 0.2, "batch_real": 256},
}


@every_method_that_moves
def test_beats_its_own_start(case: str):
    given, method = problem(seed=5), make(case, **TOYS.get(case.split()[0], {}))
    if method.name == "ld":
        given = replace(given, start=SyntheticSet.from_noise(given.real, 3, torch.Generator().manual_seed(0)))
    before, after = (toy_accuracy(distilled(given, method, iterations)) for iterations in (0, 40))
    assert after > before + 0.05


def toy_accuracy(images: SyntheticSet) -> float:
    """By the steps that the set is for, or else by a hundred epochs; the mean of two networks."""
    toy = Recipe(name="toy", summary="", epochs=100, full_epochs=1, augmentation="none")
    recipe = toy if images.replay is None else find_recipe("replay")
    given: dict[str, Any] = {"recipe": recipe, "network": NETWORK, "compute": CPU}
    return sum(validation_accuracy(images, digits(), streams=Streams(seed), **given) for seed in (0, 1)) / 2
