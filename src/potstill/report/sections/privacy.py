"""Privacy: what the set guarantees for the training images, what the guarantee rests on, and what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.run import Run, Section
from potstill.schema.privacy import Privacy


@dataclass(frozen=True)
class View:
    """A guarantee in words.

    Attributes:
        promise: the guarantee in one sentence.
        meaning: what it says about one image, and which files it covers.
        rows: names and values of what it rests on.
    """

    promise: str
    meaning: list[str]
    rows: list[tuple[str, str]]


def view(run: Run) -> View | None:
    """The guarantee of a run; None without one."""
    privacy = None if run.manifest is None else run.manifest.privacy
    if privacy is None:
        return None
    return View(
        promise=f"The set is {privacy.title}.",
        meaning=[
            "Any conclusion drawn from the set would have been almost as likely without any one of the training "
            f"images: within a factor of e^{privacy.epsilon}, except with probability {privacy.delta:g}.",
            "The guarantee covers the set, and what the checkpoint holds with noise. It does not cover the fingerprint "
            "of the dataset or the account of its images, which manifest.json and this page hold: publish the set "
            "alone.",
        ],
        rows=_rows(privacy),
    )


def _rows(privacy: Privacy) -> list[tuple[str, str]]:
    return [
        ("ε", f"{privacy.epsilon}"),
        ("δ", f"{privacy.delta:g}"),
        ("neighbouring datasets", privacy.neighbouring),
        ("sampling", f"{privacy.sampling}, each image with probability {privacy.sampling_rate:.4g} or less"),
        ("clip", f"{privacy.clip:g}"),
        ("noise multiplier", f"{privacy.noise_multiplier:g}"),
        ("queries", wording.count(privacy.queries)),
        ("accountant", privacy.accountant),
        ("treated as public", "; ".join(privacy.public)),
    ]


SECTION = Section("privacy", view)
