"""What candidates are ranked by in a search: the set, as many real images, or a short training on the full data."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.specs import selected, stopped_early, trained_on_random
from potstill.evaluation.training import RANDOM, TrainAndTest
from potstill.runtime.errors import UserError, unknown
from potstill.schema.evaluation import NetworkResult, real_images_per_class
from potstill.schema.search import DISTILLED, Candidate, Proxy
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet
from potstill.units import Job, Workplace

EARLY_STOPPING = "early-stopping"
PROXIES = (DISTILLED, *SELECTIONS, EARLY_STOPPING)
"""The set; as many real images, chosen by any selection; and the full data with as many steps as on the set."""


def checked_proxies(names: Sequence[str]) -> tuple[str, ...]:
    """The proxies of a search, each once and the set first.

    Raises:
        UserError: there is no such proxy, or the set is not among them.
    """
    for name in names:
        if name not in PROXIES:
            raise unknown("proxy", name, PROXIES, listing=", ".join(PROXIES))
    if DISTILLED not in names:
        raise UserError(
            "the set itself is not among the proxies", f"use `proxies={','.join(dict.fromkeys([DISTILLED, *names]))}`"
        )
    return tuple(dict.fromkeys([DISTILLED, *names]))


@dataclass(frozen=True)
class ProxyImages:
    """The images that stand for the full data, once they are needed.

    Attributes:
        name: the name of the proxy.
        base: dataset, recipe and randomness of all trainings.
        workplace: takes the images.
        synthetic: the set.
        record: the record beside which chosen images are kept, so that they are not chosen again; None keeps none.
    """

    name: str
    base: TrainAndTest
    workplace: Workplace
    synthetic: SyntheticSet
    record: Path | None

    @property
    def images_per_class(self) -> int:
        """The number of real images of each class."""
        return real_images_per_class(len(self.synthetic), self.synthetic.class_count)

    def check(self) -> None:
        """Make sure that there are enough images to choose from, before anything is trained.

        Raises:
            UserError: a class has too few images.
        """
        if self.name in (DISTILLED, RANDOM, EARLY_STOPPING):
            return
        try:
            SELECTIONS[self.name].check(self.workplace.dataset(self.base.dataset).train, self.images_per_class)
        except UserError as error:
            raise UserError(error.problem, f"search without the proxy {self.name}, or with more images") from error

    def blank(self) -> Proxy:
        """The proxy without results."""
        image = math.prod(self.synthetic.shape)
        if self.name == DISTILLED:
            return Proxy(images=len(self.synthetic), bytes=self.synthetic.size_bytes)
        if self.name == EARLY_STOPPING:
            shown = images_in_training(self.base.recipe, len(self.synthetic), self.synthetic.pictures)
            shown = min(shown, len(self.workplace.dataset(self.base.dataset).train))
            return Proxy(images=shown, bytes=shown * image)
        number = self.images_per_class * self.synthetic.class_count
        return Proxy(images=number, bytes=number * image)

    def prepared(self, proxy: Proxy) -> tuple[Proxy, TrainAndTest]:
        """Choose the images, unless the same were chosen before.

        Args:
            proxy: the proxy so far.

        Returns:
            The proxy, with its set where it has one; and the training, except for network and repeat.
        """
        if self.name == DISTILLED:
            return proxy, replace(self.base, images=self.workplace.materials.add(self.synthetic))
        if self.name == EARLY_STOPPING:
            return proxy, stopped_early(self.base, self.workplace, self.synthetic, 1).each
        if self.name == RANDOM:
            spec = trained_on_random(self.images_per_class, self.base, self.workplace, self.synthetic, 1)
            return proxy, spec.each
        chosen, seconds = self._chosen()
        made = replace(proxy, set_sha256=chosen.fingerprint(), choosing_seconds=seconds)
        if not SELECTIONS[self.name].is_real:
            made = replace(made, bytes=chosen.size_bytes)
        return made, replace(self.base, images=self.workplace.materials.add(chosen))

    def _chosen(self) -> tuple[SyntheticSet, float]:
        """The chosen images, and the seconds that it took to choose them."""
        record = self.record
        path = None if record is None else record.with_name(f"{record.stem}.{self.name}.safetensors")
        chosen_as = {
            "selection": self.name,
            "images_per_class": self.images_per_class,
            "dataset": self.base.dataset,
            "seed": self.base.seed,
            "in_place_of": self.synthetic.fingerprint(),
        }
        if path is not None and path.exists():
            kept = SyntheticSet.load(path)
            seconds = kept.provenance.get("seconds")
            if {**kept.provenance} == {**chosen_as, "seconds": seconds} and isinstance(seconds, float):
                return kept, seconds
        started = time.perf_counter()
        chosen = selected(self.name, self.base, self.workplace, self.synthetic, self.images_per_class)
        seconds = time.perf_counter() - started
        if path is not None:
            replace(chosen, provenance={**chosen_as, "seconds": seconds}).save(path)
        return chosen, seconds


class Ranking:
    """The trainings of all candidates on one proxy, and their results so far.

    Args:
        images: of the proxy.
        earlier: the results on record; they are not computed again.
        candidates: those that can be trained, in the order of the space.
        repeats: trainings of each candidate.
    """

    def __init__(
        self, images: ProxyImages, earlier: Proxy | None, candidates: Mapping[str, Candidate], repeats: int
    ) -> None:
        self.name, self._images, self._repeats = images.name, images, repeats
        self._proxy = earlier or images.blank()
        self._made = {name: self._proxy.candidates.get(name, each) for name, each in candidates.items()}
        self._parameters = {name: each.parameters for name, each in candidates.items()}
        self._ahead: dict[str, dict[int, NetworkResult]] = {name: {} for name in candidates}

    @property
    def missing(self) -> int:
        """The number of trainings that are not on record."""
        return sum(max(self._repeats - len(each.accuracies), 0) for each in self._made.values() if not each.failed)

    @property
    def proxy(self) -> Proxy:
        """The results so far; the order of the candidates is that of the space, whatever ended first."""
        begun = {name: each for name, each in self._made.items() if each.accuracies or each.failed}
        return replace(self._proxy, candidates=begun)

    def jobs(self) -> Iterator[Job[NetworkResult, tuple[Ranking, str, int]]]:
        """The trainings that are missing. Images are chosen when the first of them is drawn."""
        if not self.missing:
            return
        self._proxy, each = self._images.prepared(self._proxy)
        for name, candidate in self._made.items():
            for repeat in range(len(candidate.accuracies), self._repeats):
                if self._made[name].failed is None:
                    unit = replace(each, network=candidate.spec, stream=(*each.stream, "repeat", repeat))
                    title = name if self.name == DISTILLED else f"{name} by {self.name}"
                    yield Job(unit, title, (self, name, repeat))

    def take(self, name: str, repeat: int, latest: NetworkResult) -> None:
        """Join the result of a training, in order; those of later repeats wait for it."""
        self._ahead[name][repeat] = latest
        while (following := self._ahead[name].pop(len(self._made[name].accuracies), None)) is not None:
            self._made[name] = self._joined(name, following)
            if self._made[name].failed is not None:
                break

    def _joined(self, name: str, latest: NetworkResult) -> Candidate:
        done = self._made[name]
        if latest.failed is not None:
            return replace(done, failed=latest.failed)
        return replace(
            done,
            accuracies=[*done.accuracies, *latest.accuracies],
            seconds=done.seconds + latest.seconds,
            made_on=list(dict.fromkeys([*done.made_on, *latest.made_on])),
            parameters=self._parameters[name],
        )
