"""The guarantees that every method must give, with one check for each."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import torch

from potstill.distillation import Checkpoint, Settings, distill
from potstill.engine import layout
from potstill.evaluation import Recipe, find_recipe, validation_accuracy
from potstill.methods import Method, Problem, State, find_method, method_name
from potstill.methods.imported import fault_of
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet
from potstill.testing.problems import NETWORK, digits, few, known_entropy, problem

ITERATIONS = 4
LONG = 40
"""Iterations after which a method must have improved on its start."""

_ACCURACIES: dict[str, float] = {}
"""Of sets that were trained on, by their fingerprints."""

CHUNK_IMAGES = 16
"""Images per chunk, and twice those of a part in training: few enough that these problems are split between workers."""

REAL_IMAGES = 64
"""Real images of each class, where it does not matter what is learned from them."""


def small_problem(**options: Any) -> Problem:
    """A problem with few real images; for the options see ``problem``."""
    return problem(real=few(digits().train, (REAL_IMAGES,) * 10), **options)


@dataclass(frozen=True)
class Case:
    """A method to check.

    Attributes:
        kind: class of the method.
        settings: settings that make the method small enough to check; the others keep their defaults.
        noise: check for improvement from a start of noise instead of real images, which a method that learns only
            labels can hardly improve.
    """

    kind: type[Method]
    settings: Mapping[str, Any] = field(default_factory=dict)
    noise: bool = False

    def make(self) -> Method:
        """A method with these settings."""
        return self.kind(**self.settings)

    @property
    def network(self) -> str:
        """The network that the method matches: a small one, unless it has one of its own."""
        return self.kind.default_network or NETWORK

    def problem(self, **options: Any) -> Problem:
        """A small problem for that network; the options are those of ``small_problem``."""
        return small_problem(network=self.network, **options)

    @property
    def moves(self) -> bool:
        """Whether the method learns in iterations, rather than selecting images in ``prepare``."""
        return self.make().default_iterations(1) > 0


def check_method(kind: type[Method], *, skip: Collection[str] = (), **settings: Any) -> None:
    """Run every check on a method; this takes from a few seconds to two minutes.

    Args:
        kind: class of the method, at the top level of a module.
        skip: names in ``CHECKS`` of checks that do not apply, such as that of another seed for a deterministic method.
        settings: settings that suit 8x8 images of ten classes, fewer than 200 per class.

    Raises:
        AssertionError: a check fails; the message says which, and why.
        ValueError: ``skip`` contains an unknown name.
    """
    if unknown := sorted(set(skip) - set(CHECKS)):
        raise ValueError(f"there is no check {unknown[0]!r}; the names are the keys of potstill.testing.CHECKS")
    case = Case(kind, settings)
    for name, check in CHECKS.items():
        if name in skip:
            continue
        try:
            check(case)
        except Exception as error:
            reason = error if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise AssertionError(f"{kind.__name__} fails the check {name!r}: {reason}") from error


def run(problem: Problem, method: Method, iterations: int = ITERATIONS) -> State:
    """Run a method, with known draws in place of secret ones.

    Args:
        problem: the distillation problem.
        method: the method.
        iterations: number of iterations.

    Returns:
        The final state.
    """
    return go_on(problem, method, prepared(problem, method), range(iterations))


def prepared(problem: Problem, method: Method) -> State:
    """The first state, with known draws in place of secret ones."""
    with known_entropy():
        return method.prepare(problem)


def go_on(problem: Problem, method: Method, state: State, iterations: Iterable[int]) -> State:
    """The state after these iterations."""
    for iteration in iterations:
        state, _ = step(problem, method, state, iteration)
    return state


def step(problem: Problem, method: Method, state: State, iteration: int) -> tuple[State, Any]:
    """A step of a method, with known draws in place of secret ones, others in every iteration.

    Returns:
        The new state, and what the method gives as its loss.
    """
    with known_entropy(iteration + 1):
        return method.step(problem, state, iteration)


@dataclass(frozen=True)
class Followed:
    """A run of a case that several checks look at.

    Attributes:
        problem: what it was given.
        before: a copy of the state before each iteration.
        losses: the loss of each iteration.
        state: the final state, as the method left it.
        result: the synthetic set that the method makes of a copy of it.
    """

    problem: Problem
    before: list[State]
    losses: list[Any]
    state: State
    result: SyntheticSet


_followed: list[tuple[Case, Followed]] = []
"""The case that was followed last, and its run: the checks of one case usually come one after another."""


def followed(case: Case) -> Followed:
    """The run of a small problem, in which PyTorch's global generator starts with the seed 1."""
    if _followed and _followed[0][0] == case:
        return _followed[0][1]
    given, method = case.problem(), case.make()
    before, losses = [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = prepared(given, method)
        for iteration in range(ITERATIONS):
            before.append(copied(state))
            state, loss = step(given, method, state, iteration)
            losses.append(loss)
        result = method.result(given, copied(state))
    _followed[:] = [(case, Followed(given, before, losses, state, result))]
    return _followed[0][1]


def copied(state: State) -> State:
    """A state whose tensors are copies."""
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


def distilled(problem: Problem, method: Method, iterations: int = ITERATIONS) -> SyntheticSet:
    """Run a method and return its result.

    Args:
        problem: the distillation problem.
        method: the method.
        iterations: number of iterations.

    Returns:
        The synthetic set.
    """
    return method.result(problem, run(problem, method, iterations))


def before_and_after(
    problem: Problem, method: Method, iterations: int = ITERATIONS
) -> tuple[SyntheticSet, SyntheticSet]:
    """What a method would give without any iteration, and what it gives after some."""
    state = prepared(problem, method)
    before = method.result(problem, copied(state))
    return before, method.result(problem, go_on(problem, method, state, range(iterations)))


def is_usable_and_found_by_its_name(case: Case) -> None:
    """The class is a frozen dataclass with defaults, a docstring and a citation, and is found by its recorded name."""
    fault = fault_of(case.kind)
    promise(fault is None, fault and "; ".join(fault))
    try:
        found = find_method(method_name(case.kind))
    except UserError as error:
        raise AssertionError(f"{error}: a resumed run could not find it") from error
    promise(found is case.kind, f"{method_name(case.kind)} refers to a different class")
    # The class's own docstring; a dataclass without one gets its signature instead.
    documented = (vars(case.kind).get("__doc__") or f"{case.kind.__name__}(")[:1000]
    promise(not documented.startswith(f"{case.kind.__name__}("), "it has no docstring")
    bibtex = case.kind.citation.bibtex()
    entries = tuple(f"@{kind}{{{case.kind.citation.key}," for kind in ("inproceedings", "article", "misc"))
    promise(bibtex.startswith(entries), f"its citation reads {bibtex}")
    promise(bool(case.kind.citation.url) and case.kind.citation.url in bibtex, "its citation has no URL")


def settings_survive_their_file(case: Case) -> None:
    """``config.toml`` preserves the method with all its settings, as given and resolved."""
    given = case.make()
    with tempfile.TemporaryDirectory() as folder:
        for method in (given, given.resolved(3)):
            settings = Settings(method=method)
            path = Path(folder) / "config.toml"
            path.write_text(settings.to_toml(), encoding="utf-8")
            promise(
                Settings.from_toml(path) == settings, f"{settings.to_toml()} was read as {Settings.from_toml(path)}"
            )


def resolved_settings_leave_nothing_open_and_change_nothing(case: Case) -> None:
    """No setting is None after ``resolved``, and the method behaves as before."""
    method = case.make()
    resolved = method.resolved(3)
    left_open = [name for name, value in asdict(resolved).items() if value is None]
    promise(not left_open, f"{', '.join(left_open)} is None after resolved")
    promise(resolved.resolved(3) == resolved, "resolving twice differs from resolving once")
    promise(resolved.default_iterations(3) == method.default_iterations(3), "resolved changes default_iterations")
    same(
        run(case.problem(ipc=3), resolved, 2),
        run(case.problem(ipc=3), method, 2),
        "the resolved and the unresolved method",
    )


def a_result_has_the_shape_and_balance_of_its_start(case: Case) -> None:
    """The result has as many images per class as the start, in float32, and labels are classes or probabilities."""
    known, larger = followed(case), case.problem(ipc=3)
    for ipc, given, result in ((1, known.problem, known.result), (3, larger, distilled(larger, case.make()))):
        promise(result.images.shape == given.start.images.shape, f"images are {tuple(result.images.shape)}")
        promise(result.images.dtype == torch.float32, f"images are {result.images.dtype}")
        if result.has_soft_labels:
            sums = result.labels.sum(1)
            promise(result.labels.shape == (10 * ipc, 10), f"labels are {tuple(result.labels.shape)}")
            promise(bool((sums - 1).abs().max() < 1e-5), "probabilities do not sum to 1")
        else:
            promise(result.labels.equal(given.start.labels), "labels differ from those of the start")
        promise(result.class_names == given.real.class_names, "class names have changed")


def everything_stays_finite(case: Case) -> None:
    """The loss is finite, a ``float`` or a tensor without a graph, and all tensors of the state are finite."""
    known = followed(case)
    for iteration, loss in enumerate(known.losses):
        promise(isinstance(loss, float | torch.Tensor), f"the loss is a {type(loss).__name__}")
        if isinstance(loss, torch.Tensor):
            promise(loss.dim() == 0, f"the loss has the shape {tuple(loss.shape)}, not that of a number")
            promise(not loss.requires_grad, "the loss carries a graph")
        promise(math.isfinite(loss), f"the loss is {loss} at iteration {iteration}")
    lost = [name for name, tensor in known.state.items() if not tensor.isfinite().all()]
    promise(not lost, f"{', '.join(lost)} is not finite")


def the_state_is_a_flat_dictionary_of_tensors(case: Case) -> None:
    """The state can be stored in a checkpoint: a dictionary of tensors, none of which carries a graph."""
    state = followed(case).state
    promise(type(state) is dict, f"the state is a {type(state).__name__}")
    wrong = [name for name, value in state.items() if type(name) is not str or type(value) is not torch.Tensor]
    promise(not wrong, f"entries {wrong} are not tensors with string names")
    graphs = [name for name, tensor in state.items() if tensor.requires_grad]
    promise(not graphs, f"{', '.join(graphs)} requires a gradient; detach it")


def a_step_leaves_its_arguments_alone(case: Case) -> None:
    """``step`` modifies neither its state argument nor the start."""
    given, before = case.problem(), followed(case).before[1]
    state, start = copied(before), given.start.images.clone()
    case.make().step(given, state, 1)
    same(state, before, "the state before and after a step")
    promise(given.start.images.equal(start), "the images of the start were modified in place")


def one_seed_gives_the_same_bits(case: Case) -> None:
    """All random numbers come from ``problem.streams``, none from PyTorch's global generator; secret draws apart."""
    first = followed(case).state
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        second = run(case.problem(), case.make())
    same(first, second, "two runs with the same seed")


def a_guarantee_rests_on_secret_draws(case: Case) -> None:
    """The noise of a method that guarantees privacy comes from ``potstill.privacy``: no seed repeats it."""
    given, method = case.problem(seed=3), case.make()
    if method.privacy(given.real.class_sizes, ITERATIONS) is None:
        return
    states = [method.step(given, method.prepare(given), 0)[0] for _ in range(2)]
    repeated = all(states[0][name].equal(states[1][name]) for name in states[0])
    promise(not repeated, "two runs with one seed have the same noise")


def another_seed_gives_another_set(case: Case) -> None:
    """Distillations with different seeds end with different images or labels."""
    settings = Settings(method=case.make(), ipc=1, network=case.network, iterations=1, validate_every=0)
    dataset = replace(digits(), train=few(digits().train, (REAL_IMAGES,) * 10))
    first, second = (distill(replace(settings, seed=seed), dataset).synthetic for seed in (0, 1))
    promise(first.fingerprint() != second.fingerprint(), "seeds 0 and 1 give the same set")


def another_seed_moves_the_same_start_elsewhere(case: Case) -> None:
    """The steps are random: from the same start, different seeds lead to different sets."""
    if case.moves:
        first, second = followed(case).result, distilled(case.problem(seed=1), case.make())
        promise(first.fingerprint() != second.fingerprint(), "seeds 0 and 1 lead from the same start to the same set")


def every_image_or_its_label_moves(case: Case) -> None:
    """Every image, or its label, receives a gradient."""
    if case.moves:
        given = case.problem(ipc=2)
        before, after = before_and_after(given, case.make())
        moved = (after.images - before.images).flatten(1).abs().amax(1)
        if after.has_soft_labels:
            moved = moved + (after.labels - before.labels).abs().amax(1)
        still = (moved == 0).nonzero().flatten().tolist()
        promise(not still, f"images {still} and their labels do not change")


def a_formation_is_learned_through_its_pictures(case: Case) -> None:
    """Stored images that hold several pictures keep their shape, and a step moves every picture of each."""
    given, method = case.problem(ipc=2, formation=2), case.make()
    given = replace(given, start=method.start(given))
    before, after = before_and_after(given, method)
    promise(after.formation == 2, f"the formation is {after.formation} instead of 2")
    promise(after.images.shape == given.start.images.shape, f"images are {tuple(after.images.shape)}")
    promise(len(after.labels) == len(given.start), f"there are {len(after.labels)} labels")
    if case.moves:
        moved = (after.decoded().images - before.decoded().images).flatten(1).abs().amax(1)
        if after.has_soft_labels:
            moved = moved + (after.decoded().labels - before.decoded().labels).abs().amax(1)
        still = (moved == 0).nonzero().flatten().tolist()
        promise(not still, f"pictures {still} and their labels do not change")


def one_worker_or_two_give_the_same_bits(case: Case) -> None:
    """The number of workers does not affect the result."""
    states = []
    with patch.object(layout, "CPU_CHUNK_PIXELS", CHUNK_IMAGES * 8 * 8):
        for workers in (1, 2):
            with cpu_workers(CPU.device, workers):
                states.append(run(case.problem(ipc=3), case.make(), 2))
    same(states[0], states[1], "one worker and two")


def a_resumed_run_equals_an_uninterrupted_one(case: Case) -> None:
    """A run stopped anywhere and resumed from its checkpoint is bit-identical to an uninterrupted one."""
    uninterrupted = followed(case)
    for stop in range(1, ITERATIONS) if case.moves else (1,):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "state.safetensors"
            Checkpoint(state=uninterrupted.before[stop]).save(path)
            state = Checkpoint.load(path).state
        later, method = case.problem(), case.make()  # nothing else survives from the first session
        state = go_on(later, method, state, range(stop, ITERATIONS))
        same(state, uninterrupted.state, f"the run resumed after iteration {stop} and the uninterrupted run")


def a_set_survives_its_file(case: Case) -> None:
    """The result is a valid set, and loading it restores what was saved."""
    result = followed(case).result
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.safetensors"
        result.save(path)
        promise(SyntheticSet.load(path).fingerprint() == result.fingerprint(), "the loaded set is different")


def double_precision_is_kept_until_the_result(case: Case) -> None:
    """A float64 problem is computed in float64, and the result is float32."""
    if case.moves:
        given = case.problem(precision="float64")
        state = run(given, case.make(), 1)
        single = [name for name, tensor in state.items() if tensor.dtype in (torch.float32, torch.float16)]
        promise(not single, f"{', '.join(single)} is in single precision")
        result = case.make().result(given, state)
        promise(result.images.dtype == torch.float32, f"the result's images are {result.images.dtype}")


def it_beats_its_own_start(case: Case) -> None:
    """After 40 iterations, networks trained on the set are more accurate than those trained on its start."""
    if case.moves:
        given, method = problem(seed=5, network=case.network), case.make()
        if case.noise:
            given = replace(given, start=SyntheticSet.from_noise(given.real, 3, torch.Generator().manual_seed(0)))
        before, after = (toy_accuracy(made) for made in before_and_after(given, method, LONG))
        promise(after > before + 0.05, f"{before:.1%} of the validation split before, {after:.1%} after")


CHECKS: Mapping[str, Callable[[Case], None]] = MappingProxyType(
    {
        check.__name__.replace("_", " "): check
        for check in (
            is_usable_and_found_by_its_name,
            settings_survive_their_file,
            resolved_settings_leave_nothing_open_and_change_nothing,
            a_result_has_the_shape_and_balance_of_its_start,
            everything_stays_finite,
            the_state_is_a_flat_dictionary_of_tensors,
            a_step_leaves_its_arguments_alone,
            one_seed_gives_the_same_bits,
            a_guarantee_rests_on_secret_draws,
            another_seed_gives_another_set,
            another_seed_moves_the_same_start_elsewhere,
            every_image_or_its_label_moves,
            a_formation_is_learned_through_its_pictures,
            one_worker_or_two_give_the_same_bits,
            a_resumed_run_equals_an_uninterrupted_one,
            a_set_survives_its_file,
            double_precision_is_kept_until_the_result,
            it_beats_its_own_start,
        )
    }
)
"""Every check, by its name in words."""


def promise(kept: bool, failure: object) -> None:
    """Raise an AssertionError with the message ``failure`` unless ``kept``; unlike ``assert``, also under -O."""
    if not kept:
        raise AssertionError(str(failure))


def same(one: State, other: State, of: str) -> None:
    """Raise an AssertionError unless two states are bit-identical.

    Args:
        one: a state.
        other: the state to compare it with.
        of: what the states belong to, for the message.
    """
    promise(one.keys() == other.keys(), f"{of} have different tensors in their states: {set(one) ^ set(other)}")
    differ = [name for name in one if not one[name].equal(other[name])]
    promise(not differ, f"{of} differ in {', '.join(differ)}")


def toy_accuracy(images: SyntheticSet) -> float:
    """Validation accuracy, the mean of two networks: by the set's replay or, if it has none, after 100 epochs."""
    if images.replay is None and (known := _ACCURACIES.get(images.fingerprint())) is not None:
        return known  # many methods have the same start
    toy = Recipe(name="toy", summary="", epochs=100, full_epochs=1, augmentation="none")
    recipe = toy if images.replay is None else find_recipe("replay")
    given: dict[str, Any] = {"recipe": recipe, "network": NETWORK, "compute": CPU}
    found = sum(validation_accuracy(images, digits(), streams=Streams(seed), **given) for seed in (0, 1)) / 2
    if images.replay is None:
        _ACCURACIES[images.fingerprint()] = found
    return found
