"""Sharing a set: a folder with the exact set, a copy that other programs read, a card and a picture; and the hub.

- ``folder``: the files, as they will be in a dataset repository.
- ``hub``: the upload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.sharing.folder import write_repository as write_repository
    from potstill.sharing.hub import push as push
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
