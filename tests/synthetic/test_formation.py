"""Pictures survive being formed, stored, enlarged and learned; sets with a formation are never mistaken for others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from potstill.evaluation.procedures import epochs_of_equal_steps
from potstill.evaluation.recipes import RECIPES
from potstill.methods.pixel_descent import pixel_optimiser
from potstill.methods.state import Adam
from potstill.runtime.errors import UserError
from potstill.synthetic import PIXELS, SOFTMAX, Parametrisation, SyntheticSet, check_factor, enlarged, formed
from potstill.synthetic.formation import pulled_back
from tests.small import problem


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_pictures_are_the_tiles_enlarged_row_by_row():
    pictures = random(2 * 4, 3, 4, 5)
    rows = [torch.cat([*pictures[i : i + 2]], dim=2) for i in range(0, 8, 2)]
    stored = torch.stack([torch.cat(rows[0:2], dim=1), torch.cat(rows[2:4], dim=1)])
    assert stored.shape == (2, 3, 8, 10)
    expected = F.interpolate(pictures, size=(8, 10), mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged(stored, 2), expected)


def test_a_side_that_the_factor_does_not_divide_is_extended_by_its_last_pixels():
    stored = random(1, 1, 28, 28)
    pictures = enlarged(stored, 3)
    assert pictures.shape == (9, 1, 28, 28)
    last = stored[:, :, 20:, 20:]
    last = torch.cat([last, last[..., -1:].expand(1, 1, 8, 2)], dim=3)
    last = torch.cat([last, last[:, :, -1:].expand(1, 1, 2, 10)], dim=2)
    torch.testing.assert_close(pictures[8:], F.interpolate(last, size=28, mode="bilinear", align_corners=False))


@pytest.mark.parametrize("factor", [2, 3])
def test_the_gradient_is_that_of_finite_differences(factor: int):
    assert torch.autograd.gradcheck(lambda stored: enlarged(stored, factor), random(2, 1, 8, 7).requires_grad_())
    stored, gradient = random(2, 1, 8, 7), random(2 * factor**2, 1, 8, 7)
    step = random(2, 1, 8, 7)
    moved = (enlarged(stored + step, factor) - enlarged(stored, factor)) * gradient
    torch.testing.assert_close((pulled_back(gradient, factor) * step).sum(), moved.sum())


@given(st.integers(1, 3), st.integers(1, 4), st.integers(4, 12), st.integers(4, 12))
@settings(max_examples=30, deadline=None)
def test_forming_and_enlarging_keep_shapes_and_constant_pictures(count: int, factor: int, height: int, width: int):
    values = torch.arange(1.0, count * factor**2 + 1)
    pictures = values[:, None, None, None].expand(-1, 1, height, width)
    stored = formed(pictures, factor)
    assert stored.shape == (count, 1, height, width)
    whole = height % factor == 0 and width % factor == 0
    if whole:
        torch.testing.assert_close(enlarged(stored, factor), pictures.contiguous())


def test_a_factor_of_one_changes_nothing():
    images = random(4, 1, 8, 8)
    assert enlarged(images, 1) is formed(images, 1) is pulled_back(images, 1) is images


@pytest.mark.parametrize("factor", [0, -1, 5])
def test_a_factor_that_does_not_suit_the_images_is_refused(factor: int):
    with pytest.raises(UserError, match="does not suit images of 9×8"):
        check_factor(factor, 8, 9)


def test_a_set_is_trained_on_as_pictures_and_counted_as_stored(tmp_path):
    start = problem(ipc=2, formation=2).start
    assert len(start) == 20
    assert start.size_bytes == 20 * 64 * 4 + 20 * 8
    pictures = start.decoded()
    assert pictures.formation == 1
    assert len(pictures) == len(start.as_dataset()) == 80
    assert pictures.labels.equal(torch.arange(10).repeat_interleave(8))
    assert pictures.images.equal(enlarged(start.images, 2))
    assert pictures.decoded() is pictures
    with pytest.raises(ValueError, match="decoded"):
        start.normalised()


def test_the_file_keeps_the_formation_and_older_versions_refuse_it(tmp_path):
    start = problem(ipc=2, formation=2).start
    start.save(tmp_path / "set.safetensors")
    assert SyntheticSet.load(tmp_path / "set.safetensors").formation == 2
    with safe_open(tmp_path / "set.safetensors", "pt") as file:
        assert file.metadata()["format"] == "potstill.synthetic/2"
    assert start.fingerprint() != replace(start, formation=1).fingerprint()


@pytest.mark.parametrize("formation", ["1", "0", "-2", "5", "2.0", "true", '"2"', "1e9", "[2]", "x"])
def test_a_file_with_an_impossible_formation_is_refused(tmp_path, formation: str, monkeypatch):
    start = problem(ipc=2, formation=2).start
    path = tmp_path / "set.safetensors"
    start.save(path)
    data = path.read_bytes()
    # The header is padded with spaces, so that its length can stay the same.
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    changed = header.replace(b'"formation":"2"', b'"formation":"' + formation.replace('"', '\\"').encode() + b'"')
    assert changed != header
    changed = changed.ljust(-len(changed) % 8 + len(changed))
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + len(header) :])
    with pytest.raises(UserError, match="not a usable synthetic set"):
        SyntheticSet.load(path)


def test_gradients_reach_stored_images_and_labels_as_autograd_says():
    start = problem(ipc=2, formation=2).start
    learned = Parametrisation(labels=SOFTMAX)
    state = {"images": random(20, 1, 8, 8), "labels": random(20, 10)}
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in state.items()}
    decoded = learned.decode(leaves, start)
    given_gradients = {"images": random(80, 1, 8, 8), "labels": random(80, 10)}
    loss = (decoded.images * given_gradients["images"]).sum() + (decoded.labels * given_gradients["labels"]).sum()
    expected = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    torch.testing.assert_close(learned.pullback(state, start, given_gradients), expected)


def test_a_result_keeps_stored_images():
    start = problem(ipc=2, formation=2).start
    result = PIXELS.result({"images": start.images + 1}, start)
    assert result.formation == 2
    assert result.images.equal(start.images + 1)


@pytest.mark.parametrize(
    ("stored", "pictures", "epochs"), [(10, 10, 1000), (10, 40, 1000), (100, 400, 500), (500, 2000, 250)]
)
def test_a_formation_gets_as_many_steps_as_its_stored_images(stored: int, pictures: int, epochs: int):
    assert epochs_of_equal_steps(RECIPES["dsa-1000"], stored, pictures) == epochs


def test_adam_has_a_step_size_of_its_own():
    assert pixel_optimiser("adam", 0.1, 0.5) == Adam(0.1)
