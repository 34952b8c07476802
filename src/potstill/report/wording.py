"""Figures and results in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.report.scores import Evaluation, Failure, Score

if TYPE_CHECKING:
    from potstill.report.records import Run

SPACE = "\u00a0"  # between a figure and its unit, so that a line never breaks there
NETWORK_TITLES = {
    "convnet": "ConvNet",
    "alexnet": "AlexNet",
    "resnet18": "ResNet-18",
    "vgg11": "VGG-11",
    "lenet": "LeNet",
    "mlp": "MLP",
}


def count(number: int) -> str:
    """1437 as ``1,437``."""
    return f"{number:,}"


def points(fraction: float, digits: int = 1) -> str:
    """0.881 as ``88.1``: percent without the sign."""
    return f"{100 * fraction:.{digits}f}"


def percent(fraction: float, digits: int = 1) -> str:
    """0.881 as ``88.1 %``."""
    return f"{points(fraction, digits)}{SPACE}%"


def interval(ends: tuple[float, float]) -> str:
    """Percent without the sign: ``86.9–89.3``."""
    return f"{points(ends[0])}–{points(ends[1])}"


def duration(seconds: float) -> str:
    """812.4 as ``13 min 32 s``."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.2g}{SPACE}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{count(minutes // 60)}{SPACE}h {minutes % 60}{SPACE}min"


def size(number: float) -> str:
    """31360 as ``31.4 kB``, in powers of a thousand."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f}{SPACE}bytes" if unit == "bytes" else f"{number:.3g}{SPACE}{unit}"
        number /= 1000
    return f"{number:,.3g}{SPACE}TB"


def images(number: int, kind: str = "image") -> str:
    """``1 image`` or ``10 images``, or images of another ``kind``."""
    return f"{count(number)} {kind}" + ("" if number == 1 else "s")


def network_title(spec: str) -> str:
    """``convnet:depth=5`` as ``ConvNet (depth=5)``."""
    family, *options = spec.split(":")
    title = NETWORK_TITLES.get(family, family)
    return f"{title} ({', '.join(options)})" if options else title


def baseline_title(name: str, run: Run) -> str:
    """What a baseline was trained on."""
    titles = {
        "random": images(len(run.after), "random real image"),
        "full": f"all {count(run.manifest.dataset.train)} training images",
        "initial": "nothing: the network as it was before",
    }
    return titles.get(name, f"{images(len(run.after))} by {name}")


def result(run: Run) -> list[str]:
    """What the run showed: the result in one sentence, then what keeps a reader from reading too much into it."""
    sentences = _worth(run.evaluation, run) if run.evaluation else [_not_evaluated(run)]
    manifest = run.manifest
    if manifest.status in ("interrupted", "time limit"):
        done, asked = count(manifest.iterations_done), count(manifest.iterations_asked)
        sentences.append(f"The run was stopped after {done} of {asked} iterations.")
    if run.outdated:
        left_out = f"the figures of an earlier set in {', '.join(run.outdated)}"
        sentences.append(f"Left out, for the run went on after they were made: {left_out}.")
    if run.elsewhere:
        sentences.append(f"Left out, for they were made with another dataset: {', '.join(run.elsewhere)}.")
    if manifest.status == "diverged":
        sentences.append(
            f"The loss stopped being finite after {count(manifest.iterations_done)} iterations: "
            "this is the last good set."
        )
    return sentences


def _not_evaluated(run: Run) -> str:
    made = f"{run.manifest.dataset.name} was distilled to {images(len(run.after))}"
    return f"{made}; what they are worth was not measured yet."


def _worth(evaluation: Evaluation, run: Run) -> list[str]:
    network = evaluation.headline(str(run.config.get("network", "")))
    if network is None:
        reasons = {entry.reason for entry in evaluation.networks.values() if isinstance(entry, Failure)}
        return [f"No network could be evaluated: {'; '.join(sorted(reasons)) or 'none was asked for'}."]
    score = evaluation.scores[network]
    reached = percent(score.mean)
    if score.interval:
        reached += f" (95{SPACE}% interval {interval(score.interval)})"
    clauses = [f"Trained on {images(len(run.after))}, {network_title(network)} reaches {reached} on the test set"]
    random = evaluation.baselines.get("random", {}).get(network)
    full = evaluation.baselines.get("full", {}).get(network)
    if isinstance(random, Score):
        clauses.append(f"on {images(len(run.after), 'random real image')} {percent(random.mean)}")
    if isinstance(full, Score):
        clauses.append(f"on all {images(run.manifest.dataset.train)} {percent(full.mean)}")
    sentences = ["; ".join(clauses) + "."]
    if evaluation.initial not in ("random", "fixed"):
        sentences.append(f"The networks knew something before: they began with the weights in {evaluation.initial}.")
    if isinstance(random, Score):
        sentences.append(_comparison(score, random))
    elif not score.interval:
        sentences.append("One repeat gives no interval.")
    return sentences


def initial_weights(source: str) -> str:
    """What networks began with."""
    return {"random": "random, another draw for each repeat", "fixed": "one fixed draw"}.get(source, source)


def _comparison(distilled: Score, random: Score) -> str:
    """What the two intervals allow to be said."""
    gain = round(distilled.mean, 3) - round(random.mean, 3)  # of the figures as printed, so that they add up
    difference = f"{points(abs(gain))} points {'above' if gain >= 0 else 'below'} random images"
    if not (distilled.interval and random.interval):
        return f"That is {difference}, but one repeat gives no interval: chance alone may explain a small difference."
    if distilled.interval[0] > random.interval[1] or distilled.interval[1] < random.interval[0]:
        return f"That is {difference}, and the intervals do not overlap."
    return f"The intervals of distilled and random images overlap: at {difference}, no difference is shown."
