"""The target of an evaluation: a set with its place, and the dataset of the set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.data import NO_CHOICES, Choices, ImageDataset, load_dataset
from potstill.evaluation.checks import check_unchanged, normalised_alike
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Progress, silent
from potstill.synthetic import SyntheticSet
from potstill.synthetic.place import SetPlace, find_set


@dataclass(frozen=True)
class Target:
    """A set and its place.

    Attributes:
        synthetic: the set.
        place: where it is.
    """

    synthetic: SyntheticSet
    place: SetPlace

    @classmethod
    def opened(cls, name: str | Path) -> Target:
        """Open the set in the folder of a run or of an imported set, in a file, or on the hub, as ``hf:OWNER/NAME``.

        What is measured of a set on the hub is written to a folder ``runs/OWNER--NAME``.

        Raises:
            UserError: there is no usable set, or the hub cannot be reached.
        """
        place = find_set(name)
        return cls(SyntheticSet.load(place.file), place)

    @property
    def beside(self) -> Path:
        """The folder for what is measured of the set."""
        return self.place.folder

    def dataset(
        self, name: str | None, choices: Choices, data_root: str | Path | None, progress: Progress = silent
    ) -> ImageDataset:
        """Load the dataset of the set, with the same image size and whitening, normalised like the set.

        Args and errors are those of ``own_dataset``.
        """
        return normalised_alike(self.own_dataset(name, choices, data_root, progress), self.synthetic)

    def own_dataset(
        self, name: str | None, choices: Choices, data_root: str | Path | None, progress: Progress = silent
    ) -> ImageDataset:
        """Load the dataset of the set, with the same image size and whitening, normalised as it is by itself.

        Args:
            name: another name or location. None loads the dataset that the set was made from.
            choices: what to take where its files leave a choice. Without a name, by default what was taken then.
            data_root: a folder with local copies of catalogue datasets; None uses ``POTSTILL_DATA``.
            progress: callback for progress messages.

        Raises:
            UserError: the set does not record its dataset, or the dataset cannot be loaded or has changed.
        """
        made = self.synthetic.provenance
        spec = name or made.get("dataset")
        if not spec:
            raise UserError("the set does not record which dataset it was made from", "name it with `dataset`")
        zca = self.synthetic.whitening is not None
        try:
            if name is None and choices == NO_CHOICES:
                choices = Choices.among(made)
            size = made.get("image_size")
            dataset = load_dataset(
                spec, data_root=data_root, choices=choices, image_size=size, zca=zca, progress=progress
            )
        except UserError as error:
            remedy = error.remedy if name else f"{error.remedy}; or give its location with `dataset`"
            raise UserError(error.problem, remedy) from error
        if name is None:
            check_unchanged(self.synthetic, dataset, spec)
        return dataset
