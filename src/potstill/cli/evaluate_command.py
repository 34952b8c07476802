"""``potstill evaluate RUN|SET``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import tyro

from potstill import evaluation, report, tracking
from potstill.cli.going_on import going_on, same_again
from potstill.cli.options import (
    ChoiceOptions,
    ComputeOptions,
    ExecutorOption,
    MemoryOption,
    TrackOption,
    names,
    numbers,
    parse,
    percent,
    trackers,
    within_memory,
)
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES
from potstill.evaluation import find_recipe
from potstill.networks import default_network
from potstill.runtime.bounds import at_least
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.errors import UserError
from potstill.runtime.executor_choice import AUTO
from potstill.runtime.files import check_writable
from potstill.schema.shapes import kind_of

if TYPE_CHECKING:
    from potstill.data import ImageDataset
    from potstill.evaluation import Evaluation, NetworkResult, Session, Target


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure what a set is worth, compared with as many random real images and the full data.

    Attributes:
        target: folder of a run or of an imported set, the file of a set, or hf:OWNER/NAME.
        networks: specs, separated by commas. By default the network that was matched.
        recipe: evaluation protocol; see potstill list recipes. By default replay for a set with learned steps,
            trajectory-1000 or (with soft labels) soft-label for one with a learned step size, otherwise dsa-1000, for
            vectors probe-1000; with --labels one of these two.
        repeats: trainings of each network.
        baselines: any of random, full, initial (untrained networks), herding and the other selections, separated by
            commas, or none. By default random and full; for vectors also class means and k-means (average, k-means).
        full_repeats: trainings on the full data.
        full_epochs: passes over the full data. By default the number already recorded, or the recipe's.
        dataset: by default the one that the set was distilled from.
        choices: columns and splits to take where its files leave a choice. As before, unless --dataset is given.
        data_root: folder with local copies of catalogue datasets.
        initial: initial weights of the networks: random, or a folder or file written by potstill experts.
        seed: seed of the repeats.
        compute: device, precision and compilation.
        out: the record to write. By default evaluation.json beside the set.
        robustness: measure the label and augmentation robust scores instead, and write robustness.json.
        exchange: also measure how many random real images teach as much as the set, and write exchange.json.
        attacks: measure how networks withstand attacks and corruptions of test images instead, and write attacks.json.
        labels: measure accuracies with hard labels, stored soft ones and those of --teacher instead, and write
            labels.json.
        teacher: for --labels, a folder or file written by potstill experts; the first expert teaches.
        epsilons: for --attacks, the largest changes of a pixel in [0, 1], separated by commas. By default 0.1,0.2,0.3
            for grey images, and 2, 4 and 8 of 255 for others.
        attacked_images: for --attacks, the number of test images that are changed. By default 1000.
    """

    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|SET")]
    networks: str | None = None
    recipe: str | None = None
    repeats: int = 5
    baselines: str | None = None
    full_repeats: int = 1
    full_epochs: int | None = None
    dataset: str | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    initial: str = "random"
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    out: Path | None = None
    robustness: bool = False
    exchange: bool = False
    attacks: bool = False
    labels: bool = False
    teacher: Path | None = None
    epsilons: str | None = None
    attacked_images: int | None = None
    memory_limit: MemoryOption = None
    track: TrackOption = None


def run(words: list[str]) -> None:
    """Evaluate a set, write ``evaluation.json`` and print the table."""
    with going_on(same_again("evaluate", words)):
        _evaluate(words)


def _evaluate(words: list[str]) -> None:
    options = parse(Options, words, command="evaluate")
    at_least(options, repeats=1, full_repeats=1, full_epochs=1)
    what = _measured(options)
    trackers(options.track)  # an unknown tracker is refused before anything is read
    with within_memory(options.memory_limit):
        target = evaluation.Target.opened(options.target)
        if options.recipe is not None:
            evaluation.check_learned_rate(find_recipe(options.recipe), [target.synthetic])
        matched = target.synthetic.provenance.get("network") or default_network(target.synthetic.shape)
        MEASURES[what](options, target, names(options.networks or matched))


def _measured(options: Options) -> str:
    """What is asked for, a name in ``MEASURES``; options that do not belong to it are refused."""
    asked = [what for what in MEASURES if getattr(options, what, False)] or [WORTH]
    for option in () if options.attacks else ("epsilons", "attacked_images"):
        if getattr(options, option) is not None:
            raise UserError(f"--{option.replace('_', '-')} does not apply without --attacks", "add --attacks")
    if options.teacher is not None and not options.labels:
        raise UserError("--teacher does not apply without --labels", "add --labels")
    for option in (*FOREIGN[asked[0]], *asked[1:]):
        if getattr(options, option) != getattr(Options, option):
            raise UserError(f"--{option.replace('_', '-')} does not apply to --{asked[0]}", "leave it out")
    return asked[0]


@contextmanager
def _session(options: Options, target: Target, *, normalised_alike: bool = True) -> Iterator[Session]:
    """The dataset of the set, and whatever else trainings need, while progress is shown.

    Args:
        options: of the command.
        target: the set.
        normalised_alike: whether the dataset is normalised like the set, rather than as it is by itself.
    """
    with ProgressLines("evaluating") as progress:
        load = target.dataset if normalised_alike else target.own_dataset
        dataset = load(options.dataset, options.choices, options.data_root, progress)
        if options.dataset is not None:
            progress.introduce(dataset)
        if not evaluation.may_be_from(target.synthetic, dataset):
            other = "images or splits differ from those that the set was made from: test images may be in it"
            progress.remark([f"  warning: {other}"])
        yield evaluation.Session(
            dataset,
            compute=options.compute,
            seed=options.seed,
            initial=options.initial,
            executor=options.executor,
            progress=progress,
        )


def _worth(options: Options, target: Target, networks: list[str]) -> None:
    synthetic, path = target.synthetic, options.out or target.beside / evaluation.Evaluation.FILE
    tracked, rates, rates_path = trackers(options.track), None, _beside(path)
    if options.exchange:
        evaluation.check_exchangeable(find_recipe(options.recipe or evaluation.default_recipe(synthetic)))
        check_writable(rates_path)
    tracking.check_trackers(tracked)
    to_trackers = tracking.Tracking(tracked, target.beside) if tracked else None  # now, as it reads what the folder has
    baselines = None if options.baselines is None else names(options.baselines)
    with _session(options, target) as session:
        if options.exchange:  # first, so that the set is measured on the device and in the precision of the curve
            rates = evaluation.exchange(
                synthetic,
                session,
                recipe=options.recipe,
                networks=networks,
                repeats=options.repeats,
                evaluation=path,
                record=rates_path,
            )
        result = evaluation.evaluate(
            synthetic,
            session,
            recipe=options.recipe,
            networks=networks,
            repeats=options.repeats,
            baselines=[] if baselines == ["none"] else baselines,
            full=evaluation.FullTraining(repeats=options.full_repeats, epochs=options.full_epochs),
            record=path,
        )
    real = evaluation.real_images_per_class(len(synthetic), synthetic.class_count)
    table_console().print(table(result, len(synthetic), real * synthetic.class_count))
    if "random" in result.baselines and (few := _too_few(session.dataset, real)):
        say(few)
    say(f"written to {path}")
    if rates is not None:
        for network in (each for each in networks if each in rates.networks):
            kind = kind_of(synthetic.shape)
            say(" ".join(report.exchange_sentences(rates, network, len(synthetic), synthetic.pictures, kind)))
        say(f"written to {rates_path}")
    if to_trackers is not None:  # last, so that the results are written and shown even if this fails
        with to_trackers:
            to_trackers("evaluation", {"evaluation": result})


def _beside(path: Path) -> Path:
    """The record of exchange rates that belongs to an evaluation: of ``evaluation-a.json``, ``exchange-a.json``."""
    main, own = Path(evaluation.Evaluation.FILE).stem, Path(evaluation.Exchange.FILE).stem
    named = path.stem.replace(main, own, 1) if path.stem.startswith(main) else f"{own}-{path.stem}"
    return path.with_name(f"{named}{path.suffix}")


def _robustness(options: Options, target: Target, networks: list[str]) -> None:
    if len(networks) > 1:
        raise UserError("robust scores are measured for one network", "name one network with --networks")
    path = options.out or target.beside / evaluation.Robustness.FILE
    check_writable(path)
    recipe, network = find_recipe(options.recipe or "dsa-1000"), networks[0]
    with _session(options, target) as session:
        found = evaluation.measure_robustness(
            target.synthetic,
            session,
            recipe=recipe,
            network=network,
            repeats=options.repeats,
            full_epochs=options.full_epochs,
            record=path,
        )
    label, augmentation = 100 * found.label_score, 100 * found.augmentation_score
    scores = f"label robust score {label:.1f}, augmentation robust score {augmentation:.1f}"
    say(f"{scores} (of 100; {found.track} labels, {network}, {recipe.label})")
    say(f"written to {path}")


def _attacks(options: Options, target: Target, networks: list[str]) -> None:
    path = options.out or target.beside / evaluation.AttackCurves.FILE
    check_writable(path)
    with _session(options, target) as session:
        found = evaluation.measure_attacks(
            target.synthetic,
            session,
            recipe=options.recipe,
            networks=networks,
            repeats=options.repeats,
            epsilons=None if options.epsilons is None else numbers(options.epsilons, "epsilons"),
            attacked_images=1000 if options.attacked_images is None else options.attacked_images,
            record=path,
        )
    for network in found.networks:
        say(" ".join(report.attack_sentences(found, network)))
    say(f"written to {path}")


def _labels(options: Options, target: Target, networks: list[str]) -> None:
    if options.teacher is None:
        raise UserError("--labels needs a teacher", "name experts of the dataset with --teacher")
    path = options.out or target.beside / evaluation.LabelRegimes.FILE
    check_writable(path)
    with _session(options, target, normalised_alike=False) as session:
        if not evaluation.is_normalised_like(target.synthetic, session.dataset):
            raise UserError(
                "a teacher expects images normalised as the dataset is, and this set is normalised differently",
                "import it without --mean and --std, if its pixels are those of the dataset",
            )
        found = evaluation.measure_label_regimes(
            target.synthetic,
            session,
            teacher=options.teacher,
            recipe=options.recipe,
            networks=networks,
            repeats=options.repeats,
            record=path,
        )
    for network in found.networks:
        say(report.label_sentence(found, network, kind_of(target.synthetic.shape)))
    say(f"written to {path}")


def _too_few(dataset: ImageDataset, drawn: int) -> str | None:
    """A sentence about classes with fewer training images than are drawn at random; None if there are none."""
    sizes = zip(dataset.class_names, dataset.train.class_sizes, strict=True)
    few = [f"{name} ({size})" for name, size in sizes if size < drawn]
    if not few:
        return None
    named = ", ".join(few[:3]) + (f" and {len(few) - 3:,} more" if len(few) > 3 else "")
    return f"{drawn} random {kind_of(dataset.shape)}s of each class include some more than once: {named}"


WORTH = "worth"
MEASURES: Mapping[str, Callable[[Options, Target, list[str]], None]] = MappingProxyType(
    {"robustness": _robustness, "attacks": _attacks, "labels": _labels, WORTH: _worth}
)
"""What can be measured, by the option that asks for it: how much networks learn if none does."""
FOREIGN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "robustness": ("baselines", "full_repeats", "initial", "exchange", "track"),
        "attacks": ("baselines", "full_repeats", "full_epochs", "initial", "exchange", "track"),
        "labels": ("baselines", "full_repeats", "full_epochs", "initial", "exchange", "track"),
        WORTH: (),
    }
)
"""The options that do not apply to each of them."""


def table(found: Evaluation, images: int, real: int) -> Table:
    """The accuracies of an evaluation as a table.

    Args:
        found: the evaluation.
        images: the size of the set.
        real: the number of real images that baselines have in its place.
    """
    title = f"test accuracy, recipe {found.recipe.label}, mean ± std [95 % interval] × repeats"
    shown = Table(title=title)
    shown.add_column("network")
    columns = {"distilled": found.networks, **found.baselines}
    titles = {"distilled": f"distilled ({images})", "full": "full data", "initial": "untrained"}
    for column in columns:
        shown.add_column(titles.get(column, f"{column} ({real})"))
    for network in found.networks:
        shown.add_row(network, *(_cell(results.get(network)) for results in columns.values()))
    return shown


def _cell(result: NetworkResult | None) -> str:
    shown = percent(result, interval=True)
    return shown if result is None or result.learning_rate is None else f"{shown}, rate {result.learning_rate:g}"
