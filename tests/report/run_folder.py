"""Run folders made without distilling anything: the records as the driver and the evaluation write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from potstill.report.images import read_images
from potstill.runtime.files import sha256
from potstill.runtime.safetensors_io import with_metadata
from potstill.schema.evaluation import NetworkResult
from potstill.schema.recipe import Recipe

SET = "c0" * 32
"""Stands for the hash of the set beside a record, which ``write_record`` puts in its place."""

FINGERPRINT = "5f" * 32
"""The hash of the dataset."""

IMPORTED = {
    "method": "imported",
    "imported_from": "res_DM_digits_ConvNet_1ipc.pt",
    "imported_sha256": "ab" * 32,
    "dataset": "digits",
    "dataset_fingerprint": FINGERPRINT,
    "image_size": None,
}
"""The provenance of an imported set."""

BIBTEX = """@inproceedings{zhao2023dm,
  title = {{Dataset Condensation with Distribution Matching}},
  author = {Zhao, Bo and Bilen, Hakan},
  year = {2023},
}"""


def entry(
    mean: float,
    *,
    repeats: int = 5,
    spread: float = 0.006,
    classes: int = 10,
    seconds: float = 41.3,
    seed: int = 0,
    trained: int = 1000,
) -> dict[str, Any]:
    """A score as the evaluation writes it, with a curve and a confusion matrix."""
    generator = np.random.default_rng(seed)
    accuracies = np.clip(mean + spread * generator.standard_normal(repeats), 0, 1)
    accuracies = accuracies.round(4)
    mean, epochs = float(accuracies.mean()), list(range(0, trained + 1, trained // 10))
    wrong = generator.multinomial(int(30 * (1 - mean) * repeats), np.full(classes, 1 / classes), size=classes)
    confusion = wrong + np.diag(np.full(classes, int(30 * mean * repeats)))
    return NetworkResult(
        accuracies=accuracies.tolist(),
        seconds=seconds,
        epochs=trained,
        made_on=["a machine"],
        curve_epochs=epochs,
        curve_loss=[2.3 * float(np.exp(-epoch / 250)) + 0.01 for epoch in epochs],
        curve_accuracy=[mean * (1 - 0.9 * float(np.exp(-epoch / 120))) for epoch in epochs],
        confusion=confusion.tolist(),
    ).to_json()


def evaluation(repeats: int = 5, classes: int = 10) -> dict[str, Any]:
    """Two networks that could be evaluated, one that could not, and both baselines."""
    size: dict[str, Any] = {"repeats": repeats, "classes": classes}
    return {
        "schema": 2,
        "set_sha256": SET,
        "dataset_fingerprint": FINGERPRINT,
        "initial": {"source": "random", "seed": 0, "scheme": "kaiming"},
        "recipe": Recipe(name="dsa-1000", summary="", epochs=1000, full_epochs=50).to_json(),
        "seed": 0,
        "full_epochs": 30,
        "machine": {"processor": "a processor", "cores": 2},
        "networks": {
            "convnet": entry(0.881, **size),
            "alexnet": entry(0.787, spread=0.02, seed=1, **size),
            "resnet18": {"failed": "the loss stopped being finite in epoch 12"},
        },
        "baselines": {
            "random": {
                "convnet": entry(0.67, spread=0.03, seed=2, **size),
                "alexnet": entry(0.55, spread=0.05, seed=3, **size),
            },
            "full": {"convnet": entry(0.987, spread=0.001, seconds=312.5, seed=4, trained=30, **size)},
        },
    }


def manifest(shape: Sequence[int], classes: int, count: int) -> dict[str, Any]:
    """A run that went well."""
    return {
        "schema": 1,
        "method": {
            "name": "dm",
            "title": "Dataset Condensation with Distribution Matching",
            "citation": BIBTEX,
            "url": "https://arxiv.org/abs/2110.04181",
        },
        "dataset": {
            "name": "digits",
            "fingerprint": FINGERPRINT,
            "shape": list(shape),
            "classes": classes,
            "train": 1437,
            "validation": 159,
            "test": 360,
        },
        "seed": 0,
        "iterations": {"done": 600, "asked": 600},
        "chosen_iteration": 480,
        "seconds": 812.4,
        "peak_memory_bytes": 734_003_200,
        "set_bytes": count * (4 * int(np.prod(shape)) + 8),
        "tensors_sha256": SET,
        "machine": {
            "processor": "AMD EPYC 7B13",
            "cores": 2,
            "accelerator": "none",
            "system": "Linux 6.1.0",
            "python": "3.11.2",
            "torch": "2.13.0+cpu",
            "potstill": "0.1.0",
        },
        "compute": {"device": "cpu", "precision": "float32", "compile": False},
        "status": "complete",
        "started": "2030-01-02T03:04:05+00:00",
        "command": "potstill distill dm --dataset digits --ipc 1 --iterations 600",
    }


def write_set(path: Path, images: np.ndarray, labels: np.ndarray, names: Sequence[str], **extra: np.ndarray) -> None:
    """A synthetic set of images float32 (N, C, H, W) whose normalisation is mean 0.25, std 0.5 in every channel."""
    channels = images.shape[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "format": "potstill.synthetic/1",
        "class_names": json.dumps(list(names)),
        "mean": json.dumps([0.25] * channels),
        "std": json.dumps([0.5] * channels),
        "provenance": json.dumps({"method": "dm"}),
    }
    tensors = {"images": images.astype(np.float32), "labels": labels, **extra}
    save_file({name: np.array(tensor, order="C") for name, tensor in tensors.items()}, path, metadata)


def make_set(folder: Path, provenance: dict[str, Any], name: str = "synthetic.safetensors") -> Path:
    """A folder with a set and its evaluation."""
    file = folder / name
    write_set(file, np.random.default_rng(0).standard_normal((10, 1, 8, 8)), np.arange(10), tuple("0123456789"))
    metadata = {"class_names": json.dumps(list("0123456789")), "mean": "[0.25]", "std": "[0.5]"}
    written = {**metadata, "format": "potstill.synthetic/1", "provenance": json.dumps(provenance)}
    save_file(load_file(file), file, written)
    write_record(folder / "evaluation.json", evaluation() | {"set_sha256": read_images(file).tensors_sha256})
    return folder


def make_run(
    path: Path,
    *,
    per_class: int = 1,
    shape: tuple[int, int, int] = (1, 8, 8),
    names: Sequence[str] = tuple("0123456789"),
    started: bool = True,
    evaluated: dict[str, Any] | None = None,
) -> Path:
    """A whole run folder of random images; ``evaluated`` is its evaluation.json, if any."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(names)), per_class)
    before = generator.standard_normal((len(labels), *shape))
    write_set(path / "synthetic.safetensors", before + 0.5 * generator.standard_normal(before.shape), labels, names)
    if started:
        write_set(path / "checkpoint" / "start.safetensors", before, labels, names)
    write_record(path / "manifest.json", manifest(shape, len(names), len(labels)))
    if evaluated is not None:
        write_record(path / "evaluation.json", evaluated)
    (path / "config.toml").write_text(
        'dataset = "digits"\nipc = 1\nstart = "real"\nnetwork = "convnet"\niterations = 600\nseed = 0\n\n'
        '[method]\nname = "dm"\nlearning_rate = 1.0\n'
    )
    losses = [30 * float(np.exp(-step / 90)) + 0.2 * float(generator.random()) for step in range(10, 601, 10)]
    events: list[dict[str, Any]] = [{"event": "start", "seed": 0}]
    events += [
        {"event": "step", "iteration": 10 * (index + 1), "loss": loss, "seconds": index}
        for index, loss in enumerate(losses)
    ]
    events += [
        {"event": "validation", "iteration": step, "accuracy": 0.9 - 0.3 * float(np.exp(-step / 100))}
        for step in range(60, 601, 60)
    ]
    events.append({"event": "finish"})
    (path / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def write_record(path: Path, value: dict[str, Any]) -> None:
    """A JSON record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.parent / "synthetic.safetensors"
    digest = sha256(with_metadata(beside.read_bytes(), {})) if beside.exists() else SET
    path.write_text(json.dumps(value).replace(SET, digest))


def change_record(path: Path, **fields: Any) -> None:
    """Replace fields of a JSON record."""
    write_record(path, json.loads(path.read_text()) | fields)
