"""``potstill experts``."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import tyro

from potstill.cli.options import parse
from potstill.data import load_dataset
from potstill.runtime.compute import Compilation, Precision, resolve_compute
from potstill.runtime.errors import unknown
from potstill.settings import LONG_RUN_PIXELS
from potstill.training.difficulty import Score
from potstill.training.experts import MANIFEST, ExpertPlan, keep_scores, stored_plan, train_experts


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train networks on the real images and keep what they were after every epoch.

    Attributes:
        plan: what to train.
        out: the folder of the experts; by default runs/experts-DATASET-NETWORK.
        resume: go on with the experts in --out.
        scores: of how hard each image is, separated by commas: el2n, grand, forgetting; kept beside the experts.
        device: ``auto`` takes an accelerator where there is one.
        precision: of the networks.
        compile: whether networks are compiled.
        data_root: a folder with local copies of catalogue datasets.
    """

    plan: Annotated[ExpertPlan, tyro.conf.arg(name="")] = field(default_factory=ExpertPlan)
    out: Path | None = None
    resume: bool = False
    scores: str | None = None
    device: str = "auto"
    precision: Precision = "auto"
    compile: Compilation = "auto"
    data_root: Path | None = None


def run(words: list[str]) -> None:
    """Train experts as ``words`` say."""
    options = parse(Options, words, command="experts")
    if options.resume and options.out is not None and (options.out / MANIFEST).exists():
        begun = Options(plan=stored_plan(options.out))  # what is not given again is as it was
        options = parse(Options, words, command="experts", default=begun)
    plan = options.plan
    dataset = load_dataset(plan.dataset, data_root=options.data_root, image_size=plan.image_size, zca=plan.zca)
    pixels = plan.images_seen(dataset) * math.prod(dataset.shape[1:])
    long_run = pixels >= LONG_RUN_PIXELS
    compute = resolve_compute(options.device, options.precision, options.compile, long_run=long_run)
    out = options.out or _default_folder(plan)
    record = train_experts(plan, dataset, out, compute, resume=options.resume, listen=lambda e: _tell(e, plan))
    if options.scores:
        keep_scores(plan, dataset, out, compute, _names(options.scores))
    print(f"{len(record['experts'])} experts of {plan.epochs} epochs in {out}")


def _names(text: str) -> list[Score]:
    names = text.split(",")
    for name in names:
        if name not in get_args(Score):
            raise unknown("score", name, get_args(Score), listing=", ".join(get_args(Score)))
    return cast(list[Score], names)


def _tell(expert: dict[str, Any], plan: ExpertPlan) -> None:
    if sys.stderr.isatty():
        accuracy = expert.get("validation_accuracy")
        shown = "" if accuracy is None else f", {accuracy:.1%} of the validation images right"
        print(f"expert {expert['number'] + 1} of {plan.count}: {expert['seconds']:.0f} s{shown}", file=sys.stderr)


def _default_folder(plan: ExpertPlan) -> Path:
    parts = (plan.dataset.replace(":", "-"), plan.network.replace(":", "-"))
    return Path("runs") / f"experts-{Path(parts[0]).stem}-{parts[1]}"
