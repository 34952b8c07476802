"""What a set is worth in random real images, in words; for the page and the command line."""

from __future__ import annotations

from potstill.report.wording import SPACE, count, images, network_title, size
from potstill.schema.exchange import Exchange, Worth


def exchanged(found: Exchange, network: str, stored: int, pictures: int) -> str:
    """What a set is worth for a network, in a sentence.

    Args:
        found: the record.
        network: the spec of the network.
        stored: the number of images of the set.
        pictures: the number of pictures that they hold.
    """
    title, worth = network_title(network), found.worth(network)
    learner = f"{'an' if title.startswith(('A', 'E', 'I', 'O', 'MLP')) else 'a'} {title}"
    if worth is None:
        return f"How many random real images teach {learner} as much has not been measured."
    held = f" ({images(pictures, 'picture')})" if pictures != stored else ""
    these = f"This 1 image{held} teaches" if stored == 1 else f"These {images(stored)}{held} teach"
    return f"{these} {learner} {_compared(found, network, worth)}."


def sizes(found: Exchange, network: str) -> str | None:
    """The bytes of the set, and of the real images that are worth as much; None if their number is not known."""
    worth = found.worth(network)
    if worth is None or worth.size is None:
        return None
    real = f"as many real images take {size(worth.size)} as 8-bit pixels"
    return f"The set takes {size(found.set_bytes)} as it is stored; {real}."


def _compared(found: Exchange, network: str, worth: Worth) -> str:
    """As much as, more than or less than so many random real images, with the interval."""
    if worth.images is not None:
        return f"as much as {count(worth.images)} random real ones ({_interval(worth)})"
    result = found.networks[network]
    better = sum(result.accuracies) / len(result.accuracies) > result.points[-1].mean
    tried = f"{count(worth.most)} random real ones, the most that were tried"
    few = f"{count(worth.least)} random real ones, the fewest that were tried"
    return f"{f'more than {tried}' if better else f'less than {few}'} ({_interval(worth)})"


def _interval(worth: Worth) -> str:
    if worth.interval is None:
        return "one repeat gives no interval"
    low, high = (None if end is None else count(end) for end in worth.interval)
    if low is None and high is None:
        return f"95{SPACE}% interval: wider than the {count(worth.least)} to {count(worth.most)} that were tried"
    if low is None:
        return f"95{SPACE}% interval: {high} or fewer"
    return f"95{SPACE}% interval {f'{low}–{high}' if high is not None else f'from {low} up'}"
