"""What to cite: the paper of the method."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report.run import Run, Section


@dataclass(frozen=True)
class View:
    """The paper.

    Attributes:
        title: its title.
        entry: its BibTeX entry.
        address: its web address; None if it cannot be linked.
    """

    title: str
    entry: str
    address: str | None


def view(run: Run) -> View | None:
    """The paper of a run's method; None for a method without one, or a set without a run."""
    method = None if run.manifest is None else run.manifest.method
    if method is None or not method.citation:
        return None
    address = method.url if method.url.startswith(("https://", "http://")) else None
    return View(title=method.title, entry=method.citation, address=address)


SECTION = Section("citation", view)
