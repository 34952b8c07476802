"""Labelled image datasets: which are known by name, how they are loaded, and how they are kept in memory.

- ``catalogue``: the datasets that are known by name.
- ``load``: :func:`load_dataset`, from a name or path to the dataset.
- ``sources``: one file per kind of source; each returns what it finds (``found``) as it was published.
- ``understanding``, ``split_names``, ``class_labels``: the one place that decides what that means, or refuses it.
  ``choices`` are the user's where it could mean several things.
- ``reading``, ``decode``, ``cache``: from encoded images to bytes (``raw``), once.
- ``splits``, ``assembly``: to a dataset with three splits.
- ``dataset``, ``labeled_images``, ``whitening``: what is kept in memory, and how networks see it.
- ``views``: parts of a dataset as datasets of their own.
- ``vectors``: embeddings in files, which stand for images or for anything else.
- ``unlabelled``: images without labels.
- ``archive``: labelled images or vectors as a file that is read as a dataset again.
- ``origins``: the files that images are in.

It imports ``schema`` and ``runtime`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.data.archive import archived as archived
    from potstill.data.catalogue import CATALOGUE as CATALOGUE
    from potstill.data.catalogue import CatalogueEntry as CatalogueEntry
    from potstill.data.catalogue import may_name_vectors as may_name_vectors
    from potstill.data.catalogue import names_vectors as names_vectors
    from potstill.data.catalogue import short_name as short_name
    from potstill.data.choices import NO_CHOICES as NO_CHOICES
    from potstill.data.choices import Choices as Choices
    from potstill.data.dataset import ImageDataset as ImageDataset
    from potstill.data.labeled_images import Examples as Examples
    from potstill.data.labeled_images import LabeledImages as LabeledImages
    from potstill.data.load import dataset_of as dataset_of
    from potstill.data.load import load_dataset as load_dataset
    from potstill.data.origins import training_files as training_files
    from potstill.data.poisoned import with_backdoor as with_backdoor
    from potstill.data.poisoned import with_relabelled as with_relabelled
    from potstill.data.sources.vector_files import holds_vectors_alone as holds_vectors_alone
    from potstill.data.sources.vector_files import read_vector_file as read_vector_file
    from potstill.data.splits import stratified_split as stratified_split
    from potstill.data.unlabelled import DecodedImages as DecodedImages
    from potstill.data.unlabelled import ImageFiles as ImageFiles
    from potstill.data.unlabelled import find_unlabelled as find_unlabelled
    from potstill.data.unlabelled import load_unlabelled as load_unlabelled
    from potstill.data.unlabelled import may_be_unlabelled as may_be_unlabelled
    from potstill.data.vectors import Vectors as Vectors
    from potstill.data.vectors import labels_beside as labels_beside
    from potstill.data.vectors import read_vectors as read_vectors
    from potstill.data.views import brought_together as brought_together
    from potstill.data.views import judges_of as judges_of
    from potstill.data.views import share_of as share_of
    from potstill.data.views import with_classes as with_classes
    from potstill.data.views import with_fewer_images as with_fewer_images
    from potstill.data.views import with_members as with_members
    from potstill.data.whitening import Whitening as Whitening
    from potstill.data.whitening import fit_whitening as fit_whitening
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
