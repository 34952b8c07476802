"""Representative batches are the images nearest to the centres of clusters, chosen anew every so many updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from potstill.engine.features import embedding
from potstill.methods import DC, DM
from potstill.methods.representative import REPRESENTATIVE, representative_images
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from tests.small import digits, few, problem


def pixels(images):
    return images.normalised().flatten(1)


def test_each_image_is_the_nearest_to_a_centre():
    real = few(digits().train, (30, 40, 50))
    chosen = representative_images(real, pixels, Streams(3), batch=6, candidates=0)
    for place, (members, row) in enumerate(zip(real.class_index, chosen, strict=True)):
        generator = Streams(3).child("class", place).generator("clusters")
        seed = int(torch.randint(2**31, (), generator=generator))
        features = pixels(real.take(members)).numpy()
        centres = KMeans(6, n_init=1, random_state=seed).fit(features).cluster_centers_  # type: ignore[arg-type]
        nearest = {int(np.square(features - centre).sum(1).argmin()) for centre in centres}
        assert {int((members == index).nonzero()) for index in row} >= nearest
        assert len(set(row.tolist())) == 6


def test_candidates_bound_what_is_embedded_and_small_classes_are_drawn_at_random():
    real, seen = few(digits().train, (4, 40, 50)), []

    def embed(images):
        seen.append(len(images))
        return pixels(images)

    chosen = representative_images(real, embed, Streams(0), batch=6, candidates=20)
    assert seen == [20, 20]
    assert set(chosen[0].tolist()) == set(real.class_index[0].tolist())
    assert all(real.labels[row].eq(c).all() for c, row in enumerate(chosen))
    assert not chosen.equal(representative_images(real, pixels, Streams(1), batch=6, candidates=20))


@pytest.mark.parametrize("kind", [DM, DC])
def test_they_are_chosen_by_the_network_of_the_update_and_kept_until_the_next_time(kind: type[DM | DC]):
    given = problem(ipc=1)
    method = kind(batch_real=5, batches="representative", clustering_interval=3, clustering_candidates=20)
    state, kept = method.prepare(given), []
    for iteration in range(7):
        state, _ = method.step(given, state, iteration)
        kept.append(state[REPRESENTATIVE])
    assert kept[0].equal(kept[1])
    assert kept[0].equal(kept[2])
    assert kept[3].equal(kept[5])
    assert not kept[0].equal(kept[3])
    assert not kept[3].equal(kept[6])
    streams = given.streams.child("iteration", 3)
    network = given.build_network(streams.generator("network")).requires_grad_(False)
    expected = representative_images(
        given.real,
        lambda images: embedding(network, images.normalised())[0],
        streams.child("representative"),
        batch=5,
        candidates=20,
    )
    assert (kept[3] == expected).float().mean() > 0.95  # embeddings of chunks may differ by rounding


def test_the_batches_are_what_is_matched():
    given = problem(ipc=1, precision="float64")
    method = DM(batch_real=5, batches="representative", augment=False, momentum=0.0, learning_rate=1.0)
    before = method.prepare(given)
    after, loss = method.step(given, before, 0)
    network = given.build_network(given.streams.child("iteration", 0).generator("network")).double()
    images = before["images"].clone().requires_grad_()
    means = [network.embed(given.real.normalised(row).double()).mean(0) for row in after[REPRESENTATIVE]]
    expected = (torch.stack(means) - network.embed(images)).square().sum()
    assert float(loss) == pytest.approx(expected.item(), rel=1e-9)
    (gradient,) = torch.autograd.grad(expected, images)
    torch.testing.assert_close(after["images"], (images - gradient).detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("settings", [{"clustering_interval": 0}, {"clustering_candidates": -1}])
def test_impossible_settings_are_refused(settings: dict[str, int]):
    with pytest.raises(UserError, match="is too small"):
        DM(**settings)  # type: ignore[arg-type]


def test_with_batch_norms_a_resumed_run_chooses_the_same_images():
    clustered = {"batches": "representative", "clustering_interval": 2, "clustering_candidates": 20}
    method = DC(batch_real=5, outer_loops=4, inner_epochs=0, **clustered)  # type: ignore[arg-type]
    states = []
    for resumed_at in (None, 2):
        given = problem(ipc=1, network="convnet:depth=1:width=4:norm=batch")
        state = method.prepare(given)
        for iteration in range(5):
            if iteration == resumed_at:  # nothing is left but the state
                given = problem(ipc=1, network="convnet:depth=1:width=4:norm=batch")
            state, _ = method.step(given, state, iteration)
        states.append(state)
    assert all(states[0][name].equal(states[1][name]) for name in states[0])


def test_batch_norms_that_see_the_images_in_groups_are_refused():
    given = problem(ipc=1, network="convnet:depth=1:width=4:norm=batch")
    method = DM(batch_real=5, batches="representative")
    with pytest.raises(UserError, match="embeds images in groups"):
        method.step(given, method.prepare(given), 0)
