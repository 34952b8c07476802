"""Records of every kind, as hypothesis draws them."""

from __future__ import annotations

import math
from base64 import b64encode
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from potstill.schema import Record, poisoning, subset
from potstill.schema.applications import LearnedDataset
from potstill.schema.attacks import AttackCurves, AttackedNetworks, Probe
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
from potstill.schema.comparison import ComparedDataset, ComparedSet, Comparison, Difference, Reached, TrainedNetwork
from potstill.schema.continual import (
    ClassProtocol,
    Continual,
    Course,
    DomainProtocol,
    Learner,
    Memory,
    MemoryGain,
)
from potstill.schema.evaluation import Evaluation, NetworkResult, Repeats
from potstill.schema.exchange import CurvePoint, Exchange, NetworkExchange
from potstill.schema.experts import Expert, ExpertsManifest
from potstill.schema.federated import (
    Averaging,
    Client,
    Federated,
    FederatedProtocol,
    Partition,
    SetGain,
    Standing,
    Way,
)
from potstill.schema.federated import Learner as FederatedLearner
from potstill.schema.inspection import Contradictory, Inspection, Place, Repeated, SplitPixels
from potstill.schema.manifest import ComputeRecord, DatasetRecord, Iterations, Manifest, MethodRecord
from potstill.schema.poisoning import (
    BackdoorProtocol,
    Poisoning,
    StepProtocol,
    Victims,
)
from potstill.schema.privacy import Privacy
from potstill.schema.published import Published, PublishedIterations, PublishedSearch
from potstill.schema.recipe import Recipe
from potstill.schema.reproduction import FullDataRecord, Outcome, ReproductionRecord, Searched
from potstill.schema.robustness import KINDS, Robustness
from potstill.schema.search import DISTILLED, Candidate, Proxy, SearchResult
from potstill.schema.subset import Budget, Neighbour, Subset, Worth
from potstill.schema.vector_map import VectorMap

text = st.text(max_size=12)
counts = st.integers(0, 10**12)
positive = st.integers(1, 10**6)
amounts = st.floats(0, 1e9)
fractions = st.floats(0, 1)
numbers = st.floats(-1e9, 1e9)
accuracies = st.lists(st.integers(0, 1000).map(lambda right: right / 1000), min_size=1, max_size=4)
machine = st.dictionaries(text, text | counts, max_size=3)


def by_name(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(text, values, max_size=3)


recipes = st.builds(
    Recipe,
    name=text,
    version=counts,
    summary=text,
    epochs=positive,
    full_epochs=positive,
    batch_size=positive,
    learning_rate=amounts,
    momentum=amounts,
    weight_decay=amounts,
    ema_decay=fractions,
    learning_rate_grid=st.lists(amounts, max_size=3).map(tuple),
)
repeats = st.builds(Repeats, accuracies=accuracies) | st.builds(Repeats, failed=text)


@st.composite
def measured(draw: st.DrawFn) -> NetworkResult:
    points, classes = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    return NetworkResult(
        accuracies=draw(accuracies),
        failed=draw(st.none() | text),
        seconds=draw(amounts),
        curve_epochs=draw(st.lists(counts, min_size=points, max_size=points)),
        curve_loss=draw(st.lists(numbers, min_size=points, max_size=points)),
        curve_accuracy=draw(st.lists(fractions, min_size=points, max_size=points) | st.just([])),
        confusion=draw(
            st.lists(st.lists(counts, min_size=classes, max_size=classes), min_size=classes, max_size=classes)
        ),
        epochs=draw(counts),
        made_on=draw(st.lists(text, max_size=2)),
        learning_rate=draw(st.none() | amounts),
    )


results = measured() | st.builds(NetworkResult, failed=text)
trained = st.builds(TrainedNetwork, accuracies=accuracies, seconds=amounts, epochs=counts) | st.builds(
    TrainedNetwork, failed=text
)


@st.composite
def robustness(draw: st.DrawFn) -> Robustness:
    kinds = (*KINDS, *draw(st.sampled_from([(), ("synthetic hard",)])))
    return Robustness(
        set_sha256=draw(text),
        dataset_fingerprint=draw(text),
        seed=draw(st.integers()),
        made_on=draw(text),
        track=draw(st.sampled_from(["hard", "soft"])),
        recipe=draw(text),
        network=draw(text),
        full_epochs=draw(counts),
        full=draw(fractions),
        accuracies={kind: draw(accuracies) for kind in kinds},
        rates={kind: draw(amounts) for kind in kinds},
    )


@st.composite
def curves(draw: st.DrawFn, most: int = 5) -> list[CurvePoint]:
    """Points at different numbers of images, whose accuracies rise or not."""
    places = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=most, unique=True))
    return [
        CurvePoint(
            images_per_class=place,
            accuracies=draw(accuracies),
            seconds=draw(amounts),
            learning_rate=draw(st.none() | amounts),
        )
        for place in sorted(places)
    ]


exchanges = st.builds(
    NetworkExchange,
    accuracies=accuracies,
    points=curves(most=2) | st.just([]),
    made_on=st.lists(text, max_size=2),
    failed=st.none() | text,
)


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    members = draw(st.floats(1, 1e6))
    return Rate(fpr=draw(fractions), found=members * draw(fractions), members=members)


@st.composite
def neighbours(draw: st.DrawFn) -> Neighbours:
    """Distances and similarities in equal number, and pictures of the right size."""
    ours, theirs, shape = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.tuples(*[st.integers(1, 3)] * 3))
    pictures = st.binary(min_size=math.prod(shape), max_size=math.prod(shape)).map(lambda raw: b64encode(raw).decode())
    return Neighbours(
        train=draw(positive),
        shape=shape,
        distances=draw(st.lists(amounts, min_size=ours, max_size=ours)),
        similarities=draw(st.lists(numbers, min_size=ours, max_size=ours)),
        held_out=draw(st.lists(amounts, min_size=theirs, max_size=theirs)),
        held_out_similarities=draw(st.lists(numbers, min_size=theirs, max_size=theirs)),
        pairs=draw(
            st.lists(
                st.builds(
                    NearestPair,
                    place=counts,
                    real=counts,
                    distance=amounts,
                    similarity=numbers,
                    image=pictures,
                    neighbour=pictures,
                ),
                max_size=2,
            )
        ),
        start=draw(st.none() | st.builds(FromStart, copied=fractions, kept=fractions, moved=amounts)),
    )


attack_names = st.sampled_from(["threshold", "rmia", "lira-offline", "lira-online"])
attack_results = st.builds(
    AttackResult,
    attack=attack_names,
    aucs=st.lists(fractions, min_size=1, max_size=3),
    auc_error=amounts,
    balanced_accuracy=fractions,
    rates=st.lists(rates(), max_size=2),
    begun=st.lists(rates(), max_size=1),
    epsilon=amounts,
    epsilon_level=fractions,
    roc=st.lists(st.tuples(fractions, fractions), min_size=2, max_size=3),
)
guarantees = st.builds(
    Privacy,
    epsilon=st.floats(0.01, 9),
    delta=fractions,
    sampling_rate=fractions,
    clip=st.floats(0.01, 9),
    noise_multiplier=amounts,
    queries=positive,
    accountant=text,
)
audits = st.builds(
    Audit,
    kind=st.sampled_from(["run", "selection", "method", "set"]),
    protocol=st.builds(
        AuditProtocol,
        pool=positive,
        shadows=positive,
        images_per_class=st.none() | positive,
        iterations=st.none() | counts,
        delta=fractions,
    ),
    dataset=st.builds(AuditedDataset, pool=positive, population=positive),
    settings=by_name(text | counts),
    images=positive,
    recipe=st.none() | recipes,
    attacked=st.lists(
        st.builds(
            Attacked,
            arm=st.sampled_from(["set", "random"]),
            accuracies=accuracies | st.just([]),
            attacks=st.lists(attack_results, max_size=2),
            failed=st.none() | text,
        ),
        max_size=2,
    ),
    promised=st.none() | guarantees,
    differences=st.lists(st.builds(AreaDifference, attack=attack_names, mean=numbers, error=amounts), max_size=2),
    neighbours=st.none() | neighbours(),
    seconds=amounts,
    made_on=st.lists(text, max_size=2),
)

place = st.builds(Place, split=text, index=counts, label=counts)
pairs = st.lists(st.tuples(place, place), max_size=2).map(tuple)
data_records = st.builds(
    DatasetRecord,
    shape=st.tuples(positive, positive, positive),
    classes=counts,
    train=counts,
    validation=counts,
    test=counts,
)
few_counts = st.lists(counts, max_size=2)
courses = st.builds(
    Course,
    matrix=st.tuples(fractions, fractions, fractions).map(lambda row: [[row[0]], [*row[1:]]]),
    images=st.lists(positive, min_size=2, max_size=2),
    seconds=amounts,
)

candidates = st.builds(Candidate, accuracies=accuracies, seconds=amounts, parameters=counts, skipped=st.booleans())
candidates |= st.builds(Candidate, skipped=st.booleans())
proxies = st.builds(Proxy, images=counts, bytes=counts, choosing_seconds=amounts, candidates=by_name(candidates))

probes = [
    Probe(kind="clean"),
    Probe(kind="pgd", strength=0.1, steps=5),
    Probe(kind="blur", strength=3.0),
    Probe(kind="pgd", strength=1.0, steps=9),
]
attacked = st.builds(
    AttackedNetworks,
    trained_on=st.sampled_from(["the set", "random images", "equal accuracy"]),
    images_per_class=positive,
    accuracies=st.lists(st.lists(fractions, min_size=4, max_size=4), max_size=2),
    seconds=amounts,
    failed=st.none() | text,
)


def federated_learners() -> st.SearchStrategy[FederatedLearner]:
    """Learners whose lists have an item for each repeat."""
    several = st.integers(1, 3).flatmap(
        lambda repeats: st.builds(
            FederatedLearner,
            accuracies=st.lists(fractions, min_size=repeats, max_size=repeats),
            rounds=st.just([]) | st.just([[0.25, 0.5]] * repeats),
            bytes_up=st.just([]) | st.lists(counts, min_size=repeats, max_size=repeats),
            bytes_down=st.just([]) | st.lists(counts, min_size=repeats, max_size=repeats),
            seconds=st.lists(amounts, max_size=3),
        )
    )
    return several | st.builds(FederatedLearner, failed=text)


clients = st.builds(Client, class_sizes=few_counts, images_per_class=positive, pictures=positive)
standings = st.builds(
    Standing,
    of_central=st.none() | amounts,
    of_central_ci95=st.none() | st.tuples(numbers, numbers),
    gain=st.none()
    | st.builds(
        SetGain,
        mean=numbers,
        ci95=st.tuples(numbers, numbers),
        p=fractions,
        p_corrected=fractions,
        repeats=counts,
    ),
    fedavg_rounds=st.none() | positive,
    fedavg_bytes=st.none() | amounts,
)

published = st.builds(Published, mean=numbers, std=st.none() | amounts, time=st.text(max_size=9))
outcomes = st.builds(
    poisoning.VictimOutcome,
    accuracy=fractions,
    success=fractions,
    recognised=fractions,
    unpatched=st.none() | fractions,
)

left_out = st.builds(Neighbour, dropped=counts, chosen=counts, label=counts, distance=amounts)

placed = st.lists(st.tuples(amounts, amounts, counts), max_size=3).map(tuple)

RECORDS: dict[str, st.SearchStrategy[Record]] = {
    "map": st.builds(VectorMap, share=fractions, real=placed, synthetic=placed),
    "poisoning": st.builds(
        Poisoning,
        protocol=st.builds(BackdoorProtocol, share=fractions, side=positive, repeats=positive)
        | st.builds(StepProtocol, experts=positive, epochs=positive, iterations=st.none() | counts),
        dataset=st.builds(LearnedDataset, train=counts, test=counts),
        recipe=recipes,
        networks=st.lists(text, min_size=1, max_size=2),
        victims=st.lists(
            st.builds(
                Victims,
                kind=st.sampled_from(["selection", "method", "set"]),
                case=st.sampled_from(["poisoned", "clean", "before", "after"]),
                images=counts,
                bytes=counts,
                outcomes=st.lists(outcomes, max_size=3),
                making_seconds=amounts,
                seconds=amounts,
                failed=st.none() | text,
            ),
            max_size=3,
        ),
        made_on=st.lists(text, max_size=2),
    ),
    "attacks": st.builds(
        AttackCurves,
        recipe=recipes,
        images=positive,
        chance=fractions,
        probes=st.just(probes),
        networks=by_name(st.lists(attacked, max_size=3)),
        made_on=st.lists(text, max_size=2),
    ),
    "selection": st.builds(
        Subset,
        total=positive,
        budget=st.builds(Budget, count=positive),
        class_names=st.lists(text, max_size=3).map(tuple),
        class_sizes=st.lists(counts, max_size=3).map(tuple),
        counts=st.lists(counts, max_size=3).map(tuple),
        nearest=st.lists(left_out, max_size=2),
        farthest=st.lists(left_out, max_size=2),
        hardest=st.lists(counts, max_size=2),
        worth=st.none()
        | st.builds(
            Worth,
            recipe=recipes,
            networks=by_name(st.builds(subset.ChosenAndRandom, chosen=results, random=results)),
        ),
        made_on=st.lists(text, max_size=2),
    ),
    "recipe": recipes,
    "network result": results,
    "evaluation": st.builds(
        Evaluation,
        recipe=recipes,
        full_epochs=counts,
        initial=st.builds(lambda source, seed: {"source": source, "seed": seed}, text, counts),
        networks=by_name(results),
        baselines=st.dictionaries(text, st.dictionaries(text, results, min_size=1, max_size=2), max_size=2),
    ),
    "exchange": st.builds(
        Exchange,
        recipe=recipes,
        initial=st.builds(lambda source, seed: {"source": source, "seed": seed}, text, counts),
        classes=positive,
        image_bytes=positive,
        set_bytes=positive,
        networks=by_name(exchanges),
    ),
    "robustness": robustness(),
    "search": st.builds(
        SearchResult,
        recipe=recipes,
        space=text | st.dictionaries(text, text),
        candidates=by_name(candidates),
        full=by_name(results),
        full_images=st.none() | positive,
        set_images=counts,
        set_bytes=counts,
        proxies=st.dictionaries(text.filter(lambda name: name != DISTILLED), proxies, max_size=2),
    ).map(lambda found: replace(found, sample=sorted(set(found.candidates) & set(found.full)))),
    "comparison": st.builds(
        Comparison,
        dataset=st.builds(ComparedDataset, train=counts, test=counts, bytes=counts),
        recipe=recipes,
        seed=st.none() | st.integers(),
        initial=st.none() | by_name(text),
        networks=st.lists(text, min_size=1, max_size=2),
        sets=st.lists(
            st.builds(
                ComparedSet,
                ipc=counts,
                images=counts,
                bytes=counts,
                distilled_seconds=amounts,
                peak_memory_bytes=counts,
                networks=by_name(trained),
            ),
            max_size=2,
        ),
        full=by_name(trained),
        significance=fractions,
        differences=st.lists(
            st.builds(
                Difference,
                mean=numbers,
                ci95=st.tuples(numbers, numbers),
                p=fractions,
                p_corrected=fractions,
                repeats=counts,
            ),
            max_size=2,
        ),
        reached=by_name(st.builds(Reached, accuracy=fractions, seconds=by_name(amounts)) | st.just(Reached())),
    ),
    "audit": audits,
    "continual": st.builds(
        Continual,
        protocol=st.builds(
            DomainProtocol,
            images_per_class=positive,
            repeats=positive,
            knowledge_distillation=st.sampled_from(["both", "with", "without"]),
            temperature=amounts,
            epochs=st.none() | positive,
            iterations=st.none() | counts,
        )
        | st.builds(
            ClassProtocol,
            steps=positive,
            memory=positive,
            sharing=st.sampled_from(["shrinking", "fixed"]),
            orders=positive,
            iterations=st.none() | counts,
        ),
        datasets=st.lists(st.builds(LearnedDataset, train=counts, test=counts), max_size=2),
        orders=st.lists(st.lists(st.lists(text, max_size=2), max_size=2), max_size=2),
        recipe=recipes,
        memories=st.lists(
            st.builds(Memory, kind=st.sampled_from(["selection", "method", "set"]), images=few_counts, seconds=amounts),
            max_size=2,
        ),
        learners=st.lists(
            st.builds(Learner, courses=st.lists(courses, max_size=3), failed=st.none() | text), max_size=2
        ),
        gains=st.lists(
            st.builds(
                MemoryGain,
                mean=numbers,
                ci95=st.tuples(numbers, numbers),
                p=fractions,
                p_corrected=fractions,
                courses=counts,
            ),
            max_size=2,
        ),
        made_on=st.lists(text, max_size=2),
    ),
    "federated": st.builds(
        Federated,
        protocol=st.builds(
            FederatedProtocol,
            partition=st.builds(
                Partition,
                clients=positive,
                kind=st.sampled_from(["dirichlet", "classes", "shards", "iid"]),
                alpha=amounts,
                per_client=positive,
            ),
            images_per_class=st.lists(positive, min_size=1, max_size=2).map(tuple),
            formation=positive,
            repeats=positive,
            central_epochs=st.none() | positive,
            iterations=st.none() | counts,
            refine=counts,
            radius=amounts,
        ),
        averaging=st.builds(
            Averaging,
            rounds=counts,
            fraction=fractions,
            local_epochs=positive,
            local_batch=positive,
            local_rate=amounts,
            one_shot_epochs=positive,
        ),
        dataset=st.builds(LearnedDataset, train=counts, test=counts),
        class_names=st.lists(text, max_size=2),
        recipe=recipes,
        networks=st.lists(text, min_size=1, max_size=2),
        clients=st.lists(st.lists(clients, max_size=2), min_size=1, max_size=2),
        ways=st.lists(
            st.builds(
                Way,
                kind=st.sampled_from(["sets", "refined", "averaging", "central"]),
                images=few_counts,
                bytes=few_counts,
                bytes_in_8_bits=few_counts,
                seconds=amounts,
            ),
            min_size=1,
            max_size=2,
        ),
        learners=st.lists(federated_learners(), max_size=2),
        standings=st.lists(standings, max_size=2),
        made_on=st.lists(text, max_size=2),
    ),
    "manifest": st.builds(
        Manifest,
        method=st.builds(MethodRecord),
        dataset=data_records,
        iterations=st.builds(Iterations, done=counts, asked=counts),
        chosen_iteration=st.none() | counts,
        seconds=amounts,
        peak_memory_bytes=counts,
        set_bytes=counts,
        machine=machine,
        compute=st.builds(ComputeRecord),
    ),
    "inspection": st.builds(
        Inspection,
        dataset=data_records,
        mean=st.lists(numbers, max_size=2).map(tuple),
        std=st.lists(amounts, max_size=2).map(tuple),
        pixels=st.lists(
            st.builds(
                SplitPixels,
                lowest=counts,
                highest=counts,
                empty=counts,
                examples=st.lists(place, max_size=2).map(tuple),
            ),
            max_size=2,
        ).map(tuple),
        repeated=st.lists(st.builds(Repeated, images=positive, of=positive, examples=pairs), max_size=2).map(tuple),
        contradictory=st.none() | st.builds(Contradictory, images=positive, examples=pairs),
    ),
    "experts": st.builds(
        ExpertsManifest,
        plan=by_name(text | counts),
        shape=st.tuples(positive, positive, positive),
        classes=counts,
        machine=machine,
        compute=by_name(text),
        experts=st.lists(
            st.builds(
                Expert,
                number=counts,
                losses=st.lists(numbers, max_size=2),
                seconds=amounts,
                validation_accuracy=st.none() | fractions,
            ),
            max_size=2,
        ),
    ),
    "reproduction": st.builds(
        ReproductionRecord,
        outcomes=st.lists(
            st.builds(
                Outcome,
                published=st.none() | published,
                measured=repeats,
                iterations=st.none() | st.builds(PublishedIterations, done=counts, published=counts),
                seconds=st.none() | amounts,
                training_seconds=st.none() | amounts,
            ),
            max_size=2,
        ),
        searches=st.lists(
            st.builds(
                Searched,
                published=st.builds(PublishedSearch, accuracy=numbers, full=published),
                candidates=counts,
                repeats=st.integers(1, 9),
                on_set=repeats,
                full=repeats,
                seconds=amounts,
                full_seconds=st.none() | amounts,
            ),
            max_size=2,
        ),
    ),
    "full data": st.builds(FullDataRecord, recipe=recipes, result=results),
}
"""By kind; what a strategy does not name is drawn by its annotation."""
