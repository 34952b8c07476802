"""What becomes of an earlier evaluation on file."""

from __future__ import annotations

from typing import Any

import pytest

from potstill.evaluation.records import merged


def record(networks: dict[str, Any], baselines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    protocol = {"schema": 1, "recipe": {"name": "quick", "version": 1}, "repeats": 5, "seed": 0}
    protocol |= {"set_sha256": "a", "full_epochs": 20, "full_repeats": 1}
    return {**protocol, **changes, "networks": networks, "baselines": baselines}


def test_figures_of_one_protocol_are_put_together():
    earlier = record({"convnet": 1, "mlp": 2}, {"random": {"convnet": 3}, "full": {"convnet": 4}})
    later = record({"mlp": 5, "lenet": 6}, {"random": {"mlp": 7}})
    assert merged(earlier, later) == record(
        {"convnet": 1, "mlp": 5, "lenet": 6}, {"random": {"convnet": 3, "mlp": 7}, "full": {"convnet": 4}}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"recipe": {"name": "quick", "version": 2}},
        {"repeats": 3},
        {"seed": 1},
        {"set_sha256": "b"},
        {"full_epochs": 100},
        {"full_repeats": 2},
    ],
)
def test_figures_of_another_protocol_are_replaced(changes: dict[str, Any]):
    later = record({"mlp": 5}, {}, **changes)
    assert merged(record({"convnet": 1}, {"full": {"convnet": 4}}), later) == later
