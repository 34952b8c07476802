"""The foundation of every other package, of which it imports none.

- ``streams``: named random streams, the only source of randomness.
- ``lazy``: names that are imported when they are first used.
- ``compute_choice``, ``compute``: device, precision and compilation, as asked for and as resolved.
- ``bounds``: the bounds of numbers that users give, and of memory.
- ``compilation``, ``parallel``: ``torch.compile`` and worker threads.
- ``errors``: :class:`~potstill.runtime.errors.UserError`, a problem with its remedy.
- ``files``, ``safetensors_io``, ``events``: files that are whole or absent, and the event record of a run; the
  environment variables that are Potstill's own are read in ``files``.
- ``progress``: how long-running work reports its progress.
- ``machine``: what a result was measured on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.runtime.bounds import memory_limit as memory_limit
    from potstill.runtime.compute import settled as settled
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
