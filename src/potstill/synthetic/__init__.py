"""The synthetic set, how it is parametrised while it is learned, and how it is trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.synthetic.export import export as export_set  # noqa: F401 - by its full name
    from potstill.synthetic.formation import check_factor as check_factor
    from potstill.synthetic.formation import enlarged as enlarged
    from potstill.synthetic.formation import formed as formed
    from potstill.synthetic.formation import put_together as put_together
    from potstill.synthetic.formation import tile_size as tile_size
    from potstill.synthetic.hub import check_name as check_hub_name  # noqa: F401 - by its full name
    from potstill.synthetic.importing.importing import Imported as Imported
    from potstill.synthetic.importing.importing import check_foreign as check_foreign
    from potstill.synthetic.importing.importing import import_set as import_set
    from potstill.synthetic.parametrisation import IDENTITY as IDENTITY
    from potstill.synthetic.parametrisation import PIXELS as PIXELS
    from potstill.synthetic.parametrisation import POSITIVE as POSITIVE
    from potstill.synthetic.parametrisation import SOFTMAX as SOFTMAX
    from potstill.synthetic.parametrisation import Decoded as Decoded
    from potstill.synthetic.parametrisation import Parametrisation as Parametrisation
    from potstill.synthetic.parametrisation import Transform as Transform
    from potstill.synthetic.set import Replay as Replay
    from potstill.synthetic.set import Step as Step
    from potstill.synthetic.set import SyntheticSet as SyntheticSet
    from potstill.synthetic.set import batch_indices as batch_indices
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
