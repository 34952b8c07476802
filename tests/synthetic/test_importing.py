"""Sets of other programs: every released layout, units that are asked for, labels of every kind, and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file
from torch import Tensor

from potstill.data import dataset_of, load_dataset
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.synthetic import Replay, SyntheticSet, import_set
from potstill.synthetic.export import Format, export
from potstill.synthetic.importing.folder import EIGHT_BITS
from potstill.synthetic.importing.units import unlikely

DIGITS = load_dataset("digits", cache=None)


def shuffled(count: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Normalised real images of all classes, in no order."""
    order = torch.randperm(len(DIGITS.train), generator=torch.Generator().manual_seed(seed))
    labels = DIGITS.train.labels[order]
    few = torch.cat([order[labels == label][: count // 10] for label in range(10)])
    few = few[torch.randperm(len(few), generator=torch.Generator().manual_seed(seed))]
    return DIGITS.train.normalised(few), DIGITS.train.labels[few]


def check(made: SyntheticSet, images: Tensor, labels: Tensor) -> None:
    order = labels.argsort(stable=True)
    assert made.images.equal(images[order])
    assert made.hard_labels.tolist() == labels[order].tolist()
    assert made.class_names == DIGITS.class_names
    assert made.provenance["dataset_fingerprint"] == DIGITS.fingerprint


OLD = {"_use_new_zipfile_serialization": False}  # as PyTorch wrote files before 1.6, VICO's among them
form = pytest.mark.parametrize("form", [{}, OLD], ids=["archive", "old"])


@form
def test_the_layout_of_dc_dsa_and_dm(form: dict[str, bool], tmp_path: Path):
    first, second = shuffled(seed=0), shuffled(seed=1)
    accuracies = {"ConvNet": [[np.float64(0.9)], [np.float64(0.8)]]}
    path = tmp_path / "res_DM_digits_ConvNet_2ipc.pt"
    torch.save({"data": [list(first), list(second)], "accs_all_exps": accuracies}, path, **form)
    found = import_set(path, DIGITS, pixels="normalised")
    check(found.synthetic, *first)
    assert found.remarks[0] == "experiment 0 of 2, counted from 0"
    assert found.warnings == ()
    check(import_set(path, DIGITS, pixels="normalised", experiment=1).synthetic, *second)
    with pytest.raises(UserError, match="has 2 experiments, but no experiment 2"):
        import_set(path, DIGITS, pixels="normalised", experiment=2)


@form
@pytest.mark.parametrize("wrap", [lambda pair: {"data": tuple(pair)}, list, tuple])
def test_a_pair_in_one_file(wrap: object, form: dict[str, bool], tmp_path: Path):
    images, labels = shuffled()
    torch.save(wrap([images, labels]), tmp_path / "data_best.pt", **form)  # type: ignore[operator]
    check(import_set(tmp_path / "data_best.pt", DIGITS, pixels="normalised").synthetic, images, labels)


@form
def test_the_layout_of_mtt_datm_and_pad(form: dict[str, bool], tmp_path: Path):
    images, labels = shuffled()
    logits = torch.randn(20, 10) + 9 * torch.nn.functional.one_hot(labels, 10)
    torch.save(images, tmp_path / "images_best.pt", **form)
    torch.save(labels, tmp_path / "labels_best.pt", **form)
    hard = import_set(tmp_path / "images_best.pt", DIGITS, pixels="normalised")
    check(hard.synthetic, images, labels)
    assert hard.synthetic.step_size is None
    torch.save(logits.requires_grad_(), tmp_path / "labels_best.pt", **form)
    torch.save(torch.tensor(0.03, requires_grad=True), tmp_path / "lr_best.pt", **form)
    soft = import_set(tmp_path / "images_best.pt", DIGITS, pixels="normalised")
    order = soft.synthetic.hard_labels.argsort(stable=True)
    assert order.tolist() == list(range(20))
    expected = logits.detach().softmax(1)[logits.argmax(1).argsort(stable=True)]
    assert soft.synthetic.labels.equal(expected)
    assert float(soft.synthetic.step_size or 0) == pytest.approx(0.03)
    assert "labels are logits: their softmax is stored" in soft.remarks
    given = import_set(tmp_path / "images_best.pt", DIGITS, pixels="normalised", step_size=0.5)
    assert float(given.synthetic.step_size or 0) == 0.5
    (tmp_path / "labels_best.pt").rename(tmp_path / "others.pt")
    with pytest.raises(UserError, match=r"images without labels \(.*labels_best.pt does not exist\)"):
        import_set(tmp_path / "images_best.pt", DIGITS, pixels="normalised")
    named = import_set(tmp_path / "images_best.pt", DIGITS, pixels="normalised", labels=tmp_path / "others.pt")
    assert named.synthetic.labels.equal(expected)


@pytest.mark.parametrize("kind", [lambda values: values, lambda values: values.numpy()], ids=["tensors", "arrays"])
def test_images_and_labels_in_a_dictionary(kind: Callable[[Tensor], object], tmp_path: Path):
    images, labels = shuffled()
    torch.save({"images": kind(images), "labels": kind(labels), "ipc": 2}, tmp_path / "a.pt")
    check(import_set(tmp_path / "a.pt", DIGITS, pixels="normalised").synthetic, images, labels)


def test_entries_that_are_not_read_are_named(tmp_path: Path):
    images, labels = shuffled()
    others = {f"more {number}": number for number in range(6)}
    both = {"data": [[images * 2, labels]], "images": images, "labels": labels}
    for entries, said in (
        ({"data": [[images, labels]], "images": [1, 2]}, "not read from a.pt: images"),
        ({"data": images, "labels": labels, "rate": 0.1}, "not read from a.pt: rate"),
        ([images, labels, 0.02], "not read: what follows the images and labels (1 more)"),
        (both, "not read from a.pt: data"),
        ({"data": [images, labels], "step_size": 0.02}, "not read from a.pt: step_size"),
        (
            {"images": images, "labels": labels, **others},
            "not read from a.pt: more 0, more 1, more 2, more 3, more 4, ...",
        ),
    ):
        torch.save(entries, tmp_path / "a.pt")
        found = import_set(tmp_path / "a.pt", DIGITS, pixels="normalised")
        check(found.synthetic, images, labels)
        assert said in found.remarks
    np.savez(tmp_path / "a.npz", images=images.numpy(), labels=labels.numpy(), rate=np.ones(3))
    assert "not read from a.npz: rate" in import_set(tmp_path / "a.npz", DIGITS, pixels="normalised").remarks


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1)])
def test_vectors_in_the_units_of_the_dataset_or_normalised(shape: tuple[int, ...], tmp_path: Path):
    """They are read like images, and their units are asked for likewise."""
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "real.npz", x=5 + draw.normal(size=(60, 3)).astype("f4"), y=np.arange(60) % 2)
    real, path = load_dataset(str(tmp_path / "real.npz"), cache=None), tmp_path / "set.npz"
    vectors = real.train.stored[:4]
    assert isinstance(vectors, Tensor)
    labels = real.train.labels[:4]
    expected = real.train.normalised(torch.arange(4))[labels.argsort(stable=True)]
    np.savez(path, images=vectors.reshape(4, *shape).numpy(), labels=labels.numpy())
    raw = import_set(path, real, pixels="raw").synthetic
    torch.testing.assert_close(raw.images, expected)
    assert raw.holds_vectors
    np.savez(path, images=real.train.normalised(torch.arange(4)).reshape(4, *shape).numpy(), labels=labels.numpy())
    assert import_set(path, real, pixels="normalised").synthetic.images.equal(expected)
    torch.save([vectors.reshape(4, *shape), labels], tmp_path / "set.pt")
    again = import_set(tmp_path / "set.pt", real, pixels="raw")
    assert again.synthetic.images.equal(raw.images)
    assert again.warnings == ()
    far = import_set(tmp_path / "set.pt", real, pixels="normalised", mean=(0.0,) * 3, std=(9.0,) * 3)
    assert "times as far from the dataset's mean as its own do: check their units" in far.warnings[0]
    with pytest.raises(UserError, match=r"does not say whether its vectors are normalised .*; use `pixels=raw`"):
        import_set(path, real)
    with pytest.raises(UserError, match="`pixels=unit` does not apply to vectors"):
        import_set(path, real, pixels="unit")


@pytest.mark.parametrize("images", ["NCHW", "NHWC", "NHW", "bytes"])
def test_arrays_in_an_npz_archive(images: str, tmp_path: Path):
    values, labels = shuffled()
    pixels = None if images == "bytes" else "normalised"
    if images == "bytes":
        values = ((values * DIGITS.std[0] + DIGITS.mean[0]) * 255).round().to(torch.uint8)
    stored = {"NHWC": values.permute(0, 2, 3, 1), "NHW": values[:, 0]}.get(images, values)
    np.savez_compressed(tmp_path / "a.npz", images=stored.numpy(), labels=labels.numpy().astype("uint16"))
    found = import_set(tmp_path / "a.npz", DIGITS, pixels=pixels)
    if images == "bytes":
        values = (values / 255 - DIGITS.mean[0]) / DIGITS.std[0]
    check(found.synthetic, values, labels)
    assert ("the channels of its images are last" in found.remarks) == (images == "NHWC")


def test_archives_of_other_arrays_are_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.zeros(3))
    with pytest.raises(
        UserError, match=r"a\.npz has no array 'images' among x, y; name its arrays 'images' and 'labels'"
    ):
        import_set(tmp_path / "a.npz", DIGITS, pixels="normalised")
    np.savez(tmp_path / "b.npz", images=np.array([print], dtype=object), labels=np.zeros(3))
    with pytest.raises(UserError, match=r"b\.npz, images: it holds object, not plain numbers"):
        import_set(tmp_path / "b.npz", DIGITS, pixels="normalised")
    np.savez(tmp_path / "c.npz", images=np.zeros((10, 1, 8, 8)))
    with pytest.raises(UserError, match=r"c\.npz holds images without labels; name .* or `labels=by-class`"):
        import_set(tmp_path / "c.npz", DIGITS, pixels="normalised")
    (tmp_path / "c.npz").write_bytes((tmp_path / "c.npz").read_bytes()[:300])
    with pytest.raises(UserError, match=r"cannot read .*c\.npz"):
        import_set(tmp_path / "c.npz", DIGITS, pixels="normalised")


def test_labels_in_the_order_of_the_classes(tmp_path: Path):
    images, labels = shuffled()
    order = labels.argsort(stable=True)
    torch.save(images[order], tmp_path / "images.pt")
    found = import_set(tmp_path / "images.pt", DIGITS, pixels="normalised", labels="by-class")
    check(found.synthetic, images[order], labels[order])
    assert "labels in the order of the classes, 2 images of each" in found.remarks
    for count in (9, 19):
        torch.save(images[:count], tmp_path / "images.pt")
        with pytest.raises(UserError, match=f"has {count} images, which cannot be equally many of each of 10 classes"):
            import_set(tmp_path / "images.pt", DIGITS, pixels="normalised", labels="by-class")
    torch.save([images, labels], tmp_path / "both.pt")
    with pytest.raises(UserError, match="has labels of its own"):
        import_set(tmp_path / "both.pt", DIGITS, pixels="normalised", labels="by-class")


@pytest.mark.parametrize("where", ["", "Normal"])
def test_the_folder_of_a_run(where: str, tmp_path: Path):
    images, labels = shuffled()
    folder = tmp_path / "logged_files" / where
    folder.mkdir(parents=True)
    torch.save(images, folder / "images_best.pt")
    torch.save(labels, folder / "labels_best.pt")
    torch.save(torch.tensor(0.03), folder / "lr_best.pt")
    found = import_set(tmp_path / "logged_files", DIGITS, pixels="normalised")
    check(found.synthetic, images, labels)
    assert found.remarks[0] == f"read from {Path(where) / 'images_best.pt'}"
    assert float(found.synthetic.step_size or 0) == pytest.approx(0.03)
    torch.save(images, folder / "images_5000.pt")
    with pytest.raises(UserError, match=r"holds 2 sets: \S*images_5000\.pt, \S*images_best\.pt; name the file of one"):
        import_set(tmp_path / "logged_files", DIGITS, pixels="normalised")


@pytest.mark.filterwarnings("error")
def test_images_that_were_trained_as_parameters(tmp_path: Path):
    images, labels = shuffled()
    torch.save([torch.nn.Parameter(images), torch.nn.Parameter(labels.float())], tmp_path / "a.pt")
    check(import_set(tmp_path / "a.pt", DIGITS, pixels="normalised").synthetic, images, labels)


def test_probabilities_and_one_hot_labels(tmp_path: Path):
    images, labels = shuffled()
    torch.save([images, torch.nn.functional.one_hot(labels, 10).double()], tmp_path / "a.pt")
    check(import_set(tmp_path / "a.pt", DIGITS, pixels="normalised").synthetic, images, labels)
    soft = torch.rand(20, 10).softmax(1)
    torch.save([images, soft], tmp_path / "b.pt")
    found = import_set(tmp_path / "b.pt", DIGITS, pixels="normalised")
    assert found.synthetic.labels.sum(1).tolist() == pytest.approx([1.0] * 20)
    assert "labels are probabilities" in found.remarks


def test_pixels_of_every_unit_give_the_same_set(tmp_path: Path):
    images, labels = shuffled()
    mean, std = (torch.tensor(values)[:, None, None] for values in (DIGITS.mean, DIGITS.std))
    unit = images * std + mean
    as_bytes = (unit * 255).round().to(torch.uint8)
    order = labels.argsort(stable=True)
    for name, values, pixels in (("u", unit, "unit"), ("f", 255 * unit, "bytes"), ("b", as_bytes, None)):
        torch.save([values, labels], tmp_path / f"{name}.pt")
        made = import_set(tmp_path / f"{name}.pt", DIGITS, pixels=pixels).synthetic
        assert torch.allclose(made.images, images[order], atol=1e-5)
    torch.save([(unit - 0.5) / 0.25, labels], tmp_path / "n.pt")
    other = import_set(tmp_path / "n.pt", DIGITS, pixels="normalised", mean=(0.5,), std=(0.25,)).synthetic
    assert torch.allclose(other.pixels(), unit[order].clamp(0, 1), atol=1e-5)


def test_units_must_be_named_and_possible(tmp_path: Path):
    images, labels = shuffled()
    torch.save([images, labels], tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"does not say in what units its pixels are \(values from -0.8.* to 1"):
        import_set(tmp_path / "a.pt", DIGITS)
    for pixels in ("unit", "bytes"):
        with pytest.raises(UserError, match=f"these pixels are not in `pixels={pixels}`"):
            import_set(tmp_path / "a.pt", DIGITS, pixels=pixels)
    with pytest.raises(UserError, match=r"`pixels=zca` is unknown"):
        import_set(tmp_path / "a.pt", DIGITS, pixels="zca")
    with pytest.raises(UserError, match="needs the whitening of its dataset"):
        import_set(tmp_path / "a.pt", DIGITS, pixels="whitened")


def test_whitened_sets_carry_the_whitening_and_are_checked(tmp_path: Path):
    whitened = load_dataset("digits", zca=True, cache=None)
    few = torch.cat([index[:2] for index in whitened.train.class_index])
    torch.save([whitened.train.normalised(few), whitened.train.labels[few]], tmp_path / "w.pt")
    found = import_set(tmp_path / "w.pt", whitened, pixels="whitened")
    assert found.synthetic.whitening is not None
    assert found.warnings == ()
    true = whitened.train.stored[few].float() / 255  # type: ignore[index]
    assert torch.allclose(found.synthetic.pixels(), true, atol=0.02)
    images, labels = shuffled()
    torch.save([images.repeat_interleave(2, 3)[..., :8], labels], tmp_path / "n.pt")
    wrong = import_set(tmp_path / "n.pt", whitened, pixels="whitened")
    assert any("these do not look whitened" in warning for warning in wrong.warnings)
    with pytest.raises(UserError, match="pixels that are normalised are not whitened, and the dataset is"):
        import_set(tmp_path / "w.pt", whitened, pixels="normalised")


def test_pixels_from_0_to_1_are_not_taken_for_normalised_ones_without_a_word(tmp_path: Path):
    images, labels = shuffled()
    torch.save([images.sigmoid(), labels], tmp_path / "a.pt")
    found = import_set(tmp_path / "a.pt", DIGITS, pixels="normalised")
    assert "they look like pixels from 0 to 1" in found.warnings[0]


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        (5.0, 100.0, "100% of these pixels lie far beyond black and white: check by which mean"),
        (0.9, 0.375, "these pixels have a mean of 0.89, and the dataset's have 0.31"),
        (0.3, 0.1, "these pixels have a standard deviation of 0.10, and the dataset's have 0.38"),
    ],
)
def test_another_normalisation_than_that_of_the_file_is_suspected(mean: float, std: float, words: str, tmp_path: Path):
    torch.save(list(shuffled()), tmp_path / "a.pt")
    assert import_set(tmp_path / "a.pt", DIGITS, pixels="normalised").warnings == ()
    found = import_set(tmp_path / "a.pt", DIGITS, pixels="normalised", mean=(mean,), std=(std,))
    assert len(found.warnings) == 1
    assert re.match(words, found.warnings[0])


RECORDS = Path(__file__).parents[2] / "records"
KEPT = sorted(file for file in RECORDS.rglob("synthetic.safetensors") if "vectors" not in str(file))


def doubts(made: SyntheticSet, mean: float | None = None, std: float | None = None) -> str | None:
    """What is said of a set of ours that is read by another mean and standard deviation than its own."""
    channels = made.images.shape[1]
    read = (made.mean if mean is None else [mean] * channels, made.std if std is None else [std] * channels)
    shift, scale = (torch.tensor(values)[:, None, None] for values in read)
    return unlikely(made.images * scale + shift, made.mean, made.std)


def test_distilled_sets_are_not_suspected_by_their_own_units():
    assert len(KEPT) >= 30
    assert {file.parent.name: said for file in KEPT if (said := doubts(SyntheticSet.load(file)))} == {}


def test_distilled_sets_are_suspected_by_other_units():
    grey = [made for file in KEPT if (made := SyntheticSet.load(file)).images.shape[1] == 1]
    for mean, std, share in ((5, 100, 1), (0.5, 0.25, 1), (0.45, 0.22, 0.95), (0.5, 0.5, 0.85)):
        suspected = sum(doubts(made, mean, std) is not None for made in grey)
        assert suspected >= share * len(grey), (mean, std, suspected)


@pytest.mark.parametrize("renamed", [False, True])
def test_a_folder_of_images(renamed: bool, tmp_path: Path):
    made = SyntheticSet.from_indices(DIGITS.train, torch.arange(40))
    export(made, tmp_path / "folder", "imagefolder")
    if renamed:
        for label in range(10):
            (tmp_path / "folder" / str(label)).rename(tmp_path / "folder" / f"n0{label}")
    found = import_set(tmp_path / "folder", DIGITS)
    said = "no folder has the name of a class, so they are taken in order: n00 is 0, n01 is 1, n02 is 2, ..."
    assert (said in found.remarks) == renamed
    assert len(found.synthetic) == 40
    assert found.synthetic.hard_labels.tolist() == made.hard_labels.tolist()
    for label in range(10):
        ours, theirs = (each.images[each.hard_labels == label] for each in (found.synthetic, made))
        assert torch.allclose(ours.flatten(1).sum(1).sort().values, theirs.flatten(1).sum(1).sort().values, atol=1e-3)


def test_a_folder_with_the_name_of_a_dataset_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export(SyntheticSet.from_indices(DIGITS.train, torch.arange(40)), tmp_path / "digits", "imagefolder")
    monkeypatch.chdir(tmp_path)
    assert len(import_set("digits", DIGITS).synthetic) == 40


def test_folders_of_which_some_are_classes_are_not_guessed(tmp_path: Path):
    export(SyntheticSet.from_indices(DIGITS.train, torch.arange(40)), tmp_path / "folder", "imagefolder")
    (tmp_path / "folder" / "3").rename(tmp_path / "folder" / "three")
    with pytest.raises(UserError, match="has a folder 'three', and digits has no such class"):
        import_set(tmp_path / "folder", DIGITS)


def test_soft_labels_of_our_own_export_come_back(tmp_path: Path):
    made = SyntheticSet.from_indices(DIGITS.train, torch.arange(40))
    soft = (5 * torch.nn.functional.one_hot(made.labels, 10) + torch.rand(40, 10)).softmax(1)
    export(replace(made, labels=soft), tmp_path / "folder", "imagefolder")
    found = import_set(tmp_path / "folder", DIGITS)
    assert "labels from labels.json" in found.remarks
    assert torch.allclose(found.synthetic.labels.sort(0).values, soft.sort(0).values, atol=1e-6)


def soft_set(count: int = 20) -> SyntheticSet:
    """A set with soft labels, and pixels beyond black and white, that no image file keeps."""
    images, labels = shuffled(count)
    order = labels.argsort(stable=True)
    noise = torch.randn(count, 10, generator=torch.Generator().manual_seed(1))
    soft = (5 * torch.nn.functional.one_hot(labels[order], 10) + noise).softmax(1)
    return SyntheticSet(
        images=2 * images[order],
        labels=soft[soft.argmax(1).argsort(stable=True)],
        class_names=DIGITS.class_names,
        mean=(0.2,),
        std=(0.3,),
        step_size=torch.tensor(0.02),
    )


@pytest.mark.parametrize("formation", [1, 2])
def test_a_set_of_our_own_is_not_imported_but_named_as_it_is(formation: int, tmp_path: Path):
    made = replace(soft_set(), formation=formation)
    made.save(tmp_path / "a set" / "synthetic.safetensors")
    export(made, tmp_path / "a set" / "parquet", "parquet")
    for path in (tmp_path / "a set", tmp_path / "a set" / "synthetic.safetensors"):
        with pytest.raises(UserError) as refused:
            import_set(path, DIGITS)
        assert str(refused.value) == f"{path} is a set of potstill already; use it as it is: potstill evaluate '{path}'"
    save_file({"images": made.images}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"is a safetensors file, but not a set of potstill; store .* in an \.npz"):
        import_set(tmp_path / "other.safetensors", DIGITS)


@pytest.mark.parametrize("junk", [b"junk", None])
def test_a_folder_beside_whose_images_is_no_set_is_read(junk: bytes | None, tmp_path: Path):
    path = export(soft_set(), tmp_path / "a", "imagefolder")
    if junk is None:
        save_file({"images": torch.zeros(2)}, path / "synthetic.safetensors")
    else:
        (path / "synthetic.safetensors").write_bytes(junk)
    assert "not read from a: README.md, synthetic.safetensors" in import_set(path, DIGITS).remarks


@pytest.mark.parametrize("formation", [1, 2])
def test_our_own_archive_comes_back_exactly(formation: int, tmp_path: Path):
    made = replace(soft_set(), formation=formation)
    path = export(made, tmp_path / "a", "npz")
    found = import_set(path, DIGITS)
    again, pictures = found.synthetic, made.decoded()
    assert again.images.equal(pictures.images)
    assert again.labels.equal(pictures.labels)
    assert (again.mean, again.std, again.formation) == (made.mean, made.std, 1)
    assert again.step_size is not None
    assert again.step_size.equal(torch.tensor(0.02))
    assert found.remarks[:2] == ("read exactly, from images_normalised", "labels from soft_labels")
    assert not any("not read" in remark for remark in found.remarks)
    for given, words in (
        ({"pixels": "unit"}, "itself says that its pixels are normalised, not unit; leave `pixels` out"),
        ({"mean": (0.5,)}, "itself says how its pixels are normalised; leave `mean` out"),
        ({"labels": "by-class"}, "which states this itself; leave `labels` out"),
        ({"formation": 2}, "is an export of potstill, which stores every picture separately; leave `formation` out"),
    ):
        with pytest.raises(UserError, match=words):
            import_set(path, DIGITS, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["imagefolder", "parquet"])
def test_the_pictures_of_our_own_folders_are_not_cut_again(format: Format, tmp_path: Path):
    path = export(replace(soft_set(), formation=2), tmp_path / "a", format)
    assert len(import_set(path, DIGITS).synthetic) == 80
    with pytest.raises(UserError, match="stores every picture separately; leave `formation` out"):
        import_set(path, DIGITS, formation=2)
    (path / "README.md").unlink()
    assert import_set(path, DIGITS, formation=2).synthetic.formation == 2


def test_what_our_own_archive_has_besides_is_named_and_what_does_not_fit_is_refused(tmp_path: Path):
    replay = Replay(rates=torch.full((2,), 0.1), batches=1, initial=InitialWeights())
    path = export(replace(soft_set(), replay=replay), tmp_path / "a", "npz")
    assert "not read from a.npz: replay, replay_rates" in import_set(path, DIGITS).remarks
    with np.load(path) as archive:
        arrays: dict[str, Any] = dict(archive)
    for name, value, words in (
        ("std", np.array([0.0]), "has images, mean and std that do not fit together"),
        ("class_names", np.array(list("0123456789a")), r"has soft labels \(20, 10\) of 11 classes, and digits has 10"),
        ("class_names", np.array(["0"] * 10), "has two classes called '0'; give every class a name of its own"),
        ("class_names", np.array(["a"] * 10), "has two classes called 'a'; give every class a name of its own"),
        ("step_size", np.ones(2), "step_size holds an ndarray of 2, not one step size|not one step size"),
    ):
        changed: dict[str, Any] = arrays | {name: value}
        np.savez(tmp_path / "b.npz", **changed)
        with pytest.raises(UserError, match=words):
            import_set(tmp_path / "b.npz", DIGITS)
    turned = {name: arrays[name][::-1] for name in ("class_names",)} | {"soft_labels": arrays["soft_labels"][:, ::-1]}
    np.savez(tmp_path / "c.npz", **arrays | turned)
    assert import_set(tmp_path / "c.npz", DIGITS).synthetic.labels.equal(soft_set().labels)


def test_our_own_archive_of_a_whitened_set_keeps_its_whitening(tmp_path: Path):
    whitened = load_dataset("digits", zca=True, cache=None)
    made = SyntheticSet.from_indices(whitened.train, torch.arange(40))
    path = export(made, tmp_path / "a", "npz")
    with pytest.raises(UserError, match=r"needs the whitening of its dataset; use `pixels=whitened`"):
        import_set(path, DIGITS)
    found = import_set(path, whitened, pixels="whitened")
    assert found.synthetic.images.equal(made.images)
    assert found.synthetic.whitening is not None
    assert found.warnings == ()
    with np.load(path) as archive:
        arrays: dict[str, Any] = dict(archive)
    np.savez(tmp_path / "b.npz", **arrays | {"whitening_matrix": 2 * arrays["whitening_matrix"]})
    assert any(
        "its whitening is not that of digits" in each for each in import_set(tmp_path / "b.npz", whitened).warnings
    )
    for name in ("whitening_mean", "whitening_matrix"):
        broken = arrays[name].copy()
        broken.flat[0] = np.nan
        np.savez(tmp_path / "c.npz", **arrays | {name: broken})
        with pytest.raises(UserError, match="has a whitening that does not fit its images; export the set again"):
            import_set(tmp_path / "c.npz", whitened)


def test_the_soft_labels_of_our_own_table_come_back_and_other_columns_are_named(tmp_path: Path):
    made = soft_set()
    export(made, tmp_path / "folder", "parquet")
    found = import_set(tmp_path / "folder", DIGITS)
    assert found.synthetic.labels.equal(made.labels)
    said = (
        "labels from the column soft_label",
        "not read from folder: README.md",
        EIGHT_BITS,
        "labels are probabilities",
    )
    assert found.remarks == said
    (file,) = (tmp_path / "folder").rglob("*.parquet")
    table = parquet.read_table(file)
    parquet.write_table(table.append_column("rate", [[0.1] * 20]), tmp_path / "one.parquet")
    found = import_set(tmp_path / "one.parquet", DIGITS)
    assert found.synthetic.labels.equal(made.labels)
    assert "columns that are not read: rate" in found.remarks


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 2, 3], [5, 7, 9]])
def test_vectors_come_back_from_all_our_exports(labels: list[int], tmp_path: Path):
    real = np.random.default_rng(0).normal(5, 2, (60, 4)).astype(np.float32)
    np.save(tmp_path / "real.npy", real)
    np.save(tmp_path / "real.labels.npy", np.array(labels)[np.arange(60) % 3])
    dataset = load_dataset(tmp_path / "real.npy")
    made = SyntheticSet.from_indices(dataset.train, torch.cat([index[:2] for index in dataset.train.class_index]))
    archive = export(made, tmp_path / "set", "npz")
    table = export(made, tmp_path / "folder", "parquet")
    exact = import_set(archive, dataset).synthetic
    assert exact.images.equal(made.images)
    for path in (table, next(table.rglob("*.parquet"))):
        found = import_set(path, dataset, pixels="raw")
        again = found.synthetic
        assert not [remark for remark in found.remarks if "README" not in remark]
        assert torch.allclose(again.images, made.images, atol=1e-5)
        assert again.labels.equal(made.labels)
        assert again.class_names == tuple(map(str, labels))
    with pytest.raises(UserError, match="does not say whether its vectors are normalised"):
        import_set(table, dataset)
    with pytest.raises(UserError, match="itself says that its pixels are normalised, not raw"):
        import_set(archive, dataset, pixels="raw")


def test_labels_are_the_numbers_that_classes_are_called_by_or_positions_among_them(tmp_path: Path):
    real, numbers = torch.rand(60, 4), torch.tensor([1, 2, 5])
    dataset = dataset_of((real.numpy(), numbers[torch.arange(60) % 3].numpy()), name="three")
    assert dataset.class_names == ("1", "2", "5")

    def imported(labels: Tensor | np.ndarray, **more: Any) -> tuple[list[int], tuple[str, ...]]:
        np.savez(tmp_path / "a.npz", images=real[: len(labels)].numpy(), labels=np.asarray(labels), **more)
        found = import_set(tmp_path / "a.npz", dataset, pixels="raw")
        return found.synthetic.labels.tolist(), found.remarks

    assert imported(np.array([1, 2, 5])) == ([0, 1, 2], ("labels are the classes themselves: 1, 2, 5",))
    assert imported(np.array([0, 1, 2])) == ([0, 1, 2], ("labels are positions, from 0, among the classes 1, 2, 5",))
    assert imported(np.array([0, 1, 2]), class_names=np.array(["5", "1", "2"]))[0] == [0, 1, 2]
    with pytest.raises(
        UserError, match="labels from 1 to 2, which may be 1, 2, 5, the classes of three, or their posit"
    ):
        imported(np.array([1, 2]))
    assert imported(np.eye(3)[[1, 2]])[0] == [1, 2]
    with pytest.raises(
        UserError, match="labels from 1 to 7, and the classes of three are 1, 2, 5; store these numbers, or"
    ):
        imported(np.array([1, 7]))
    with pytest.raises(UserError, match="labels that are not positions in its class_names"):
        imported(np.array([0, 3]), class_names=np.array(["5", "1", "2"]))


def test_probabilities_of_low_precision_are_no_logits(tmp_path: Path):
    images, labels = shuffled()
    soft = (5 * torch.nn.functional.one_hot(labels, 10)).float().softmax(1).bfloat16()
    torch.save([images, soft], tmp_path / "a.pt")
    found = import_set(tmp_path / "a.pt", DIGITS, pixels="normalised")
    assert "labels are probabilities" in found.remarks
    torch.save([images, torch.rand(20, 10)], tmp_path / "b.pt")
    with pytest.raises(UserError, match="labels from 0 to 1 whose sums are"):
        import_set(tmp_path / "b.pt", DIGITS, pixels="normalised")


def test_what_would_make_an_unusable_set_is_refused(tmp_path: Path):
    images, labels = shuffled()
    torch.save([images.double() * 1e41, labels], tmp_path / "a.pt")
    with pytest.raises(UserError, match="beyond the range of float32"):
        import_set(tmp_path / "a.pt", DIGITS, pixels="normalised")
    torch.save([images, labels], tmp_path / "b.pt")
    for given, words in (
        ({"std": (0.0,)}, "`std=0` cannot be"),
        ({"mean": (float("nan"),)}, "`mean=nan` cannot be"),
        ({"mean": (0.1, 0.2)}, "`mean=0.1,0.2` is not a number for each of 1 channels"),
        ({"step_size": 1e-60}, "the step size 1e-60 is not a positive number"),
    ):
        with pytest.raises(UserError, match=words):
            import_set(tmp_path / "b.pt", DIGITS, pixels="normalised", **given)  # type: ignore[arg-type]
    few = labels < 9
    torch.save([images[few], labels[few]], tmp_path / "c.pt")
    found = import_set(tmp_path / "c.pt", DIGITS, pixels="normalised")
    assert "1 of 10 classes have no image" in found.warnings


BAD = {
    "other sizes": (lambda x, y: [x[..., :4], y], r"has images \(1, 8, 4\), and digits has \(1, 8, 8\)"),
    "not finite": (lambda x, y: [x * torch.nan, y], "pixels that are not finite"),
    "too few labels": (lambda x, y: [x, y[:3]], r"has labels \(3,\) for 20 images"),
    "other classes": (lambda x, y: [x, y + 1], "has labels from 1 to 10 for 10 classes"),
    "halves": (lambda x, y: [x, y + 0.5], "has labels from 0.5 to 9.5"),
    "five classes": (lambda x, y: [x, torch.rand(20, 5)], "has labels of 5 classes, not 10"),
    "endless labels": (lambda x, y: [x, torch.full((20, 10), torch.inf)], "labels that are not finite"),
    "a network": (lambda x, y: {"weight": x}, r"holds a dictionary of 1 entries \('weight'\)"),
    "a number": (lambda x, y: 3, "holds an int"),
    "two dimensions": (lambda x, y: [x[:, 0, 0], y], r"holds images \(20, 8\)"),
    "images of a list": (
        lambda x, y: {"images": list(x), "labels": y},
        r"a dictionary of 2 entries \('images', 'labels'\)",
    ),
    "labels of a list": (
        lambda x, y: {"images": x, "labels": y.tolist()},
        r"a dictionary of 2 entries \('images', 'labels'\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case: str, tmp_path: Path):
    make, words = BAD[case]
    torch.save(make(*shuffled()), tmp_path / "a.pt")
    with pytest.raises(UserError, match=words):
        import_set(tmp_path / "a.pt", DIGITS, pixels="normalised")


def test_an_imported_set_is_saved_and_read(tmp_path: Path):
    images, labels = shuffled()
    torch.save([images, labels], tmp_path / "a.pt")
    made = import_set(tmp_path / "a.pt", DIGITS, pixels="normalised", formation=2).synthetic
    made.save(tmp_path / "synthetic.safetensors")
    again = SyntheticSet.load(tmp_path / "synthetic.safetensors")
    assert again.fingerprint() == made.fingerprint()
    assert again.formation == 2
    assert again.provenance["imported_from"] == "a.pt"
