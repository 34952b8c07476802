"""The upload of a set to the Hugging Face hub, in one commit."""

from __future__ import annotations

from pathlib import Path

from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.hub import quiet_hub, unresolved_hub
from potstill.sharing.folder import WRITTEN
from potstill.synthetic.hub import check_name


def push(folder: str | Path, name: str, *, private: bool = False) -> str:
    """Upload a folder that ``write_repository`` made, as one commit to a dataset repository.

    The repository is created if it is not there. Of the files that it has and the folder has not, those that an earlier
    push wrote there are deleted, such as evaluations of an earlier set; others are kept.

    Args:
        folder: the folder.
        name: ``OWNER/NAME``.
        private: whether a new repository is private.

    Returns:
        The address of the commit.

    Raises:
        UserError: the hub cannot be reached, or refuses.
    """
    name = check_name(name)
    if (unresolved := unresolved_hub()) is not None:
        raise UserError(f"cannot upload {name} to the Hugging Face hub ({unresolved})", "check the connection")
    from huggingface_hub import HfApi

    try:
        with quiet_hub():
            api = HfApi(library_name="potstill")
            api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=name,
                folder_path=folder,
                repo_type="dataset",
                commit_message="A set, by potstill push",
                delete_patterns=list(WRITTEN),
            )
    except Exception as error:  # the client fails in many ways, from DNS to a missing permission
        raise UserError(
            f"cannot upload {name} to the Hugging Face hub ({in_one_line(error)})",
            "check the connection, and log in with hf auth login",
        ) from error
    return str(done.commit_url)
