"""``potstill experts``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast, get_args

import tyro

from potstill import data, experts, runtime
from potstill.cli.going_on import given_again, going_on
from potstill.cli.options import ComputeOptions, ExecutorOption, MemoryOption, names, parse, within_memory
from potstill.cli.output import say
from potstill.cli.progress import ProgressLines
from potstill.experts.plan import ExpertPlan, Score
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.executor_choice import AUTO
from potstill.schema.words import counted


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train networks on the real images and keep their weights after every epoch.

    Attributes:
        plan: the settings of the training.
        out: folder of the experts. By default runs/experts-DATASET, followed by -NETWORK if one is named.
        resume: continue with the experts in --out.
        scores: difficulty scores of the images to compute and keep: el2n, grand, forgetting, separated by commas.
        compute: device, precision and compilation.
        data_root: folder with local copies of catalogue datasets.
    """

    plan: Annotated[ExpertPlan, tyro.conf.arg(name="")] = field(default_factory=ExpertPlan)
    out: Path | None = None
    resume: bool = False
    scores: str | None = None
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    data_root: Path | None = None
    memory_limit: MemoryOption = None


def run(words: list[str]) -> None:
    """Train experts."""
    options = parse(Options, words, command="experts")
    out = options.out or _default_folder(options.plan)
    if options.resume and (out / experts.ExpertsManifest.FILE).exists():
        plan, compute = experts.stored_plan(out)
        stored = Options(plan=plan, compute=compute)  # options that are not given again keep their stored values
        options = parse(Options, words, command="experts", default=stored)
    plan, scores = options.plan, _scores(options.scores, options.plan)
    with (
        within_memory(options.memory_limit),
        going_on(lambda: _resuming(out, options)),
        ProgressLines("training experts") as progress,
    ):
        dataset = data.load_dataset(
            plan.dataset,
            data_root=options.data_root,
            choices=plan.choices,
            image_size=plan.image_size,
            zca=plan.zca,
            progress=progress,
        )
        compute = runtime.settled(options.compute, long_run=plan.is_long(dataset))
        if not options.resume:
            progress.introduce(dataset)
        record = experts.train_experts(
            plan, dataset, out, compute, resume=options.resume, executor=options.executor, progress=progress
        )
        if scores:
            experts.keep_scores(plan, dataset, out, compute, scores, progress)
    say(f"{counted(len(record.experts), 'expert')} of {counted(plan.epochs, 'epoch')} in {out}")


def _scores(text: str | None, plan: ExpertPlan) -> list[Score]:
    """The requested difficulty scores, if they can be computed from such experts."""
    asked = names(text or "")
    for name in asked:
        if name not in get_args(Score):
            raise unknown("score", name, get_args(Score), listing=", ".join(get_args(Score)))
    if asked and (plan.last_only or plan.ends_only):
        kept = "--last-only keeps only the last" if plan.last_only else "--ends-only keeps only the first and the last"
        raise UserError(f"--scores needs the weights of every epoch, but {kept}", "leave one of the two out")
    if "forgetting" in asked and plan.epochs < 2:
        raise UserError("forgetting scores need at least two epochs", "use --epochs 2 or more")
    return cast(list[Score], asked)


def _resuming(out: Path, options: Options) -> list[object]:
    """The words that continue the experts; none if they were not started."""
    if not (out / experts.ExpertsManifest.FILE).exists():
        return []
    again = {"--scores": options.scores, "--data-root": options.data_root, "--memory-limit": options.memory_limit}
    return ["experts", "--out", out, "--resume", *given_again(again)]


def _default_folder(plan: ExpertPlan) -> Path:
    network = "" if plan.network is None else f"-{plan.network.replace(':', '-')}"
    return Path("runs") / f"experts-{data.short_name(plan.dataset)}{network}"
