"""The section on privacy: the guarantee in words, with everything that it rests on, and only where there is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from run_folder import change_record
from test_report_uses import section

from potstill.report import read_run
from potstill.report.page import render
from potstill.schema.privacy import Privacy

PRIVACY = Privacy(
    epsilon=0.99943,
    delta=1e-5,
    sampling_rate=0.020496,
    clip=1.0,
    noise_multiplier=1.2873,
    queries=1500,
    accountant="privacy loss distributions of dp-accounting 0.6.0",
    public=("the labels", "the size of the images"),
)


def with_privacy(run: Path, privacy: Privacy) -> None:
    change_record(run / "manifest.json", privacy=privacy.to_json())


def test_a_guarantee_is_said_with_everything_that_it_rests_on(run_path: Path) -> None:
    with_privacy(run_path, PRIVACY)
    told = section(run_path, "privacy").text
    for line in (
        "(0.99943, 1e-05)-differentially private with respect to adding or removing one image of the training set.",
        "within a factor of e^0.99943, except with probability 1e-05",
        "does not cover the fingerprint of the dataset",
        "ε0.99943",
        "δ1e-05",
        "neighbouring datasetsadd or remove one image",
        "samplingPoisson, each image with probability 0.0205 or less",
        "clip1",
        "noise multiplier1.2873",
        "queries1,500",
        "accountantprivacy loss distributions of dp-accounting 0.6.0",
        "treated as publicthe labels; the size of the images",
    ):
        assert line in told


def test_without_a_guarantee_nothing_is_called_private(run_path: Path) -> None:
    page = render(read_run(run_path))
    assert 'id="privacy"' not in page
    assert "private" not in page


def test_the_guarantee_never_reads_better_than_it_is(run_path: Path) -> None:
    with_privacy(run_path, replace(PRIVACY, epsilon=4.99971234))
    assert "(4.99971234, 1e-05)-differentially private" in section(run_path, "privacy").text
