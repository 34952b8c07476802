"""What a command works on: the directory of a run or the file of a set, and the dataset that the set was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.data import ImageDataset, load_dataset
from potstill.distillation.run_folder import RunFolder
from potstill.evaluation import check_unchanged, normalised_alike
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True)
class Target:
    """A set, and where it is.

    Attributes:
        synthetic: the set.
        beside: the directory that it is in.
    """

    synthetic: SyntheticSet
    beside: Path

    @classmethod
    def opened(cls, path: Path) -> Target:
        """The set of a run's directory, or of a file.

        Raises:
            UserError: there is no usable set.
        """
        if path.is_dir():
            return cls(SyntheticSet.load(RunFolder(path).synthetic), path)
        return cls(SyntheticSet.load(path), path.parent)

    def dataset(self, name: str | None, data_root: Path | None) -> ImageDataset:
        """The dataset that the set was made from, or the one called ``name``, prepared as it was for the set.

        A dataset that is named, such as another copy, gets the set's mean and standard deviation.

        Raises:
            UserError: the set does not say which, it cannot be loaded, or it has changed since.
        """
        made = self.synthetic.provenance
        spec = name or made.get("dataset")
        if not spec:
            raise UserError("the set does not record which dataset it is from", "name it with --dataset")
        zca = self.synthetic.whitening is not None
        try:
            dataset = load_dataset(spec, data_root=data_root, image_size=made.get("image_size"), zca=zca)
        except UserError as error:
            remedy = error.remedy if name else f"{error.remedy}; or give its location with --dataset"
            raise UserError(error.problem, remedy) from error
        if name is None:
            check_unchanged(self.synthetic, dataset, spec)
            return dataset
        return normalised_alike(dataset, self.synthetic)
