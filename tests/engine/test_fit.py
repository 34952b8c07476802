"""Trainer: the plain loop's result, from parts of batches and on any number of workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from potstill.augmentation import condensation_augmentation, siamese_augmentation
from potstill.data import Examples
from potstill.engine import layout
from potstill.engine.fit import _Optimiser, fit, telling_of_steps
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.networks import ImageShape, Network, build_network
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from potstill.schema.recipe import Decay
from tests.small import CPU64, NETWORK
from tests.twins import fitting

SCHEDULE = Schedule(epochs=3, batch_size=16, learning_rate=0.05, decay="none")
SIAMESE = siamese_augmentation(flips=True)
BATCH_NORM = "convnet:depth=2:width=4:norm=batch"


@dataclass
class Pairs:
    """Images with labels in memory."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        return self.images if indices is None else self.images[indices]


def examples(count: int = 37, classes: int = 3, *, soft: bool = False, seed: int = 0) -> Pairs:
    """Noise with a bright bar, whose height is the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    images = torch.randn(count, 2, 8, 8, generator=generator)
    images[torch.arange(count), :, 1 + 2 * labels] += 2
    if soft:
        labels = torch.randn(count, classes, generator=generator).softmax(1)
    return Pairs(images, labels)


def network(spec: str = NETWORK) -> Network:
    return build_network(spec, ImageShape(2, 8, 8), 3, torch.Generator())


def parameters_of(trained: Network) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trained.parameters()])


def trained(
    given: Examples, schedule: Schedule, *, spec: str = NETWORK, seed: int = 0, compute: Compute = CPU64
) -> tuple[Tensor, list[float]]:
    """Parameters and the loss of each epoch of the fast path."""
    trainer, losses = Trainer(network(spec), compute), []
    trainer.fit(given, schedule, Streams(seed), after_epoch=lambda epoch, loss: losses.append(loss))
    return parameters_of(trainer.network), losses


def check_equals_twin(given: Examples, schedule: Schedule, spec: str = NETWORK) -> None:
    parameters, losses = trained(given, schedule, spec=spec)
    twin = network(spec).double()
    expected = fitting.fit(twin, given, schedule, Streams(0))
    torch.testing.assert_close(parameters, parameters_of(twin), rtol=1e-9, atol=1e-9)
    assert losses == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "schedule",
    [
        SCHEDULE,
        replace(SCHEDULE, epochs=5, decay="cut"),
        replace(SCHEDULE, epochs=5, decay="cosine"),
        replace(SCHEDULE, epochs=7, decay="two-cuts"),
        replace(SCHEDULE, epochs=7, decay="halvings"),
        replace(SCHEDULE, epochs=3, decay="two-cuts"),
        replace(SCHEDULE, epochs=4, decay="halvings"),
        replace(SCHEDULE, optimiser="adamw", learning_rate=0.01),
        replace(SCHEDULE, cutmix=True),
        replace(SCHEDULE, cutmix=True, cutmix_probability=0.5),
        replace(SCHEDULE, ema_decay=0.5),
        replace(SCHEDULE, gsam_rho=0.05),
        replace(SCHEDULE, augmentation=condensation_augmentation(), one_operation=False),
        replace(SCHEDULE, weight_decay=0.1, momentum=0.0),
        replace(SCHEDULE, augmentation=SIAMESE),
        replace(SCHEDULE, augmentation=replace(SIAMESE, sequence=True)),
        replace(SCHEDULE, batch_size=1000),
        replace(SCHEDULE, batch_size=1, epochs=1),
    ],
    ids=[
        "plain",
        "cut",
        "cosine",
        "two cuts",
        "halvings",
        "few epochs, two cuts",
        "few epochs, halvings",
        "adamw",
        "cutmix",
        "cutmix now and then",
        "averaged",
        "flatter",
        "an operation an image",
        "decay",
        "augmented",
        "augmented by all",
        "one batch",
        "batches of one",
    ],
)
def test_equals_the_plain_loop(schedule: Schedule):
    check_equals_twin(examples(), schedule)


@pytest.mark.parametrize("spec", ["mlp:width=16", "lenet", BATCH_NORM])
def test_equals_the_plain_loop_for_every_kind_of_network(spec: str):
    check_equals_twin(examples(), SCHEDULE, spec)


def test_soft_labels_equal_the_plain_loop():
    check_equals_twin(examples(soft=True), SCHEDULE)


def test_soft_labels_of_one_hot_rows_are_hard_labels():
    hard = examples()
    soft = Pairs(hard.images, torch.nn.functional.one_hot(hard.labels, 3).float())
    torch.testing.assert_close(trained(soft, SCHEDULE)[0], trained(hard, SCHEDULE)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("decay", "epochs", "rates"),
    [
        ("two-cuts", 1, [1]),
        ("two-cuts", 2, [1, 1]),
        ("two-cuts", 3, [1, 1, 0.2]),
        ("two-cuts", 5, [1, 1, 1, 1, 0.2]),
        ("two-cuts", 6, [1, 1, 1, 1, 0.2, 0.04]),
        ("two-cuts", 7, [1, 1, 1, 1, 0.2, 0.04, 0.04]),  # published: milestones are rounded down
        ("halvings", 1, [1]),
        ("halvings", 2, [1, 0.25]),
        ("halvings", 4, [1, 0.5, 0.25, 0.125]),
        ("halvings", 5, [1, 0.5, 0.25, 0.125, 0.0625]),
        ("halvings", 7, [1, 0.5, 0.25, 0.25, 0.125, 0.0625, 0.0625]),
    ],
)
def test_no_rate_is_cut_before_a_training_begins(decay: Decay, epochs: int, rates: list[float]):
    schedule = Schedule(epochs=epochs, decay=decay, learning_rate=1.0)
    assert [schedule.rate(epoch) for epoch in range(epochs)] == pytest.approx(rates)


@pytest.mark.parametrize(("decay", "of", "parts"), [("two-cuts", 6, (4, 5)), ("halvings", 5, (1, 2, 3, 4))])
def test_milestones_are_those_of_the_published_programs(decay: Decay, of: int, parts: tuple[int, ...]):
    """PyTorch's ``MultiStepLR`` with milestones that are rounded down."""
    factor = {"two-cuts": 0.2, "halvings": 0.5}[decay]
    for epochs in (of, 49, 50, 1000, 2000):
        schedule = Schedule(epochs=epochs, decay=decay)
        for epoch in range(epochs):
            assert schedule.rate(epoch) == 0.01 * factor ** sum(epoch >= part * epochs // of for part in parts)


def test_the_cut_begins_with_a_new_optimiser(monkeypatch: pytest.MonkeyPatch):
    made: list[float] = []

    def noted(weights: list[Tensor], schedule: Schedule) -> _Optimiser:
        made.append(schedule.momentum)
        return _Optimiser(weights, schedule)

    monkeypatch.setattr("potstill.engine.fit._Optimiser", noted)
    for decay, count in (("none", 1), ("cut", 2), ("cosine", 1)):
        made.clear()
        trained(examples(), replace(SCHEDULE, epochs=4, decay=decay))
        assert made == [0.9] * count


def test_rates():
    assert [replace(SCHEDULE, epochs=4, decay="cut").rate(epoch) for epoch in range(4)] == pytest.approx(
        [0.05, 0.05, 0.05, 0.005]
    )
    assert [replace(SCHEDULE, epochs=4, decay="cosine").rate(epoch) for epoch in (0, 2)] == pytest.approx([0.05, 0.025])
    assert replace(SCHEDULE, epochs=4).rate(3) == 0.05


def test_after_epoch_hears_the_epochs_done_and_their_losses():
    heard: list[tuple[int, float]] = []
    Trainer(network(), CPU).fit(
        examples(), replace(SCHEDULE, epochs=8), Streams(0), after_epoch=lambda *told: heard.append(told)
    )
    assert [epoch for epoch, _ in heard] == list(range(1, 9))
    assert heard[-1][1] < 0.5 * heard[0][1]


@pytest.fixture
def take_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many 8x8 images go forwards at a time; half as many are trained on at a time."""
    return lambda count: monkeypatch.setattr(layout, "CPU_CHUNK_PIXELS", count * 8 * 8)


@pytest.mark.parametrize("spec", [NETWORK, BATCH_NORM])
def test_parts_of_a_batch_add_up_to_the_batch(spec: str, take_at_a_time: Callable[[int], None]):
    expected = trained(examples(), SCHEDULE, spec=spec)[0]
    for size in (1, 6, 10, 1000):
        take_at_a_time(size)
        torch.testing.assert_close(trained(examples(), SCHEDULE, spec=spec)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spec", [NETWORK, BATCH_NORM])
def test_one_worker_or_more_give_the_same_bits(spec: str, take_at_a_time: Callable[[int], None]):
    take_at_a_time(6)
    schedule, results = replace(SCHEDULE, augmentation=SIAMESE), []
    for workers in (None, 1, 2, 3):
        with cpu_workers(CPU.device, workers):
            results.append(trained(examples(), schedule, spec=spec, compute=CPU)[0])
    assert all(result.equal(results[0]) for result in results)


def test_only_some_examples_may_take_part_in_an_epoch():
    given, some = examples(), torch.tensor([3, 8, 9, 30, 31])
    alone = Pairs(given.images[some], given.labels[some])
    results = []
    for of, options in ((given, {"taking_part": lambda epoch: some}), (alone, {})):
        trainer, losses = Trainer(network(), CPU64), []
        fit(trainer, of, SCHEDULE, [Streams(0)], after_epoch=lambda _, told, kept=losses: kept.append(told), **options)
        results.append((parameters_of(trainer.network), losses))
    assert results[0][0].equal(results[1][0])
    assert results[0][1] == results[1][1]


@pytest.mark.slow
@pytest.mark.usefixtures("traced_only")
def test_a_last_batch_whose_size_changes_is_not_compiled_for():
    given, counts = examples(64), (48, 40, 37, 35, 33)
    trainer = Trainer(network(), Compute(torch.device("cpu"), "float32", True))
    torch._dynamo.utils.counters.clear()
    losses: list[list[float]] = []
    schedule = replace(SCHEDULE, epochs=len(counts))
    fit(
        trainer,
        given,
        schedule,
        [Streams(0)],
        after_epoch=lambda _, told: losses.append(told),
        taking_part=lambda epoch: torch.arange(counts[epoch]),
    )
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1, "batches of 16 alone"
    plain = Trainer(network(), CPU)
    fit(plain, given, schedule, [Streams(0)], taking_part=lambda epoch: torch.arange(counts[epoch]))
    torch.testing.assert_close(parameters_of(trainer.network), parameters_of(plain.network), rtol=1e-4, atol=1e-5)


def test_a_trainer_can_be_used_again_from_the_beginning():
    trainer, results = Trainer(network(BATCH_NORM), CPU), []
    for seed in (0, 1, 0):
        trainer.fit(examples(), SCHEDULE, Streams(seed))
        results.append((parameters_of(trainer.network), *(b.clone() for b in trainer.network.buffers())))
    assert all(one.equal(other) for one, other in zip(results[0], results[2], strict=True))
    assert not results[0][0].equal(results[1][0])


def test_global_randomness_plays_no_part():
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(trained(examples(), replace(SCHEDULE, augmentation=SIAMESE), compute=CPU)[0])
    assert results[0].equal(results[1])


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("spec", [NETWORK, BATCH_NORM])
def test_predicts_the_most_probable_class_of_each_image(count: int, spec: str, take_at_a_time: Callable[[int], None]):
    take_at_a_time(16)
    trainer = Trainer(network(spec), CPU)
    trainer.fit(examples(), SCHEDULE, Streams(0))
    given = examples(count)
    expected = trainer.network.eval()(given.images).argmax(1)
    predicted = trainer.predict(given)
    assert predicted.dtype == torch.int64
    assert predicted.equal(expected)


def test_learns_what_can_be_learned():
    trainer = Trainer(network(), CPU)
    trainer.fit(examples(), replace(SCHEDULE, epochs=10), Streams(0))
    unseen = examples(200, seed=1)
    assert (trainer.predict(unseen) == unseen.labels).double().mean() > 0.9


def test_steps_within_an_epoch_are_told_of_and_its_end_by_the_epoch():
    told: list[float] = []
    with telling_of_steps(told.append):
        trained(examples(37), SCHEDULE)
    assert told == pytest.approx([epoch + part / 3 for epoch in range(3) for part in (1, 2)])
    trained(examples(37), SCHEDULE)
    assert len(told) == 6
