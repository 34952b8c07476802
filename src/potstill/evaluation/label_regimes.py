"""What a set is worth under each kind of labels: hard, stored soft, or those of a teacher in every step.

With a teacher that labels every augmented batch, almost any images teach a network well ("Hard Truths about Soft
Labels", CVPR 2026, arXiv:2604.18811): results of different regimes must not be compared, and random images belong
beside each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from potstill.data import ImageDataset
from potstill.evaluation.checks import check_learned_rate, check_set, check_trainings
from potstill.evaluation.file import MeasuredFile
from potstill.evaluation.procedures import Procedure, images_in_training, on_set
from potstill.evaluation.recipes import find_recipe, plain_recipe
from potstill.evaluation.series import TrainingSeries, measure
from potstill.evaluation.session import Session
from potstill.evaluation.specs import trained_on_random, trained_on_set, training_on
from potstill.evaluation.teacher import Teacher, TeacherFile, teacher_of
from potstill.evaluation.training import TrainAndTest
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.runtime.lock import locked
from potstill.schema import Record
from potstill.schema.evaluation import NetworkResult, real_images_per_class
from potstill.schema.label_regimes import RANDOM, REGIMES, SET, LabelRegimes, Regime
from potstill.schema.recipe import Recipe
from potstill.synthetic import SyntheticSet
from potstill.units import UnitLog, Workplace


@dataclass(frozen=True, kw_only=True)
class TrainUnderLabels(TrainAndTest):
    """Train a network on images with labels of one regime, and test it.

    Attributes:
        regime: where the labels come from.
        own_labels: whether stored labels are those of the images' set, rather than the teacher's.
        teacher: the teacher's file, as ``TeacherFile`` describes it.
    """

    result: ClassVar[type[Record]] = NetworkResult

    regime: Regime = "hard"
    own_labels: bool = False
    teacher: Mapping[str, Any] = field(default_factory=dict)

    def on_images(
        self, workplace: Workplace, dataset: ImageDataset, chosen: SyntheticSet, weights: InitialWeights
    ) -> Procedure:
        """Training on the images with the labels of the regime."""
        relabelled: Callable[[SyntheticSet], SyntheticSet] | None = None
        labeller: Callable[[Tensor], Tensor] | None = None
        if self.regime == "hard":
            chosen = replace(chosen, labels=chosen.hard_labels)
        elif self.regime == "teacher":
            labeller = self._teacher(workplace, dataset)
        elif not self.own_labels:
            relabelled = self._teacher(workplace, dataset).labelled
        return on_set(
            chosen,
            self.recipe,
            weights,
            dataset.flips,
            learning_rate=self.learning_rate,
            relabelled=relabelled,
            labeller=labeller,
        )

    def _teacher(self, workplace: Workplace, dataset: ImageDataset) -> Teacher:
        file = teacher_of(self.teacher)
        which = (file.sha256, self.dataset)
        return workplace.tool("teacher", which, lambda: file.opened(dataset, workplace.compute))


def measure_label_regimes(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    teacher: str | Path,
    recipe: str | Recipe | None = None,
    networks: Sequence[str] = ("convnet",),
    repeats: int = 5,
    record: str | Path | None = None,
) -> LabelRegimes:
    """Train networks on a set and on as many random images, under each regime of labels.

    Stored labels are those of the set if it has learned ones, otherwise, and for random images, the probabilities of
    the teacher for each picture as it is. Everything but the labels is the same in all regimes: recipe, initial
    weights, order and augmentation.

    Args:
        synthetic: the set.
        data: the dataset that it was made from, normalised as the teacher was trained on it, or a session that also
            sets seed, device, executor and progress.
        teacher: a file or folder of ``potstill experts`` of the dataset; of several experts the first one teaches.
        recipe: a name in ``RECIPES``, or a recipe of your own; None takes ``dsa-1000``, for vectors ``probe-1000``.
        networks: specs of the networks.
        repeats: trainings of each network in each regime.
        record: a ``labels.json`` to write, updated after every training. Results of the same protocol stay there, those
            of another are kept beside it.

    Returns:
        The accuracies, and the bytes that each regime needs.

    Raises:
        UserError: the teacher is absent or of another dataset; the recipe replays learned steps, or needs a learned
            rate that the set does not have; or as for :func:`evaluate`.
    """
    session = Session.of(data)
    check_set(synthetic)
    recipe = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or plain_recipe(synthetic.shape))
    if recipe.replay:
        raise UserError("labels cannot be exchanged where learned steps are replayed", "use another recipe")
    check_trainings(synthetic, session.dataset, recipe, networks, repeats)
    check_learned_rate(recipe, [synthetic])
    file = TeacherFile.found(teacher, session.dataset)
    images = len(REGIMES) * 2 * repeats * images_in_training(recipe, len(synthetic), synthetic.pictures)
    compute = session.settled(images)
    kept = None if record is None else MeasuredFile(LabelRegimes, record)
    with (
        nullcontext() if kept is None else locked(kept.path),
        replace(session, compute=compute).with_crew(compute, images=images, longest=images // 6) as session,
        session.runner(compute, UnitLog.beside(None if kept is None else kept.path)) as runner,
    ):
        place = runner.workplace
        base = training_on(session.dataset, place, recipe, session.seed)
        opened = file.opened(session.dataset.to(compute.device), compute.precise)
        asked_for = _asked(synthetic, session, recipe, file, opened)
        result = asked_for if kept is None else kept.earlier(asked_for) or asked_for
        own = real_images_per_class(len(synthetic), synthetic.class_count)
        for network in dict.fromkeys(networks):
            found = result.networks.setdefault(network, {})
            for regime in REGIMES:
                of_regime = found.setdefault(regime, {})
                asked = base.asking(TrainUnderLabels, regime=regime, teacher=file.to_json())
                specs = {
                    SET: trained_on_set(replace(asked, own_labels=result.own_labels), place, synthetic, repeats),
                    RANDOM: trained_on_random(own, asked, place, synthetic, repeats),
                }
                series = {
                    name: TrainingSeries(
                        network, replace(spec, trained_on=f"{name} with {regime} labels"), of_regime.get(name)
                    )
                    for name, spec in specs.items()
                }
                for _ in measure(runner, list(series.values())):
                    begun = {name: each.result for name, each in series.items()}
                    of_regime |= {name: made for name, made in begun.items() if made.repeats or made.failed}
                    if kept is not None:
                        kept.save(result)
    return result


def _asked(
    synthetic: SyntheticSet, session: Session, recipe: Recipe, file: TeacherFile, teacher: Teacher
) -> LabelRegimes:
    """The record of the protocol, without any results."""
    pictures, classes = synthetic.pictures, synthetic.class_count
    own = synthetic.has_soft_labels
    return LabelRegimes(
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=session.dataset.fingerprint,
        seed=session.seed,
        recipe=recipe,
        teacher=file.network,
        teacher_weights=file.sha256,
        teacher_accuracy=teacher.accuracy(session.dataset),
        teacher_bytes=teacher.size_bytes,
        own_labels=own,
        image_bytes=synthetic.images.numel() * 4,
        label_bytes={
            "hard": 8 * len(synthetic),
            "stored": 4 * classes * (len(synthetic) if own else pictures),
            "teacher": 0,
        },
    )
