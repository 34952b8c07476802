"""Sets on the Hugging Face hub: the exact file in a dataset repository that ``potstill push`` made."""

from __future__ import annotations

import re
from pathlib import Path

from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.hub import quiet_hub, unresolved_hub

PREFIX = "hf:"
SET_FILE = "synthetic.safetensors"
"""The name of the exact set in a repository."""

NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
REVISION = r"\w[\w.-]*(/[\w-][\w.-]*)*"


def check_name(name: str) -> str:
    """A name on the hub.

    Args:
        name: ``OWNER/NAME``, perhaps after ``hf:``.

    Returns:
        ``OWNER/NAME``.

    Raises:
        UserError: it is not such a name.
    """
    plain = name.removeprefix(PREFIX)
    if not re.fullmatch(NAME, plain):
        raise UserError(f"{name!r} is not a name on the hub", "write OWNER/NAME")
    return plain


def name_and_revision(name: str) -> tuple[str, str | None]:
    """A name on the hub, and the revision that follows it.

    Args:
        name: ``hf:OWNER/NAME`` or ``hf:OWNER/NAME@REVISION``.

    Returns:
        ``OWNER/NAME``; and a branch, tag or commit, None if none is named.

    Raises:
        UserError: it is not such a name.
    """
    plain, given, revision = name.removeprefix(PREFIX).partition("@")
    if not re.fullmatch(NAME, plain) or (given and not re.fullmatch(REVISION, revision)):
        raise UserError(f"{name!r} is not a name on the hub", "write hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
    return plain, revision or None


def fetch_set(name: str, *, revision: str | None = None) -> Path:
    """Download the exact set of a repository; the hub's own cache keeps it for offline use.

    Args:
        name: ``OWNER/NAME``, perhaps after ``hf:``.
        revision: a branch, tag or commit; None takes the newest.

    Returns:
        The file, which has not been read yet.

    Raises:
        UserError: the hub cannot be reached, or the repository is absent or holds no set.
    """
    plain, unresolved = check_name(name), unresolved_hub()  # before the client is imported, which a bad address breaks
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        with quiet_hub():
            file = hf_hub_download(
                plain, SET_FILE, repo_type="dataset", revision=revision, local_files_only=unresolved is not None
            )
        return Path(file)
    except Exception as error:  # the client fails in many ways, from DNS to a missing permission
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise _no_set(plain) from error
        if unresolved is not None:
            raise UserError(
                f"cannot get {plain} from the Hugging Face hub ({unresolved})",
                "check the connection; what was fetched before needs none",
            ) from error
        raise UserError(
            f"cannot get {plain} from the Hugging Face hub ({in_one_line(error)})",
            "check the name and the connection, or log in with hf auth login",
        ) from error


def _no_set(name: str) -> UserError:
    return UserError(
        f"{name} on the Hugging Face hub holds no {SET_FILE}", "download its files and read them with potstill import"
    )
