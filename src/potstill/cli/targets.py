"""The target of a command: the folder of a run or the file of a set, and the dataset of the set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from potstill import data, distillation, evaluation, synthetic
from potstill.data import NO_CHOICES, Choices
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Progress, silent
from potstill.synthetic.hub import PREFIX, check_name

if TYPE_CHECKING:
    from potstill.data import ImageDataset
    from potstill.synthetic import SyntheticSet


@dataclass(frozen=True)
class Target:
    """A set and its location.

    Attributes:
        synthetic: the set.
        beside: the folder with the set.
    """

    synthetic: SyntheticSet
    beside: Path

    @classmethod
    def opened(cls, path: Path) -> Target:
        """Open the set in the folder of a run, in a file, or on the hub, as ``hf:OWNER/NAME``.

        What is measured of a set on the hub is written to a folder ``runs/OWNER--NAME``.

        Raises:
            UserError: the path has no usable set, or the hub cannot be reached.
        """
        if str(path).startswith(PREFIX):
            name = check_name(str(path))
            return cls(synthetic.SyntheticSet.from_hub(name), Path("runs") / name.replace("/", "--"))
        if path.is_dir():
            run = distillation.RunFolder(path)
            if not run.synthetic.exists():
                raise distillation.not_a_run(path)
            return cls(synthetic.SyntheticSet.load(run.synthetic), path)
        return cls(synthetic.SyntheticSet.load(path), path.parent)

    def dataset(
        self, name: str | None, choices: Choices, data_root: Path | None, progress: Progress = silent
    ) -> ImageDataset:
        """Load the dataset of the set, with the same image size and whitening.

        Args:
            name: another name or location; that dataset is normalised with the set's mean and standard deviation. None
                loads the dataset that the set was made from.
            choices: what to take where its files leave a choice. Without a name, by default what was taken then.
            data_root: a folder with local copies of catalogue datasets; None uses ``POTSTILL_DATA``.
            progress: told of what takes long.

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
            dataset = data.load_dataset(
                spec, data_root=data_root, choices=choices, image_size=size, zca=zca, progress=progress
            )
        except UserError as error:
            remedy = error.remedy if name else f"{error.remedy}; or give its location with `dataset`"
            raise UserError(error.problem, remedy) from error
        if name is None:
            evaluation.check_unchanged(self.synthetic, dataset, spec)
            return dataset
        return evaluation.normalised_alike(dataset, self.synthetic)
