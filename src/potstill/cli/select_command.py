"""``potstill select SOURCE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from potstill import applications, data, evaluation, report
from potstill.cli.going_on import going_on, same_again
from potstill.cli.options import (
    ChoiceOptions,
    ComputeOptions,
    ExecutorOption,
    MemoryOption,
    names,
    parse,
    within_memory,
)
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES
from potstill.networks.spec import names_pretrained
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.errors import Unlabelled, UserError
from potstill.runtime.executor_choice import AUTO
from potstill.runtime.files import check_writable, expanded, write_atomic
from potstill.runtime.reading import cannot_write

if TYPE_CHECKING:
    from potstill.applications import Subset

MOST_CLASSES = 40
"""The most classes in the table on the terminal; the page has all of them."""


@dataclass(frozen=True)
class Options:
    """Choose which images of a dataset, or rows of an embeddings file, to keep: each class by itself.

    Attributes:
        source: a dataset, as for potstill inspect; a folder or .zip of images without class folders; or an .npy, .npz
            or .parquet file of vectors, with labels or without.
        by: how to choose; see docs/selecting.md. By default facility-location.
        fraction: the part to keep, such as 10% or 0.1.
        count: the number to keep.
        ipc: the number to keep of each class.
        features: what the rule looks at: pixels; trained, a network that is trained on the images; an .npy, .npz or
            .parquet file with a row for each image; timm:MODEL:weights=WHERE, a pretrained model; or a folder of
            potstill experts. By default what the rule needs.
        labels: for a file of vectors: a file with the label of each, .npy or text with one per line. --worth,
            --features and rules that train networks use those beside the vectors.
        unlabelled: choose from all images of a folder, or all vectors of a file, at once, not by class: its folders or
            labels are ignored.
        network: spec of the network that is trained for features or scores. By default convnet, for vectors linear.
        teacher_epochs: passes of its training over the images. By default 10.
        worth: train networks on the choice and on as many random images, and compare.
        recipe: for --worth, how they are trained; see potstill list recipes. By default quick, for vectors probe-1000.
        networks: for --worth, specs, separated by commas. By default convnet, for vectors linear.
        repeats: for --worth, trainings of each network. By default 5.
        epochs: for --worth, passes over the images, instead of the recipe's number.
        copy: a new folder for copies of the chosen files, or, where images or vectors are not in files of their own,
            for selected.npz. Either is a dataset, if there are labels.
        links: make symbolic links in it, instead of copies.
        image_size: resize images to this height and width, in pixels.
        choices: columns and splits to take where its files leave a choice.
        data_root: folder with local copies of catalogue datasets.
        seed: seed for all random draws.
        compute: device, precision and compilation.
        out: folder for selection.json, selected.csv and selection.html. By default runs/select-SOURCE-BY.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    by: Literal[
        "random",
        "herding",
        "k-center",
        "facility-location",
        "k-means-nearest",
        "average-nearest",
        "moderate",
        "ccs",
        "aum",
        "forgetting",
        "el2n",
        "grand",
    ] = "facility-location"
    fraction: str | None = None
    count: int | None = None
    ipc: int | None = None
    features: str | None = None
    labels: Path | None = None
    unlabelled: bool = False
    network: str | None = None
    teacher_epochs: int | None = None
    worth: bool = False
    recipe: str | None = None
    networks: str | None = None
    repeats: int | None = None
    epochs: int | None = None
    copy: Path | None = None
    links: bool = False
    image_size: int | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    memory_limit: MemoryOption = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    out: Path | None = None


OF_NETWORK = ("network", "teacher_epochs")
"""The options that only a rule takes which looks at a network."""

OF_WORTH = ("recipe", "networks", "repeats", "epochs")
"""The options that only ``--worth`` takes."""

ARCHIVE = "selected.npz"
"""What ``--copy`` writes where there are no files to copy."""


def run(words: list[str]) -> None:
    """Choose, and print how many of each class, what the choice is worth, and where it is written."""
    options = parse(Options, words, command="select")
    _check(options)
    budget = applications.Budget(fraction=_fraction(options.fraction), count=options.count, per_class=options.ipc)
    rule = applications.Rule(
        options.by,
        features=options.features,
        seed=options.seed,
        **{name: value for name in OF_NETWORK if (value := getattr(options, name)) is not None},
    )
    out = options.out or Path("runs") / f"select-{data.short_name(options.source)}-{options.by}"
    for name, folder in (("out", out), ("copy", options.copy)):
        if folder is not None and _is_inside(folder, Path(options.source)):
            raise UserError(
                f"--{name} {folder} is inside {options.source}, whose images it would join", "choose another"
            )
    with (
        going_on(same_again("select", words)),
        within_memory(options.memory_limit),
        ProgressLines("reading the source") as progress,
    ):
        candidates = _candidates(options, rule, budget, progress)
        _check_trained(options, candidates)
        archive = _archive(options, candidates, out)
        if options.copy is not None and not options.copy.exists():
            with _copying_to(options.copy):
                check_writable(options.copy)
        record = applications.select(
            candidates,
            rule,
            budget,
            out,
            judging=_judging(options),
            copy=options.copy if archive is None else None,
            link=options.links,
            resources=evaluation.Resources(compute=options.compute, executor=options.executor, progress=progress),
        )
        if archive is not None:
            _write_archive(archive, candidates, record.chosen_numbers(out))
        progress("writing the page")
        page = _page(out, candidates, record)
    table_console().print(table(record))
    say(*report.subset_verdict(record))
    if record.matched:
        say(f"{record.features}: {record.matched}")
    _say_where(options, candidates, record, out, archive, page)


def _say_where(
    options: Options,
    candidates: applications.Candidates,
    record: Subset,
    out: Path,
    archive: Path | None,
    page: Path,
) -> None:
    """Say where the copies, the record and the page are."""
    if archive is not None:
        say(f"copies of what was chosen are in {archive}")
    elif options.copy is not None:
        say(f"{'links to' if options.links else 'copies of'} the files are in {options.copy}")
    say(f"written to {out / record.table} and {out / record.FILE}; the page is {page}")
    if options.copy is None and candidates.labelled:
        say("to use the choice as a dataset, repeat the command with `copy=FOLDER`, and name what that writes")


def _archive(options: Options, candidates: applications.Candidates, out: Path) -> Path | None:
    """Where copies go that are not of files; None if none are wanted, or there are files or images without labels.

    Raises:
        UserError: the folder exists and is not of an earlier call, or links are wanted.
    """
    if options.copy is None or candidates.files is not None or isinstance(candidates.members, data.ImageFiles):
        return None
    if not (candidates.labelled or candidates.holds_vectors):
        return None
    if options.links:
        raise UserError(f"--links needs files, and {candidates.name} has none to link to", "leave it out")
    path = options.copy / ARCHIVE
    if options.copy.exists() and not (path.exists() and (out / applications.Subset.FILE).exists()):
        raise UserError(f"{options.copy} already exists", "name a new folder for `copy`")
    return path


@contextmanager
def _copying_to(folder: Path) -> Iterator[None]:
    """Name ``--copy`` in the remedy if its folder cannot be written."""
    try:
        yield
    except UserError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise cannot_write(folder, error.__cause__, elsewhere="name another folder for `copy`") from error


def _write_archive(path: Path, candidates: applications.Candidates, numbers: Sequence[int]) -> None:
    """Write what was chosen, unless an earlier call did.

    Raises:
        UserError: there is something else.
    """
    assert isinstance(candidates.members, data.LabeledImages | data.Vectors)
    place = {number: index for index, number in enumerate(candidates.places.tolist())}
    content = data.archived(candidates.members, [place[number] for number in numbers])
    if not path.exists():
        with _copying_to(path.parent):
            write_atomic(path, content)
    elif not path.is_file() or path.stat().st_size != len(content) or path.read_bytes() != content:
        raise UserError(f"{path} already exists, and holds something else", "name a new folder for `copy`")


def _page(out: Path, candidates: applications.Candidates, record: Subset) -> Path:
    """The page of a selection.

    Raises:
        UserError: it cannot be made, as with an image that only the page has to read; the selection stays.
    """
    try:
        return report.write_subset(
            out,
            candidates.pictures,
            candidates.places.tolist(),
            candidates.names,
            cropped=not candidates.decoded,
        )
    except UserError as error:
        written = f"what is selected is in {out / record.table} and {out / record.FILE}"
        raise UserError(f"{written}, but it has no page: {error.problem}", error.remedy) from error


def _check(options: Options) -> None:
    """Refuse options that would have no effect."""
    for name in OF_WORTH if not options.worth else ():
        if getattr(options, name) is not None:
            raise UserError(f"--{name} needs --worth", "add it, or leave the option out")
    without_network = (
        options.by == "random"
        or options.features == "pixels"
        or data.may_name_vectors(options.features or "")
        or names_pretrained(options.features or "")
    )
    for name in OF_NETWORK if without_network else ():
        if getattr(options, name) is not None:
            remedy = "use --networks for those of --worth" if options.worth and name == "network" else "leave it out"
            raise UserError(f"--{name.replace('_', '-')} has no effect: the rule uses no training", remedy)
    if options.links and options.copy is None:
        raise UserError("--links needs --copy FOLDER", "name a new folder")
    for name in ("label_column", "split_map") if options.unlabelled else ():
        if getattr(options.choices, name) is not None:
            raise UserError(f"--{name.replace('_', '-')} and --unlabelled contradict each other", "leave one out")
    if options.labels is not None and options.unlabelled:
        raise UserError("--labels and --unlabelled contradict each other", "leave one out")
    if options.labels is not None and not data.may_name_vectors(options.source):
        raise UserError("--labels is for a file of vectors; a dataset has labels", "leave it out")
    if options.labels is None or _by_numbers(options):
        return
    if not data.names_vectors(options.source):
        raise UserError(
            f"--labels is for choosing by the vectors alone, and {_asked(options)} takes a dataset",
            f"store the labels in {options.source}",
        )
    if options.labels != data.labels_beside(expanded(options.source)):
        beside = Path(options.source).with_suffix(".labels.npy" if options.labels.suffix == ".npy" else ".labels.txt")
        raise UserError(f"{_asked(options)} uses the labels stored beside the vectors", f"move them to {beside}")


def _asked(options: Options) -> str:
    """What needs a dataset: a measurement, features or a rule."""
    return "--worth" if options.worth else f"--features {options.features}" if options.features else options.by


def _by_numbers(options: Options) -> bool:
    """Whether vectors are chosen by their own numbers, or at random, and nothing is trained or measured."""
    by_numbers = options.by == "random" or options.by in applications.BY_FEATURES
    return by_numbers and options.features is None and not options.worth


def _check_trained(options: Options, candidates: applications.Candidates) -> None:
    """Refuse options about a network where vectors are their own features."""
    own = candidates.holds_vectors and options.by in applications.BY_FEATURES
    for name in OF_NETWORK if own and options.features is None else ():
        if getattr(options, name) is not None:
            raise UserError(
                f"--{name.replace('_', '-')} has no effect: vectors are features already",
                "leave it out, or add --features trained",
            )


def _is_inside(folder: Path, source: Path) -> bool:
    """Whether a folder is the folder of a dataset, or in it."""
    return source.is_dir() and folder.resolve().is_relative_to(source.resolve())


def _fraction(word: str | None) -> float | None:
    """A fraction as the user wrote it: ``10%`` or ``0.1``.

    Raises:
        UserError: it is neither.
    """
    if word is None:
        return None
    number, percent = word.strip().removesuffix("%"), word.strip().endswith("%")
    try:
        return float(number) / (100 if percent else 1)
    except ValueError:
        raise UserError(
            f"--fraction takes a percentage or a number, not {word!r}", "use 10% or 0.1, for example"
        ) from None


def _candidates(
    options: Options, rule: applications.Rule, budget: applications.Budget, progress: ProgressLines
) -> applications.Candidates:
    """The candidates, as the options describe them; how they were understood is reported."""
    if (found := _vectors(options) or _images(options, rule, budget, progress)) is not None:
        progress.remark(found.remarks)
        return found
    try:
        found = applications.Candidates.of_dataset(
            options.source,
            tested=options.worth,
            data_root=options.data_root,
            choices=options.choices,
            image_size=options.image_size,
            progress=progress,
        )
    except Unlabelled as error:
        needs_labels = options.worth or options.ipc is not None
        if needs_labels or options.by not in ("random", *applications.BY_FEATURES):
            raise
        if not data.may_be_unlabelled(options.source):
            raise
        raise UserError(error.problem, f"{error.remedy}, or choose without classes: add `unlabelled`") from error
    if found.dataset is not None:
        progress.introduce(found.dataset)
    return found


def _vectors(options: Options) -> applications.Candidates | None:
    """The vectors of a file that are chosen by their own numbers; None if it is a dataset, or no such file."""
    source, choices = options.source, options.choices
    if not data.names_vectors(source) and not (data.may_name_vectors(source) and expanded(source).is_file()):
        return None
    labels = options.labels
    if data.names_vectors(source) and not options.unlabelled:
        if not _by_numbers(options):
            return None  # what trains networks takes a dataset, with the labels beside the file
        if labels is None and (labels := data.labels_beside(expanded(source))) is not None:
            say(f"labels are in {labels}, beside the vectors", to=sys.stderr)
    elif not options.unlabelled and labels is None:
        of_dataset = choices.label_column is not None or choices.split_map is not None
        if of_dataset or not data.holds_vectors_alone(source):
            return None
    if options.image_size is not None:
        raise UserError(f"--image-size is for images, and {source} holds vectors", "leave it out")
    _refuse_choices(options, ("label_column", "split_map"), "is read as vectors, without columns of labels and splits")
    return applications.Candidates.of_vectors(source, labels, column=choices.image_column)


def _images(
    options: Options, rule: applications.Rule, budget: applications.Budget, progress: ProgressLines
) -> applications.Candidates | None:
    """The images of a folder without labels; None if it is a dataset."""
    source, features = options.source, options.features or ""
    if options.choices != NO_CHOICES and not options.unlabelled:
        return None
    if data.find_unlabelled(source, insisted=options.unlabelled) is None:
        return None
    _refuse_choices(options, ("image_column",), "has no columns")
    applications.check_unlabelled(source, rule, budget, _judging(options), vectors=False)
    return applications.Candidates.of_images(
        source,
        decoded=features == "pixels" or names_pretrained(features),
        image_size=options.image_size,
        progress=progress,
    )


def _refuse_choices(options: Options, names: tuple[str, ...], why: str) -> None:
    """Refuse choices of columns and splits that would have no effect."""
    for name in names:
        if getattr(options.choices, name) is not None:
            raise UserError(f"--{name.replace('_', '-')} has no effect: {options.source} {why}", "leave it out")


def _judging(options: Options) -> applications.Judging | None:
    if not options.worth:
        return None
    given = {name: value for name in OF_WORTH if (value := getattr(options, name)) is not None}
    if "networks" in given:
        given["networks"] = names(given["networks"])
    return applications.Judging(**given)


def table(record: Subset) -> Table:
    """How many there are and were chosen of each class."""
    hidden = len(record.class_names) - MOST_CLASSES
    made = Table(
        title=f"{record.chosen:,} of {record.total:,} by {record.rule}",
        caption=f"{hidden:,} more classes are on the page" if hidden > 0 else None,
    )
    made.add_column("class")
    made.add_column("there are", justify="right")
    made.add_column("chosen", justify="right")
    rows = zip(record.class_names, record.class_sizes, record.counts, strict=True)
    for name, size, chosen in list(rows)[:MOST_CLASSES]:
        made.add_row(name or "all", f"{size:,}", f"{chosen:,}")
    return made
