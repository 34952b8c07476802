"""The DataDAM coursework: two reports on MNIST and MHIST."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from potstill import methods
from potstill.distillation.settings import Settings
from potstill.methods import Start
from potstill.reproductions.base import Published, Reproduction, Row

if TYPE_CHECKING:
    from potstill.methods import DataDAM

SOURCE = "two coursework reports on DataDAM, T4-class GPUs"
NOTES = ("A tenth of the training images is held out for validation.",)


def _settings(dataset: str, start: Start) -> Settings[DataDAM]:
    """The reports' schedule: K networks, T iterations each, with one update of the pixels and 50 of the network."""
    mnist = dataset == "mnist"
    networks, iterations = (100, 10) if mnist else (200, 10)
    method = methods.DataDAM(
        loss_scale=10_000.0,
        batch_real=256 if mnist else 128,
        learning_rate=0.1 if mnist else 100.0,
        momentum=0.0,
        network_iterations=iterations,
        network_steps=50,
        network_learning_rate=0.01,
    )
    return Settings(
        method=method,
        dataset=dataset,
        ipc=10 if mnist else 50,
        start=start,
        network="convnet:depth=3" if mnist else "convnet:depth=7",
        iterations=networks * iterations,
        validate_every=0,
    )


DATADAM_MNIST = Reproduction(
    name="datadam-coursework-mnist",
    title="The DataDAM coursework on MNIST, 10 images per class",
    source=SOURCE,
    recipe="coursework-50",
    rows=(
        Row(
            label="full data",
            settings=partial(_settings, "mnist", "real"),
            published={"convnet": Published(99.49), "alexnet": Published(99.19)},
            full=True,
        ),
        Row(
            label="from real",
            settings=partial(_settings, "mnist", "real"),
            published={"convnet": Published(91.81), "alexnet": Published(23.48), "resnet18": None},
        ),
        Row(
            label="from noise",
            settings=partial(_settings, "mnist", "noise"),
            published={"convnet": Published(74.44), "alexnet": Published(17.9), "resnet18": None},
        ),
        Row(
            label="random real",
            settings=lambda: Settings(method=methods.Random(), dataset="mnist", ipc=10),
            published={"convnet": None, "alexnet": None, "resnet18": None},
        ),
    ),
    notes=NOTES,
)

DATADAM_MHIST = Reproduction(
    name="datadam-coursework-mhist",
    title="The DataDAM coursework on MHIST, 50 images per class (needs your own copy: `dataset=mhist:FOLDER`)",
    source=SOURCE,
    recipe="coursework-50",
    rows=(
        Row(
            label="full data",
            settings=partial(_settings, "mhist:FOLDER", "real"),
            published={"convnet:depth=7": Published(80.14), "alexnet": Published(68.37)},
            full=True,
        ),
        Row(
            label="from real",
            settings=partial(_settings, "mhist:FOLDER", "real"),
            published={"convnet:depth=7": Published(63.87), "alexnet": Published(36.87)},
        ),
        Row(
            label="from noise",
            settings=partial(_settings, "mhist:FOLDER", "noise"),
            published={"convnet:depth=7": Published(53.63), "alexnet": Published(63.15)},
        ),
    ),
    notes=NOTES,
)

SEARCHES = {
    "mnist": {"real": ("ConvNetW256", 99.52), "noise": ("ConvNetW64", 99.5)},
    "mhist:FOLDER": {"real": ("ConvNetGN", 67.04), "noise": ("ConvNetAS", 63.66)},
}
"""By dataset and start: the network that the reports found, and its accuracy in percent on the full data."""


def _search(dataset: str) -> Reproduction:
    name = dataset.split(":")[0]
    starts: tuple[Start, ...] = ("real", "noise")
    return Reproduction(
        name=f"datadam-search-{name}",
        title=f"The coursework's architecture search on {name.upper()}: 22 ConvNets ranked on the distilled set",
        source=SOURCE,
        recipe="coursework-50",
        repeats=1,
        rows=tuple(
            Row(
                label=f"from {start}",
                settings=partial(_settings, dataset, start),
                published={SEARCHES[dataset][start][0]: Published(SEARCHES[dataset][start][1])},
                search="convnet-22",
            )
            for start in starts
        ),
        notes=(*NOTES, "Here, candidates are ranked by validation accuracy; in the reports, by test accuracy."),
    )


SEARCH_MNIST, SEARCH_MHIST = _search("mnist"), _search("mhist:FOLDER")
