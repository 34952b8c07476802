"""MTT, TESLA, DATM and PAD: losses, gradients, experts that fit and those that do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.engine.unrolling import Keep
from potstill.experts.manifest import expert_file
from potstill.methods import DATM, MTT, PAD, TESLA, Problem, State
from potstill.methods.trajectory import TrajectoryMatching, nearest, student_batches, trajectory_distance
from potstill.methods.trajectory.aligned import initial_logits, right_ones
from potstill.methods.trajectory.datm import DATM_PRESETS
from potstill.methods.trajectory.mtt import MTT_PRESETS
from potstill.methods.trajectory.pad import PAD_RATIOS, by_depth, by_difference
from potstill.networks.weights import WeightsFile, write_weights
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.experts import ExpertsManifest
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, problem, small_experts
from tests.twins import trajectories as twin

SMALL: dict[str, Any] = {
    "student_steps": 4,
    "expert_epochs": 2,
    "latest_start": 2,
    "student_batch": 7,
    "learning_rate": 10.0,
    "rate_learning_rate": 1e-4,
    "initial_rate": 0.05,
}


@pytest.fixture(scope="module")
def experts() -> str:
    return small_experts()


def drawn(
    given: Problem, method: TrajectoryMatching[Any], state: State, labels: Tensor, iteration: int = 0
) -> dict[str, Any]:
    """What an iteration of the method draws, from its own streams: start, target, batches, and the leaves of them."""
    streams = given.streams.child("iteration", iteration)
    generator = streams.generator("start")
    number = int(torch.randint(2, (), generator=generator))
    settings = method.settled(given.images_per_class)
    latest = settings.starts_at(iteration).stop if isinstance(method, DATM | PAD) else settings.latest_start
    epoch = int(torch.randint(0, latest, (), generator=generator))
    file = WeightsFile(expert_file(Path(method.experts), number))
    network = given.build_network(torch.Generator()).double()
    names = [name for name, _ in network.named_parameters()]
    start, target = ([file.read(at)[name].double() for name in names] for at in (epoch, epoch + 2))
    images, rate = state["images"].detach().requires_grad_(), state["rate"].detach().requires_grad_()
    soft = labels.detach().requires_grad_() if labels.is_floating_point() else labels
    augmentation = siamese_augmentation(flips=given.flips)
    batches = []
    order = torch.cat([torch.randperm(len(images), generator=streams.generator("order", k * 3)) for k in range(3)])
    chosen = student_batches(len(images), settings.batch_of(len(images)), 4, streams)
    assert torch.cat(chosen)[: len(images)].equal(order[: len(images)]), "an order of all of them first"
    for step, indices in enumerate(chosen):
        some = images[indices]
        if method.augment:
            draw = augmentation.draw(streams.generator("augmentation", step), len(some), one_operation=True)
            some = augmentation.apply(some, draw)
        batches.append((some, soft[indices]))
    leaves = [images, rate, *([soft] if labels.is_floating_point() else [])]
    return {"network": network, "start": start, "target": target, "batches": batches, "rate": rate, "leaves": leaves}


def near(ours: Tensor, theirs: Tensor) -> None:
    assert ours.dtype == theirs.dtype == torch.float64
    assert (ours - theirs).abs().max() <= 1e-9 * theirs.abs().max()


def test_several_students_move_the_pixels_by_their_mean(experts: str):
    given, method = problem(ipc=2, precision="float64"), MTT(experts=experts, segments=3, **SMALL)
    state, settings = method.prepare(given), method.settled(2)
    streams = given.streams.child("iteration", 0)
    each = [method.match(given, settings, state, streams.child("segment", k), range(2)) for k in range(3)]
    assert len({match.loss for match in each}) == 3
    after, loss = method.step(given, state, 0)
    assert loss == pytest.approx(sum(match.loss for match in each) / 3, rel=1e-12)
    near(after["images.momentum"], torch.stack([match.gradients["images"] for match in each]).mean(0))
    near(after["rate.momentum"], torch.stack([match.rate for match in each]).mean(0))


@pytest.mark.parametrize("keep", get_args(Keep))
@pytest.mark.parametrize("augment", [True, False])
def test_mtt_equals_its_twin(augment: bool, keep: Keep, experts: str):
    given = problem(ipc=2, precision="float64")
    method = MTT(experts=experts, augment=augment, keep=keep, **SMALL)
    state = method.prepare(given)
    loss, (of_images, of_rate) = twin.mtt(**drawn(given, method, state, given.start.labels))
    after, ours = method.step(given, state, 0)
    assert ours == pytest.approx(loss, rel=1e-9)
    near(after["images.momentum"], of_images)
    near(after["rate.momentum"], of_rate)
    near(after["images"], state["images"] - 10.0 * of_images)
    near(after["rate"], state["rate"] - 1e-4 * of_rate)


def test_tesla_equals_its_twin_and_not_the_gradient_of_the_loss(experts: str):
    """The bias, as a number: of four steps a sixth of the exact gradient's length at a rate of 0.05, 84 % at 0.5."""
    given, apart = problem(ipc=2, precision="float64"), {}
    for rate in (0.05, 0.5):
        method = TESLA(experts=experts, **SMALL | {"initial_rate": rate, "student_steps": 4})
        state = method.prepare(given)
        loss, (of_images, of_rate) = twin.tesla(**drawn(given, method, state, given.start.labels))
        after, ours = method.step(given, state, 0)
        assert ours == pytest.approx(loss, rel=1e-9)
        near(after["images.momentum"], of_images)
        near(after["rate.momentum"], of_rate)
        exact, _ = MTT(**vars(method)).step(given, state, 0)
        difference = after["images.momentum"] - exact["images.momentum"]
        apart[rate] = (difference.norm() / exact["images.momentum"].norm()).item()
    assert apart[0.05] == pytest.approx(BIAS[0.05], rel=0.05)
    assert apart[0.5] == pytest.approx(BIAS[0.5], rel=0.05)


BIAS = {0.05: 0.166, 0.5: 0.838}


@pytest.mark.parametrize("method", [DATM, PAD])
def test_aligned_matching_equals_its_twin(method: type[DATM | PAD], experts: str):
    given = problem(ipc=2, precision="float64")
    options = {"earliest_start": 0, "first_latest_start": 1, "growth": 2, "label_learning_rate": 0.5}
    if method is PAD:
        options["ratio"] = 0.3
    made = method(experts=experts, loss_threshold=0.0, **SMALL | options)
    state = made.prepare(given)
    labels = state["labels"].softmax(1)
    values = drawn(given, made, state, labels)
    count = sum(tensor.numel() for tensor in values["start"])
    first = int(0.3 * count) if method is PAD else 0
    loss, (of_images, of_rate, of_labels) = twin.mtt(**values, first=first)
    after, ours = made.step(given, state, 0)
    assert ours == pytest.approx(loss, rel=1e-9)
    near(after["images.momentum"], of_images)
    near(after["rate.momentum"], of_rate)
    logits = state["labels"].detach().requires_grad_()
    (of_logits,) = torch.autograd.grad(logits.softmax(1), logits, of_labels)
    near(after["labels.momentum"], of_logits)
    near(after["labels"], state["labels"] - 0.5 * of_logits)
    assert made.result(given, after).has_soft_labels


@pytest.mark.parametrize("kind", [MTT, DATM])
def test_pixels_rate_and_labels_gather_momentum_as_pytorchs_sgd_does(kind: type[MTT | DATM], experts: str):
    """Four steps of the twin: 0.5 for pixels and rate as in MTT's program, 0.9 for labels as in DATM's."""
    given = problem(ipc=2, precision="float64")
    aligned = {"earliest_start": 0, "first_latest_start": 1, "growth": 2, "label_learning_rate": 0.5}
    made = kind(experts=experts, **SMALL | ({} if kind is MTT else {**aligned, "loss_threshold": 0.0}))
    state = made.prepare(given)
    moved = {name: state[name].clone() for name in ("images", "rate", "labels") if name in state}
    groups = [{"params": [moved["images"]], "lr": 10.0}, {"params": [moved["rate"]], "lr": 1e-4}]
    if "labels" in moved:
        groups.append({"params": [moved["labels"]], "lr": 0.5, "momentum": 0.9})
    sgd = torch.optim.SGD(groups, lr=0.0, momentum=0.5)
    for iteration in range(4):
        labels = moved["labels"].softmax(1) if "labels" in moved else given.start.labels
        _, gradients = twin.mtt(**drawn(given, made, moved, labels, iteration))
        if "labels" in moved:
            logits = moved["labels"].detach().requires_grad_()
            gradients = (*gradients[:2], *torch.autograd.grad(logits.softmax(1), logits, gradients[2]))
        for tensor, gradient in zip(moved.values(), gradients, strict=True):
            tensor.grad = gradient
        sgd.step()
        state, _ = made.step(given, state, iteration)
        for name, tensor in moved.items():
            near(state[name], tensor.detach())


def test_no_step_above_the_threshold(experts: str):
    given = problem(ipc=1)
    made = replace(DATM(experts=experts, **SMALL), loss_threshold=1e-6, label_learning_rate=1.0).resolved(1)
    state = made.prepare(given)
    after, loss = made.step(given, state, 0)
    assert loss > 1e-6
    assert after is state


def test_the_range_of_starts_grows_on_a_straight_line():
    made = DATM(earliest_start=2, first_latest_start=4, latest_start=10, growth=3).settled(10)
    assert [made.starts_at(iteration).stop for iteration in (0, 1, 2, 3, 99)] == [4, 6, 8, 10, 10]
    assert made.starts_at(0).start == 2
    assert replace(made, earliest_start=6).starts_at(0) == range(6, 7), "never empty"
    assert [replace(made, growth=0).starts_at(iteration).stop for iteration in (0, 1)] == [4, 10]


def test_a_presets_range_gives_way_to_a_smaller_one_that_is_asked_for():
    made = DATM(latest_start=3).resolved(10)
    assert (made.first_latest_start, made.latest_start) == (3, 3)
    assert DATM(latest_start=3, first_latest_start=5).resolved(10).first_latest_start == 5
    assert DATM(latest_start=3, first_latest_start=5, expert_epochs=1).settled(10).last_epoch == 5


def test_pad_has_settings_of_its_own_where_its_paper_has():
    for method in (PAD(), DATM()):
        assert method.resolved(10, "cifar10").student_steps == DATM_PRESETS["cifar10"][10].student_steps
    assert (PAD().resolved(50, "cifar10").expert_epochs, DATM().resolved(50, "cifar10").expert_epochs) == (3, 2)
    assert (PAD().resolved(500, "cifar10").latest_start, PAD().resolved(500, "cifar10").growth) == (70, 2000)
    assert (PAD().resolved(1, "cifar100").first_latest_start, PAD().resolved(1, "cifar100").latest_start) == (20, 30)


def test_datm_begins_with_images_that_an_expert_tells_right(experts: str):
    given = problem(ipc=2)
    made = DATM(experts=experts, **SMALL)
    begun = made.start(given)
    assert made.start(given).images.equal(begun.images)
    assert begun.labels.equal(given.start.labels)
    state = made.prepare(replace(given, start=begun))
    assert state["images"].cpu().float().equal(begun.images)


def test_the_rate_is_kept_with_the_set_and_may_not_leave_its_range(experts: str):
    given = problem(ipc=1)
    made = MTT(experts=experts, **SMALL)
    assert made.result(given, made.prepare(given)).step_size == torch.tensor(0.05)
    with pytest.raises(UserError, match=r"learning rate fell to -.*; use a smaller `rate_learning_rate` than 1000"):
        replace(made, rate_learning_rate=1000.0, initial_rate=1.0).step(
            given, replace(made, initial_rate=1.0).prepare(given), 0
        )


def test_the_depth_filter_keeps_exactly_what_the_paper_keeps():
    """A network of 6 + 4 + 10 parameters; the first 30 % of 20 are the whole first tensor."""
    tensors = [torch.zeros(2, 3), torch.zeros(4), torch.zeros(10)]
    counts = by_depth(tensors, tensors, 0.3)
    assert counts.tolist() == [False] * 6 + [True] * 14
    assert by_depth(tensors, tensors, 0.0).all()
    assert by_depth(tensors, tensors, 0.37).tolist() == [False] * 7 + [True] * 13


def test_the_released_filter_leaves_out_what_differs_least():
    end, target = [torch.tensor([1.0, 5.0]), torch.tensor([3.0, 2.0])], [torch.zeros(2), torch.zeros(2)]
    assert by_difference(end, target, 0.5).tolist() == [False, True, True, False]


def test_distance_by_hand():
    end, start, target = [torch.tensor([3.0, 1.0])], [torch.tensor([1.0, 3.0])], [torch.tensor([1.0, 1.0])]
    loss, (gradient,) = trajectory_distance(end, start, target)
    assert loss == 1.0
    assert gradient.tolist() == [1.0, 0.0]
    loss, (gradient,) = trajectory_distance(end, start, target, torch.tensor([False, True]))
    assert loss == 0.0
    assert gradient.tolist() == [0.0, 0.0]


def test_batches_go_through_all_images_before_any_comes_again():
    batches = student_batches(10, 4, 5, Streams(0))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4]
    assert torch.cat(batches[:3]).sort().values.tolist() == list(range(10))
    assert not torch.cat(batches[:2]).equal(torch.cat(batches[3:]))
    assert [len(batch) for batch in student_batches(3, 100, 2, Streams(0))] == [3, 3]


def test_starts_are_images_that_an_expert_tells_right(experts: str):
    given = problem(ipc=3)
    file = WeightsFile(expert_file(Path(experts), 0))
    chosen = right_ones(given, file, 3, Streams(0))
    assert given.real.labels[chosen].tolist() == sorted([*range(10)] * 3)
    network = given.build_network(torch.Generator())
    network.load_state_dict(file.read())
    right = network(given.real.normalised()).argmax(1) == given.real.labels
    for label, members in enumerate(given.real.class_index):
        taken = chosen[given.real.labels[chosen] == label]
        assert right[taken].sum() == min(3, int(right[members].sum()))


def test_labels_are_the_mean_of_the_experts_that_are_right_and_have_a_fallback(experts: str, tmp_path: Path):
    given = problem(ipc=1)
    files = [WeightsFile(expert_file(Path(experts), number)) for number in range(2)]
    chosen = torch.arange(60)

    def begun(indices: torch.Tensor) -> SyntheticSet:
        return replace(given.start, images=given.real.normalised(indices), labels=given.real.labels[indices])

    network, expected = given.build_network(torch.Generator()), []
    labels = given.real.labels[chosen]
    told = []
    for file in files:
        network.load_state_dict(file.read())
        told.append(network(given.real.normalised(chosen)).detach())
    for i in range(60):
        right = [logits[i] for logits in told if logits[i].argmax() == labels[i]]
        fallback = 4.0 * torch.nn.functional.one_hot(labels[i], 10).float()
        expected.append(torch.stack(right).mean(0) if right else fallback)
    torch.testing.assert_close(initial_logits(given, files, begun(chosen)), torch.stack(expected), rtol=1e-4, atol=1e-4)
    write_weights(tmp_path / "blind.safetensors", {0: {n: t * 0 for n, t in files[0].read().items()}}, {})
    blind = initial_logits(given, [WeightsFile(tmp_path / "blind.safetensors")], begun(chosen[labels != 0]))
    assert blind.isfinite().all()
    assert blind.argmax(1).equal(labels[labels != 0])


# Experts that do not fit


def test_without_experts_it_is_said_how_to_come_by_them():
    with pytest.raises(UserError, match=r"needs experts, but `experts` is not given; train them with potstill"):
        MTT(**SMALL).prepare(problem())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "lenet"}, "a different network: convnet:depth=2:width=8, not lenet"),
        ({"dataset_fingerprint": "other"}, "a different dataset"),
    ],
)
def test_experts_of_something_else_are_refused(changes: dict[str, Any], message: str, experts: str):
    with pytest.raises(UserError, match=message):
        MTT(experts=experts, **SMALL).prepare(replace(problem(), **changes))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shape", [1, 28, 28], "different image shape"),
        ("plan", {"network": NETWORK, "zca": True}, "a different whitening"),
    ],
)
def test_experts_of_another_size_or_whitening_are_refused(
    field: str, value: Any, message: str, experts: str, tmp_path: Path
):
    record = json.loads((Path(experts) / ExpertsManifest.FILE).read_text()) | {field: value}
    (tmp_path / ExpertsManifest.FILE).write_text(json.dumps(record))
    with pytest.raises(UserError, match=message):
        MTT(experts=str(tmp_path), **SMALL).prepare(problem())


def test_too_few_epochs_are_told(experts: str):
    with pytest.raises(UserError, match=r"has epochs 0 to 4, but 0 to 11 are needed; use a smaller `latest_start`"):
        replace(MTT(experts=experts, **SMALL), latest_start=10).prepare(problem())


def test_a_damaged_expert_is_named_and_the_others_stay_usable(experts: str, tmp_path: Path):
    for path in Path(experts).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = expert_file(tmp_path, 1)
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(UserError, match=r"expert-0001\.safetensors holds no usable weights"):
        MTT(experts=str(tmp_path), **SMALL).prepare(problem())
    damaged.unlink()
    made = MTT(experts=str(tmp_path), **SMALL)
    given = problem()
    assert made.step(given, made.prepare(given), 0)[1] > 0


def test_an_expert_that_does_not_move_is_named(experts: str, tmp_path: Path):
    weights = WeightsFile(expert_file(Path(experts), 0)).read(0)
    (tmp_path / ExpertsManifest.FILE).write_bytes((Path(experts) / ExpertsManifest.FILE).read_bytes())
    still = {epoch: {name: tensor.clone() for name, tensor in weights.items()} for epoch in range(5)}
    write_weights(expert_file(tmp_path, 0), still, {})
    made, given = MTT(experts=str(tmp_path), **SMALL), problem()
    with pytest.raises(UserError, match=r"expert-0000\.safetensors are the same after \d and \d epochs"):
        made.step(given, made.prepare(given), 0)


# Presets


@pytest.mark.parametrize("presets", [MTT_PRESETS, DATM_PRESETS, PAD_RATIOS])
def test_presets_are_of_the_nearest_published_size(presets: Any):
    assert nearest(presets, "cifar10", 1, None) == presets["cifar10"][1]
    assert nearest(presets, "cifar10", 3, None) == presets["cifar10"][1]
    assert nearest(presets, "cifar10", 4, None) == presets["cifar10"][10]
    assert nearest(presets, "cifar10", 60, None) == presets["cifar10"][50]
    assert nearest(presets, "elsewhere", 10, "nothing") == "nothing"


def test_what_is_asked_for_goes_before_the_preset():
    made = MTT(student_steps=7).resolved(10, "cifar10")
    assert (made.student_steps, made.expert_epochs, made.latest_start) == (7, 2, 20)
    assert PAD(ratio=0.1).resolved(10, "cifar10").ratio == 0.1
    assert PAD().resolved(10, "cifar10").ratio == 0.5
    with pytest.raises(UserError, match=r"`ratio=1\.0` is not in \[0, 1\)"):
        PAD(ratio=1.0)
