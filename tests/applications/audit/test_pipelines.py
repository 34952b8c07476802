"""What is audited: the settings of a run are carried out on other images, and a finished set is left as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from potstill.applications.audit.pipelines import Audited, Pipeline
from potstill.applications.set_sources import Need
from potstill.data import ImageDataset
from potstill.distillation.driver import distill
from potstill.distillation.settings import Settings
from potstill.evaluation import Recipe, evaluate
from potstill.methods import DM
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.schema.audit import AuditProtocol
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, on_cpu, small_digits

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")
PLAIN = AuditProtocol()
RECIPE = Recipe(name="test", summary="", epochs=1, full_epochs=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with settings of its own."""
    out = tmp_path_factory.mktemp("audited") / "run"
    settings = Settings(
        method=DM(learning_rate=0.5), ipc=2, network=NETWORK, iterations=2, start="real", seed=7, device="cpu"
    )
    settings = replace(settings, precision="float64")
    distill(settings, small_digits(), out=out)
    return out


def named(name: str | Path, protocol: AuditProtocol = PLAIN, data: ImageDataset | None = None) -> Audited:
    return Audited.named(str(name), data or small_digits(), protocol, ON_CPU)


def need(seed: int = 3) -> Need:
    return Need(title="", data=small_digits(), images_per_class=2, network=NETWORK, iterations=2, seed=seed)


def pipeline_of(audited: Audited) -> Pipeline:
    assert audited.pipeline is not None
    return audited.pipeline


def test_a_pipeline_has_the_settings_of_the_run(run: Path):
    audited = named(run)
    assert audited.kind == "run"
    plan = pipeline_of(audited).plan(need())
    assert (plan.ipc, plan.iterations, plan.start, plan.network) == (2, 2, "real", NETWORK)
    assert isinstance(plan.method, DM)
    assert plan.method.learning_rate == 0.5
    assert plan.seed == 3, "each pipeline has draws of its own"
    described = pipeline_of(audited).described(need())
    assert described["ipc"] == 2
    assert "seed" not in described
    assert audited.start is not None
    assert audited.start.fingerprint() == SyntheticSet.load(run / "checkpoint" / "start.safetensors").fingerprint()


def test_precision_is_that_of_the_run_unless_another_is_asked_for(run: Path):
    for asked, expected in (("auto", "float64"), ("float32", "float32")):
        compute = replace(ON_CPU, precision=asked, compile="auto")
        audited = Audited.named(str(run), small_digits(), PLAIN, compute)
        assert pipeline_of(audited).plan(need()).compute.precision == expected


def test_the_protocol_may_ask_for_other_sizes(run: Path):
    plan = pipeline_of(named(run, replace(PLAIN, images_per_class=1, iterations=5))).plan(need())
    assert (plan.ipc, plan.iterations) == (1, 5)


def test_methods_and_selections_are_pipelines():
    method, selection = named("dm"), named("herding")
    assert (method.kind, selection.kind) == ("method", "selection")
    assert pipeline_of(method).settings.ipc == 10
    assert pipeline_of(named("dm", replace(PLAIN, iterations=5))).plan(need()).iterations == 5
    assert pipeline_of(named("herding", replace(PLAIN, iterations=5))).plan(need()).iterations == 0


def test_a_finished_set_is_none(run: Path, tmp_path: Path):
    audited = named(run / "synthetic.safetensors")
    assert (audited.kind, audited.pipeline) == ("set", None)
    assert audited.synthetic is not None
    (tmp_path / "bare").mkdir()
    audited.synthetic.save(tmp_path / "bare" / "synthetic.safetensors")
    assert named(tmp_path / "bare").kind == "set", "without its settings, the set of a run cannot be made again"


def test_the_recipe_is_that_of_the_evaluation(run: Path, tmp_path: Path):
    assert named(run).recipe(None).name == "dsa-1000"
    assert named("dm").recipe(None).name == "dsa-1000"
    data, synthetic = small_digits(), SyntheticSet.load(run / "synthetic.safetensors")
    record = evaluate(synthetic, on_cpu(data), networks=[NETWORK], recipe=RECIPE, repeats=1, baselines=[])
    try:
        record.write(run / "evaluation.json")
        assert named(run).recipe(None) == RECIPE
        assert named(run).recipe("quick").name == "quick"
    finally:
        (run / "evaluation.json").unlink()


@pytest.mark.parametrize(
    ("name", "message"),
    [("dmm", "unknown method 'dmm'; did you mean 'dm'"), ("absent/set.safetensors", "absent/set.safetensors")],
)
def test_unknown_sources_are_refused(name: str, message: str):
    with pytest.raises(UserError, match=message):
        named(name)


def test_other_data_are_refused(run: Path):
    with pytest.raises(UserError, match="has changed since the set was made from it"):
        named(run, data=replace(small_digits(), fingerprint="other"))


def test_a_recipe_that_tunes_is_refused(run: Path):
    with pytest.raises(UserError, match="tunes learning rates, which would differ from pipeline to pipeline"):
        named(run).recipe("tuned-300")


def test_files_that_were_made_from_all_images_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DM, "input_files", lambda _self: [Path("experts/3.safetensors")])
    with pytest.raises(UserError, match=r"dm reads experts/3\.safetensors, which was made from all images, members or"):
        pipeline_of(named(run)).check(need())
