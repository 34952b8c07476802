"""PSG: private gradients are clipped, noised, counted, and stored before they are used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.distillation import Checkpoint, Settings, distill
from potstill.methods import PSG, Problem, State, private
from potstill.methods import problem as problems
from potstill.methods.private import psg
from potstill.privacy import Mechanism
from potstill.runtime.errors import UserError
from tests.small import NETWORK, digits, few, problem, small_digits
from tests.twins.private import private_gradient, psg_step, psg_training

METHOD = PSG(epsilon=5.0, delta=1e-4, queries=5, batch_real=30, batch_loops=2)


@pytest.fixture(autouse=True)
def quick_accounting(monkeypatch: pytest.MonkeyPatch):
    """An accountant that takes no time; the real one is tested in ``tests/privacy`` and with whole runs."""
    monkeypatch.setattr(private, "calibrated", lambda epsilon, delta, rate, queries: Mechanism(1.7, rate, queries))
    monkeypatch.setattr(private, "spent", lambda mechanism, delta: 1.0)
    monkeypatch.setattr(private, "accountant", lambda: "none")


def exact() -> Any:
    """Private gradients of all images, without noise."""
    return patch.multiple(psg, gaussian=torch.zeros, poisson_sample=lambda n, rate: torch.arange(n))


def reads(given: Problem) -> tuple[Problem, list[int]]:
    """The problem with images that note how many of them are read."""
    noted: list[int] = []

    class Noting(LabeledImages):
        def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
            found = super().normalised(indices)
            noted.append(len(found))
            return found

    real = given.real
    return replace(given, real=Noting(real.images, real.labels, real.class_names, real.mean, real.std)), noted


def test_private_gradients_iterations_and_trainings_equal_their_twin():
    given = problem(ipc=2, precision="float64", real=few(digits().train, (10, 12, 9)))
    with exact():
        state = METHOD.prepare(given)
        images, momentum = state["images"], torch.zeros_like(state["images"])
        network = problem_network(given, 0)
        real, labels = given.real.normalised().double(), given.real.labels
        for iteration in range(4):  # two rounds on one network
            assert int(state[psg.DRAWN]) == iteration + 1
            noisy = private_gradient(network, real, labels, METHOD.clip) / METHOD.batch_real
            assert (state[psg.PENDING] - noisy).abs().max() < 1e-12
            state, loss = METHOD.step(given, state, iteration)
            images, momentum, expected = psg_step(given, METHOD, noisy, images, momentum, network)
            assert loss == pytest.approx(expected, rel=1e-9)
            assert (state["images"] - images).abs().max() < 1e-9
            if iteration == 1:
                psg_training(given, METHOD, images, network, iteration + 1, METHOD.loops(2).inner)


def problem_network(given: Problem, iteration: int) -> Any:
    generator = given.streams.child("iteration", iteration).generator("network")
    return given.build_network(generator).double().train()


def test_a_new_network_is_drawn_as_often_as_published():
    method = replace(METHOD, queries=9)
    given = problem(real=few(digits().train, (20, 20, 20)))
    assert method.loops(1).outer == 1
    state, networks = method.prepare(given), []
    for iteration in range(4):
        networks.append(state["network.classifier.weight"])
        state, _ = method.step(given, state, iteration)
    assert [networks[0].equal(each) for each in networks] == [True, True, False, False]
    assert networks[2].equal(networks[3])


def test_the_noise_and_the_rate_are_those_that_are_accounted_for():
    given = problem(network="convnet:depth=2:width=48")
    promised = METHOD.privacy(given.real.class_sizes, 5)
    asked: list[tuple[int, float]] = []

    def nobody(count: int, rate: float) -> Tensor:
        asked.append((count, rate))
        return torch.arange(0)

    with patch.object(psg, "poisson_sample", nobody):
        noise = METHOD.prepare(given)[psg.PENDING].double() * METHOD.batch_real
    assert asked == [(len(given.real), promised.sampling_rate)]
    assert promised.sampling_rate == 30 / len(given.real)
    assert (noise.std() / (promised.noise_multiplier * promised.clip)).item() == pytest.approx(1, abs=0.03)


def test_one_image_more_moves_a_private_gradient_by_the_clip_at_most():
    everyone = few(digits().train, (20, 20))
    with_it, without = (problem(real=real) for real in (everyone, everyone.take(torch.arange(1, len(everyone)))))
    with exact():
        both = [METHOD.prepare(given)[psg.PENDING].double() * METHOD.batch_real for given in (with_it, without)]
    moved = (both[0] - both[1]).norm().item()
    assert 0.9 * METHOD.clip < moved <= METHOD.clip * (1 + 1e-5)


def test_real_images_are_read_for_the_private_gradients_that_are_accounted_for_and_not_once_more():
    given, noted = reads(problem(real=few(digits().train, (20, 20, 20))))
    state = METHOD.prepare(given)
    for iteration in range(5):
        state, _ = METHOD.step(given, state, iteration)
    METHOD.result(given, state)
    assert len(noted) == METHOD.privacy(given.real.class_sizes, 5).queries == int(state[psg.DRAWN])
    assert state[psg.PENDING].abs().max() == 0
    with pytest.raises(UserError, match=r"iterations=6.*more private gradients than the 5.*queries=6"):
        METHOD.step(given, state, 5)


def test_a_private_gradient_of_many_images_reads_some_at_a_time(monkeypatch: pytest.MonkeyPatch):
    given, noted = reads(problem(precision="float64", real=few(digits().train, (20, 20, 20))))
    with exact():
        together = METHOD.prepare(given)[psg.PENDING]
        assert max(noted) == 60
        monkeypatch.setattr(problems, "VALUES_AT_ONCE", 7 * 8 * 8)
        noted.clear()
        torch.testing.assert_close(METHOD.prepare(given)[psg.PENDING], together, rtol=1e-12, atol=1e-12)
    assert noted == [7] * 8 + [4]


def test_the_planned_memory_does_not_grow_with_images_that_are_not_read_together(monkeypatch: pytest.MonkeyPatch):
    given = problem(ipc=1)
    some, many = (replace(METHOD, batch_real=batch).planned_bytes(given) for batch in (30, 30_000))
    assert some < many
    monkeypatch.setattr(problems, "VALUES_AT_ONCE", 7 * 8 * 8)
    some, more = (replace(METHOD, batch_real=batch).planned_bytes(given) for batch in (30, 30_000))
    assert some == more < many


def test_more_iterations_than_private_gradients_are_refused_before_anything_is_read():
    with pytest.raises(UserError, match=r"iterations=6.*more private gradients than the 5"):
        distill(Settings(method=METHOD, ipc=1, network=NETWORK, iterations=6, device="cpu"), small_digits())


def test_published_numbers_are_filled_in():
    assert PSG().resolved(10).queries == PSG().default_iterations(10) == 100_000
    assert PSG().resolved(1).queries == 10_000
    assert PSG(queries=7).resolved(10).queries == PSG(queries=7).default_iterations(10) == 7


def test_a_private_gradient_is_stored_before_it_is_used(tmp_path: Any):
    """Whenever a run is killed, its set and its log come from private gradients that a resumed run has too."""
    used: list[Tensor] = []
    stored: list[Tensor] = []
    step, save = PSG.step, Checkpoint.save

    def using(method: PSG, given: Problem, state: State, iteration: int) -> tuple[State, float]:
        used.append(state[psg.PENDING])
        assert any(each.equal(used[-1]) for each in stored)
        return step(method, given, state, iteration)

    def saving(now: Checkpoint, path: Any) -> None:
        save(now, path)
        stored.append(Checkpoint.load(path).state[psg.PENDING])

    settings = Settings(method=METHOD, ipc=1, network=NETWORK, device="cpu")
    with patch.object(PSG, "step", using), patch.object(Checkpoint, "save", saving):
        done = distill(settings, small_digits(), out=tmp_path / "run")
    assert (done.status, len(used)) == ("complete", 5)


def test_a_killed_run_goes_on_with_the_private_gradient_that_it_had(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    class Killed(BaseException):
        pass

    def kill_at_step(event: str, _fields: object) -> None:
        if event == "step":
            raise Killed

    settings = Settings(method=METHOD, ipc=1, network=NETWORK, device="cpu")
    drawn: list[int] = []
    draw = psg.poisson_sample

    def counting(count: int, rate: float) -> Tensor:
        drawn.append(count)
        return draw(count, rate)

    monkeypatch.setattr(psg, "poisson_sample", counting)
    with pytest.raises(Killed):
        distill(settings, small_digits(), out=tmp_path / "run", listen=kill_at_step)
    state = Checkpoint.load(tmp_path / "run/checkpoint/state.safetensors").state
    assert int(state[psg.DRAWN]) == 1
    assert len(drawn) == 2  # the second one was drawn, and neither stored nor used
    resumed = distill(settings, small_digits(), out=tmp_path / "run", resume=True)
    assert resumed.status == "complete"
    assert len(drawn) == 6
    assert resumed.privacy is not None
    assert resumed.privacy.queries == 5
