"""SHA-256 of short runs on digits: of the sets of every method, an evaluation, a search and experts.

Two versions of the code that print the same compute the same bits. Bits depend on the processor and on PyTorch too, so
compare on one machine:

    python -m benchmarks.fingerprints --out before.json
    python -m benchmarks.fingerprints --out after.json --against before.json

It speaks to the command line alone, which outlives the modules behind it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

NETWORK = "convnet:width=8:depth=2"
LONGER = {"dc": 3, "dsa": 3, "datm": 4, "mtt": 4, "tesla": 4, "pad": 4}
"""Iterations of methods that carry more than their pixels from one iteration to the next; others do three."""

PRIVATE = ("dp-dm", "psg")
"""Methods whose sets no real image may choose."""
EXPERTS = ("mtt", "tesla", "datm", "pad")
VARIANTS: dict[str, list[str]] = {
    "dm, bfloat16": ["dm", "--precision", "bfloat16"],
    "datadam, bfloat16": ["datadam", "--precision", "bfloat16"],
    "dm, compiled": ["dm", "--compile", "on"],
    "datadam, compiled, bfloat16": ["datadam", "--compile", "on", "--precision", "bfloat16"],
    "dc, ten images per class": ["dc", "--ipc", "10", "--iterations", "2"],
    "dsa, two outer loops": ["dsa", "--outer-loops", "3", "--inner-epochs", "2"],
    "datadam, a network that is trained": ["datadam", "--network-iterations", "2", "--network-steps", "3"],
    "dm, zca": ["dm", "--zca"],
    "dm, from k-means": ["dm", "--start", "k-means", "--ipc", "2"],
    "dm, from herding": ["dm", "--start", "herding", "--ipc", "2"],
    "dd, fixed weights, two passes": ["dd", "--initial", "fixed", "--passes", "2", "--ipc", "2"],
    "mtt, batches": ["mtt", "--ipc", "2", "--student-batch", "7", "--keep", "roots"],
    "pad, by difference": ["pad", "--by", "difference", "--ratio", "0.3"],
}


def main() -> None:
    """Print the fingerprints, keep them if asked to, and exit with 1 if they differ from earlier ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", nargs="*", help="names of runs; all by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fingerprints(Path(folder), options.only)
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")
    if options.against is not None:
        earlier = json.loads(options.against.read_text())
        differ = [name for name in found if earlier.get(name) != found[name]]
        missing = [] if options.only else sorted(set(earlier) - set(found))
        print(f"{len(found)} runs, {len(differ)} differ: {', '.join(differ) or '-'}; missing: {missing or '-'}")
        sys.exit(bool(differ or missing))


def fingerprints(folder: Path, only: list[str] | None) -> dict[str, str]:
    """By run, the SHA-256 of what it computes."""
    experts, runs = folder / "experts", folder / "runs"
    # The experts are what some methods match: they are always made.
    potstill("experts", "--network", NETWORK, "--count", "2", "--epochs", "12", "--batch-size", "512", "--out", experts)
    found: dict[str, str] = {}
    methods = {name: [name] for name in listed_methods()}
    for name, words in {**methods, **VARIANTS}.items():
        if only and name not in only:
            continue
        found[name] = distilled(words, runs / name.replace(" ", "-").replace(",", ""), experts)
        print(f"{name}: {found[name]}", flush=True)
    if only:
        return found
    found["experts"] = digest([experts_of(experts)])
    found["evaluation"] = evaluated(runs / "dm")
    found["evaluation, replay"] = evaluated(runs / "dd", "--recipe", "replay")
    found["search"] = searched(runs / "dm")
    return found


def listed_methods() -> list[str]:
    """The names that ``potstill list methods`` prints."""
    lines = potstill("list", "methods").splitlines()[1:]
    return [line.split()[0] for line in lines if line.strip() and not line.startswith(" ")]


def distilled(words: list[str], out: Path, experts: Path) -> str:
    """The hash of the tensors that a short run leaves."""
    method = words[0]
    options = [*words, "--network", NETWORK, "--out", out, "--seed", "3", "--device", "cpu"]
    for option, value in (
        ("--ipc", "1"),
        ("--iterations", str(LONGER.get(method, 3))),
        ("--precision", "float32"),
        ("--compile", "off"),
        ("--validate-every", "0" if method in PRIVATE else "1"),
    ):
        if option not in words:
            options += [option, value]
    if method in EXPERTS:
        options += ["--experts", experts, "--rate-learning-rate", "1e-7"]
    potstill("distill", *options)
    return json.loads((out / "manifest.json").read_text())["tensors_sha256"]


def evaluated(run: Path, *options: str) -> str:
    """The hash of all accuracies and confusion counts of an evaluation."""
    kinds = ("--networks", f"{NETWORK},mlp:width=16", "--baselines", "random,herding,full,initial")
    recipe = () if "--recipe" in options else ("--recipe", "quick")
    out = run / "evaluation-of-fingerprints.json"
    words = (*kinds, *recipe, *options, "--repeats", "2", "--full-epochs", "2", "--out", out)
    potstill("evaluate", run, *words, "--device", "cpu", "--precision", "float32", "--compile", "off")
    record = json.loads(out.read_text())
    sets = {"set": record["networks"], **record["baselines"]}
    return digest(
        [
            (name, network, entry["accuracies"], entry["confusion"])
            for name, entries in sets.items()
            for network, entry in entries.items()
        ]
    )


def searched(run: Path) -> str:
    """The hash of the ranking of a search and of its accuracies."""
    out = run / "search-of-fingerprints.json"
    words = ("--recipe", "coursework-50", "--top", "1", "--full-epochs", "1", "--out", out)
    potstill("search", run, *words, "--device", "cpu", "--precision", "float32", "--compile", "off")
    record = json.loads(out.read_text())
    full = {name: entry["accuracies"] for name, entry in record["full"].items()}
    return digest([record["ranked"], [record["candidates"][name]["accuracies"] for name in record["ranked"]], full])


def experts_of(folder: Path) -> list[Any]:
    """The content of the experts' tensors, without what is told of them."""
    from safetensors import safe_open

    found = []
    for path in sorted(folder.glob("expert-*.safetensors")):
        with safe_open(path, framework="np") as archive:
            names = sorted(archive.keys())
            found.append([(n, hashlib.sha256(archive.get_tensor(n).tobytes()).hexdigest()) for n in names])
    return found


def digest(values: Any) -> str:
    """The SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def potstill(*words: str | Path) -> str:
    """Run a command of this environment; its output."""
    command = [sys.executable, "-m", "potstill", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
