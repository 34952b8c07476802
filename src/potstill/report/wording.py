"""Numbers and names in plain words."""

from __future__ import annotations

from potstill.schema.applications import Gain
from potstill.schema.evaluation import Repeats

SPACE = "\u00a0"  # between a number and its unit, so that a line never breaks there
NETWORK_TITLES = {
    "convnet": "ConvNet",
    "alexnet": "AlexNet",
    "resnet18": "ResNet-18",
    "vgg11": "VGG-11",
    "lenet": "LeNet",
    "mlp": "MLP",
    "linear": "Linear classifier",
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


def signed(fraction: float) -> str:
    """A difference in points, with its sign: ``+4.2``."""
    shown = points(abs(fraction))
    return shown if shown == "0.0" else f"{'−' if fraction < 0 else '+'}{shown}"


def gain(found: Gain) -> str:
    """A gain in points with its interval, and whether it may be due to chance: ``+4.2 (−0.3 to +8.7), n.s.``."""
    return f"{signed(found.mean)} ({_ends(found)}){'' if found.is_significant else ', n.s.'}"


def gain_interval(found: Gain) -> str:
    """The interval of a gain in points: ``95 % interval −0.3 to +8.7``."""
    return f"95{SPACE}% interval {_ends(found)}"


def _ends(found: Gain) -> str:
    low, high = map(signed, found.ci95)
    return f"{low} to {high}"


def interval(ends: tuple[float, float]) -> str:
    """Percent without the sign: ``86.9–89.3``."""
    return f"{points(ends[0])}–{points(ends[1])}"


def repeated(result: Repeats) -> str:
    """Repeated trainings in percent without the sign: ``91.3 ± 0.5 [90.6–91.9] × 5``."""
    spread = "" if result.std is None else f" ± {points(result.std)}"
    ends = "" if result.interval is None else f" [{interval(result.interval)}]"
    return f"{points(result.mean)}{spread}{ends} × {result.repeats}"


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


def round_duration(seconds: float) -> str:
    """A round number of seconds, minutes or hours: 600 as ``10 min``."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:,g}{SPACE}{unit}"
    return f"{seconds:g}{SPACE}s"


def size(number: float) -> str:
    """31360 as ``31.4 kB``, in powers of a thousand."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f}{SPACE}bytes" if unit == "bytes" else f"{number:.3g}{SPACE}{unit}"
        number /= 1000
    return f"{number:,.3g}{SPACE}TB"


def times(ratio: float) -> str:
    """31.36 as ``31.4 times``, 1234.5 as ``1,234 times``."""
    return f"{ratio:.3g} times" if ratio < 999.5 else f"{count(round(ratio))} times"


def images(number: int, kind: str = "image") -> str:
    """``1 image`` or ``10 images``, or images of another ``kind``."""
    return f"{count(number)} {kind}" + ("" if number == 1 else "s")


def sentence(phrase: str) -> str:
    """A phrase with a capital and a full stop."""
    return f"{phrase[:1].upper()}{phrase[1:].rstrip('.')}."


def network_title(spec: str) -> str:
    """``convnet:depth=5`` as ``ConvNet (depth=5)``."""
    family, *options = spec.split(":")
    title = NETWORK_TITLES.get(family, family)
    return f"{title} ({', '.join(options)})" if options else title


def initial_weights(source: str) -> str:
    """The initial weights of networks, in words."""
    return {"random": "random, a new draw for each repeat", "fixed": "one fixed draw"}.get(source, source)
