"""The DataDAM coursework: two reports that distil MNIST and MHIST, search architectures with the sets, and try PAD."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from potstill import methods
from potstill.distillation.settings import Settings
from potstill.experts.plan import ExpertPlan
from potstill.methods import Start
from potstill.reproductions.base import Published, PublishedSearch, Reproduction, Row

if TYPE_CHECKING:
    from potstill.methods import DataDAM

MHIST = "mhist:FOLDER"
SOURCE = "two coursework reports on DataDAM, T4-class GPUs"
NOTES = (
    "A tenth of the training images is held out for validation.",
    "Candidates of a search are ranked by their accuracy on the validation split.",
)


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
    title="The DataDAM coursework on MNIST: 10 images per class, the search over 22 ConvNets, and PAD",
    source=SOURCE,
    recipe="coursework-50",
    rows=(
        Row(
            label="full data",
            settings=partial(_settings, "mnist", "real"),
            published={
                "convnet": Published(99.49, time="7 min 7 s"),
                "alexnet": Published(99.19, time="9 min 22 s"),
            },
            full=True,
        ),
        Row(
            label="from real",
            settings=partial(_settings, "mnist", "real"),
            published={
                "convnet": Published(91.81, time="<1 s"),
                "alexnet": Published(23.48),
                "resnet18": None,
            },
            search=PublishedSearch(
                space="convnet-22",
                found="ConvNetW256",
                accuracy=91.92,
                time="34 s",
                full=Published(99.52, time="8 min 4 s"),
            ),
        ),
        Row(
            label="from noise",
            settings=partial(_settings, "mnist", "noise"),
            published={
                "convnet": Published(74.44, time="<1 s"),
                "alexnet": Published(17.9),
                "resnet18": None,
            },
            search=PublishedSearch(
                space="convnet-22",
                found="ConvNetW64",
                accuracy=75.79,
                time="83 s",
                full=Published(99.5, time="7 min 27 s"),
            ),
        ),
        Row(
            label="PAD",
            settings=lambda: Settings(method=methods.PAD(), dataset="mnist", ipc=10, iterations=400, validate_every=0),
            published={"convnet": None, "alexnet": None, "resnet18": None},
            experts=ExpertPlan(dataset="mnist", count=3, epochs=6, batch_size=1024, curriculum=True),
        ),
        Row(
            label="random real",
            settings=lambda: Settings(method=methods.Random(), dataset="mnist", ipc=10),
            published={"convnet": None, "alexnet": None, "resnet18": None},
        ),
    ),
    notes=(
        *NOTES,
        "The second report also searched with all of MNIST, in 1607.3 s, and with its synthetic set, in 2.8 s.",
        "No accuracy of ResNet-18 or of PAD is at hand; PAD matches three short experts here, in settings of ours.",
    ),
)

DATADAM_MHIST = Reproduction(
    name="datadam-coursework-mhist",
    title="The DataDAM coursework on MHIST, 50 images per class (needs your own copy: `dataset=mhist:FOLDER`)",
    source=SOURCE,
    recipe="coursework-50",
    rows=(
        Row(
            label="full data",
            settings=partial(_settings, MHIST, "real"),
            published={
                "convnet:depth=7": Published(80.14, time="6 min 12 s"),
                "alexnet": Published(68.37, time="6 min 40 s"),
            },
            full=True,
        ),
        Row(
            label="from real",
            settings=partial(_settings, MHIST, "real"),
            published={
                "convnet:depth=7": Published(63.87, time="10 s"),
                "alexnet": Published(36.87, time="18 s"),
            },
            search=PublishedSearch(
                space="convnet-22",
                found="ConvNetGN",
                accuracy=64.79,
                time="10 min 56 s",
                full=Published(67.04, time="3 min 45 s"),
            ),
        ),
        Row(
            label="from noise",
            settings=partial(_settings, MHIST, "noise"),
            published={
                "convnet:depth=7": Published(53.63, time="10 s"),
                "alexnet": Published(63.15, time="17 s"),
            },
            search=PublishedSearch(
                space="convnet-22",
                found="ConvNetAS",
                accuracy=63.15,
                time="10 min 55 s",
                full=Published(63.66, time="3 min 36 s"),
            ),
        ),
        Row(
            label="random real",
            settings=lambda: Settings(method=methods.Random(), dataset=MHIST, ipc=50),
            published={"convnet:depth=7": None, "alexnet": None},
        ),
    ),
    notes=NOTES,
)
