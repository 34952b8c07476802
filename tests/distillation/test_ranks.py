"""Ranks: three processes find the bits of one; a rank that is killed, or that differs, ends them all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from potstill.data import LabeledImages
from potstill.distillation import RunFolder, distill
from potstill.distillation.following import check_ranks
from potstill.distillation.plan import resolve
from potstill.distillation.settings import Settings
from potstill.methods import DC, DM, MTT, Random
from potstill.runtime.errors import UserError
from potstill.runtime.ranks import Messages, Ranks
from tests.children import child
from tests.distillation import ranks_program
from tests.forks import forked
from tests.runs import lasting
from tests.small import NETWORK, digits, problem, small_digits, small_experts

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@pytest.mark.slow
def test_three_ranks_make_the_sets_of_one(tmp_path: Path):
    pytest.importorskip("dp_accounting")
    alone, together, experts = tmp_path / "alone", tmp_path / "together", small_experts()
    noised = ranks_program.runs(experts)[ranks_program.PRIVATE]
    distill(noised, digits(), out=alone / ranks_program.PRIVATE, time_limit=0)
    shutil.copytree(alone / ranks_program.PRIVATE, together / ranks_program.PRIVATE)
    expected = ranks_program.distil(alone, experts)
    program = ("-m", "tests.distillation.ranks_program", str(together), experts)
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.close()
        started = [
            stack.enter_context(
                forked(*program, folder=tmp_path / f"rank{rank}", environment=as_torchrun_says(rank, 3, port))
            )
            for rank in range(3)
        ]
        for rank in started:
            assert rank.wait(300) == 0, rank.errors.read_text()
    for rank in range(3):
        assert json.loads((together / f"rank{rank}.json").read_text()) == expected
    for name in expected:
        assert lasting(together / name) == lasting(alone / name)


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_and_one_rank_goes_on(tmp_path: Path):
    run = RunFolder(tmp_path / "run")
    words = ("-m", "tests.slowed", "distill", "dm", "--dataset", "digits", "--ipc", "1", "--batch-real", "8")
    options = (
        "--network",
        NETWORK,
        "--iterations",
        "60",
        "--validate-every",
        "0",
        "--device",
        "cpu",
        "--precision",
        "float32",
    )
    with child(
        *TORCHRUN, "3", *words, *options, "--out", str(run.path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as started:
        wait_for(lambda: run.metrics.exists() and '"iteration": 3' in run.metrics.read_text())
        os.kill(rank_process(started.pid, 1), signal.SIGKILL)
        output, _ = started.communicate(timeout=60)
    assert started.returncode == 1
    # torchrun also stops the other ranks: rank 0 reports what it learns first, and rank 2 leaves it to rank 0.
    first = (
        "potstill: another rank ended, and this one cannot continue alone (",
        "potstill: interrupted; go on with: ",
    )
    assert any(report in output for report in first), output
    assert "potstill: rank" not in output
    manifest = run.read_manifest()
    assert manifest.status == "interrupted"
    assert 0 < manifest.iterations.done < 60
    assert manifest.compute.ranks == 3
    settings = Settings.from_toml(run.config)
    distill(settings, out=run.path, resume=True)
    distill(settings, out=tmp_path / "alone")
    assert lasting(run.path) == lasting(tmp_path / "alone")


@pytest.mark.slow
def test_torchrun_with_another_command_is_refused():
    with child(*TORCHRUN, "2", "-m", "potstill", "list", stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as started:
        output, _ = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "list cannot be divided among ranks; start it without torchrun" in output


@pytest.mark.parametrize("parts", [1, 3, 10, 11])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_part_has_one_rank_and_no_rank_two_more_than_another(parts: int, count: int):
    shares = [range(parts)[Ranks(rank, count).share(parts)] for rank in range(count)]
    assert [part for share in shares for part in share] == list(range(parts))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_an_iteration_with_too_few_parts_is_refused():
    dataset, two = small_digits(), Ranks(count=2)

    def refusal(settings: Settings, ranks: Ranks = two) -> str:
        with pytest.raises(UserError) as refused:
            check_ranks(resolve(settings, dataset), dataset, ranks)
        return str(refused.value)

    for method in (Random(), MTT()):
        assert f"an iteration of {method.name} cannot be divided among ranks" in refusal(Settings(method=method))
    assert "an iteration of mtt has 2 parts, and there are 3 ranks" in refusal(
        Settings(method=MTT(segments=2)), Ranks(count=3)
    )
    assert refusal(Settings(method=DM()), Ranks(count=11)) == (
        "an iteration of dm has 10 parts, and there are 11 ranks; start 10 ranks or fewer"
    )


@pytest.mark.parametrize("name", ["images", "`batch_real`", "`seed`", "version of PyTorch", "code of Potstill"])
def test_ranks_that_differ_are_refused(name: str):
    class Differing(Ranks):
        def texts_of_all(self, text: str) -> list[str]:
            other = json.loads(text)
            return [text, json.dumps({**other, name: f"{other[name]}!"})]

    dataset = small_digits()
    with pytest.raises(UserError, match=f"rank 1 differs from rank 0 in its {name}; start all ranks alike"):
        check_ranks(resolve(Settings(method=DM()), dataset), dataset, Differing(count=2))


def test_batch_norms_are_refused_before_there_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Ranks, "texts_of_all", lambda _ranks, text: [text, text])
    settings = Settings(method=DM(), network="convnet:width=8:norm=batch", device="cpu", iterations=2, validate_every=0)
    with pytest.raises(UserError, match="see the images of all classes together"):
        distill(settings, small_digits(), out=tmp_path / "run", ranks=Ranks(count=2))
    assert not (tmp_path / "run").exists()
    # Nor does a run go on that one rank began.
    distill(settings, small_digits(), out=tmp_path / "run", time_limit=0)
    monkeypatch.setattr(Messages, "send", lambda *_: None)
    with pytest.raises(UserError, match="see the images of all classes together"):
        distill(settings, small_digits(), out=tmp_path / "run", resume=True, ranks=Ranks(count=2))


@pytest.mark.parametrize("method", [DM(batch_real=8), DC(batch_real=8, outer_loops=1)])
def test_a_rank_takes_the_real_images_of_its_share_alone(method: DM | DC, monkeypatch: pytest.MonkeyPatch):
    taken: list[int] = []
    normalised = LabeledImages.normalised

    def noted(images: LabeledImages, indices: torch.Tensor) -> torch.Tensor:
        taken.append(indices.numel())
        return normalised(images, indices)

    def repeated(ranks: Ranks, rows: torch.Tensor, parts: int) -> torch.Tensor:
        own = range(parts)[ranks.share(parts)]
        return rows.detach().unflatten(0, (len(own), -1))[[0] * parts].flatten(0, 1)

    monkeypatch.setattr(Ranks, "gathered", repeated)
    given = replace(problem(), ranks=Ranks(rank=1, count=3))
    state = method.prepare(given)
    monkeypatch.setattr(LabeledImages, "normalised", noted)
    method.step(given, state, 0)
    assert taken == [3 * 8]


def as_torchrun_says(rank: int, count: int, port: int) -> dict[str, str]:
    """The variables by which torchrun tells a process its rank: here three begin without an import of PyTorch each."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    found = {"TORCHELASTIC_RUN_ID": "forked", "MASTER_ADDR": "127.0.0.1"}
    return found | {name: str(value) for name, value in places.items()}


def rank_process(parent: int, rank: int) -> int:
    """The process of a rank among the children of a torchrun."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    wanted = f"RANK={rank}".encode()
    return next(int(each) for each in children if wanted in Path(f"/proc/{each}/environ").read_bytes().split(b"\0"))


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
