"""Audits of pipelines: sets are made from random halves of a pool, networks are trained on them and attacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from potstill.applications.audit.judging import (
    BootstrappedAttacks,
    Question,
    differences,
    judged_networks,
    judged_sets,
    level_of_bounds,
)
from potstill.applications.audit.neighbours import copies_in, neighbours_of
from potstill.applications.audit.pipelines import Audited, Pipeline, Product
from potstill.applications.audit.pool import POPULATION, PURPOSE, Pool
from potstill.applications.audit.scoring import Scored, TrainAndScore
from potstill.applications.on_record import check_same, recording
from potstill.applications.set_sources import Need, images_in_making, make_sets
from potstill.data import ImageDataset
from potstill.evaluation import Recipe, Resources, Session
from potstill.evaluation.checks import check_images, check_test
from potstill.evaluation.procedures import images_in_training, initial_weights, random_set
from potstill.networks import ImageShape, build_network
from potstill.runtime.streams import Streams
from potstill.schema.audit import AreaDifference, Arm, Attacked, Audit, AuditProtocol
from potstill.schema.evaluation import real_images_per_class
from potstill.schema.privacy import Privacy
from potstill.synthetic import SyntheticSet
from potstill.units import Job, Runner, UnitLog, Workplace

ARMS: tuple[Arm, ...] = ("set", "random")


def audit_pipeline(
    source: str | Path,
    dataset: ImageDataset,
    out: str | Path,
    *,
    protocol: AuditProtocol = AuditProtocol(),  # noqa: B008 (a frozen value)
    networks: Sequence[str] = (),
    recipe: str | Recipe | None = None,
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Audit:
    """Attack a pipeline, distil and then train: can the images that it was made from be distinguished from others?

    The pipeline is repeated on random halves of a pool of training images. Networks that are trained on the
    sets score all images of the pool; each is a target in turn, with the others as references. The same is done with
    as many random members in the place of each set. Besides, the nearest training image of each synthetic one is
    found. A second call continues where the first stopped.

    Args:
        source: the folder of a run, whose settings are repeated; a method or selection with its default settings; or
            the file of a set, which cannot be made again, so that only its neighbours are found.
        dataset: what the run or set was made from, or what the method is applied to.
        out: the folder of the record, and of the sets.
        protocol: the pool, the number of pipelines, and how every set is made.
        networks: specs; by default the network that the run matches.
        recipe: how networks are trained, a name in ``RECIPES`` or a recipe of your own; by default that of the run's
            evaluation, or one that suits the set.
        resources: device, executor and progress.

    Returns:
        The contents of ``audit.json``.

    Raises:
        UserError: the source, a network or the recipe is unknown or does not fit; the pool is too small; the dataset
            has no test images; or the record on file is of something else.
    """
    path = Path(out) / Audit.FILE
    check_test(dataset)
    check_images(dataset, "audits are")
    pool = Pool.of(dataset, protocol)
    audited = Audited.named(str(source), dataset, protocol, resources.compute)
    asked = _asked(audited, pool, protocol, networks, recipe)
    # In low precision, scores of different images would coincide.
    precise = resources.compute.precision if resources.compute.precision != "auto" else "float32"
    compute = replace(resources.compute, precision=precise)
    session = Session(dataset, compute=compute, executor=resources.executor, progress=resources.progress)
    with recording(path, asked, _check_earlier):
        if audited.synthetic is not None:
            session.progress("looking for the nearest training images")
            near = neighbours_of(audited.synthetic, dataset.train, dataset.test, audited.start)
            asked = replace(asked, neighbours=near)
        if audited.pipeline is None:
            asked.write(path)
            return asked
        requests = _requests(audited.pipeline, pool, protocol)
        images, longest = _images(asked, requests)
        compute, found = session.settled(images), asked
        with session.with_crew(compute, images=images, longest=longest) as session:
            made = make_sets(requests, path.parent / "shadows", session)
            products = [each for each in made if isinstance(each, Product)]
            attacks = _Attacks(replace(asked, promised=_weakest(products)), pool, products)
            with session.runner(compute, UnitLog.beside(path)) as runner:
                for found in attacks.results(runner):
                    found.write(path)
    return found


def _requests(pipeline: Pipeline, pool: Pool, protocol: AuditProtocol) -> list[tuple[Pipeline, Need]]:
    """The set of each pipeline, with a seed of its own."""
    settings, streams = pipeline.settings, Streams(protocol.seed, (PURPOSE,))
    return [
        (
            pipeline,
            Need(
                title=f"{shadow + 1}",
                data=pool.half(shadow),
                images_per_class=settings.ipc,
                network=settings.matched_network(pool.dataset.shape),
                iterations=settings.iterations,
                seed=streams.derived_seed("set", shadow),
            ),
        )
        for shadow in range(protocol.shadows)
    ]


def _weakest(products: Sequence[Product]) -> Privacy | None:
    """The guarantee with the largest epsilon; None if a pipeline has none."""
    found = [each.privacy for each in products if each.privacy is not None]
    return max(found, key=lambda privacy: privacy.epsilon) if len(found) == len(products) else None


def _asked(
    audited: Audited, pool: Pool, protocol: AuditProtocol, networks: Sequence[str], recipe: str | Recipe | None
) -> Audit:
    """The record without results.

    Raises:
        UserError: a network does not fit, the recipe cannot be used, a half of the pool is too small, or the pipeline
            cannot be carried out on it.
    """
    pipeline, synthetic = audited.pipeline, audited.synthetic
    common: dict[str, Any] = {
        "source": audited.name,
        "kind": audited.kind,
        "protocol": protocol,
        "dataset": pool.described,
    }
    if pipeline is None:
        if synthetic is None:
            raise TypeError("neither a pipeline nor a set")
        return Audit(**common, images=len(synthetic))
    settings, classes = pipeline.settings, pool.dataset.class_count
    pool.check_sizes(settings.ipc * settings.formation**2)
    for name in (named := list(networks) or [settings.matched_network(pool.dataset.shape)]):
        build_network(name, ImageShape(*pool.dataset.shape), classes, torch.Generator())
    needs = [need for _, need in _requests(pipeline, pool, protocol)]
    for need in needs:
        pipeline.check(need)
    return Audit(
        **common,
        settings=pipeline.described(needs[0]),
        images=settings.ipc * classes,
        recipe=audited.recipe(recipe),
        networks=named,
    )


def _check_earlier(path: Path, asked: Audit) -> None:
    """Make sure that a record on file, if there is one, is of the same pipeline and pool.

    Networks may differ: what is on file of them is kept beside the record.

    Raises:
        UserError: something else differs, and what.
    """
    if not path.exists():
        return
    stored = Audit.read(path)
    check_same(
        path,
        ([stored.dataset.fingerprint], [asked.dataset.fingerprint]),
        (_identity(stored), _identity(asked)),
    )


def _identity(record: Audit) -> dict[str, Any]:
    """What decides the results of a record, by the names of the options."""
    recipe = None if record.recipe is None else record.recipe.to_json()
    return {**vars(record.protocol), **record.settings, "recipe": recipe}


def _images(asked: Audit, requests: Sequence[tuple[Pipeline, Need]]) -> tuple[int, int]:
    """About as many images as networks see, in all distillations and trainings and in the longest."""
    if asked.recipe is None:
        return 0, 0
    pipeline, need = requests[0]
    pictures = asked.images * pipeline.settings.formation**2
    making = images_in_making(pipeline.plan(need), need)
    training = images_in_training(asked.recipe, asked.images, pictures)
    return len(requests) * (making + training * len(asked.networks) * len(ARMS)), max(making, training)


@dataclass(frozen=True)
class _Place:
    """Which training it is: the network, what it is trained on, and the number of the pipeline."""

    network: str
    arm: Arm
    shadow: int


class _Attacks:
    """All trainings, and the attacks on those networks that are complete.

    Args:
        asked: the record without results.
        pool: the images that are asked about.
        products: the set of each pipeline.
    """

    def __init__(self, asked: Audit, pool: Pool, products: Sequence[Product]) -> None:
        if asked.recipe is None:
            raise TypeError("networks are trained by a recipe")
        self.asked, self.pool, self.products, self.recipe = asked, pool, products, asked.recipe
        self._sets = {"set": [each.synthetic for each in products], "random": self._random_sets()}
        self._questions = {arm: self._question(arm) for arm in ARMS}
        self._scored: dict[_Place, Scored] = {}
        self._judged: dict[tuple[str, Arm], BootstrappedAttacks] = {}

    def results(self, runner: Runner) -> Iterator[Audit]:
        """Attack the images themselves, train every network on every set and on random images, and attack these.

        Yields:
            The record, whenever there are results.
        """
        protocol, made_on = self.asked.protocol, dict[str, None]()
        for arm in ARMS:
            runner.progress("comparing the pool with the sets")
            real = self.pool.dataset.train
            self._judged["", arm] = judged_sets(arm, self._sets[arm], real, self._questions[arm])
        yield self._record([])
        total = len(self.asked.networks) * len(ARMS) * protocol.shadows
        for job, scored in runner.results(self._jobs(runner.workplace), total):
            network, arm = job.owner.network, job.owner.arm
            self._scored[job.owner] = scored
            made_on |= {scored.made_on: None} if scored.made_on else {}
            said = f"{scored.accuracy:.1%}" if scored.failed is None else f"failed: {scored.failed}"
            runner.progress(f"{job.title}: {said}")
            places = [_Place(network, arm, shadow) for shadow in range(protocol.shadows)]
            if all(place in self._scored for place in places):
                of_kind = [self._scored[place] for place in places]
                self._judged[network, arm] = judged_networks(arm, network, of_kind, self._questions[arm])
                yield self._record(list(made_on))

    def _jobs(self, workplace: Workplace) -> Iterator[Job[Scored, _Place]]:
        """The trainings; those of one pipeline share initial weights and all other draws."""
        pool = workplace.materials.add(self.pool.dataset)
        for network in self.asked.networks:
            for arm in ARMS:
                for shadow, synthetic in enumerate(self._sets[arm]):
                    unit = TrainAndScore(
                        dataset=pool,
                        images=workplace.materials.add(synthetic),
                        population=POPULATION,
                        network=network,
                        recipe=self.recipe.unworded,
                        initial=initial_weights(self.recipe, synthetic, "random").to_json(),
                        seed=self.asked.protocol.seed,
                        stream=(PURPOSE, "training", shadow),
                    )
                    on = "its set" if arm == "set" else "random images"
                    yield Job(unit, f"pipeline {shadow + 1}, {network} on {on}", _Place(network, arm, shadow))

    def _random_sets(self) -> list[SyntheticSet]:
        """As many random members in the place of each set; what else was learned with it is kept, if it is used."""
        streams, sets = Streams(self.asked.protocol.seed, (PURPOSE, "random")), []
        for shadow, product in enumerate(self.products):
            synthetic = product.synthetic
            used = self.recipe.replay or (self.recipe.learned_rate and synthetic.step_size is not None)
            count = real_images_per_class(len(synthetic), synthetic.class_count)
            members = self.pool.half(shadow).train
            sets.append(random_set(members, count, streams.child(shadow), synthetic if used else None))
        return sets

    def _question(self, arm: Arm) -> Question:
        """Who the members are, and which of them the sets were begun from, or consist of."""
        origins = [each.begun_from for each in self.products] if arm == "set" else self._sets["random"]
        members, real = self.pool.members.numpy(), self.pool.dataset.train
        begun = np.zeros_like(members)
        for row, origin in zip(begun, origins, strict=True):
            row[copies_in(origin, real)] = True
        asked = self.asked
        level = level_of_bounds(len(asked.networks), len(members) // 2, asked.dataset.population)
        return Question(members, begun & members, asked.delta, level, asked.protocol.seed)

    def _record(self, made_on: list[str]) -> Audit:
        attacked: list[Attacked] = []
        compared: list[AreaDifference] = []
        for network in ("", *self.asked.networks):
            both = [self._judged.get((network, arm)) for arm in ARMS]
            attacked += [each.result for each in both if each is not None]
            of_sets, of_random = both
            if of_sets is not None and of_random is not None:
                compared += differences(of_sets, of_random)
        seconds = sum(each.seconds for each in self.products)
        return replace(self.asked, attacked=attacked, differences=compared, seconds=seconds, made_on=made_on)
