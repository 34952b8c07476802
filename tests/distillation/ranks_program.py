"""What each rank of ``test_ranks`` does: small distillations by methods of every family that can be divided."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from potstill.distillation import Settings, distill
from potstill.methods import ATOM, DATM, DC, DM, DPDM, DSA, IDC, MTT, NCFM, DataDAM, Method
from potstill.runtime.ranks import ALONE, Ranks, joined_ranks
from tests.small import NETWORK, digits, short_recipes

PRIVATE = "dp-dm"
"""It draws from the system's entropy: only a run that goes on from the same noise can be the same."""


def runs(experts: str) -> dict[str, Settings[Method]]:
    """The settings of each run, by its name."""
    matching = {
        "student_steps": 3,
        "expert_epochs": 2,
        "latest_start": 2,
        "student_batch": 7,
        "learning_rate": 10.0,
        "experts": experts,
        "segments": 4,
    }
    methods = {
        "dm": DM(batch_real=8),
        "datadam": DataDAM(batch_real=8, network_iterations=2, network_steps=1),
        "dc": DC(batch_real=8, outer_loops=2, inner_epochs=1),
        "dsa": DSA(batch_real=8, outer_loops=2, inner_epochs=1),
        "atom": ATOM(batch_real=8, batches="representative", clustering_interval=2, clustering_candidates=20),
        "idc": IDC(batch_real=8, outer_loops=2, network_images=20, network_batch=8),
        "ncfm": NCFM(batch_real=8, experts=experts, frequencies=16),
        "mtt": MTT(**matching),
        "datm": DATM(**matching, loss_threshold=0.0),
        PRIVATE: DPDM(epsilon=20.0, delta=1e-4, queries=4, group=16),
    }
    settings = {
        name: Settings(method=method, network=NETWORK, ipc=2, iterations=3, validate_every=0, device="cpu")
        for name, method in methods.items()
    }
    return {
        **settings,
        "validated": replace(settings["dm"], validate_every=2, formation=2, network="mlp:width=16"),
        "few classes": replace(settings["dm"], method=replace(methods["dm"], classes_per_step=4)),
        "perceptron": replace(settings["dm"], network="mlp:width=16"),
    }


def distil(folder: Path, experts: str, ranks: Ranks = ALONE) -> dict[str, str]:
    """Do all runs in a folder, or go on with those that are there; the fingerprints of their sets by name."""
    with patch("potstill.evaluation.recipes.RECIPES", short_recipes()):
        return {
            name: distill(settings, digits(), out=folder / name, resume="auto", ranks=ranks).synthetic.fingerprint()
            for name, settings in runs(experts).items()
        }


def main() -> None:
    """Join the ranks, distil, and write what this rank found."""
    folder, experts = sys.argv[1:]
    with joined_ranks() as ranks:
        found = distil(Path(folder), experts, ranks)
    (Path(folder) / f"rank{ranks.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
