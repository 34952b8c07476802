"""Hard, stored and a teacher's labels: each training has those of its regime, and bytes are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from potstill.engine.fit import fit
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.evaluation import measure_label_regimes
from potstill.evaluation.teacher import TeacherFile
from potstill.networks import ImageShape, build_network
from potstill.networks.weights import WeightsFile, install, weight_files
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.label_regimes import RANDOM, REGIMES, SET, LabelRegimes
from potstill.schema.recipe import Recipe
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, digits, problem, small_digits, small_experts

pytestmark = pytest.mark.slow

QUICK = Recipe(name="test", summary="", epochs=20, full_epochs=1, learning_rate=0.05, decay="none")
PLAIN = replace(QUICK, augmentation="none")
SHORT = replace(QUICK, epochs=3)


def measured(synthetic: SyntheticSet, **options: object) -> LabelRegimes:
    given = {"teacher": small_experts(), "recipe": QUICK, "networks": (NETWORK,), "repeats": 1, **options}
    return measure_label_regimes(synthetic, digits(), **given)  # type: ignore[arg-type]


def soft(synthetic: SyntheticSet) -> SyntheticSet:
    wrong = torch.roll(torch.eye(10), 1, 0)[synthetic.labels]
    return replace(synthetic, labels=wrong)


@pytest.fixture(scope="module")
def of_start() -> LabelRegimes:
    """What the images of a start are worth."""
    return measured(problem(ipc=2).start)


def test_every_regime_stands_beside_random_images(of_start: LabelRegimes):
    found = of_start
    results = found.networks[NETWORK]
    assert list(results) == list(REGIMES)
    assert all(set(of_regime) == {SET, RANDOM} for of_regime in results.values())
    means = {regime: results[regime][SET].mean for regime in REGIMES}
    assert len(set(means.values())) == 3
    assert not found.own_labels


def test_without_augmentation_a_teacher_in_every_step_is_one_whose_labels_are_stored():
    results = measured(problem(ipc=2).start, recipe=PLAIN).networks[NETWORK]
    for images in (SET, RANDOM):
        assert results["stored"][images].accuracies == results["teacher"][images].accuracies
        assert results["stored"][images].accuracies != results["hard"][images].accuracies


def test_own_soft_labels_count_where_labels_are_stored_and_nowhere_else(of_start: LabelRegimes):
    start = problem(ipc=2).start
    plain, learned = of_start.networks[NETWORK], measured(soft(start))
    own = learned.networks[NETWORK]
    assert learned.own_labels
    assert own["stored"][SET].mean < 0.2  # all its labels are wrong
    smooth = 0.9 * torch.eye(10)[start.labels] + 0.01
    right = measured(replace(start, labels=smooth)).networks[NETWORK]
    assert right["stored"][SET].mean > plain["stored"][SET].mean + 0.2  # the small teacher knows little
    assert own["stored"][RANDOM].mean == plain["stored"][RANDOM].mean
    assert own["teacher"][SET].mean == plain["teacher"][SET].mean
    # Hard labels are the most probable classes, which here are wrong too.
    assert own["hard"][SET].mean < 0.2


def test_bytes_are_those_of_images_labels_and_teacher(of_start: LabelRegimes):
    found = of_start
    weights = sum(4 * tensor.numel() for tensor in WeightsFile(weight_files(Path(small_experts()))[0]).read().values())
    assert found.image_bytes == 20 * 64 * 4
    assert found.label_bytes == {"hard": 20 * 8, "stored": 20 * 10 * 4, "teacher": 0}
    assert found.bytes_of("hard") == 20 * 64 * 4 + 160
    assert found.bytes_of("teacher") == 20 * 64 * 4 + weights


def test_each_picture_of_a_formation_has_a_stored_label():
    start = problem(ipc=1, formation=2).start
    assert measured(start, recipe=SHORT).label_bytes["stored"] == 40 * 10 * 4


def test_a_teacher_labels_as_its_network_does():
    file = TeacherFile.found(small_experts(), digits())
    teacher = file.opened(digits(), CPU)
    images = digits().test.normalised()
    path = weight_files(Path(small_experts()))[0]
    network = build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator())
    install(network, WeightsFile(path).read(), path)
    with torch.no_grad():
        expected = network.eval()(images).softmax(1)
    torch.testing.assert_close(teacher(images), expected, rtol=1e-4, atol=1e-5)
    right = (expected.argmax(1) == digits().test.labels).double().mean().item()
    found = measured(problem(ipc=1).start, recipe=SHORT)
    assert teacher.accuracy(digits()) == found.teacher_accuracy == pytest.approx(right)
    start = problem(ipc=2).start
    labels = teacher.labelled(start).labels
    torch.testing.assert_close(labels, teacher(start.images))


def test_the_labeller_sees_each_batch_as_it_is_trained_on():
    seen: list[torch.Tensor] = []

    def labeller(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.clone())
        return torch.full((len(images), 10), 0.1)

    start = problem(ipc=2).start
    trainer = Trainer(build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator()), CPU)
    schedule = Schedule(epochs=2, batch_size=15, decay="none")
    losses: list[float] = []
    trainer.fit(start, schedule, Streams(0), labeller=labeller, after_epoch=lambda _, loss: losses.append(loss))
    assert [len(images) for images in seen] == [15, 5, 15, 5]
    whole = torch.cat(seen[:2]).flatten(1)
    assert all((whole == image.flatten()).all(1).any() for image in start.images)
    uniform = replace(start, labels=torch.full((20, 10), 0.1))
    other = Trainer(build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator()), CPU)
    expected: list[float] = []
    fit(other, uniform, schedule, [Streams(0)], after_epoch=lambda _, loss: expected.append(loss[0]))
    assert losses == pytest.approx(expected, rel=1e-6)


def test_what_is_on_record_is_not_trained_again(tmp_path: Path):
    start, path = problem(ipc=1).start, tmp_path / "labels.json"
    first = measured(start, record=path, recipe=SHORT)
    said: list[str] = []
    from potstill.evaluation import Session

    session = Session(digits(), progress=said.append)
    again = measure_label_regimes(
        start, session, teacher=small_experts(), recipe=SHORT, networks=(NETWORK,), repeats=1, record=path
    )
    assert again.networks == first.networks
    assert not any("with teacher labels" in line for line in said)
    more = measured(start, record=path, recipe=SHORT, repeats=2).networks[NETWORK]
    assert more["hard"][SET].accuracies[0] == first.networks[NETWORK]["hard"][SET].accuracies[0]
    assert LabelRegimes.read(path).networks[NETWORK]["teacher"][RANDOM].repeats == 2
    other = replace(SHORT, augmentation="none")
    measured(start, record=path, recipe=other)
    assert LabelRegimes.read(path).recipe == other
    (beside,) = tmp_path.glob("labels-*.json")
    assert LabelRegimes.read(beside).networks[NETWORK]["teacher"][RANDOM].repeats == 2


def test_impossible_teachers_are_refused(tmp_path: Path):
    start = problem(ipc=1).start
    with pytest.raises(UserError, match="was not trained on this dataset"):
        measure_label_regimes(start, small_digits(), teacher=small_experts(), recipe=QUICK)
    with pytest.raises(UserError, match="contains no experts"):
        measured(start, teacher=tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        measured(start, teacher=tmp_path / "nowhere.safetensors")
    with pytest.raises(UserError, match="learned steps are replayed"):
        measured(start, recipe="replay")


def test_what_cannot_be_trained_is_refused_before_any_training():
    start = problem(ipc=1).start
    with pytest.raises(UserError, match="its mean is"):
        measured(replace(start, mean=(0.9,)))
    with pytest.raises(UserError, match="image shape"):
        measured(replace(start, images=torch.zeros(10, 1, 28, 28)))
    with pytest.raises(UserError, match="repeats"):
        measured(start, repeats=0)
    with pytest.raises(UserError, match="no network is named"):
        measured(start, networks=())
    with pytest.raises(UserError, match="this set has none"):
        measured(start, recipe="trajectory-1000")
