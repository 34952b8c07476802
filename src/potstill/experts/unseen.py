"""Members of which nothing is known but their number, for a choice that looks at nothing."""

from __future__ import annotations

from typing import NoReturn

from potstill.data import LabeledImages
from potstill.experts.feature_source import FeatureSource
from potstill.runtime.errors import UserError


class Unseen(FeatureSource):
    """Images that were not decoded, without features.

    Args:
        members: what is chosen from.
        progress: callback for progress messages.
    """

    @property
    def real(self) -> LabeledImages:
        """Refused: there are only files."""
        raise self._not_decoded()

    @property
    def _width(self) -> int:
        raise self._not_decoded()

    def _describe(self, images: LabeledImages) -> NoReturn:
        raise self._not_decoded()

    @staticmethod
    def _not_decoded() -> UserError:
        return UserError("these images were not decoded", "decode them, or give a file of vectors as `features`")
