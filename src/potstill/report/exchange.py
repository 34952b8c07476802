"""What a set is worth in random real images, in words; for the page and the command line."""

from __future__ import annotations

from potstill.report.wording import SPACE, count, images, network_title, size
from potstill.schema.exchange import Exchange, WorthInImages


def exchanged(found: Exchange, network: str, stored: int, pictures: int, kind: str = "image") -> str:
    """What a set is worth for a network, in a sentence.

    Args:
        found: the record.
        network: the spec of the network.
        stored: the number of images of the set.
        pictures: the number of pictures that they hold.
        kind: what they are: ``image`` or ``vector``.
    """
    title, worth = network_title(network), found.worth(network)
    learner = f"{'an' if title.startswith(('A', 'E', 'I', 'O', 'MLP')) else 'a'} {title}"
    if worth is None:
        return f"It is not known how many random real {kind}s teach {learner} as much."
    held = f" ({images(pictures, 'picture')})" if pictures != stored else ""
    these = f"This {kind}{held} teaches" if stored == 1 else f"These {images(stored, kind)}{held} teach"
    return f"{these} {learner} {_compared(worth)}."


def exchange_sentences(found: Exchange, network: str, stored: int, pictures: int, kind: str = "image") -> list[str]:
    """What the set is worth for a network, its bytes, and why the curve ends early if it does.

    Args:
        found: the record.
        network: the spec of the network.
        stored: the number of images of the set.
        pictures: the number of pictures that they hold.
        kind: what they are: ``image`` or ``vector``.
    """
    sentences = [exchanged(found, network, stored, pictures, kind)]
    worth, failed = found.worth(network), found.networks[network].failed
    if worth is not None and worth.bytes is not None:
        as_what = "8-bit pixels" if kind == "image" else "32-bit numbers"
        real = f"as many real {kind}s take {size(worth.bytes)} as {as_what}"
        sentences.append(f"The set takes {size(found.set_bytes)} as it is stored; {real}.")
    if failed is not None:
        sentences.append(f"The curve ends early because a training failed {failed}.")
    return sentences


def _compared(worth: WorthInImages) -> str:
    """As much as, more than or less than so many random real images, with the interval."""
    if worth.images is not None:
        return f"as much as {_real_ones(worth.images)} ({_interval(worth)})"
    if worth.beyond == "least":
        return f"less than {_real_ones(worth.least)}, the fewest that were tried ({_interval(worth)})"
    return f"more than {_real_ones(worth.most)}, the most that were tried ({_interval(worth)})"


def _real_ones(number: int) -> str:
    return f"{count(number)} random real {'one' if number == 1 else 'ones'}"


def _interval(worth: WorthInImages) -> str:
    if worth.interval is None:
        return "one repeat gives no interval"
    low, high = (None if end is None else count(end) for end in worth.interval)
    if low is None and high is None and worth.least == worth.most:
        return "no other number was tried"
    if low is None and high is None:
        return f"95{SPACE}% interval: wider than the {count(worth.least)} to {count(worth.most)} that were tried"
    if low is None:
        return f"95{SPACE}% interval: {high} or fewer"
    return f"95{SPACE}% interval {f'{low}–{high}' if high is not None else f'from {low} up'}"
