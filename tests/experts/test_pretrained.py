"""Features by a pretrained model of timm, in place of which the stand-in is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from potstill.applications import Budget, Candidates, Rule, select
from potstill.data import LabeledImages
from potstill.experts.feature_source import Training, feature_source
from potstill.experts.pretrained import PretrainedFeatures
from potstill.networks.on_timm import pretrained
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256_of_files
from potstill.runtime.streams import Streams
from tests.networks import stand_in_timm
from tests.small import small_digits


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The stand-in's residual network with weights in a file."""
    monkeypatch.setitem(sys.modules, "timm", stand_in_timm.module())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_file(stand_in_timm.create_model("test_resnet").state_dict(), tmp_path / "weights.safetensors")
    return f"timm:test_resnet:weights={tmp_path / 'weights.safetensors'}"


def training(real: LabeledImages) -> Training:
    return Training(real=real, network="convnet", streams=Streams(0), compute=CPU, flips=False)


def test_features_are_embeddings_of_images_as_the_model_wants_them(spec: str):
    real = small_digits().train
    source = feature_source(spec, training(real))
    network, preparation = pretrained(spec)
    with torch.no_grad():
        expected = network.eval().embed(preparation.prepared(real.images))
    torch.testing.assert_close(source.features, expected)
    assert len(source.features) == len(real) > 64
    found = torch.empty_like(expected)
    for index, features in source.features_by_class():
        found[index] = features
    torch.testing.assert_close(found, expected)


def test_it_has_no_scores_of_difficulty(spec: str):
    source = feature_source(spec, training(small_digits().train))
    assert isinstance(source, PretrainedFeatures)
    with pytest.raises(UserError, match="these features provide no measure of how hard an image is"):
        source.el2n()


def test_a_choice_by_it_records_the_weights(spec: str, tmp_path: Path):
    candidates = Candidates.of_dataset("digits", tested=False)
    chosen = select(candidates, Rule("k-center", features=spec), Budget(per_class=2), tmp_path / "out")
    assert chosen.features == spec
    assert chosen.features_sha256 == sha256_of_files([tmp_path / "weights.safetensors"])
    assert chosen.network == ""
    other = stand_in_timm.create_model("test_resnet").state_dict()
    save_file(other, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="has changed since"):
        select(candidates, Rule("k-center", features=spec), Budget(per_class=2), tmp_path / "out")


def test_rules_that_look_at_a_training_do_not_take_it(spec: str, tmp_path: Path):
    candidates = Candidates.of_dataset("digits", tested=False)
    with pytest.raises(UserError, match="el2n looks at the training of a network, not at"):
        select(candidates, Rule("el2n", features=spec), Budget(per_class=2), tmp_path / "out")


def test_weights_have_to_be_named(spec: str):
    with pytest.raises(UserError, match="does not say where the weights are"):
        feature_source("timm:test_resnet", training(small_digits().train))
