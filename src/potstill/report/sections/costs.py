"""The cost of the set: time, memory, and its size compared with the training images."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.run import Run, Section
from potstill.schema.evaluation import Evaluation
from potstill.schema.manifest import Manifest


@dataclass(frozen=True)
class Cost:
    """One of the costs, in words."""

    name: str
    value: str
    remark: str


def view(run: Run) -> list[Cost]:
    """The costs of a set, of its run if there is one, and of its evaluation."""
    manifest, images = run.manifest, run.after.kind == "image"
    costs = [
        *([] if manifest is None else _of_run(run, manifest)),
        Cost(
            "Images" if images else "Vectors",
            wording.count(len(run.after)),
            "" if run.train is None else f"of {wording.count(run.train)} for training",
        ),
        Cost(
            "Size of the set",
            wording.size(run.after.nbytes if manifest is None else manifest.set_bytes),
            f"32-bit {'pixels' if images else 'numbers'}, labels, and everything else that was learned or is needed to "
            "use them",
        ),
        *([] if manifest is None else [_of_training_images(run, manifest)]),
    ]
    if run.after.step_size is not None:
        learned = f"{run.after.step_size:.4g}"
        costs.append(Cost("Learned step size", learned, "the learning rate to train on the set with"))
    return costs if run.evaluation is None else costs + _of_evaluation(run.evaluation)


def _of_run(run: Run, manifest: Manifest) -> list[Cost]:
    title, pace = "Time to distil" if run.distilled else "Time to choose", _pace(run, manifest)
    peak = manifest.peak_memory_bytes
    return [
        Cost(title, wording.duration(manifest.seconds), pace),
        Cost("Peak memory", wording.size(peak) if peak else "not available", f"on {manifest.compute.device}"),
    ]


def _of_training_images(run: Run, manifest: Manifest) -> Cost:
    ratio = manifest.dataset.train_bytes / max(manifest.set_bytes, 1)
    smaller = f"{wording.times(ratio)} as much" if ratio >= 1 else "less than the set"
    stored = "8-bit pixels" if run.after.kind == "image" else "32-bit numbers"
    size = wording.size(manifest.dataset.train_bytes)
    return Cost(f"Size of the training {run.after.kind}s", size, f"{stored}: {smaller}")


def _pace(run: Run, manifest: Manifest) -> str:
    done = manifest.iterations.done
    if not run.distilled:
        return "in one step"
    words = wording.images(done, "iteration")
    if not done:
        return words
    return f"{words}, {wording.duration(manifest.seconds / done)} each, with preparation and validation"


def _of_evaluation(evaluation: Evaluation) -> list[Cost]:
    tables = (evaluation.networks, *evaluation.baselines.values())
    seconds = sum(result.seconds for results in tables for result in results.values() if result.usable)
    remark = "training and testing, all networks, repeats and baselines"
    return [Cost("Evaluation", wording.duration(seconds), remark)] if seconds else []


SECTION = Section("costs", view)
