"""The result of a run in one sentence, which leads its page, and remarks that limit what may be concluded from it."""

from __future__ import annotations

from potstill.report.exchange import exchanged
from potstill.report.run import Run
from potstill.report.wording import SPACE, count, images, interval, network_title, percent, points, signed
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.schema.exchange import Exchange
from potstill.schema.manifest import Iterations
from potstill.schema.set_file import IMPORTED
from potstill.schema.statistics import welch_interval


def result(run: Run) -> list[str]:
    """The result in one sentence, then the remarks."""
    sentences = _not_evaluated(run) if run.evaluation is None else _worth(run.evaluation, run)
    status = None if run.manifest is None else run.manifest.status
    iterations = Iterations(done=0, asked=0) if run.manifest is None else run.manifest.iterations
    done, asked = count(iterations.done), count(iterations.asked)
    if status in ("interrupted", "time limit"):
        sentences.append(f"The run was stopped after {done} of {asked} iterations.")
    if run.outdated:
        left_out, why = ", ".join(run.outdated), "set was replaced" if run.manifest is None else "run was continued"
        sentences.append(f"Left out because the {why} afterwards: the results of an earlier set in {left_out}.")
    if run.elsewhere:
        sentences.append(f"Left out because they were measured on another dataset: {', '.join(run.elsewhere)}.")
    if status == "diverged":
        sentences.append(f"The loss stopped being finite after {done} iterations: this is the last good set.")
    return sentences


def _not_evaluated(run: Run) -> list[str]:
    set_, worth = images(len(run.after), run.after.kind), "has not been measured yet"
    made = f"{run.dataset} was distilled into {set_}" if run.distilled else chosen_set(run)
    return [f"{made}; what they are worth {worth}."]


def chosen_set(run: Run) -> str:
    """A set that was not distilled here, in a phrase: its images, their dataset and where they are from."""
    of_data = f" of {run.dataset}" if run.dataset else ""
    origin = f", {IMPORTED}" if run.method == IMPORTED else f" {run.origin}".rstrip()
    return f"{images(len(run.after), run.after.kind)}{of_data}{origin}"


def _worth(evaluation: Evaluation, run: Run) -> list[str]:
    network = run.headline
    if network is None:
        reasons = sorted({result.failed for result in evaluation.networks.values() if result.failed})
        return [f"No network could be evaluated: {'; '.join(reasons) or 'none was asked for'}."]
    distilled = evaluation.usable[network]
    reached = percent(distilled.mean)
    if distilled.interval:
        reached += f" (95{SPACE}% interval {interval(distilled.interval)})"
    pictures = f" ({images(run.after.pictures, 'picture')})" if run.after.formation > 1 else ""
    trained_on = images(len(run.after), run.after.kind) + pictures
    clauses = [f"Trained on {trained_on}, {network_title(network)} reaches {reached} on the test set"]
    random, full = (_baseline(evaluation, name, network) for name in ("random", "full"))
    if random is not None:
        clauses.append(f"on {images(run.random_images, f'random real {run.after.kind}')} {percent(random.mean)}")
    if full is not None:
        all_images = f"{run.after.kind}s for training" if run.train is None else images(run.train, run.after.kind)
        clauses.append(f"on all {all_images} {percent(full.mean)}")
    sentences = ["; ".join(clauses) + "."]
    if evaluation.initial_source not in ("random", "fixed"):
        sentences.append(
            f"The networks were pre-trained: they started from the weights in {evaluation.initial_source}."
        )
    if random is not None:
        sentences.append(_comparison(distilled, random, run.after.kind))
    elif not distilled.interval:
        sentences.append("One repeat gives no interval.")
    rates = run.record(Exchange)
    if rates is None or network not in rates.networks or not rates.networks[network].points:
        return sentences
    worth = exchanged(rates, network, len(run.after), run.after.pictures, run.after.kind)
    return _with_exchange(sentences, rates, evaluation, worth)


def _with_exchange(sentences: list[str], rates: Exchange, evaluation: Evaluation, worth: str) -> list[str]:
    """What the set is worth in random real images: first, or last and with its recipe if that is another one.

    Networks with other initial weights are left to their section.
    """
    if dict(rates.initial) != dict(evaluation.initial):
        return sentences
    if rates.recipe == evaluation.recipe:
        return [worth, *sentences]
    return [*sentences, f"By another recipe, {rates.recipe.label}: {worth}"]


def _baseline(evaluation: Evaluation, name: str, network: str) -> NetworkResult | None:
    result = evaluation.baselines.get(name, {}).get(network)
    return result if result is not None and result.usable else None


def _comparison(distilled: NetworkResult, random: NetworkResult, kind: str) -> str:
    """How far the set is from random images, and whether a difference is shown."""
    gain = round(distilled.mean, 3) - round(random.mean, 3)  # of the numbers as printed, so that they add up
    difference = f"{points(abs(gain))} points {'above' if gain >= 0 else 'below'} random {kind}s"
    ends = welch_interval(distilled.accuracies, random.accuracies)
    if ends is None:
        why = "one repeat gives" if min(distilled.repeats, random.repeats) < 2 else "repeats without spread give"
        return f"That is {difference}, but {why} no interval: chance alone may explain a small difference."
    told = f"95{SPACE}% interval of the difference {signed(ends[0])} to {signed(ends[1])}"
    shown = ": no difference is shown" if ends[0] <= 0 <= ends[1] else ""
    return f"That is {difference} ({told}){shown}."
