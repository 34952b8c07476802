"""Settings that were taken from elsewhere, beside options that change their defaults."""

from __future__ import annotations

from dataclasses import replace

from potstill.distillation import Settings, moved_defaults
from potstill.distillation.default_changes import MovedDefault
from potstill.methods import DC, DM


def test_a_learning_rate_of_another_optimiser_is_seen():
    recorded = Settings(method=DM().resolved(1), ipc=1, iterations=20_000)
    adam = replace(recorded, method=replace(recorded.method, optimiser="adam"))
    assert moved_defaults(recorded, adam) == [MovedDefault("learning_rate", 1.0, 0.05)]
    given = replace(recorded, method=replace(adam.method, learning_rate=0.05))
    assert moved_defaults(recorded, given) == []
    assert moved_defaults(recorded, replace(recorded, seed=1)) == []


def test_loops_and_iterations_follow_the_number_of_images():
    recorded = Settings(method=DC().resolved(1), ipc=1, iterations=DC().default_iterations(1))
    moved = moved_defaults(recorded, replace(recorded, ipc=10))
    assert {each.name: (each.kept, each.default) for each in moved} == {
        "iterations": (1_000, 10_000),
        "outer_loops": (1, 10),
        "inner_epochs": (1, 50),
    }
    open_ended = replace(recorded, iterations=None)
    names = {each.name for each in moved_defaults(open_ended, replace(open_ended, ipc=10))}
    assert names == {"outer_loops", "inner_epochs"}, "iterations that are not given follow by themselves"
