"""Vectors from the file to the page: distilled, evaluated beside class means, mapped, exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.applications import audit_pipeline, search
from potstill.augmentation import cutmix, siamese_augmentation
from potstill.cli import main
from potstill.data import ImageDataset, load_dataset
from potstill.distillation import Settings, distill
from potstill.distillation.vector_map import principal_plane
from potstill.evaluation import (
    Evaluation,
    default_baselines,
    default_recipe,
    evaluate,
    exchange,
    measure_attacks,
    measure_robustness,
)
from potstill.methods import DC, DM, DPDM, RDED, KMeans, LinearGradient
from potstill.report import exchange_sentences, write_report
from potstill.runtime.errors import UserError
from potstill.schema.vector_map import VectorMap
from potstill.synthetic import SyntheticSet
from potstill.synthetic.export import export
from tests.small import on_cpu

pytestmark = pytest.mark.slow

MEANS = np.random.default_rng(1).normal(0, 3, (3, 6))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    folder = tmp_path_factory.mktemp("vectors")
    labels = np.arange(300) % 3
    np.save(folder / "points.npy", 5 + MEANS[labels] + np.random.default_rng(0).normal(0, 1, (300, 6)))
    np.save(folder / "points.labels.npy", labels)
    return load_dataset(folder / "points.npy")


@pytest.fixture(scope="module")
def run(dataset: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "points"
    distill(Settings(method=LinearGradient(batch_real=50), ipc=2, iterations=10, seed=1), dataset, out=out)
    return out


def test_the_class_means_are_found_by_dm_under_a_linear_network(dataset: ImageDataset):
    """Its embedding is the vector itself, so that dm has nothing else to match."""
    method = DM(batch_real=60, learning_rate=0.5, momentum=0.0)
    made = distill(Settings(method=method, ipc=1, network="linear", iterations=300), dataset).synthetic
    means = torch.stack([dataset.train.normalised(index).flatten(1).mean(0) for index in dataset.train.class_index])
    torch.testing.assert_close(made.images.flatten(1), means, atol=0.15, rtol=0)


@pytest.mark.parametrize("method", [DC(batch_real=20), KMeans()])
@pytest.mark.parametrize("network", ["linear", "mlp:width=8"])
def test_methods_for_images_take_vectors(method: DC | KMeans, network: str, dataset: ImageDataset):
    made = distill(Settings(method=method, ipc=2, network=network, iterations=2), dataset).synthetic
    assert repr(made) == "SyntheticSet(6 vectors of 6 numbers, 3 classes, hard labels)"


def test_the_default_network_is_linear(run: Path):
    assert 'network = "linear"' in (run / "config.toml").read_text()
    assert SyntheticSet.load(run / "synthetic.safetensors").provenance["network"] == "linear"


def test_a_set_is_compared_with_class_means_and_centres(run: Path, dataset: ImageDataset):
    synthetic = SyntheticSet.load(run / "synthetic.safetensors")
    assert default_recipe(synthetic) == "probe-1000"
    assert default_baselines(synthetic) == ("random", "average", "k-means", "full")
    one = SyntheticSet.from_indices(dataset.train, torch.stack([index[0] for index in dataset.train.class_index]))
    assert default_baselines(one) == ("random", "average", "full"), "one centre is the mean"
    found = evaluate(synthetic, on_cpu(dataset), recipe="quick", repeats=1)
    assert list(found.networks) == ["linear"]
    assert list(found.baselines) == ["random", "average", "k-means", "full"]
    assert found.networks["linear"].mean > 0.9


def test_the_map_shows_the_set_among_real_vectors(run: Path, dataset: ImageDataset):
    found = VectorMap.read(run / VectorMap.FILE)
    synthetic = SyntheticSet.load(run / "synthetic.safetensors")
    assert found.set_sha256 == synthetic.fingerprint()
    assert found.dataset_fingerprint == dataset.fingerprint
    assert (len(found.real), len(found.synthetic)) == (len(dataset.train), 6)
    assert [label for _, _, label in found.synthetic] == [0, 0, 1, 1, 2, 2]
    every = dataset.train.normalised().flatten(1).double()
    spectrum = torch.linalg.eigvalsh((every - every.mean(0)).T @ (every - every.mean(0))).flip(0)
    assert found.share == pytest.approx((spectrum[:2].sum() / spectrum.sum()).item(), rel=1e-6)
    _, _, components = torch.linalg.svd(every - every.mean(0), full_matrices=False)
    for places, vectors in ((found.synthetic, synthetic.images), (found.real, None)):
        if vectors is None:  # real vectors are ordered by class
            order = torch.cat(list(dataset.train.class_index))
            counts = [[label for _, _, label in places].count(each) for each in range(3)]
            assert counts == list(dataset.train.class_sizes)
            expected = sorted(((every - every.mean(0)) @ components[:2].T).abs()[order].flatten().tolist())
            assert sorted(abs(value) for place in places for value in place[:2]) == pytest.approx(expected, abs=1e-3)
        else:
            expected = (vectors.flatten(1).double() - every.mean(0)) @ components[:2].T
            placed = torch.tensor([place[:2] for place in places], dtype=torch.float64)
            torch.testing.assert_close(placed.abs(), expected.abs(), atol=1e-3, rtol=0)


def test_the_page_has_the_map_and_speaks_of_vectors(run: Path, dataset: ImageDataset):
    synthetic = SyntheticSet.load(run / "synthetic.safetensors")
    evaluate(synthetic, on_cpu(dataset), recipe="quick", repeats=2, record=run / Evaluation.FILE)
    page = write_report(run).read_text()
    assert "linear-gradient distils points into 6 vectors" in page
    assert "6 numbers each" in page
    assert f"The 6 vectors of the set among {len(dataset.train)} real training vectors" in page
    assert page.count("<circle") == len(dataset.train) + 6
    assert "6 vectors: the class means" in page
    assert 'id="images"' not in page
    assert not (run / "figures" / "after.png").exists()
    assert "image" not in page.partition("<main")[2].partition("</main>")[0]


def test_vectors_are_exported_exactly_and_read_again(run: Path, tmp_path: Path):
    synthetic = SyntheticSet.load(run / "synthetic.safetensors")
    expected = synthetic.images.flatten(1) * synthetic.std[0] + torch.tensor(synthetic.mean)
    torch.testing.assert_close(synthetic.vectors(), expected)
    for path in (export(synthetic, tmp_path / "a.npz", "npz"), export(synthetic, tmp_path / "b", "parquet")):
        again = load_dataset(path, validation_fraction=0, test_fraction=0, cache=None)
        stored = again.train.read(slice(None)).flatten(1)
        torch.testing.assert_close(stored, expected, rtol=0, atol=0)
        assert again.train.labels.equal(synthetic.labels)
    assert "6 synthetic vectors of 3 classes (6 numbers each)" in (tmp_path / "b" / "README.md").read_text()
    with pytest.raises(UserError, match="vectors are not stored as pictures"):
        export(synthetic, tmp_path / "c", "imagefolder")
    with pytest.raises(UserError, match="a set of vectors has no pixels"):
        synthetic.pixels()


def test_the_plane_of_few_long_vectors_is_that_of_many_short_ones():
    points = torch.randn(7, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    centred = points - points.mean(0)
    _, spread, components = torch.linalg.svd(centred, full_matrices=False)
    for vectors, directions in ((centred, components), (torch.cat([centred] * 4), components)):
        plane, share = principal_plane(vectors)
        torch.testing.assert_close(plane.abs(), directions[:2].abs(), atol=1e-9, rtol=0)
        assert share == pytest.approx((spread[:2].square().sum() / spread.square().sum()).item(), rel=1e-9)


def test_a_guarantee_leaves_no_map(dataset: ImageDataset, tmp_path: Path):
    """A map would show real vectors."""
    method = DPDM(epsilon=50.0, delta=1e-3, queries=2, group=30, public_statistics=True)
    distill(Settings(method=method, ipc=1, iterations=2), dataset, out=tmp_path / "run")
    assert (tmp_path / "run" / "synthetic.safetensors").exists()
    assert not (tmp_path / "run" / VectorMap.FILE).exists()


@pytest.mark.parametrize("length", [1, 3])
def test_few_features_and_large_offsets_go_all_the_way(length: int, tmp_path: Path):
    labels = np.arange(90) % 3
    values = np.random.default_rng(0).normal(0, 1e5, (90, length)) + 1e7 + 1e6 * labels[:, None]
    np.savez(tmp_path / "table.npz", x=values, y=labels)
    out = tmp_path / "run"
    distill(Settings(method=KMeans(), ipc=1, dataset=str(tmp_path / "table.npz")), out=out)
    synthetic = SyntheticSet.load(out / "synthetic.safetensors")
    assert synthetic.vectors().min() > 9e6
    assert "<circle" in write_report(out).read_text()


def test_part_of_a_dataset_of_vectors_is_chosen_without_pictures(tmp_path: Path):
    labels = np.arange(60) % 3
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(0, 1, (60, 8)), y=labels)
    out = tmp_path / "out"
    arguments = ["--by", "k-center", "--features", "pixels", "--ipc", "2", "--out", str(out)]
    assert main(["select", str(tmp_path / "a.npz"), *arguments]) == 0
    page = (out / "selection.html").read_text()
    assert "6 vectors" in page
    assert "<img" not in page


def test_labels_beside_a_file_are_used_by_select_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(0, 1, (60, 8)))
    np.save(tmp_path / "a.labels.npy", np.arange(60) % 3)
    assert main(["select", str(tmp_path / "a.npy"), "--ipc", "2", "--out", str(tmp_path / "out")]) == 0
    assert "labels are in" in capsys.readouterr().err
    assert len((tmp_path / "out" / "selected.csv").read_text().splitlines()) == 7


def test_an_audit_of_linear_gradient_matches_linear_heads(tmp_path: Path):
    settings = Settings(method=LinearGradient())
    assert settings.matched_network((1, 8, 8)) == "linear"
    assert Settings(method=DM()).matched_network((1, 8, 8)) == "convnet"
    assert Settings(method=DM()).matched_network((8, 1, 1)) == "linear"
    assert Settings(method=DM(), network="mlp").matched_network((8, 1, 1)) == "mlp"


def test_vectors_are_not_augmented():
    generator = torch.Generator().manual_seed(0)
    vectors, labels = torch.randn(4, 6, 1, 1, generator=generator), torch.eye(4)
    for sequence in (False, True):
        augmentation = siamese_augmentation(flips=True, sequence=sequence)
        assert augmentation.apply(vectors, augmentation.draw(generator, 4)) is vectors
    mixed = cutmix(vectors, labels, generator)
    assert mixed[0] is vectors
    assert mixed[1] is labels


def test_a_formation_of_vectors_is_refused(dataset: ImageDataset):
    with pytest.raises(UserError, match="vectors have no formation"):
        distill(Settings(method=DM(), ipc=1, formation=2, iterations=1), dataset)


def test_a_damaged_map_is_one_line(run: Path, tmp_path: Path):
    record = json.loads((run / "map.json").read_text())
    (tmp_path / "map.json").write_text(json.dumps(record | {"share": "much"}))
    with pytest.raises(UserError, match=r"map\.json.*share"):
        VectorMap.read(tmp_path / "map.json")


def test_what_is_for_images_is_refused(run: Path, dataset: ImageDataset, tmp_path: Path):
    synthetic, message = SyntheticSet.load(run / "synthetic.safetensors"), "for images, and points holds vectors"
    with pytest.raises(UserError, match=f"attacks and corruptions are {message}"):
        measure_attacks(synthetic, dataset, networks=["linear"])
    with pytest.raises(UserError, match=f"robust scores are {message}"):
        measure_robustness(synthetic, dataset, recipe="dsa-1000", network="linear")
    with pytest.raises(UserError, match=f"the candidates of a search are {message}"):
        search(synthetic, dataset)
    with pytest.raises(UserError, match=f"audits are {message}"):
        audit_pipeline("average", dataset, tmp_path)
    with pytest.raises(UserError, match="rded cuts pictures, and these are vectors"):
        distill(Settings(method=RDED(), ipc=1), dataset)


def test_worth_in_real_vectors_counts_their_bytes(run: Path, dataset: ImageDataset):
    synthetic = SyntheticSet.load(run / "synthetic.safetensors")
    heard: list[str] = []
    session = on_cpu(dataset, progress=heard.append)
    found = exchange(synthetic, session, recipe="quick", networks=["linear"], repeats=1)
    assert any("random vectors per class" in message for message in heard)
    assert not any("images" in message for message in heard)
    assert found.image_bytes == 6 * 4
    said = " ".join(exchange_sentences(found, "linear", 6, 6, "vector"))
    assert "image" not in said
