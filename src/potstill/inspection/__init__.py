"""What a dataset contains, and what deserves a look before it is distilled.

- ``duplicates``: images that occur more than once, within and across splits and with different labels.
- ``pixels``: the range of their values, and images with hardly any contrast.
- ``warnings``: which of these findings make results misleading.
- ``survey``: :func:`inspect`, all of it as a record.

Above ``data`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.inspection.survey import inspect as inspect
    from potstill.schema.inspection import Inspection as Inspection
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
