"""A backdoor: whether a patch in some training images survives distillation.

Liu et al., "Backdoor Attacks Against Dataset Distillation", NDSS 2023 (arXiv:2301.01197); the attack in which
images are tampered with before distillation, and distilled as usual.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.applications.on_record import described, recording
from potstill.applications.poisoning.record import check_earlier, class_named
from potstill.applications.set_sources import GivenSet, Made, Need, SetSource, find_sources, make_sets
from potstill.data import ImageDataset, judges_of, with_backdoor
from potstill.evaluation import Recipe, Resources, Session, find_recipe
from potstill.evaluation.checks import check_exchangeable, check_networks
from potstill.evaluation.probing import TrainAndProbe
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.specs import training_on
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.applications import BASELINES
from potstill.schema.attacks import Probe, Probed
from potstill.schema.poisoning import CLEAN, POISONED, BackdoorProtocol, Case, Poisoning, VictimOutcome, Victims
from potstill.units import Collected, Job, Runner, UnitLog

PURPOSE = "poisoning"
"""The name of the stream of all draws."""
CASES: tuple[Case, ...] = (POISONED, CLEAN)


def plant_backdoor(
    dataset: ImageDataset,
    out: str | Path,
    *,
    protocol: BackdoorProtocol = BackdoorProtocol(),  # noqa: B008 (a frozen value)
    sources: Sequence[str] = ("dm",),
    networks: Sequence[str] = ("convnet", "mlp"),
    recipe: str | Recipe = "dsa-1000",
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Poisoning:
    """Distil tampered images, train networks on the sets, and write ``poisoning.json``.

    Sets of the same images before anyone tampered with them are the control, and so are the test images without the
    patch: what the patch does to networks of the control is due to the patch itself, and what a network takes for the
    target without it, beyond the control, is due to the wrong labels. Random images and k-means centres of the tampered
    images stand beside distilled ones. A second call continues where the first stopped.

    Args:
        dataset: the dataset.
        out: the folder of the record, and of the runs that make the sets.
        protocol: the patch, the target, and the sets.
        sources: what makes the sets: methods with their default settings, ``module:Class``, or selections.
        networks: specs; methods match the first of them.
        recipe: how networks are trained, a name in ``RECIPES`` or a recipe of your own.
        resources: device, executor and progress.

    Returns:
        The contents of ``poisoning.json``.

    Raises:
        UserError: the patch does not fit, a source, network, class or recipe is unknown or does not fit, or the record
            on file is of something else.
    """
    out, recipe = Path(out), find_recipe(recipe) if isinstance(recipe, str) else recipe
    target = class_named(dataset, protocol.target, "target")
    _check(dataset, protocol, networks, recipe)
    tampered = with_backdoor(dataset, target, protocol.share, protocol.side, protocol.seed)
    data: dict[Case, ImageDataset] = {POISONED: tampered, CLEAN: dataset}
    found = find_sources(sources, resources.compute, BASELINES)
    for source in found:
        if isinstance(source, GivenSet):
            raise UserError(f"{source.name} is a set: its images were not tampered with", "name methods or selections")
        source.check(_need(protocol, POISONED, 0, tampered, networks[0]))
    asked = Poisoning(
        protocol=protocol, dataset=described(dataset), recipe=recipe, matched=networks[0], networks=list(networks)
    )
    session = Session(dataset, compute=resources.compute, executor=resources.executor, progress=resources.progress)
    stored = protocol.images_per_class * dataset.class_count
    trainings = len(found) * len(CASES) * protocol.repeats * len(networks)
    images = trainings * (images_in_training(recipe, stored, stored) + 2 * len(dataset.test))
    path = out / Poisoning.FILE
    with recording(path, asked, check_earlier):
        record = asked
        made = _made(found, protocol, data, networks[0], out / "sets", session)
        with session.runner(session.settled(images), UnitLog.beside(path), images=images) as runner:
            learning = _Learning(runner, dataset, protocol, target, recipe, made, networks)
            for victims in learning.results():
                record = replace(asked, victims=victims, made_on=list(learning.collected.made_on))
                record.write(path)
    return record


@dataclass(frozen=True)
class _Sets:
    """The sets of one source in one case, one for each repeat."""

    source: SetSource
    case: Case
    made: list[Made]


def _made(
    sources: Sequence[SetSource],
    protocol: BackdoorProtocol,
    data: dict[Case, ImageDataset],
    matched: str,
    folder: Path,
    session: Session,
) -> list[_Sets]:
    """Make the sets of all sources in both cases, or take them from the folder."""
    kinds: list[tuple[SetSource, Case]] = [(source, case) for source in sources for case in CASES]
    requests = [
        (source, _need(protocol, case, repeat, data[case], matched))
        for source, case in kinds
        for repeat in range(protocol.repeats)
    ]
    made = iter(make_sets(requests, folder, session))
    return [_Sets(source, case, [next(made) for _ in range(protocol.repeats)]) for source, case in kinds]


def _need(protocol: BackdoorProtocol, case: Case, repeat: int, data: ImageDataset, matched: str) -> Need:
    return Need(
        title=f"{case}-repeat{repeat + 1}",
        data=data,
        images_per_class=protocol.images_per_class,
        network=matched,
        iterations=protocol.iterations,
        seed=Streams(protocol.seed, (PURPOSE,)).derived_seed("set", repeat),
    )


@dataclass(frozen=True)
class _Place:
    """Which training it is: the numbers of repeat, network and sets."""

    repeat: int
    network: int
    sets: int


class _Learning:
    """All trainings, and the results so far.

    Args:
        runner: does them.
        dataset: the dataset as it was; its test images judge.
        protocol: the patch.
        target: the class that it stands for.
        recipe: how networks are trained.
        sets: those of all sources and cases.
        networks: specs of the networks.
    """

    def __init__(
        self,
        runner: Runner,
        dataset: ImageDataset,
        protocol: BackdoorProtocol,
        target: int,
        recipe: Recipe,
        sets: Sequence[_Sets],
        networks: Sequence[str],
    ) -> None:
        self.runner, self.target, self.sets, self.networks = runner, target, sets, networks
        self.probes = (
            Probe(kind="clean"),
            Probe(kind="patch", strength=float(protocol.side), without=target),
            Probe(kind="clean", without=target),
        )
        self.tested, self.repeats = len(dataset.test), protocol.repeats
        self.base = training_on(judges_of(dataset), runner.workplace, recipe, protocol.seed, purpose=PURPOSE)
        self.collected = Collected[_Place, Probed]()

    def results(self) -> Iterator[list[Victims]]:
        """Train every network on every set; those of one repeat start from the same weights.

        Yields:
            All results after every training.
        """
        total = self.repeats * len(self.networks) * len(self.sets)
        for job, result in self.runner.results(self._jobs(), total):
            self.collected.take(job.owner, result)
            if result.failed is None:
                self.runner.progress(
                    f"{job.title}: {result.accuracies[0]:.1%}, with patch {self._taken(result, 1):.1%}"
                )
            yield [
                self._victims(sets, network) for sets in range(len(self.sets)) for network in range(len(self.networks))
            ]

    def _jobs(self) -> Iterator[Job[Probed, _Place]]:
        for repeat in range(self.repeats):
            for network, spec in enumerate(self.networks):
                for number, sets in enumerate(self.sets):
                    images = self.runner.workplace.materials.add(sets.made[repeat].synthetic)
                    training = replace(self.base, images=images, network=spec, stream=(PURPOSE, "repeat", repeat))
                    unit = training.asking(TrainAndProbe, probes=self.probes, tested=self.tested)
                    title = f"repeat {repeat + 1}, {spec} on {sets.source.name}, {sets.case}"
                    yield Job(unit, title, _Place(repeat, network, number))

    def _victims(self, sets: int, network: int) -> Victims:
        """What is known of a network on the sets of a source: the repeats that are done, without gaps."""
        of, places = self.sets[sets], (_Place(repeat, network, sets) for repeat in range(self.repeats))
        done, failed = self.collected.without_gaps(places)
        return Victims(
            source=of.source.name,
            kind=of.source.kind,
            case=of.case,
            network=self.networks[network],
            images=len(of.made[0].synthetic),
            bytes=of.made[0].synthetic.size_bytes,
            outcomes=[self._outcome(each) for each in done],
            making_seconds=sum(each.seconds for each in of.made),
            seconds=sum(each.seconds for each in done),
            failed=failed,
        )

    def _outcome(self, result: Probed) -> VictimOutcome:
        return VictimOutcome(
            accuracy=result.accuracies[0],
            success=self._taken(result, 1),
            recognised=result.accuracies[1],
            unpatched=self._taken(result, 2),
        )

    def _taken(self, result: Probed, probe: int) -> float:
        """The share of images of other classes that is taken for the target when they are changed by a probe."""
        answers = result.answers[probe]
        return answers[self.target] / sum(answers)


def _check(dataset: ImageDataset, protocol: BackdoorProtocol, networks: Sequence[str], recipe: Recipe) -> None:
    """Refuse what cannot be measured, before anything is computed."""
    at_least(protocol, side=1, images_per_class=1, repeats=1, iterations=0)
    if not 0 < protocol.share < 1:
        raise UserError(f"`share={protocol.share:g}` is not a fraction of the training images", "use `share=0.01`")
    check_exchangeable(recipe)
    if recipe.learning_rate_grid or recipe.learned_rate:
        raise UserError(f"{recipe.name} needs a learning rate for each set", "use a recipe such as dsa-1000")
    if dataset.train.whitening is not None:
        raise UserError("a patch is made of pixels, and whitened images have none", "leave `zca` out")
    check_networks(networks, dataset)
