"""Resolving settings: nothing is left open, and what was asked for stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from potstill.distillation.plan import resolve
from potstill.distillation.settings import Settings
from potstill.methods import DM, MTT, DataDAM
from potstill.methods.coresets import Herding
from potstill.runtime import compute
from potstill.runtime.errors import UserError
from tests.small import digits


def test_resolved_leaves_nothing_open():
    plan = resolve(Settings(method=DataDAM(), device="cpu"), digits())
    settings = plan.settings
    assert (plan.start, plan.iterations, plan.validate_every) == ("real", 8_000, 1600)
    assert plan.compute.device.type == "cpu"
    assert settings.start == "real"
    assert settings.iterations == 8_000
    assert settings.device == "cpu"
    assert settings.precision in ("float32", "bfloat16")
    assert settings.compile in ("on", "off")
    assert settings.validate_every == 1600
    assert resolve(settings, digits()) == plan


def test_resolved_keeps_what_was_asked_for():
    asked = Settings(
        method=DM().resolved(10),
        start="noise",
        network="convnet",
        iterations=7,
        device="cpu",
        precision="float64",
        compile="off",
        validate_every=0,
        seed=3,
    )
    assert resolve(asked, digits()).settings == asked


@pytest.mark.parametrize(("iterations", "every"), [(5, 0), (22, 0), (23, 23), (100, 25), (300, 60), (301, 61)])
def test_five_looks_at_the_validation_split_or_as_many_as_cost_no_more_than_the_run(iterations: int, every: int):
    plan = resolve(Settings(method=DM(), iterations=iterations, device="cpu"), digits())
    assert plan.validate_every == every
    looks = sum(i % every == 0 or i == iterations for i in range(1, iterations + 1)) if every else 0
    assert looks <= 5
    assert looks * 3 * 200 * 100 <= iterations * plan.method.images_per_iteration(10, 10)


def test_a_method_that_does_not_tell_its_cost_gets_five_looks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DM, "images_per_iteration", lambda *_: 0)
    assert resolve(Settings(method=DM(), iterations=6, device="cpu"), digits()).validate_every == 2


def test_a_short_time_limit_does_not_pay_for_compilation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compute, "supports_compilation", lambda device: True)
    plans = {limit: resolve(Settings(method=DM(), device="cpu"), digits(), limit) for limit in (None, 600.0, 90.0)}
    assert {limit: plan.compute.compile for limit, plan in plans.items()} == {None: True, 600.0: True, 90.0: False}
    asked = Settings(method=DM(), device="cpu", compile="on")
    assert resolve(asked, digits(), 1.0).compute.compile


def test_a_short_run_is_neither_compiled_nor_computed_in_low_precision():
    plan = resolve(Settings(method=DM(batch_real=16), iterations=10, device="cpu"), digits())
    assert (plan.settings.precision, plan.settings.compile) == ("float32", "off")
    resolved = plan.compute
    assert (resolved.device.type, resolved.precision, resolved.compile) == ("cpu", "float32", False)


def test_an_absent_device_is_refused():
    with pytest.raises(UserError, match="device 'tpu' cannot be used here"):
        resolve(Settings(method=DM(), device="tpu"), digits())


def test_hyper_parameters_are_those_of_the_dataset_that_was_loaded():
    pets = replace(digits(), spec="cifar10")
    assert resolve(Settings(method=MTT()), pets).method == MTT().resolved(10, "cifar10")
    assert resolve(Settings(method=MTT()), digits()).method == MTT().resolved(10, "digits")
    assert MTT().resolved(10, "cifar10") != MTT().resolved(10, "digits")


def test_a_method_that_chooses_its_start_takes_no_other():
    with pytest.raises(UserError, match="herding chooses the images that it starts from; leave `start` out"):
        resolve(Settings(method=Herding(), start="noise"), digits())
    assert resolve(Settings(method=Herding(), start="real"), digits()).start == "real"


def test_images_that_no_memory_holds_are_not_asked_for():
    settings = Settings(method=DM(), ipc=10**9, start="noise")
    with pytest.raises(UserError, match=r"a set with `ipc=1000000000` needs 2\.56 TB, and this"):
        resolve(settings, digits())
