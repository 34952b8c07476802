"""The form in which ``torch.save`` wrote files before PyTorch 1.6: pickles one after the other, then the storages.

The first three pickles hold a number that marks the form, its version, and sizes of types on the machine that wrote it.
The fourth is what was saved; the fifth lists the keys of its storages. Each storage follows: the number of its values
in eight bytes, then the values.
"""

from __future__ import annotations

from io import BytesIO

from potstill.data.formats.pickle_machine import Machine, Refused
from potstill.data.formats.torch_pickle import INSTRUCTIONS, storages_of

FIRST = b"\x80"
"""With which a pickle begins."""
MARK = 0x1950A86A20F9469CFC6C
VERSION = 1001
COUNT_BYTES = 8


class CutOff(Refused):
    """A file that ends before its last tensor does."""


def check_stream(content: bytes) -> None:
    """Check that a file of the old form has what its pickles claim, and nothing more.

    Args:
        content: of the whole file.

    Raises:
        Refused: it is another pickle, is damaged, or names more than tensors and numbers.
        CutOff: it ends before its last tensor does.
        Exception: what ``pickletools`` raises for instructions that cannot be read.
    """
    stream = BytesIO(content)
    plain = Machine({}, copies=0, instructions=INSTRUCTIONS)
    if plain.run(stream) != MARK:
        raise Refused("it is a pickle from another program")
    if plain.run(stream) != VERSION:
        raise Refused("it has an unknown version")
    plain.run(stream)
    storages = storages_of(stream, copies=2 * len(content))
    keys = plain.run(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise Refused("it does not list the storages that its tensors have")
    for key in keys:
        storage, count = storages[key], stream.read(COUNT_BYTES)
        rest = len(content) - stream.tell()
        if len(count) == COUNT_BYTES and int.from_bytes(count, "little") != storage.numel:
            raise Refused(f"its storage {key} does not have the number of values that its tensors claim")
        if len(count) < COUNT_BYTES or storage.nbytes > rest:
            raise CutOff(f"{storage.nbytes:,} bytes of a tensor should follow, and {rest:,} do")
        stream.seek(storage.nbytes, 1)
    if rest := len(content) - stream.tell():
        raise Refused(f"{rest:,} bytes follow its last tensor")
