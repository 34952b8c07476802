"""Reproductions of published tables. ``REPRODUCTIONS`` lists them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.reproductions.base import Reproduction as Reproduction
    from potstill.reproductions.base import Row as Row
    from potstill.reproductions.base import shortened as shortened
    from potstill.reproductions.registry import REPRODUCTIONS as REPRODUCTIONS
    from potstill.reproductions.registry import find_reproduction as find_reproduction
    from potstill.reproductions.run import reproduce as reproduce
    from potstill.schema.published import Published as Published
    from potstill.schema.reproduction import Outcome as Outcome
    from potstill.schema.reproduction import ReproductionRecord as ReproductionRecord
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
