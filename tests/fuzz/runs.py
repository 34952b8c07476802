"""The files that Potstill writes: records, sets, runs and experts, each read as a user would have it read."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from potstill.applications.architecture_search.spaces import candidates_in, space_named, specs_of
from potstill.data import NO_CHOICES, Whitening
from potstill.data.dataset_file import read_dataset, write_dataset
from potstill.distillation import Settings, distill
from potstill.distillation.run_folder import RunFolder
from potstill.evaluation.file import EvaluationFile
from potstill.evaluation.specs import training_on
from potstill.evaluation.target import Target
from potstill.evaluation.training import TrainAndTest
from potstill.experts.curriculum import CURRICULUM, curriculum_in
from potstill.experts.difficulty import DIFFICULTY
from potstill.experts.feature_source import StoredExperts, Training
from potstill.experts.manifest import check_experts, new_record, resumed_record, stored_plan
from potstill.experts.train import keep_scores
from potstill.methods import DM
from potstill.networks import ImageShape, InitialWeights, build_network
from potstill.networks.weights import install
from potstill.report import audit as audit_page
from potstill.report import comparison as comparison_page
from potstill.report import federated as federated_page
from potstill.report import page
from potstill.report.images import read_images
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema import Record
from potstill.schema.applications import LearnedDataset
from potstill.schema.attacks import EQUAL, RANDOM, SET, AttackCurves, AttackedNetworks, Probe
from potstill.schema.audit import (
    AreaDifference,
    Attacked,
    AttackResult,
    Audit,
    AuditedDataset,
    AuditProtocol,
    FromStart,
    NearestPair,
    Neighbours,
    Rate,
)
from potstill.schema.comparison import Comparison
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.schema.exchange import CurvePoint, Exchange, NetworkExchange
from potstill.schema.experts import ExpertsManifest
from potstill.schema.federated import (
    CENTRAL,
    FEDAVG,
    REFINED,
    Averaging,
    Client,
    Federated,
    FederatedProtocol,
    Partition,
    Way,
    standings,
)
from potstill.schema.federated import Learner as FederatedLearner
from potstill.schema.manifest import Manifest
from potstill.schema.privacy import Privacy
from potstill.schema.recipe import Recipe
from potstill.schema.reproduction import FullDataRecord, ReproductionRecord
from potstill.schema.robustness import KINDS as TRAINED_ON
from potstill.schema.robustness import Robustness
from potstill.schema.search import Candidate, Proxy, SearchResult
from potstill.schema.vector_map import VectorMap
from potstill.synthetic import Replay, SyntheticSet
from potstill.synthetic.export import export
from potstill.tracking import Tracking
from potstill.tracking.listening import FILE as TRACKED
from potstill.tracking.listening import TrackerRecord
from potstill.units import Materials, UnitLog, Workplace
from tests.fuzz.campaign import Kind
from tests.fuzz.mutations import Structure
from tests.report.run_folder import evaluation, make_run
from tests.small import NETWORK, digits, small_digits, small_experts
from tests.tracking.stand_in import Recorder

RECORDS = Path(__file__).parents[2] / "records"
SEARCH = "mnist-dm-ipc10/search.json"
SETTINGS = Settings(
    method=DM(batch_real=8, learning_rate=0.1), ipc=1, network=NETWORK, iterations=3, validate_every=0, device="cpu"
)


def _record(kind: type[Record], source: str | Record, file: str) -> Kind:
    """A record that is read by its class, and whose every derived value is computed.

    Args:
        kind: the class.
        source: a file of ``records/``, or a record.
        file: the name of the file.
    """

    def make(folder: Path) -> Path:
        if isinstance(source, str):
            shutil.copy(RECORDS / source, folder / file)
        else:
            source.write(folder / file)
        return folder / file

    def use(folder: Path) -> None:
        made = kind.read(folder / file)
        made.to_json()
        for name in dir(kind):
            if isinstance(getattr(kind, name), property):
                getattr(made, name)

    return Kind(f"{file}, by its class", "json", make, use)


ROBUSTNESS = Robustness(
    set_sha256="c0" * 32,
    dataset_fingerprint="5f" * 32,
    seed=0,
    made_on="a machine",
    track="soft",
    recipe="dsa-1000@1",
    network="convnet",
    full_epochs=30,
    full=0.97,
    accuracies={kind: [0.5, 0.52] for kind in (*TRAINED_ON, "synthetic hard")},
    rates=dict.fromkeys((*TRAINED_ON, "synthetic hard"), 0.01),
)
PRIVACY = Privacy(
    epsilon=0.99943,
    delta=1e-5,
    sampling_rate=0.02,
    clip=1.0,
    noise_multiplier=1.2873,
    queries=150,
    accountant="an accountant",
    public=("the labels",),
)
MAP = VectorMap(
    set_sha256="c0" * 32,
    dataset_fingerprint="5f" * 32,
    share=0.4,
    real=((0.5, -1.25, 0), (2.0, 0.5, 1), (-1.0, 1.0, 9)),
    synthetic=((0.25, 0.0, 0), (1.5, 0.5, 1)),
)
EXCHANGE = Exchange(
    set_sha256="c0" * 32,
    dataset_fingerprint="5f" * 32,
    recipe=Recipe(name="dsa-1000", summary="", epochs=1000, full_epochs=50),
    seed=0,
    initial={"source": "random", "seed": 0, "scheme": "kaiming"},
    classes=10,
    image_bytes=64,
    set_bytes=2640,
    networks={
        "convnet": NetworkExchange(
            accuracies=[0.5, 0.52],
            points=[
                CurvePoint(images_per_class=number, accuracies=[mean, mean + 0.02], seconds=3.0, learning_rate=0.01)
                for number, mean in ((1, 0.3), (2, 0.42), (5, 0.4), (10, 0.7))
            ],
            made_on=["a machine"],
            failed="on 20 random images per class: it diverged",
        )
    },
)
ATTACKS = AttackCurves(
    set_sha256="c0" * 32,
    dataset_fingerprint="5f" * 32,
    seed=0,
    recipe=Recipe(name="quick", summary="", epochs=30, full_epochs=5),
    images=100,
    chance=0.1,
    probes=[Probe(kind="clean"), Probe(kind="pgd", strength=0.1, steps=5), Probe(kind="blur", strength=3.0)],
    networks={
        "convnet": [
            AttackedNetworks(trained_on=source, images_per_class=1, accuracies=[[0.5, 0.1, 0.4], [0.6, 0.2, 0.5]])
            for source in (SET, RANDOM, EQUAL)
        ]
    },
    made_on=["a machine"],
)
AUDIT = Audit(
    source="runs/dm",
    kind="run",
    protocol=AuditProtocol(shadows=4),
    dataset=AuditedDataset(name="digits", fingerprint="5f" * 32, pool=1295, population=359),
    settings={"ipc": 5, "method": {"name": "dm", "optimiser": "sgd"}},
    images=50,
    recipe=Recipe(name="dsa-1000", summary="", epochs=1000, full_epochs=50),
    networks=["convnet"],
    attacked=[
        Attacked(
            arm=arm,
            network=network,
            accuracies=[0.9, 0.91, 0.89, 0.9] if network else [],
            attacks=[
                AttackResult(
                    attack="lira-offline",
                    aucs=[0.5, 0.55, 0.52, 0.51],
                    auc_error=0.006,
                    balanced_accuracy=0.53,
                    rates=[Rate(fpr=0.1, found=80.5, members=647.5), Rate(fpr=0.01, found=9.25, members=647.5)],
                    begun=[Rate(fpr=0.01, found=6.0, members=50.0)],
                    epsilon=0.3,
                    roc=[(0.001, 0.002), (0.03, 0.05), (1.0, 1.0)],
                )
            ],
        )
        for network in ("", "convnet")
        for arm in ("set", "random")
    ],
    differences=[AreaDifference(network="convnet", attack="lira-offline", mean=0.01, error=0.004)],
    neighbours=Neighbours(
        train=1295,
        shape=(1, 2, 2),
        distances=[0.1, 0.5, 0.9],
        similarities=[0.99, 0.9, 0.8],
        held_out=[0.8, 1.0, 1.2],
        held_out_similarities=[0.9, 0.8, 0.7],
        pairs=[
            NearestPair(
                place=0, real=7, label="3", distance=0.1, similarity=0.99, image="AAECAw==", neighbour="AAECBA=="
            )
        ],
        start=FromStart(copied=1.0, kept=0.9, moved=0.3),
    ),
    seconds=3.0,
    made_on=["a machine"],
)
FULL_DATA = FullDataRecord(
    recipe=Recipe(name="dsa-1000", summary="", epochs=1000, full_epochs=50),
    network="convnet",
    dataset_fingerprint="5f" * 32,
    result=NetworkResult(accuracies=[0.9, 0.91], seconds=3.0, epochs=50, made_on=["a machine"]),
)


CANDIDATES = {f"n{number}": 0.1 * number for number in range(1, 7)}
JUDGED_SEARCH = SearchResult(
    set_sha256="c0" * 32,
    dataset_fingerprint="5f" * 32,
    space=dict.fromkeys(CANDIDATES, "mlp"),
    recipe=Recipe(name="quick", summary="", epochs=30, full_epochs=5),
    seed=0,
    full_images=500,
    set_images=30,
    set_bytes=7_920,
    candidates={name: Candidate(spec="mlp", accuracies=[mean], seconds=1.0) for name, mean in CANDIDATES.items()},
    full={name: NetworkResult(accuracies=[mean**2], seconds=9.0) for name, mean in CANDIDATES.items()},
    proxies={
        "random": Proxy(
            images=30,
            bytes=1_920,
            candidates={name: Candidate(spec="mlp", accuracies=[1 - mean]) for name, mean in CANDIDATES.items()},
        )
    },
    sample=list(CANDIDATES),
)


def _federated() -> Federated:
    """A record with every kind of way."""
    ways = [*(Way(name=name, kind="sets", images=[4, 6], bytes=[1056, 1584]) for name in ("dm", "random"))]
    ways += [Way(name=REFINED + "dm", kind="refined", images=[8, 12], bytes=[1056, 1584])]
    ways += [Way(name=FEDAVG, kind="averaging"), Way(name=CENTRAL, kind="central")]
    in_rounds = (REFINED + "dm", FEDAVG)
    learners = [
        FederatedLearner(
            way=way.name,
            network="convnet",
            accuracies=[0.5 + 0.1 * place, 0.52 + 0.11 * place],
            rounds=[[0.4, 0.5 + 0.1 * place], [0.3, 0.52 + 0.11 * place]] if way.name in in_rounds else [],
            bytes_up=[] if way.name == CENTRAL else [1056, 1584],
            bytes_down=[] if way.name == CENTRAL else [0, 0],
            seconds=[3.0, 4.0],
        )
        for place, way in enumerate(ways)
    ]
    return Federated(
        protocol=FederatedProtocol(partition=Partition(clients=2), repeats=2, refine=2),
        averaging=Averaging(rounds=2),
        dataset=LearnedDataset(name="digits", fingerprint="5f" * 32, train=12, test=4),
        class_names=["0", "1"],
        recipe=Recipe(name="quick", summary="", epochs=30, full_epochs=5),
        matched="convnet",
        networks=["convnet"],
        clients=[[Client(class_sizes=[3, 4], images_per_class=1), Client(class_sizes=[5, 0], images_per_class=1)]] * 2,
        ways=ways,
        learners=[*learners, FederatedLearner(way="dm", network="mlp", failed="it diverged")],
        standings=standings(learners, ["dm", "random"]),
        made_on=["a machine"],
    )


FEDERATED = _federated()


def _make_federated(folder: Path) -> Path:
    FEDERATED.write(folder / Federated.FILE)
    return folder / Federated.FILE


def _use_federated(folder: Path) -> None:
    federated_page.render(Federated.read(folder / Federated.FILE))


def _space(file: str, structure: Structure) -> Kind:
    """A search space in a file."""

    def make(folder: Path) -> Path:
        lines = {"wide": "convnet:width=256", "plain": "mlp:width=64:depth=2", "norm": "convnet:depth=2:norm=batch"}
        toml = "".join(f"{name} = {json.dumps(spec)}\n" for name, spec in lines.items())
        (folder / file).write_text(json.dumps(lines) if structure == "json" else toml)
        return folder / file

    def use(folder: Path) -> None:
        candidates_in(specs_of(space_named(str(folder / file))), ImageShape(1, 8, 8), 10)

    return Kind(f"{file}, for --space", structure, make, use)


def _page(file: str, structure: Structure, privacy: Privacy | None = None) -> Kind:
    """A file of a run folder, read with all others by ``potstill report``, and shown."""

    def make(folder: Path) -> Path:
        make_run(folder, evaluated=evaluation(repeats=2))
        manifest = Manifest.read(folder / "manifest.json")
        replace(manifest, privacy=privacy).write(folder / "manifest.json")
        same: Any = {"set_sha256": manifest.tensors_sha256, "dataset_fingerprint": manifest.dataset.fingerprint}
        replace(EXCHANGE, **same).write(folder / Exchange.FILE)
        replace(MAP, **same).write(folder / VectorMap.FILE)
        replace(ROBUSTNESS, **same).write(folder / Robustness.FILE)
        replace(ATTACKS, **same).write(folder / AttackCurves.FILE)
        replace(JUDGED_SEARCH, **same).write(folder / SearchResult.FILE)
        return folder / file

    def use(folder: Path) -> None:
        page.render(page.read_run(folder))

    guaranteed = "" if privacy is None else " with a guarantee"
    return Kind(f"{file}{guaranteed}, for its page", structure, make, use, dear=True)


def _make_comparison(folder: Path) -> Path:
    shutil.copy(RECORDS / "mnist-comparison" / Comparison.FILE, folder)
    return folder / Comparison.FILE


def _use_comparison(folder: Path) -> None:
    comparison_page.render(Comparison.read(folder / Comparison.FILE))


def _make_audit(folder: Path) -> Path:
    AUDIT.write(folder / Audit.FILE)
    return folder / Audit.FILE


def _use_audit(folder: Path) -> None:
    audit_page.render(Audit.read(folder / Audit.FILE))


def _make_evaluation(folder: Path) -> Path:
    shutil.copy(RECORDS / "mnist-dm-ipc10" / Evaluation.FILE, folder)
    return folder / Evaluation.FILE


def _use_evaluation(folder: Path) -> None:
    """Continue it with more repeats."""
    file = EvaluationFile(folder / Evaluation.FILE)
    present = file.present()
    if present is None or file.earlier(present) is None:
        raise UserError("the evaluation is not there", "restore it")
    for result in present.usable.values():
        result.joined(result)
    file.save(replace(present, seed=present.seed + 1))


@cache
def _set(kind: str) -> SyntheticSet:
    """A set of digits with hard labels; or ``whitened``, or with soft labels and learned ``steps``."""
    synthetic = SyntheticSet.from_indices(small_digits().train, torch.arange(0, 200, 10))
    synthetic = replace(synthetic, provenance={**SETTINGS.to_dict(), "chosen_iteration": 3})
    if kind == "whitened":
        matrix = torch.eye(64) + 0.01 * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
        return replace(synthetic, whitening=Whitening(matrix, torch.zeros(64)))
    if kind == "with learned steps":
        soft = torch.nn.functional.one_hot(synthetic.labels, 10).float()
        replay = Replay(rates=torch.tensor([0.1, 0.2, 0.3]), batches=2, initial=InitialWeights("fixed", 7))
        return replace(synthetic, labels=soft, replay=replay, step_size=torch.tensor(0.02))
    return synthetic


def _synthetic(kind: str) -> Kind:
    def make(folder: Path) -> Path:
        _set(kind).save(folder / "set.safetensors")
        return folder / "set.safetensors"

    def use(folder: Path) -> None:
        """What ``potstill evaluate`` and ``potstill export`` do first, and what the page shows."""
        target = Target.opened(folder / "set.safetensors")
        synthetic = target.synthetic
        target.dataset(None, NO_CHOICES, None)
        _ = synthetic.fingerprint(), synthetic.size_bytes, synthetic.hard_labels
        if synthetic.replay is not None:
            synthetic.replayed()
            synthetic.replay.to_json()
        export(synthetic, folder / "exported.npz", "npz")
        read_images(folder / "set.safetensors")

    return Kind(f"synthetic set, {kind}", "safetensors", make, use)


@cache
def _run() -> Path:
    """A run of three iterations that is complete."""
    folder = Path(tempfile.mkdtemp(prefix="run-")) / "run"
    atexit.register(shutil.rmtree, folder.parent)
    distill(SETTINGS, small_digits(), out=folder)
    return folder


def _resumed(file: str, structure: Structure) -> Kind:
    """A file of a run that is resumed; all its iterations are done already."""

    def make(folder: Path) -> Path:
        shutil.copytree(_run(), folder, dirs_exist_ok=True)
        return folder / file

    def use(folder: Path) -> None:
        distill(SETTINGS, small_digits(), out=folder, resume=True)
        RunFolder(folder).read_manifest()

    return Kind(f"{file}, resumed", structure, make, use)


def _make_config(folder: Path) -> Path:
    shutil.copy(_run() / "config.toml", folder)
    return folder / "config.toml"


def _use_config(folder: Path) -> None:
    settings = Settings.from_toml(folder / "config.toml")
    settings.to_toml()
    _ = settings.default_folder


def _make_experts(folder: Path, file: str) -> Path:
    shutil.copytree(small_experts(), folder, dirs_exist_ok=True)
    plan, dataset = stored_plan(folder)[0], digits()
    if not (folder / DIFFICULTY).exists():
        keep_scores(plan, dataset, folder, CPU, ["el2n"])
        shutil.copy(folder / DIFFICULTY, folder / CURRICULUM)
    return folder / file


def _training() -> Training:
    dataset = digits()
    return Training(
        real=dataset.train,
        network=NETWORK,
        streams=Streams(0),
        compute=CPU,
        flips=False,
        dataset_fingerprint=dataset.fingerprint,
    )


def _use_manifest_of_experts(folder: Path) -> None:
    """Resume the experts, and match them."""
    plan, _ = stored_plan(folder)
    resumed_record(folder, new_record(plan, digits(), CPU))
    check_experts(folder, NETWORK, digits().train, digits().fingerprint)


def _use_weights(folder: Path) -> None:
    """Take them as trajectories, and as initial weights."""
    network = build_network(NETWORK, ImageShape(*digits().shape), 10, torch.Generator())
    for trajectory in StoredExperts(_training(), folder).trajectories:
        for weights in trajectory():
            install(network, weights, folder)
    initial = InitialWeights(str(folder))
    initial.draw(network, torch.Generator().manual_seed(0))
    initial.held_out(0).draw(network, torch.Generator())
    initial.to_json()


def _use_difficulty(folder: Path) -> None:
    keep_scores(stored_plan(folder)[0], digits(), folder, CPU, [])


def _use_curriculum(folder: Path) -> None:
    curriculum_in(folder, _training(), "el2n", 4).taking_part(3)


RESULT = NetworkResult(
    accuracies=[0.9],
    seconds=3.0,
    epochs=4,
    made_on=["a machine"],
    curve_epochs=[2, 4],
    curve_loss=[1.0, 0.5],
    curve_accuracy=[0.7, 0.8],
    confusion=[[3, 1], [0, 4]],
)


def _units() -> list[TrainAndTest]:
    base = training_on(small_digits(), Workplace(Materials(), CPU), FULL_DATA.recipe, seed=0)
    return [replace(base, network=NETWORK, repeat=number) for number in range(3)]


def _make_log(folder: Path) -> Path:
    log = UnitLog.beside(folder / Evaluation.FILE)
    for unit in _units():
        log.add(unit, CPU, RESULT)
    return folder / "evaluation.units.jsonl"


def _use_log(folder: Path) -> None:
    """Join what is on record, and record another result."""
    log, joined = UnitLog.beside(folder / Evaluation.FILE), RESULT
    for unit in _units():
        joined = joined.joined(log.get(unit, CPU) or RESULT)
    log.add(replace(_units()[0], repeat=9), CPU, RESULT)


def _make_tracking(folder: Path) -> Path:
    places = {
        "stand-in": TrackerRecord(run="number 1", closed=True, told={"step": 3}),
        "wandb": TrackerRecord(run="x2k9", closed=False, told={}),
    }
    (folder / TRACKED).write_text(json.dumps({name: each.to_json() for name, each in places.items()}))
    return folder / TRACKED


def _use_tracking(folder: Path) -> None:
    with Tracking({"stand-in": Recorder()}, folder) as tracking:
        tracking("start", {"iteration": 0})


def _make_dataset(folder: Path) -> Path:
    write_dataset(small_digits(), folder / "dataset.safetensors")
    return folder / "dataset.safetensors"


def _use_dataset(folder: Path) -> None:
    read_dataset(folder / "dataset.safetensors").train.normalised()


KINDS = [
    _record(Manifest, "mnist-dm-ipc10/manifest.json", "manifest.json"),
    _record(Evaluation, "mnist-dm-ipc10/evaluation.json", Evaluation.FILE),
    _record(Exchange, EXCHANGE, Exchange.FILE),
    _record(VectorMap, MAP, VectorMap.FILE),
    _record(SearchResult, SEARCH, SearchResult.FILE),
    _record(SearchResult, JUDGED_SEARCH, "judged-search.json"),
    _space("space.json", "json"),
    _space("space.toml", "toml"),
    _record(Audit, AUDIT, Audit.FILE),
    _record(Comparison, "mnist-comparison/comparison.json", Comparison.FILE),
    _record(ReproductionRecord, "mnist-coresets/reproduction.json", ReproductionRecord.FILE),
    _record(ExpertsManifest, "mnist-mtt-ipc1/experts.json", ExpertsManifest.FILE),
    _record(Robustness, ROBUSTNESS, Robustness.FILE),
    _record(AttackCurves, ATTACKS, AttackCurves.FILE),
    _record(Federated, FEDERATED, Federated.FILE),
    _record(FullDataRecord, FULL_DATA, "full.json"),
    *(_synthetic(kind) for kind in ("plain", "whitened", "with learned steps")),
    Kind("config.toml, for --config", "toml", _make_config, _use_config),
    _resumed("config.toml", "toml"),
    _resumed("manifest.json", "json"),
    _resumed("metrics.jsonl", "jsonl"),
    _resumed("checkpoint/state.safetensors", "safetensors"),
    _resumed("checkpoint/start.safetensors", "safetensors"),
    Kind("evaluation.units.jsonl, continued", "jsonl", _make_log, _use_log),
    Kind("tracking.json, tracked again", "json", _make_tracking, _use_tracking),
    Kind("dataset of a worker", "safetensors", _make_dataset, _use_dataset),
    Kind("evaluation.json, continued", "json", _make_evaluation, _use_evaluation),
    Kind(
        "experts.json, resumed and matched",
        "json",
        partial(_make_experts, file="experts.json"),
        _use_manifest_of_experts,
    ),
    Kind("weights of an expert", "safetensors", partial(_make_experts, file="expert-0001.safetensors"), _use_weights),
    Kind("difficulty", "safetensors", partial(_make_experts, file=DIFFICULTY), _use_difficulty),
    Kind("curriculum", "safetensors", partial(_make_experts, file=CURRICULUM), _use_curriculum),
    _page("manifest.json", "json"),
    _page("manifest.json", "json", PRIVACY),
    _page("config.toml", "toml"),
    _page("metrics.jsonl", "jsonl"),
    _page("synthetic.safetensors", "safetensors"),
    _page("checkpoint/start.safetensors", "safetensors"),
    _page(Evaluation.FILE, "json"),
    _page(Exchange.FILE, "json"),
    _page(VectorMap.FILE, "json"),
    _page(Robustness.FILE, "json"),
    _page(AttackCurves.FILE, "json"),
    _page(SearchResult.FILE, "json"),
    Kind("federated.json, for its page", "json", _make_federated, _use_federated),
    Kind("comparison.json, for its page", "json", _make_comparison, _use_comparison, dear=True),
    Kind("audit.json, for its page", "json", _make_audit, _use_audit, dear=True),
]
"""Every file that Potstill writes and reads again, by what reads it."""
