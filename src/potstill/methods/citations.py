"""Citations: the paper of each method; papers cited by several methods are defined here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """The paper that introduced a method.

    Attributes:
        title: its title.
        authors: its authors, as BibTeX writes them.
        venue: the conference or journal, with its usual abbreviation in brackets.
        year: the year of publication.
        url: where it can be read.
        key: its BibTeX key.
        volume: volume of a journal.
        number: issue of the volume.
        pages: first and last page, joined by two hyphens.
    """

    title: str
    authors: str
    venue: str
    year: int
    url: str
    key: str
    volume: str = ""
    number: str = ""
    pages: str = ""

    def bibtex(self) -> str:
        """The paper as a BibTeX entry."""
        kind, place = "inproceedings", "booktitle"
        if self.venue == "arXiv preprint":
            kind, place = "misc", "howpublished"
        elif self.venue.startswith("Journal"):
            kind, place = "article", "journal"
        fields = {
            "title": f"{{{self.title}}}",
            "author": self.authors,
            place: self.venue,
            "volume": self.volume,
            "number": self.number,
            "pages": self.pages,
            "year": str(self.year),
            "url": self.url,
        }
        return f"@{kind}{{{self.key},\n" + "".join(f"  {k} = {{{v}}},\n" for k, v in fields.items() if v) + "}"


GRADIENT_MATCHING = Citation(
    title="Dataset Condensation with Gradient Matching",
    authors="Zhao, Bo and Mopuri, Konda Reddy and Bilen, Hakan",
    venue="International Conference on Learning Representations (ICLR)",
    year=2021,
    url="https://arxiv.org/abs/2006.05929",
    key="zhao2021dc",
)
"""Introduces gradient matching; its table of coreset baselines is widely quoted."""

DATASET_DISTILLATION = Citation(
    title="Dataset Distillation",
    authors="Wang, Tongzhou and Zhu, Jun-Yan and Torralba, Antonio and Efros, Alexei A.",
    venue="arXiv preprint",
    year=2018,
    url="https://arxiv.org/abs/1811.10959",
    key="wang2018dd",
)
"""Introduces dataset distillation and its baselines."""

DATA_DIET = Citation(
    title="Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    authors="Paul, Mansheej and Ganguli, Surya and Dziugaite, Gintare Karolina",
    venue="Advances in Neural Information Processing Systems (NeurIPS)",
    year=2021,
    url="https://arxiv.org/abs/2107.07075",
    key="paul2021datadiet",
)
"""Introduces the difficulty scores EL2N and GraNd."""
