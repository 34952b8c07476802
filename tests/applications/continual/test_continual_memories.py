"""What fills the memory: parts are joined by name, with labels of any kind."""

from __future__ import annotations

from dataclasses import replace

import torch

from potstill.applications.continual.memories import in_units_of, joined
from potstill.applications.set_sources import GivenSet
from potstill.data import ImageDataset, with_classes
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from tests.small import small_digits


def images_of(data: ImageDataset, images_per_class: int = 3) -> SyntheticSet:
    real = data.train
    return SyntheticSet.from_indices(real, random_indices(real, images_per_class, torch.Generator().manual_seed(0)))


def test_parts_are_joined_by_the_names_of_their_classes():
    data = small_digits()
    parts = [images_of(with_classes(data, classes)) for classes in ([7, 2], [0, 5])]
    memory = joined(parts, with_classes(data, [0, 2, 5, 7]), 2)
    assert memory.class_names == ("0", "2", "5", "7")
    assert memory.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert memory.images[2:4].equal(parts[0].images[3:5]), "the first images of class 2 are those that stay"
    assert memory.images[6:8].equal(parts[0].images[0:2])
    assert (memory.mean, memory.std) == (data.mean, data.std)


def imported(data: ImageDataset) -> SyntheticSet:
    """A set of real images that was imported by a mean and standard deviation of its own."""
    made = images_of(data)
    images = (made.images * data.std[0] + data.mean[0] - 0.2) / 0.3
    provenance = {"method": "imported", "dataset_fingerprint": data.fingerprint}
    return replace(made, images=images, mean=(0.2,), std=(0.3,), provenance=provenance)


def test_an_imported_set_is_converted_to_the_units_of_its_dataset():
    data = small_digits()
    found = in_units_of(GivenSet("theirs", imported(data)), data)
    assert isinstance(found, GivenSet)
    assert (found.synthetic.mean, found.synthetic.std) == (data.mean, data.std)
    assert torch.allclose(found.synthetic.images, images_of(data).images, atol=1e-5)


def test_other_sets_stay_as_they_are():
    data = small_digits()
    theirs = imported(data)
    other = replace(theirs, provenance={**theirs.provenance, "dataset_fingerprint": "another"})
    for made in (images_of(data), other, replace(theirs, mean=data.mean, std=data.std), replace(theirs, provenance={})):
        source = GivenSet("set", made)
        assert in_units_of(source, data) is source


def test_learned_labels_keep_their_classes():
    data = small_digits()
    hard, part = images_of(with_classes(data, [0, 1]), 1), images_of(with_classes(data, [3, 2]), 1)
    soft = replace(part, labels=torch.tensor([[0.75, 0.25], [0.4, 0.6]]))
    memory = joined([hard, soft], with_classes(data, [0, 1, 2, 3]), 1)
    assert memory.labels.equal(
        torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.6, 0.4], [0, 0, 0.25, 0.75]]),
    )


def test_a_set_of_all_classes_gives_those_that_were_seen():
    data = small_digits()
    whole = images_of(data)
    memory = joined([whole, whole], with_classes(data, [4, 9]), 3)
    assert memory.images.equal(torch.cat([whole.images[12:15], whole.images[27:30]]))
    shares = torch.full((30, 10), 0.05) + 0.5 * torch.nn.functional.one_hot(whole.labels, 10)
    soft = joined([replace(whole, labels=shares)], with_classes(data, [4, 9]), 1)
    assert torch.allclose(soft.labels, torch.tensor([[0.55, 0.05], [0.05, 0.55]]) / 0.6)
