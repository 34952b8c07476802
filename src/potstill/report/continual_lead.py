"""The outcome of continual learning in one sentence, and remarks that limit it; for the page and the command line."""

from __future__ import annotations

from potstill.report import wording
from potstill.report.wording import signed
from potstill.schema.applications import BASELINES
from potstill.schema.continual import Continual, Learner, Memory


def continual_verdict(record: Continual) -> str:
    """What the first network keeps with the first memory, against as many random images."""
    memory = first_memory(record)
    return _outcome(record, memory.name, _ways(record)[0], record.memories)


def remarks(record: Continual) -> list[str]:
    """The same for all other networks and ways to train them, and what limits the outcome."""
    memory = first_memory(record)
    given = [each.name for each in record.memories if each.kind == "set"]
    courses = max((len(learner.courses) for learner in record.learners), default=0)
    said = [_outcome(record, memory.name, way, record.memories) for way in _ways(record)[1:]]
    said += [better for way in _ways(record) if (better := _better(record, memory.name, way))]
    if given:
        were = "was" if len(given) == 1 else "were"
        said.append(
            f"{', '.join(given)} {were} made beforehand, perhaps from the {record.kind}s of all stages at once."
        )
    if courses == 1:
        said.append("One course each: no difference can be shown.")
    if len(record.networks) == 1:
        said.append("A single network, the one that methods match: with another one, the order may be different.")
    if len(record.made_on) > 1:
        said.append("Results were measured under different conditions: see the end of the page.")
    return said


def first_memory(record: Continual) -> Memory:
    """The memory that the page is about: the first that is not a baseline, if there is one."""
    others = [memory for memory in record.memories if memory.name not in BASELINES]
    return (others or record.memories)[0]


def _better(record: Continual, memory: str, way: tuple[str, bool]) -> str:
    """The memory with the highest mean, if it is another one; nothing about whether that may be chance."""
    usable = [learner for learner in record.learners if learner.usable and learner.way == way]
    if not usable:
        return ""
    means = {each.memory: sum(each.final) / len(each.final) for each in usable}
    best = max(means, key=means.__getitem__)
    if best == memory or means[best] <= means.get(memory, 0.0):
        return ""
    return f"With {way_title(way)}, {best} has the highest mean: {wording.percent(means[best])}."


def way_title(way: tuple[str, bool]) -> str:
    """A network, and whether knowledge is distilled."""
    network, knowledge = way
    return wording.network_title(network) + (" with knowledge distillation" if knowledge else "")


def _ways(record: Continual) -> list[tuple[str, bool]]:
    """Networks, and whether knowledge is distilled, in the order of the learners."""
    ways = [learner.way for learner in record.learners]
    return list(dict.fromkeys(ways)) or [(record.networks[0], False)]


def _outcome(record: Continual, memory: str, way: tuple[str, bool], memories: list[Memory]) -> str:
    title = way_title(way)
    learner = record.learner(memory, way[0], knowledge=way[1])
    if learner is None:
        return f"{title} has no result with a memory of {memory}."
    images = next(each.images[-1] for each in memories if each.name == memory)
    reached = wording.percent(sum(learner.final) / len(learner.final))
    held = f"{'and' if way[1] else 'with'} a memory of {wording.images(images, record.kind)} by {memory}"
    kept = f"After {learner.stages} stages, {title} {held} reaches {reached} on average over the stages"
    if memory == "random":
        return f"{kept}."
    return f"{kept}{_against_random(record, learner)}."


def _against_random(record: Continual, learner: Learner) -> str:
    random = record.learner("random", learner.network, knowledge=learner.knowledge)
    if random is None:
        return ""
    gain = record.gain(learner)
    mean = sum(learner.final) / len(learner.final) - sum(random.final) / len(random.final)
    points, many = f"{wording.points(abs(mean))} points", f"as many random {record.kind}s"
    if gain is None:
        return f", {points} {_side(mean)} {many}, a difference that may be due to chance"
    if gain.is_significant:
        return f", {points} {_side(mean)} {many} ({wording.gain_interval(gain)})"
    return f"; the difference from {many} ({signed(mean)} points, {wording.gain_interval(gain)}) may be due to chance"


def _side(mean: float) -> str:
    return "above" if mean >= 0 else "below"
