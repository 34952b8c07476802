"""TensorBoard: what its own reader finds in the event files of a run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from potstill.data import ImageDataset
from potstill.distillation import RunFolder, distill, driver, in_turn
from potstill.runtime.events import read_events
from potstill.tracking import Tracking
from tests.runs import SETTINGS, dataset, quick_validation
from tests.tracking.sessions import LOSSES, PICTURES, VALIDATIONS, Killed, stop_after, track_interrupted_and_resumed

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.slow

__all__ = ["dataset", "quick_validation"]


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(folder / "tensorboard"), size_guidance=everything).Reload()


def steps(found: Any, name: str) -> list[int]:
    return [event.step for event in found.Scalars(name)]


def test_a_run_in_two_sessions_is_one_run(dataset: ImageDataset, tmp_path: Path):
    folder = tmp_path / "run"
    track_interrupted_and_resumed("tensorboard", folder, dataset)
    found = read(folder)
    recorded = list(read_events(RunFolder(folder).metrics))
    assert steps(found, "loss") == LOSSES
    losses = [event["loss"] for event in recorded if event["event"] == "step"]
    assert [event.value for event in found.Scalars("loss")] == pytest.approx(losses)
    assert steps(found, "validation/accuracy") == VALIDATIONS
    assert [event.step for event in found.Images("set")] == PICTURES
    with Image.open(io.BytesIO(found.Images("set")[0].encoded_image_string)) as picture:
        assert min(picture.size) > 200
    (settings,) = texts(found, "settings")
    assert "| method.name | dm |" in settings
    assert "| ipc | 1 |" in settings
    assert "| status | complete |" in texts(found, "outcome")[-1]
    (table,) = texts(found, "evaluation/quick@1")
    assert "| convnet:width=8 | distilled | 0.6 |" in table
    assert "| convnet:width=8 | random | 0.25 | - | - | - | 1 | quick@1 | ab |" in table
    (mean,) = found.Scalars("evaluation/quick@1/convnet:width=8/distilled")
    assert mean.value == pytest.approx(0.6)
    assert hyper_parameters(folder)["method.batch_real"] == 8


def texts(found: Any, name: str) -> list[str]:
    return [event.tensor_proto.string_val[0].decode() for event in found.Tensors(f"{name}/text_summary")]


def hyper_parameters(folder: Path) -> dict[str, Any]:
    """What the page of hyper-parameters has of a run."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams import metadata

    for path in sorted((folder / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "hparams" and value.tag == metadata.SESSION_START_INFO_TAG:
                    info = metadata.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
                    return {key: getattr(each, each.WhichOneof("kind")) for key, each in info.hparams.items()}
    raise AssertionError("there are no hyper-parameters")


@pytest.mark.parametrize("kept", [False, True])
def test_after_a_kill_every_step_is_there_once(
    kept: bool, dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    if kept:
        monkeypatch.setattr(driver, "CHECKPOINT_SECONDS", -1.0)
    killed = Tracking("tensorboard", folder)  # neither closed nor forgotten: what it was told is in the file
    with pytest.raises(Killed):
        distill(SETTINGS, dataset, out=folder, listen=in_turn(killed, stop_after(5, Killed)))
    assert steps(read(folder), "loss") == [1, 2, 3, 4, 5]
    with Tracking("tensorboard", folder) as tracking:
        distill(SETTINGS, dataset, out=folder, resume=True, listen=tracking)
    found = read(folder)
    assert steps(found, "loss") == LOSSES
    assert steps(found, "validation/accuracy") == VALIDATIONS
    assert [event.step for event in found.Images("set")] == PICTURES
