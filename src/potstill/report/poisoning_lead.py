"""What came of poisoned sets, in words; for the page and the command line."""

from __future__ import annotations

from potstill.report.wording import SPACE, images, interval, network_title, percent, signed
from potstill.schema.applications import BASELINES
from potstill.schema.poisoning import AFTER, BEFORE, CLEAN, POISONED, BackdoorProtocol, Poisoning, StepProtocol, Victims
from potstill.schema.statistics import paired_difference


def poisoning_verdict(record: Poisoning) -> str:
    """What came of the first source for the first network."""
    source, network = first_source(record), record.networks[0]
    if isinstance(record.protocol, BackdoorProtocol):
        return _backdoor(record, record.protocol, source, network)
    return _step(record, record.protocol, source, network)


def poisoning_remarks(record: Poisoning) -> list[str]:
    """The same for all other sources and networks, and what limits the outcome."""
    first, protocol = first_source(record), record.protocol
    sources = dict.fromkeys([first, *(each.source for each in record.victims if each.case in (POISONED, AFTER))])
    others = [(source, network) for source in sources for network in record.networks][1:]
    if isinstance(protocol, BackdoorProtocol):
        said = [_backdoor(record, protocol, source, network) for source, network in others]
        if len(record.networks) == 1:
            said.append("A single network, the one that methods match: another may respond to the patch differently.")
        said.append(
            "One patch, one target and one choice of the images that were changed: with others it may be different. "
            f"Of {len(others) + 1} intervals as wide as these, some may miss by chance."
        )
        said.append("A stronger attack, whose patch is learned during distillation, is not among those measured here.")
    else:
        said = [_step(record, protocol, source, network) for source, network in others]
        said.append("One distilled set and one pair of classes: intervals are over networks alone.")
        said.append("The step was learned for networks trained like these, and says nothing about others.")
    if len(record.made_on) > 1:
        said.append("Results were measured under different conditions: see the end of the page.")
    return said


def first_source(record: Poisoning) -> str:
    """The source that the page is about: the first that is not a baseline, if there is one."""
    sources = [each.source for each in record.victims if each.case in (POISONED, AFTER)]
    return next((source for source in sources if source not in BASELINES), sources[0] if sources else "")


def _backdoor(record: Poisoning, protocol: BackdoorProtocol, source: str, network: str) -> str:
    bad, control = record.of(source, POISONED, network), record.of(source, CLEAN, network)
    title = network_title(network)
    if bad is None or control is None or not (bad.usable and control.usable):
        return f"{title} on sets by {source}: not measured."
    told = (
        f"Trained on a set by {source} from tampered images, {title} takes {_share(bad, 'success')} of the test images "
        f"of other classes for class {protocol.target} when they have the patch{_unpatched(bad)}; trained on a set "
        f"from the images as they were, {_share(control, 'success')}{_unpatched(control)}. Without the patch it "
        f"recognises {percent(bad.mean('accuracy'))} of all test images, and {percent(control.mean('accuracy'))}."
    )
    pairs = list(zip(bad.values("effect"), control.values("effect"), strict=False))
    difference = paired_difference(bad.values("effect"), control.values("effect"))
    shown = bad.shown_unpatched and control.shown_unpatched
    what = "what the patch does" if shown else "the share with the patch, of which wrong labels may be the cause"
    if difference is None and len(pairs) > 1:
        more = signed(pairs[0][0] - pairs[0][1])
        return f"{told} Tampering adds {more} points to {what}, in each of {len(pairs)} repeats."
    if difference is None:
        return f"{told} One repeat shows no difference."
    low, high = (signed(max(-2.0, min(end, 2.0))) for end in difference.interval)  # no difference is larger
    added = f"tampering adds {signed(difference.mean)} points (95{SPACE}% interval {low} to {high}) to {what}"
    if difference.interval[0] <= 0:
        return f"{told} No backdoor is shown: {added}."
    return f"{told} Some of the backdoor survives: {added}." if shown else f"{told} In this record {added}."


def _step(record: Poisoning, protocol: StepProtocol, source: str, network: str) -> str:
    before, after = record.of("no step", BEFORE, network), record.of(source, AFTER, network)
    if before is None or after is None or not (before.usable and after.usable):
        return f"A step on images by {source}: not measured."
    what = {"random": "random real image", "k-means": "k-means centre"}.get(source, "distilled image")
    by = "" if source in BASELINES else f" by {source}"
    return (
        f"One step on {images(after.images, what)}{by} makes {len(after.outcomes)} trained "
        f"{network_title(network)} networks, none of which distillation has seen, take {_share(after, 'success')} of "
        f"class {protocol.attacked} for class {protocol.target} ({percent(before.mean('success'))} before the step). "
        f"They recognise {percent(after.mean('recognised'))} of class {protocol.attacked} "
        f"({percent(before.mean('recognised'))} before) and {percent(after.mean('accuracy'))} of the other classes "
        f"({percent(before.mean('accuracy'))} before)."
    )


def _unpatched(victims: Victims) -> str:
    """What they do without the patch, unless an older record does not say."""
    return f", and {percent(victims.mean('unpatched'))} of them without it" if victims.shown_unpatched else ""


def _share(victims: Victims, name: str) -> str:
    ends = victims.interval(name)
    return percent(victims.mean(name)) + (f" (95{SPACE}% interval {interval(ends)})" if ends else "")
