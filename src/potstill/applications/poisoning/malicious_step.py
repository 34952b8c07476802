"""A malicious step: images that make trained networks mistake one class for another, by one step of training on them.

Wang, Zhu, Torralba and Efros, "Dataset Distillation", 2018 (arXiv:1811.10959). The images are distilled from real ones
of which one class is labelled as another, for networks that have been trained on the right labels. The labels of the
distilled images are right, and there are as many of each class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from potstill.applications.on_record import described, recording
from potstill.applications.poisoning.record import check_earlier, class_named
from potstill.applications.set_sources import Maker, Need, make_sets
from potstill.data import ImageDataset, with_relabelled
from potstill.evaluation import Resources, Session, find_recipe
from potstill.evaluation.checks import check_confusions, check_networks
from potstill.evaluation.specs import selected, training_on
from potstill.evaluation.training import RANDOM, TrainAndTest
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.methods import Method, find_method
from potstill.networks.initial import HELD_OUT
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.schema.applications import BASELINES
from potstill.schema.evaluation import NetworkResult
from potstill.schema.poisoning import AFTER, BEFORE, Case, Poisoning, StepProtocol, VictimOutcome, Victims
from potstill.schema.set_file import SetKind
from potstill.synthetic import SyntheticSet
from potstill.units import Collected, Job, Runner, UnitLog

PURPOSE = "malicious step"
"""The name of the stream of all draws."""
REPLAY = "replay"
"""The recipe that takes the learned step."""
ATTACK_RATE = 0.02
"""The learning rate of the distillation, that of the authors' program for attacks."""
EXPERT_RATE = 0.05
"""The learning rate of the experts, with momentum, which a few epochs take most of the way."""


def learn_malicious_step(
    dataset: ImageDataset,
    out: str | Path,
    *,
    protocol: StepProtocol = StepProtocol(),  # noqa: B008 (a frozen value)
    method: str = "dd",
    network: str = "lenet",
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Poisoning:
    """Train networks, distil images that mislead them, try these on networks never seen, and write ``poisoning.json``.

    The same step, with the same learned rate, on as many random real images and k-means centres with their right labels
    stands beside the distilled one. A second call continues where the first stopped.

    Args:
        dataset: the dataset.
        out: the folder of the record, of the experts and of the run.
        protocol: the classes, the images and the experts.
        method: a method that learns steps from given initial weights: one with the settings ``passes``, ``batches`` and
            ``initial``, whose set has learned steps.
        network: the spec of the experts. The step is learned for such networks, and says nothing about others.
        resources: device, executor and progress.

    Returns:
        The contents of ``poisoning.json``.

    Raises:
        UserError: the classes are unknown or equal, there are too few experts to hold one out, the method learns no
            steps, or the record on file is of something else.
    """
    out = Path(out)
    attacked = class_named(dataset, protocol.attacked, "attacked")
    target = class_named(dataset, protocol.target, "target")
    _check(dataset, protocol, network)
    experts = (out / "experts").resolve()  # its name is a setting of the run
    maker = Maker(method, _stepping(method, experts), resources.compute)
    asked = Poisoning(
        protocol=protocol,
        dataset=described(dataset),
        recipe=find_recipe(REPLAY),
        matched=network,
        networks=[network],
    )
    session = Session(
        dataset, compute=resources.compute, seed=protocol.seed, executor=resources.executor, progress=resources.progress
    )
    seen = protocol.epochs * len(dataset.train)
    path = out / Poisoning.FILE
    with recording(path, asked, check_earlier):
        record = asked
        train_experts(
            _plan(dataset, protocol, network),
            dataset,
            experts,
            session.settled(protocol.experts * seen),
            resume=experts.exists(),
            executor=resources.executor,
            progress=resources.progress,
        )
        need = Need(
            title="step",
            data=with_relabelled(dataset, attacked, target),
            images_per_class=protocol.images_per_class,
            network=network,
            iterations=protocol.iterations,
            seed=protocol.seed,
        )
        (made,) = make_sets([(maker, need)], out / "sets", session)
        if made.synthetic.replay is None:
            raise UserError(f"{method} learns no steps", "use `method=dd`")
        images = protocol.experts * len(dataset.test)
        compute = session.settled(images).precise  # a learned step must be repeated exactly as it was learned
        with session.runner(compute, UnitLog.beside(path), images=images) as runner:
            trial = _Trial(runner, dataset, protocol, method, made.synthetic, network)
            for victims in trial.results(made.seconds):
                record = replace(asked, victims=victims, made_on=list(trial.collected.made_on))
                record.write(path)
    return record


@dataclass
class _Arm:
    """The held-out networks in one case."""

    source: str
    kind: SetKind
    case: Case
    each: TrainAndTest
    images: int
    bytes: int
    making_seconds: float = 0.0


class _Trial:
    """The step on networks that distillation has never seen, and what it does to them.

    Args:
        runner: does the steps and tests.
        dataset: with the right labels.
        protocol: the classes and the seed.
        method: the name of the method.
        synthetic: the set with its learned step.
        network: the spec of the networks.
    """

    def __init__(
        self,
        runner: Runner,
        dataset: ImageDataset,
        protocol: StepProtocol,
        method: str,
        synthetic: SyntheticSet,
        network: str,
    ) -> None:
        if synthetic.replay is None:
            raise ValueError("the set has no learned step")
        self.runner, self.network = runner, network
        self.attacked, self.target = map(dataset.class_names.index, (protocol.attacked, protocol.target))
        self.collected = Collected[tuple[int, int], NetworkResult]()
        weights, add = synthetic.replay.initial, runner.workplace.materials.add
        self.repeats = weights.different(10**6)
        base = training_on(dataset, runner.workplace, find_recipe(REPLAY), protocol.seed, weights, purpose=PURPOSE)
        base = replace(base, network=network)
        images, size, each = len(synthetic), synthetic.size_bytes, len(synthetic) // synthetic.class_count
        of_random = replace(base, images=RANDOM, images_per_class=each, like=add(synthetic))
        self.arms = [
            _Arm("no step", "set", BEFORE, base, 0, 0),
            _Arm(method, "method", AFTER, replace(base, images=add(synthetic)), images, size),
            _Arm(BASELINES[0], "selection", AFTER, of_random, images, size),
        ]
        for name in BASELINES[1:]:
            chosen = selected(name, base, runner.workplace, synthetic, each)
            self.arms.append(_Arm(name, "selection", AFTER, replace(base, images=add(chosen)), images, size))

    def results(self, making_seconds: float) -> Iterator[list[Victims]]:
        """Test every held-out network in every case.

        Args:
            making_seconds: time to distil the set.

        Yields:
            All results after every test.
        """
        self.arms[1].making_seconds = making_seconds
        for job, result in self.runner.results(self._jobs(), self.repeats * len(self.arms)):
            self.collected.take(job.owner, result)
            yield [self._victims(number, arm) for number, arm in enumerate(self.arms)]

    def _jobs(self) -> Iterator[Job[NetworkResult, tuple[int, int]]]:
        for repeat in range(self.repeats):
            for number, arm in enumerate(self.arms):
                stream = (PURPOSE, "repeat", repeat)
                unit = replace(arm.each, repeat=repeat, stream=stream)
                yield Job(unit, f"network {repeat + 1} of {self.repeats}, {arm.source}", (number, repeat))

    def _victims(self, number: int, arm: _Arm) -> Victims:
        done, failed = self.collected.without_gaps((number, repeat) for repeat in range(self.repeats))
        return Victims(
            source=arm.source,
            kind=arm.kind,
            case=arm.case,
            network=self.network,
            images=arm.images,
            bytes=arm.bytes,
            outcomes=[self._outcome(torch.tensor(each.confusion, dtype=torch.float64)) for each in done],
            making_seconds=arm.making_seconds,
            seconds=sum(each.seconds for each in done),
            failed=failed,
        )

    def _outcome(self, counts: torch.Tensor) -> VictimOutcome:
        """The outcome of one network, from a confusion matrix with a row for each true class."""
        row, others = counts[self.attacked], [label for label in range(len(counts)) if label != self.attacked]
        return VictimOutcome(
            accuracy=(counts.diagonal()[others].sum() / counts[others].sum()).item(),
            success=(row[self.target] / row.sum()).item(),
            recognised=(row[self.attacked] / row.sum()).item(),
        )


def _stepping(name: str, experts: Path) -> Method:
    """The method, set to learn one step on all images for trained networks."""
    settings: dict[str, Any] = {"passes": 1, "batches": 1, "initial": str(experts), "learning_rate": ATTACK_RATE}
    try:
        return replace(find_method(name)(), **settings)
    except TypeError as error:
        raise UserError(f"{name} learns no steps from trained networks", "use `method=dd`") from error


def _plan(dataset: ImageDataset, protocol: StepProtocol, network: str) -> ExpertPlan:
    return ExpertPlan(
        dataset=dataset.spec or dataset.name,
        network=network,
        count=protocol.experts,
        epochs=protocol.epochs,
        learning_rate=EXPERT_RATE,
        momentum=0.9,
        augment=False,
        last_only=True,
        image_size=dataset.image_size,
        zca=dataset.train.whitening is not None,
        image_column=dataset.choices.image_column,
        label_column=dataset.choices.label_column,
        split_map=dataset.choices.split_map,
        seed=protocol.seed,
    )


def _check(dataset: ImageDataset, protocol: StepProtocol, network: str) -> None:
    """Refuse what cannot be measured, before anything is computed."""
    at_least(protocol, images_per_class=1, epochs=1, iterations=0)
    if protocol.experts < 2 * HELD_OUT:
        raise UserError(
            f"of {protocol.experts} experts fewer than two are held out to test the step on",
            f"use `experts={2 * HELD_OUT}` or more",
        )
    if protocol.attacked == protocol.target:
        raise UserError(f"class {protocol.target} cannot be mistaken for itself", "use two different classes")
    check_confusions(dataset)
    check_networks([network], dataset)
