"""An architecture search with the set: ``search.json``, read and put in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.report import wording
from potstill.report.fields import Fields
from potstill.report.scores import Entry, Score, read_entry


@dataclass(frozen=True)
class Candidate:
    """A network of the search.

    Attributes:
        name: in its space.
        spec: the network.
        accuracy: on the validation images, a fraction; None where it failed.
        failed: the reason, where it did.
        seconds: to train and validate it.
        parameters: of the network.
        full: what it reaches on the test images when trained on all training images, where that was measured.
    """

    name: str
    spec: str
    accuracy: float | None
    failed: str
    seconds: float
    parameters: int
    full: Entry | None


@dataclass(frozen=True)
class Row:
    """A candidate in words; ``share`` is its accuracy in percent, for a bar."""

    name: str
    spec: str
    accuracy: str
    share: float
    parameters: str
    seconds: str
    full: str


@dataclass(frozen=True)
class Search:
    """A search with the set and the dataset of those hashes; candidates from the best down."""

    set_sha256: str
    dataset_fingerprint: str
    space: str
    recipe: str
    seconds: float
    candidates: tuple[Candidate, ...]

    @property
    def summary(self) -> str:
        """What was found, in a sentence or two."""
        count = wording.images(len(self.candidates), "network")
        found = f"{count} of {self.space}, trained on the set by {self.recipe} in {wording.duration(self.seconds)}"
        trained = [one for one in self.candidates if isinstance(one.full, Score)]
        if not trained:
            return f"{found}; none was trained on the full data yet."
        scores = ", ".join(f"{one.name} {_full(one)}" for one in trained)
        return f"{found}. On the full data: {scores}."

    @property
    def rows(self) -> list[Row]:
        """The table."""
        return [
            Row(
                name=one.name,
                spec=one.spec,
                accuracy=f"failed: {one.failed}" if one.accuracy is None else wording.percent(one.accuracy),
                share=100 * (one.accuracy or 0.0),
                parameters=wording.count(one.parameters) if one.parameters else "–",
                seconds=wording.duration(one.seconds) if one.seconds else "–",
                full=_full(one),
            )
            for one in self.candidates
        ]


def read_search(file: Path) -> Search:
    """Read a ``search.json``.

    Raises:
        UserError: the file is damaged; the error names the field.
    """
    fields = Fields.of_record(file, 1)
    recipe, candidates, full = (fields.part(name) for name in ("recipe", "candidates", "full"))
    ranked = fields.values.get("ranked")
    if not isinstance(ranked, list) or sorted(map(str, ranked)) != sorted(candidates.values):
        fields.refuse("ranked", "a list of the candidates")
    return Search(
        set_sha256=fields.text("set_sha256"),
        dataset_fingerprint=fields.text("dataset_fingerprint"),
        space=fields.text("space") if isinstance(fields.values.get("space"), str) else "networks of one's own",
        recipe=f"{recipe.text('name')}@{recipe.whole('version')}",
        seconds=fields.number("seconds"),
        candidates=tuple(
            _read_candidate(name, candidates.part(name), full.part(name) if name in full else None) for name in ranked
        ),
    )


def _read_candidate(name: str, fields: Fields, full: Fields | None) -> Candidate:
    failed = fields.text("failed") if "failed" in fields else ""
    return Candidate(
        name=name,
        spec=fields.text("spec"),
        accuracy=None if failed else fields.number("mean"),
        failed=failed,
        seconds=fields.number("seconds"),
        parameters=fields.whole("parameters"),
        full=None if full is None else read_entry(full, None),
    )


def _full(candidate: Candidate) -> str:
    match candidate.full:
        case None:
            return "–"
        case Score(mean=mean):
            return wording.percent(mean, digits=2)
        case failure:
            return f"failed: {failure.reason}"
