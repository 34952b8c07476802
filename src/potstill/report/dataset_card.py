"""The card of a set on the Hugging Face hub: what it is, what it is worth, how to load it, from records alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.report import wording
from potstill.report.markdown import fenced, plain, table
from potstill.report.protocol import recipe_title
from potstill.runtime.text import visible
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.schema.published import Published
from potstill.schema.shapes import kind_of

TAGS = ("dataset-distillation", "synthetic", "potstill")


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card says.

    Attributes:
        name: ``OWNER/NAME``.
        licence: of the set, as the hub names licences; empty if none is given.
        method: the name of the method; empty if it is not recorded.
        paper: its title and address; empty strings if there is none.
        bibtex: its citation; empty without a paper.
        dataset: the name of the real dataset.
        dataset_licence: its licence, as far as it is known.
        images: the number of stored images.
        classes: the number of classes.
        shape: (C, H, W) of one image.
        formation: pictures along each side of an image.
        soft: whether labels are probabilities.
        set_bytes: the size of the exact set.
        set_sha256: the SHA-256 that identifies it.
        rounding: the mean and the largest change of pixels by 8 bits, in the units in which networks see them; None of
            vectors, which are copied exactly.
        made: further facts about how it was made, as names and values.
        provenance: everything that the set records about how it was made.
        evaluations: results of the set.
        published: what its paper reports for such a set, if it is known.
    """

    name: str
    licence: str
    method: str
    paper: tuple[str, str]
    bibtex: str
    dataset: str
    dataset_licence: str
    images: int
    classes: int
    shape: tuple[int, int, int]
    formation: int
    soft: bool
    set_bytes: int
    set_sha256: str
    rounding: tuple[float, float] | None
    made: Sequence[tuple[str, str]]
    provenance: Mapping[str, Any]
    evaluations: Sequence[Evaluation]
    published: Published | None = None

    @property
    def kind(self) -> str:
        """What the set holds: ``image`` or ``vector``."""
        return kind_of(self.shape)


def render_card(facts: CardFacts, *, picture: str | None = "preview.png") -> str:
    """The card as Markdown, after the metadata that the hub reads.

    Args:
        facts: what it says.
        picture: the name of the picture beside it; None if there is none.
    """
    title = f"{visible(facts.dataset)} distilled"
    per_class = facts.images / facts.classes
    each = f"{per_class:g} {facts.kind}{'s' * (per_class != 1)} per class"
    parts = [
        _metadata(facts, f"{title}: {each}"),
        f"# {plain(title)}: {each}",
        *([f"![Some of the images]({picture})"] if picture is not None else []),
        f"{wording.images(facts.images, f'synthetic {facts.kind}')} in place of a labelled dataset: networks trained\n"
        f"on them alone are meant to classify real {facts.kind}s.",
        _facts_table(_facts_of(facts)),
        *_worth(facts),
        _loading(facts),
        *_precision(facts),
        "## How it was made\n\n" + fenced("json", json.dumps(dict(facts.provenance), indent=2, ensure_ascii=False)),
        *(
            [f"## Citation\n\nCite the paper of the method:\n\n{fenced('bibtex', facts.bibtex)}"]
            if facts.bibtex
            else []
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(facts: CardFacts, title: str) -> str:
    """What the hub reads, as YAML; its strings are written as JSON, which YAML includes."""
    lines = [
        "---",
        f"pretty_name: {json.dumps(title, ensure_ascii=False)}",
        *([f"license: {json.dumps(visible(facts.licence), ensure_ascii=False)}"] if facts.licence else []),
        *(["task_categories:", "- image-classification"] if facts.kind == "image" else []),
        "tags:",
        *(f"- {tag}" for tag in TAGS),
        "size_categories:",
        f"- {_size_category(facts.images * facts.formation**2)}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*",
        "---",
    ]
    return "\n".join(lines)


def _size_category(images: int) -> str:
    for most, name in ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")):
        if images < most:
            return name
    return "n>1M"


def _facts_of(facts: CardFacts) -> list[tuple[str, str]]:
    channels, height, width = facts.shape
    pixels = f"{width}×{height} pixels, channels: {channels}"
    size = pixels if facts.kind == "image" else f"{channels:,} numbers each"
    title, url = facts.paper
    method = plain(facts.method) or "not recorded"
    linked = url.startswith("https://") and not set(url) & set("()<> \n")
    paper = f": [{plain(title)}]({url})" if title and linked else f": {plain(title)}" if title else ""
    pictures = facts.formation**2
    return [
        ("real dataset", f"{plain(facts.dataset)} (licence of its {facts.kind}s: {facts.dataset_licence})"),
        ("method", method + paper),
        (f"{facts.kind}s", f"{facts.images:,} of {size}, {facts.classes:,} classes"),
        *([("pictures in each", f"{pictures}, decoded in the 8-bit copy")] if pictures > 1 else []),
        ("labels", "probabilities of all classes" if facts.soft else "classes"),
        ("size of the exact set", wording.size(facts.set_bytes)),
        *((name, plain(value)) for name, value in facts.made),
        ("SHA-256 of the set", f"`{facts.set_sha256}`"),
    ]


def _worth(facts: CardFacts) -> list[str]:
    """The tables of accuracies, one for each recipe."""
    if not any(each.networks for each in facts.evaluations):
        return ["## Accuracy\n\nThis set came without an evaluation on the dataset that it was made from."]
    published = []
    if facts.published is not None:
        reported = f"{facts.published.mean:g}"
        reported += "" if facts.published.std is None else f" ± {facts.published.std:g}"
        published = [f"Published for the method: {reported} % for a ConvNet, by a protocol of its own."]
    parts = ["## Accuracy", "On the test split of the real dataset, in %, mean ± standard deviation over trainings."]
    for evaluation in facts.evaluations:
        columns = ["distilled", *evaluation.baselines]
        names = list(dict.fromkeys([*evaluation.networks, *(n for t in evaluation.baselines.values() for n in t)]))
        head = ["network", *(f"{column} {facts.kind}s" if column == "random" else plain(column) for column in columns)]
        rows = [
            [plain(wording.network_title(name)), *(_cell(found.get(name)) for found in _of(evaluation, columns))]
            for name in names
        ]
        parts.append(f"Recipe {plain(recipe_title(evaluation.recipe))}: {plain(evaluation.recipe.summary)}.")
        parts.append(table([head, *rows]))
    if any("random" in each.baselines for each in facts.evaluations):
        parts.append(
            f"Random {facts.kind}s: as many real ones of each class, a new draw for each training, by the same recipe."
        )
    return ["\n\n".join([*parts, *published])]


def _of(evaluation: Evaluation, columns: Sequence[str]) -> list[Mapping[str, NetworkResult]]:
    return [evaluation.networks if name == "distilled" else evaluation.baselines[name] for name in columns]


def _cell(result: NetworkResult | None) -> str:
    if result is None:
        return "–"
    return wording.repeated(result) if result.usable else "failed"


def _loading(facts: CardFacts) -> str:
    copy = "A copy" if facts.rounding is None else "The copy in 8 bits"
    return f"""\
## Loading

The exact set, in floating-point numbers, with Potstill:

```python
import potstill

exact = potstill.SyntheticSet.from_hub("{facts.name}")
```

`potstill evaluate hf:{facts.name}` measures it. {copy}, with `datasets`:

```python
from datasets import load_dataset

{facts.kind}s = load_dataset("{facts.name}", split="train")
```"""


def _precision(facts: CardFacts) -> list[str]:
    if facts.rounding is None:
        return []
    mean, most = facts.rounding
    return [
        "## Precision\n\n"
        "The 8-bit copy loses precision: distilled images are floating-point numbers without bounds, and there they\n"
        "are clipped at black and white and rounded. In the normalised units in which networks see them,\n"
        f"this changes them by {mean:.2g} on average and by {most:.2g} at most. Accuracies are those of the exact set."
    ]


def _facts_table(rows: Sequence[tuple[str, str]]) -> str:
    return table([["", ""], *([name, value] for name, value in rows)])
