"""Methods that each break one promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from potstill.methods import Citation, Method, Problem, State
from potstill.runtime import parallel
from potstill.schema.privacy import Privacy
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True, kw_only=True)
class Drifting(Method):
    """The pixels drift at random: it learns nothing, and keeps every other promise."""

    name: ClassVar[str] = "drifting"
    citation: ClassVar[Citation] = Citation("T", "A", "arXiv preprint", 2026, "https://example.org", "k")

    def default_iterations(self, images_per_class: int) -> int:
        return 10

    def prepare(self, problem: Problem) -> State:
        return {"images": problem.start_images.clone()}

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        generator = problem.streams.child("iteration", iteration).generator("drift")
        noise = torch.randn(state["images"].shape, generator=generator, dtype=torch.float64)
        return {"images": state["images"] + noise.to(state["images"].dtype)}, 1.0


@dataclass(frozen=True, kw_only=True)
class WithoutDocstring(Drifting):
    pass


@dataclass(frozen=True, kw_only=True)
class Unwritable(Drifting):
    """A setting that a file does not hold as it was."""

    size: complex = 1j


@dataclass(frozen=True, kw_only=True)
class LeftOpen(Drifting):
    """A setting that stays None."""

    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Halved(Drifting):
    """It gives the set in half precision."""

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        made = super().result(problem, state)
        return replace(made, images=made.images.half())


@dataclass(frozen=True, kw_only=True)
class Infinite(Drifting):
    """Its loss is infinite."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        return super().step(problem, state, iteration)[0], float("inf")


@dataclass(frozen=True, kw_only=True)
class WithGraph(Drifting):
    """Its state carries a graph."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        state, loss = super().step(problem, state, iteration)
        return {"images": state["images"].requires_grad_()}, loss


@dataclass(frozen=True, kw_only=True)
class InPlace(Drifting):
    """It changes its argument."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        state["images"] += 1
        return state, 1.0


@dataclass(frozen=True, kw_only=True)
class Global(Drifting):
    """It draws from PyTorch's global generator."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        return {"images": state["images"] + torch.randn(state["images"].shape)}, 1.0


@dataclass(frozen=True, kw_only=True)
class Guessable(Drifting):
    """It guarantees privacy with noise that follows from the seed."""

    def privacy(self, class_sizes: Sequence[int], iterations: int) -> Privacy:
        return Privacy(
            epsilon=1.0,
            delta=1e-5,
            sampling_rate=1.0,
            clip=1.0,
            noise_multiplier=1.0,
            queries=1,
            accountant="none",
            public=(),
        )


@dataclass(frozen=True, kw_only=True)
class Blank(Drifting):
    """It ends with the same images whatever is drawn."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        return {"images": torch.zeros_like(state["images"])}, 1.0


@dataclass(frozen=True, kw_only=True)
class Still(Drifting):
    """One image never moves."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        moved, loss = super().step(problem, state, iteration)
        moved["images"][3] = state["images"][3]
        return moved, loss


@dataclass(frozen=True, kw_only=True)
class Unformed(Drifting):
    """It takes stored images for pictures."""

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        return replace(super().result(problem, state), formation=1)


@dataclass(frozen=True, kw_only=True)
class ByWorkers(Drifting):
    """It depends on the number of workers."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        pool = parallel._pool.get()
        state, loss = super().step(problem, state, iteration)
        return {"images": state["images"] + (0 if pool is None else pool._max_workers)}, loss


@dataclass(frozen=True, kw_only=True)
class Remembering(Drifting):
    """It remembers beside its state."""

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        memory = problem.cached(self, list)
        memory.append(iteration)
        state, loss = super().step(problem, state, iteration)
        return {"images": state["images"] + len(memory)}, loss


@dataclass(frozen=True, kw_only=True)
class NotANumber(Drifting):
    """Its set holds a value that is not a number."""

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        made = super().result(problem, state)
        return replace(made, images=made.images * float("nan"))


@dataclass(frozen=True, kw_only=True)
class Single(Drifting):
    """It computes in single precision whatever is asked for."""

    def prepare(self, problem: Problem) -> State:
        return {"images": problem.start_images.float()}


FAULTY: dict[str, type[Method]] = {
    "is usable and found by its name": WithoutDocstring,
    "settings survive their file": Unwritable,
    "resolved settings leave nothing open and change nothing": LeftOpen,
    "a result has the shape and balance of its start": Halved,
    "everything stays finite": Infinite,
    "the state is a flat dictionary of tensors": WithGraph,
    "a step leaves its arguments alone": InPlace,
    "one seed gives the same bits": Global,
    "a guarantee rests on secret draws": Guessable,
    "another seed gives another set": Blank,
    "another seed moves the same start elsewhere": Blank,
    "every image or its label moves": Still,
    "a formation is learned through its pictures": Unformed,
    "one worker or two give the same bits": ByWorkers,
    "a resumed run equals an uninterrupted one": Remembering,
    "a set survives its file": NotANumber,
    "double precision is kept until the result": Single,
    "it beats its own start": Drifting,
}
