"""Repeated images: found within and across splits, with both labels, exactly those that a plain loop finds."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.data import LabeledImages
from potstill.inspection.duplicates import EXAMPLES, Grouped, contradictory, digests, grouped, repeated
from potstill.schema.inspection import Place
from tests.inspection.small_datasets import halves, noise, split


def test_equal_pixels_have_equal_digests_and_others_do_not():
    images = noise(50)
    images[7] = images[3]
    images[8] = images[3]
    images[8, 0, 3, 4] ^= 1
    found = digests([images])
    assert found[3] == found[7]
    assert len(set(found.tolist())) == 49


def test_digests_do_not_depend_on_how_images_lie_in_memory():
    images = noise(6, shape=(3, 4, 5))
    other = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not other.is_contiguous()
    assert (digests([images]) == digests([other])).all()


def test_images_beyond_the_first_block_are_hashed_too():
    images = noise(10, shape=(1, 2, 2))
    images[-1] = images[0]
    found = digests(images.split(4))
    assert len(found) == 10
    assert found[-1] == found[0]


def parts(*pictures: list[tuple[int, int]]) -> dict[str, LabeledImages]:
    """Splits of the given (picture, label) pairs."""
    images = noise(10)
    return {
        name: split(images[[picture for picture, _ in chosen]], [label for _, label in chosen])
        for name, chosen in zip(("train", "validation", "test"), pictures, strict=False)
        if chosen
    }


def test_a_repeat_names_both_images():
    groups = grouped(parts([(0, 0), (1, 1), (0, 0)], [], [(2, 1), (1, 1)]))
    within, across = repeated(groups)
    assert (within.split, within.other, within.images, within.of) == ("train", "train", 1, 3)
    assert within.examples == ((Place(split="train", index=2, label=0), Place(split="train", index=0, label=0)),)
    assert (across.split, across.other, across.images, across.of) == ("test", "train", 1, 2)
    assert across.share == 0.5
    assert across.examples == ((Place(split="test", index=1, label=1), Place(split="train", index=1, label=1)),)
    assert contradictory(groups) is None


def test_two_labels_of_one_picture_are_found_wherever_they_are():
    groups = grouped(parts([(0, 0), (0, 0), (1, 1)], [], [(0, 1), (1, 1)]))
    found = contradictory(groups)
    assert found is not None
    assert found.images == 3
    assert found.examples == ((Place(split="train", index=0, label=0), Place(split="test", index=0, label=1)),)


def test_examples_are_few():
    (within,) = repeated(grouped({"train": split(noise(1).repeat(40, 1, 1, 1), halves(40))}))
    assert within.images == 39
    assert len(within.examples) == EXAMPLES


chosen = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), max_size=6)


@given(st.lists(chosen, min_size=3, max_size=3))
def test_a_plain_loop_over_all_pairs_finds_the_same(pictures: list[list[tuple[int, int]]]):
    made = parts(*pictures)
    if not made:
        return
    groups = grouped(made)
    found = {(item.split, item.other): item.images for item in repeated(groups)}
    assert found == {key: number for key, number in counted(made).items() if number}
    disputed = contradictory(groups)
    assert (0 if disputed is None else disputed.images) == len(disputes(made))


def counted(made: dict[str, LabeledImages]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    names = list(made)
    for number, name in enumerate(names):
        for other in names[: number + 1]:
            counts[name, other] = sum(
                any(
                    torch.equal(image, candidate)
                    for candidate in (made[other].images[:index] if other == name else made[other].images)
                )
                for index, image in enumerate(made[name].images)
            )
    return counts


def disputes(made: dict[str, LabeledImages]) -> list[int]:
    images = torch.cat([part.images for part in made.values()])
    labels = torch.cat([part.labels for part in made.values()])
    pairs = list(zip(images, labels, strict=True))
    return [
        index
        for index, (image, label) in enumerate(pairs)
        if any(torch.equal(image, other) and label != another for other, another in pairs)
    ]


def test_groups_number_pictures_through_all_splits():
    train, test = grouped(parts([(0, 0), (1, 0)], [], [(1, 0)]))
    assert isinstance(train, Grouped)
    assert test.pictures[0] == train.pictures[1] != train.pictures[0]
