"""Feature sources on digits, small and short."""

from __future__ import annotations

from pathlib import Path

from potstill.data import LabeledImages
from potstill.experts.feature_source import StoredExperts, TrainedNetworkSource, Training
from potstill.runtime.compute import CPU
from potstill.runtime.streams import Streams
from tests.small import NETWORK


def training(real: LabeledImages, seed: int = 0, fingerprint: str | None = None) -> Training:
    streams = Streams(seed).child("teacher")
    return Training(
        real=real, network=NETWORK, streams=streams, compute=CPU, flips=False, dataset_fingerprint=fingerprint
    )


def trained(real: LabeledImages, epochs: int = 3, seed: int = 0) -> TrainedNetworkSource:
    return TrainedNetworkSource(training(real, seed), epochs)


def stored(real: LabeledImages, folder: Path, fingerprint: str | None = None) -> StoredExperts:
    return StoredExperts(training(real, fingerprint=fingerprint), folder)
