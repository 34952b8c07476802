"""``potstill federated``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from potstill import applications, data, evaluation, report
from potstill.cli.going_on import going_on, same_again
from potstill.cli.options import (
    ChoiceOptions,
    ComputeOptions,
    ExecutorOption,
    MemoryOption,
    given,
    names,
    parse,
    whole_numbers,
    within_memory,
)
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.errors import UserError
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.schema.federated import Federated, Learner

PARAMETERS = {"dirichlet": "alpha", "classes": "per_client", "shards": "per_client", "iid": ""}
"""The option that each kind of partition takes."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Let clients who keep their images send sets, from which a server learns in one round, or in several.

    Attributes:
        dataset: the dataset, whose training images clients share.
        clients: the number of clients.
        partition: dirichlet: the share that each client has of a class is drawn at random; classes: each client has
            the same number of classes; shards: images sorted by class are cut into shards, as in McMahan et al.; iid:
            images are dealt at random.
        alpha: for dirichlet, the smaller it is, the more the clients differ. By default 0.5.
        per_client: for classes and shards, how many of them each client has. By default 2.
        ipc: images of each class that a client sends. Several numbers joined by +, such as 10+1, are for clients in
            turn.
        formation: 1, or f so that each image that is sent holds f × f small pictures.
        methods: how clients make what they send, separated by commas: selections or methods, perhaps with settings,
            such as dm:batch_real=64. Several joined by +, such as dm+k-means, are for clients in turn. Random images
            and k-means centres are always added.
        iterations: iterations of every distillation; there is one for each client, method and repeat.
        refine: rounds in which the server sends the weights of the first network, each client makes a set that matches
            networks near them, and the server trains on; beside the single round of sets. 0 leaves them out.
        radius: how far from the weights these networks are drawn. By default 5.
        repeats: repeats, each with another partition, other sets and other networks.
        networks: specs, separated by commas. Methods match the first. By default convnet:depth=2:width=32,mlp,
            for vectors linear,mlp.
        recipe: how networks are trained on sets and on all images; see potstill list recipes. By default dsa-1000, for
            vectors probe-1000.
        central_epochs: passes of central training over all images. By default the recipe's for full data.
        rounds: rounds of federated averaging, for comparison; 0 leaves it out.
        fraction: the fraction of clients that take part in a round.
        local_epochs: passes of a client over its images in a round.
        local_batch: images in a step of a client.
        local_rate: the learning rate of a client.
        one_shot_epochs: passes of a client where weights are averaged only once.
        image_size: resize images to this height and width, in pixels.
        choices: columns and splits to take where its files leave a choice.
        data_root: folder with local copies of catalogue datasets.
        seed: seed for all random draws.
        compute: device, precision and compilation.
        out: folder for federated.json, federated.html, the runs of all clients and, with refine, the server's weights.
    """

    dataset: str = "digits"
    clients: int = 10
    partition: Literal["dirichlet", "classes", "shards", "iid"] = "dirichlet"
    alpha: float | None = None
    per_client: int | None = None
    ipc: str = "1"
    formation: int = 1
    methods: str = "dm"
    iterations: int = 200
    refine: int = 0
    radius: float | None = None
    repeats: int = 5
    networks: str | None = None
    recipe: str | None = None
    central_epochs: int | None = None
    rounds: int = 20
    fraction: float = 1.0
    local_epochs: int = 5
    local_batch: int = 32
    local_rate: float = 0.1
    one_shot_epochs: int = 20
    image_size: int | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    memory_limit: MemoryOption = None
    out: Path = Path("runs/federated")


def run(words: list[str]) -> None:
    """Let clients send and networks learn, and print the table, the verdict and the path of the page."""
    options = parse(Options, words, command="federated")
    protocol = applications.FederatedProtocol(
        partition=_partition(options),
        images_per_class=whole_numbers(options.ipc, "ipc"),
        formation=options.formation,
        repeats=options.repeats,
        central_epochs=options.central_epochs,
        iterations=options.iterations,
        seed=options.seed,
        **_refining(options),
    )
    averaging = applications.Averaging(
        rounds=options.rounds,
        fraction=options.fraction,
        local_epochs=options.local_epochs,
        local_batch=options.local_batch,
        local_rate=options.local_rate,
        one_shot_epochs=options.one_shot_epochs,
    )
    with (
        within_memory(options.memory_limit),
        going_on(same_again("federated", words)),
        ProgressLines("learning") as progress,
    ):
        dataset = data.load_dataset(
            options.dataset, data_root=options.data_root, choices=options.choices, image_size=options.image_size
        )
        progress.introduce(dataset)
        record = applications.federate(
            dataset,
            options.out,
            protocol=protocol,
            averaging=averaging,
            methods=names(options.methods),
            networks=None if options.networks is None else names(options.networks),
            recipe=options.recipe,
            resources=evaluation.Resources(
                compute=options.compute, data_root=options.data_root, executor=options.executor, progress=progress
            ),
        )
    table_console().print(table(record))
    say(report.federated_verdict(record))
    written = options.out / applications.Federated.FILE
    say(f"written to {written}; the page is {report.write_federated(options.out)}")


def _partition(options: Options) -> applications.Partition:
    """The partition, to which no option of another kind was given.

    Raises:
        UserError: one was.
    """
    taken = PARAMETERS[options.partition]
    parameters = given(options, "alpha", "per_client")
    for name in parameters:
        if name != taken:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} does not apply to --partition {options.partition}", "leave it out")
    return applications.Partition(clients=options.clients, kind=options.partition, **parameters)


def _refining(options: Options) -> dict[str, Any]:
    """The rounds, and the radius if one was given.

    Raises:
        UserError: there is a radius, but no round.
    """
    if options.radius is None:
        return {"refine": options.refine}
    if not options.refine:
        raise UserError("--radius does not apply without --refine", "leave it out, or use --refine 5, for example")
    return {"refine": options.refine, "radius": options.radius}


def table(record: Federated) -> Table:
    """What each network reaches in every way, and what it costs."""
    made = Table(title=f"accuracy, recipe {record.recipe.label}, mean of the repeats")
    for column in (
        "network",
        "way",
        "accuracy",
        "of central",
        "against random",
        "rounds",
        "up",
        "down",
        "FedAvg needs",
    ):
        made.add_column(column)
    for learner in record.learners:
        made.add_row(learner.network, learner.way, *_cells(record, learner))
    return made


def _cells(record: Federated, learner: Learner) -> list[str]:
    standing = record.standing(learner.way, learner.network)
    if not learner.usable or standing is None:
        return [f"failed: {learner.failed}" if learner.failed else "-", *["-"] * 6]
    gain, reached = standing.gain, standing.fedavg_bytes
    rounds = f"{standing.fedavg_rounds} round{'s' * (standing.fedavg_rounds != 1)}"
    against = "-" if gain is None else f"{100 * gain.mean:+.1f} [{100 * gain.ci95[0]:+.1f}, {100 * gain.ci95[1]:+.1f}]"
    return [
        f"{learner.mean:.1%}",
        "-" if standing.of_central is None else f"{standing.of_central:.1%}",
        against,
        str(len(learner.course) or 1) if learner.bytes_up else "-",
        *(f"{fmean(sent):,.0f}" if sent else "-" for sent in (learner.bytes_up, learner.bytes_down)),
        "-" if reached is None else f"{reached:,.0f} in {rounds}",
    ]
