"""Named random streams."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.runtime.streams import Streams

seeds = st.integers(-(2**70), 2**70)
paths = st.lists(st.text() | st.integers(), max_size=4).map(tuple)


@given(seeds, paths)
def test_a_stream_depends_on_seed_and_path_alone(seed: int, path: tuple[str | int, ...]):
    first, second = Streams(seed), Streams(seed)
    second.generator("something else").manual_seed(0)
    assert torch.equal(
        torch.rand(3, generator=first.generator(*path)), torch.rand(3, generator=second.generator(*path))
    )


@given(seeds, paths, paths)
def test_a_path_may_be_walked_in_parts(seed: int, above: tuple[str | int, ...], below: tuple[str | int, ...]):
    streams = Streams(seed)
    assert streams.child(*above).derived_seed(*below) == streams.derived_seed(*above, *below)


@given(st.lists(st.tuples(seeds, paths), min_size=2, max_size=2, unique=True))
def test_other_seeds_and_other_paths_are_other_streams(names: list[tuple[int, tuple[str | int, ...]]]):
    (seed, path), (other_seed, other_path) = names
    assert Streams(seed).derived_seed(*path) != Streams(other_seed).derived_seed(*other_path)


def test_names_that_print_alike_are_other_streams():
    streams = Streams(0)
    alike = [("real", 1), ("real", "1"), ("real 1",), ("real, 1",), ("real", 1, ""), ("rea", "l", 1)]
    assert len({streams.derived_seed(*path) for path in alike}) == len(alike)


@given(seeds, paths)
def test_a_derived_seed_is_63_bits_of_the_hash(seed: int, path: tuple[str | int, ...]):
    digest = hashlib.sha256(repr((seed, path)).encode()).digest()
    low_64_bits = sum(byte << (8 * place) for place, byte in enumerate(digest[:8]))
    assert Streams(seed).derived_seed(*path) == low_64_bits // 2


def test_every_generator_begins_at_the_beginning():
    streams = Streams(3)
    used = streams.generator("noise", 1)
    torch.rand(100, generator=used)
    fresh = streams.generator("noise", 1)
    assert not torch.equal(used.get_state(), fresh.get_state())
    assert torch.equal(fresh.get_state(), streams.generator("noise", 1).get_state())


def test_generators_live_on_the_cpu():
    assert Streams(0).generator("x").device == torch.device("cpu")


def test_global_generators_are_left_alone():
    before = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002 - the global state
    Streams(7).child("a").generator("b")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), repr(np.random.get_state())) == before[1:]  # noqa: NPY002
