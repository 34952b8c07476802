"""Robustness curves: the accuracy of networks on attacked and corrupted test images, over the strength of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from potstill.data import ImageDataset
from potstill.evaluation.checks import check_exchangeable, check_images, check_learned_rate, check_set, check_trainings
from potstill.evaluation.exchanging import curve_numbers
from potstill.evaluation.probing import TrainAndProbe, curves
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.recipes import default_recipe, find_recipe
from potstill.evaluation.series import TrainingSpec
from potstill.evaluation.session import Session
from potstill.evaluation.specs import trained_on_random, trained_on_set, training_on
from potstill.evaluation.training import TrainAndTest
from potstill.runtime.bounds import check_least
from potstill.runtime.errors import UserError
from potstill.runtime.lock import locked
from potstill.schema.attacks import EQUAL, RANDOM, SET, AttackCurves, AttackedNetworks, Probe, Probed, Source
from potstill.schema.evaluation import real_images_per_class
from potstill.schema.recipe import Recipe
from potstill.synthetic import SyntheticSet
from potstill.units import Job, Runner, UnitLog

GREY_EPSILONS = (0.1, 0.2, 0.3)
"""The usual strengths of attacks on MNIST and the like."""
COLOUR_EPSILONS = (2 / 255, 4 / 255, 8 / 255)
"""The usual strengths of attacks on photographs."""
STEPS = 10


def measure_attacks(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    recipe: str | Recipe | None = None,
    networks: Sequence[str] = ("convnet",),
    repeats: int = 5,
    epsilons: Sequence[float] | None = None,
    attacked_images: int = 1000,
    record: str | Path | None = None,
) -> AttackCurves:
    """Measure how networks that were trained on a set withstand attacks and corruptions of test images.

    As many random real images stand beside the set, and so many that networks are about as accurate on clean images:
    a network that is wrong more often has less to lose, so only that comparison separates robustness from accuracy.

    Args:
        synthetic: the set.
        data: the dataset that it was made from, or a session that also sets seed, device, executor and progress.
        recipe: a name in ``RECIPES``, or a recipe of your own. None uses the default for such a set.
        networks: specs, such as ``("convnet", "resnet18")``.
        repeats: trainings of each network on each kind of images.
        epsilons: the largest changes of a pixel, for pixels in [0, 1]. None takes 0.1, 0.2 and 0.3 for grey images, and
            2, 4 and 8 of 255 for others.
        attacked_images: the number of test images that are changed; all if there are no more.
        record: an ``attacks.json`` to write, updated after every training. Trainings are recorded beside it as they
            end, and are not done again.

    Raises:
        UserError: the set does not fit the dataset or is whitened, an epsilon is not between 0 and 1, the recipe
            replays learned steps or tunes learning rates, or the record is being written by another process.
    """
    session = Session.of(data)
    check_set(synthetic)
    recipe = default_recipe(synthetic) if recipe is None else recipe
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if epsilons is None:
        epsilons = GREY_EPSILONS if session.dataset.shape[0] == 1 else COLOUR_EPSILONS
    check_images(session.dataset, "attacks and corruptions are")
    _check(synthetic, session.dataset, recipe, epsilons)
    check_trainings(synthetic, session.dataset, recipe, networks, repeats)
    check_least("attacked_images", attacked_images, 1)
    probes, tested = curves(sorted(set(epsilons)), STEPS), min(attacked_images, len(session.dataset.test))
    path = None if record is None else Path(record)
    seen = images_in_training(recipe, len(synthetic), synthetic.pictures) + tested * sum(
        2 + probe.steps for probe in probes
    )
    compute = session.settled(3 * seen * repeats * len(networks))
    with (
        locked(path) if path is not None else nullcontext(),
        session.runner(
            compute, UnitLog.beside(path), images=3 * seen * repeats * len(networks), longest=seen
        ) as runner,
    ):
        measured = _Measured(runner, session, synthetic, recipe, repeats, probes, tested)
        found = AttackCurves(
            set_sha256=synthetic.fingerprint(),
            dataset_fingerprint=session.dataset.fingerprint,
            seed=session.seed,
            recipe=recipe,
            images=tested,
            chance=1 / synthetic.class_count,
            probes=list(probes),
            networks={},
        )
        if path is not None and path.exists() and (earlier := AttackCurves.read(path)).protocol == found.protocol:
            found = replace(found, networks=earlier.networks, made_on=earlier.made_on)
        for network in dict.fromkeys(networks):
            for results in measured.results(network):
                made_on = list(dict.fromkeys([*found.made_on, *measured.made_on]))
                found = replace(found, networks={**found.networks, network: results}, made_on=made_on)
                if path is not None:
                    found.write(path)
    return found


class _Measured:
    """All trainings, with the images that they are tested on.

    Args:
        runner: does them.
        session: dataset and seed.
        synthetic: the set.
        recipe: how networks are trained.
        repeats: trainings of each network on each kind of images.
        probes: the changes of the test images.
        tested: the number of test images.
    """

    def __init__(
        self,
        runner: Runner,
        session: Session,
        synthetic: SyntheticSet,
        recipe: Recipe,
        repeats: int,
        probes: tuple[Probe, ...],
        tested: int,
    ) -> None:
        self.runner, self.synthetic, self.repeats = runner, synthetic, repeats
        self.probes, self.tested = probes, tested
        self.base = training_on(session.dataset, runner.workplace, recipe, session.seed, purpose="attacks")
        self.own = real_images_per_class(len(synthetic), synthetic.class_count)
        self.largest = min(session.dataset.train.class_sizes)
        self.made_on: dict[str, None] = {}

    def results(self, network: str) -> Iterator[list[AttackedNetworks]]:
        """Measure a network on the set, on random images, and on so many that it is as accurate.

        Yields:
            The results after every training.
        """
        on_set = trained_on_set(self.base, self.runner.workplace, self.synthetic, self.repeats)
        done: list[AttackedNetworks] = []
        equal_bytes = self._on_random(self.own, self.base)
        kinds: Sequence[tuple[Source, TrainingSpec]] = ((SET, on_set), (RANDOM, equal_bytes))
        for source, spec in kinds:
            latest = AttackedNetworks(trained_on=source, images_per_class=self.own)
            for latest in self._attacked(network, source, self.own, spec, self.probes):
                yield [*done, latest]
            done.append(latest)
            if latest.failed is not None:
                return
        number = self._as_accurate(network, done[0].at(0).mean)
        if number is None:
            return
        for latest in self._attacked(network, EQUAL, number, self._elsewhere(number), self.probes):
            yield [*done, latest]

    def _as_accurate(self, network: str, wanted: float) -> int | None:
        """The number of random images per class on which clean accuracy is nearest to that on the set."""
        tried: dict[int, float] = {}
        for number in curve_numbers(self.largest, self.own):
            *_, latest = self._attacked(network, EQUAL, number, self._elsewhere(number), self.probes[:1])
            if latest.failed is not None:
                return None
            tried[number] = latest.at(0).mean
            if tried[number] >= wanted:
                break
        return min(tried, key=lambda number: abs(tried[number] - wanted))

    def _elsewhere(self, number: int) -> TrainingSpec:
        """Random images that are drawn apart from those that stand beside the set."""
        return self._on_random(number, replace(self.base, stream=(*self.base.stream, EQUAL, number)))

    def _on_random(self, number: int, base: TrainAndTest) -> TrainingSpec:
        return trained_on_random(number, base, self.runner.workplace, self.synthetic, self.repeats)

    def _attacked(
        self, network: str, source: Source, number: int, spec: TrainingSpec, probes: tuple[Probe, ...]
    ) -> Iterator[AttackedNetworks]:
        """Train as a specification says, and test.

        Args:
            network: the spec of the network.
            source: the kind of images.
            number: of images per class.
            spec: the trainings.
            probes: the changes of the test images.

        Yields:
            The result after every training, of the repeats that are done without gaps.
        """
        weight = spec.weight + _images_in(probes, self.tested)
        called = f"{network} on {source}" if source == SET else f"{network} on {number} random images per class"
        units = [self._unit(spec, network, repeat, probes) for repeat in range(spec.repeats)]
        jobs = (
            Job(unit, f"{called}, {repeat + 1} of {spec.repeats}", repeat, weight) for repeat, unit in enumerate(units)
        )
        done: dict[int, Probed] = {}
        for job, result in self.runner.results(jobs, weight * spec.repeats):
            done[job.owner] = result
            if result.failed is None:
                self.made_on[result.made_on] = None
                self.runner.progress(f"{job.title}: {result.accuracies[0]:.1%} on clean images")
            ordered = [
                done[repeat] for repeat in range(spec.repeats) if all(each in done for each in range(repeat + 1))
            ]
            failed = next((each.failed for each in done.values() if each.failed is not None), None)
            yield AttackedNetworks(
                trained_on=source,
                images_per_class=number,
                accuracies=[each.accuracies for each in ordered if each.failed is None],
                seconds=sum(each.seconds for each in ordered),
                failed=failed,
            )
            if failed is not None:
                return

    def _unit(self, spec: TrainingSpec, network: str, repeat: int, probes: tuple[Probe, ...]) -> TrainAndProbe:
        return spec.repeat(network, repeat, None).asking(TrainAndProbe, probes=probes, tested=self.tested)


def _images_in(probes: Sequence[Probe], tested: int) -> int:
    """The images that a network sees when it is tested, roughly."""
    return tested * sum(1 + probe.steps for probe in probes)


def _check(synthetic: SyntheticSet, dataset: ImageDataset, recipe: Recipe, epsilons: Sequence[float]) -> None:
    """Refuse what cannot be attacked, before anything is computed."""
    check_exchangeable(recipe)
    check_learned_rate(recipe, [synthetic])
    if recipe.learning_rate_grid:
        raise UserError(f"{recipe.name} tunes learning rates, which is not done for attacks", "use `recipe=dsa-1000`")
    if dataset.train.whitening is not None:
        raise UserError("attacks change pixels, and whitened images have none", "use a set without `zca`")
    if not epsilons or not all(0 < epsilon < 1 for epsilon in epsilons):
        raise UserError(
            f"`epsilons={','.join(f'{epsilon:g}' for epsilon in epsilons)}` are not all between 0 and 1",
            "give the largest change of a pixel in [0, 1], such as `epsilons=0.1,0.2`",
        )
