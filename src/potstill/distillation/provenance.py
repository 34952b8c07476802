"""What is recorded of a run: the provenance in its set, and the manifest."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from potstill.data import ImageDataset
from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.plan import Plan
from potstill.methods import Method, method_name
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256_of_files
from potstill.runtime.machine import describe_machine, peak_memory_bytes
from potstill.schema.manifest import ComputeRecord, Iterations, Manifest, MethodRecord, Status
from potstill.synthetic import SyntheticSet


class Provenance:
    """The provenance of the sets of a run. It is identical for two runs with the same settings.

    Args:
        plan: the plan of the run.
        dataset: the dataset that is distilled.
    """

    def __init__(self, plan: Plan[Method], dataset: ImageDataset) -> None:
        self.plan, self.dataset = plan, dataset

    def of_start(self) -> dict[str, Any]:
        """The provenance of the initial set, as plain values; it stays in the folder of the run."""
        return {
            **self.plan.settings.to_dict(),
            "dataset_fingerprint": self.dataset.fingerprint,
            "chosen_iteration": 0,
            **({} if self.input_sha256 is None else {"reads_sha256": self.input_sha256}),
            **({} if self.plan.privacy is None else {"privacy": self.plan.privacy.to_json()}),
        }

    def of(self, iteration: int) -> dict[str, Any]:
        """The provenance of the set after an iteration, as plain values.

        That of a private set has no fingerprint of the dataset: with it, whoever knows all images but one could check
        a guess of the last.
        """
        values = {**self.of_start(), "chosen_iteration": iteration}
        if self.plan.privacy is not None:
            del values["dataset_fingerprint"]
        return values

    def checked(self, start: SyntheticSet, folder: Path) -> SyntheticSet:
        """Check that dataset, input files and guarantee are still those that the run in ``folder`` was started with.

        Args:
            start: the initial set of the run.
            folder: the folder of the run, for the error message.

        Returns:
            ``start``.

        Raises:
            UserError: one of them has changed.
        """
        if start.provenance.get("dataset_fingerprint") != self.dataset.fingerprint:
            raise UserError(
                f"dataset {self.plan.dataset!r} is not the one that {folder} was started with",
                "restore the dataset, or start again with another `out`",
            )
        if start.provenance.get("reads_sha256", self.input_sha256) != self.input_sha256:
            raise UserError(
                f"the weights that {folder} was started with have changed, or some were added",
                "restore them, or start again with another `out`",
            )
        privacy = self.plan.privacy
        if privacy is not None and start.provenance.get("privacy") != privacy.to_json():
            raise UserError(
                f"{folder} was started with another guarantee: settings or the version of the accountant have changed",
                "restore them, or start again with another `out`, which spends a guarantee of its own",
            )
        return start

    @cached_property
    def input_sha256(self) -> str | None:
        """The SHA-256 of the files that the method's steps depend on; None if there are no such files."""
        paths = [path for path in self.plan.method.input_files() if path.is_file()]
        return sha256_of_files(paths) if paths else None


def describe_run(
    plan: Plan[Method],
    dataset: ImageDataset,
    now: Checkpoint,
    chosen: SyntheticSet,
    *,
    status: Status,
    started: str,
    command: str,
    ranks: int = 1,
) -> Manifest:
    """The manifest of a run, from its present session alone; ``continued`` adds the earlier ones.

    Args:
        plan: the plan of the run.
        dataset: the dataset that is distilled.
        now: the present checkpoint.
        chosen: the set that is kept.
        status: how the session ended.
        started: when the session started, in ISO 8601.
        command: the command line that started it; empty for a session started from Python.
        ranks: the processes that shared the work of this session.
    """
    method, compute = plan.method, plan.compute
    return Manifest(
        method=MethodRecord(
            name=method_name(type(method)),
            title=method.citation.title,
            citation=method.citation.bibtex(),
            url=method.citation.url,
        ),
        dataset=dataset.record,
        seed=plan.seed,
        iterations=Iterations(done=now.iteration, asked=plan.iterations),
        chosen_iteration=chosen.provenance["chosen_iteration"],
        seconds=round(now.seconds, 3),
        peak_memory_bytes=peak_memory_bytes(compute.device),
        set_bytes=chosen.size_bytes,
        tensors_sha256=chosen.fingerprint(),
        machine=describe_machine(),
        compute=ComputeRecord(
            device=str(compute.device), precision=compute.precision, compile=compute.compile, ranks=ranks
        ),
        status=status,
        started=started,
        command=command,
        privacy=plan.privacy,
    )


def continued(manifest: Manifest, earlier: Manifest | None) -> Manifest:
    """The manifest for all sessions: start time and command of the first, the largest peak memory of any."""
    if earlier is None:
        return manifest
    peak = max(manifest.peak_memory_bytes, earlier.peak_memory_bytes)
    return replace(manifest, started=earlier.started, command=earlier.command, peak_memory_bytes=peak)
