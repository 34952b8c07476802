"""A search in words: its proxies, what is as good as the set, and the chart of each."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from run_folder import FINGERPRINT, SET, write_record
from test_report_page import Page

from potstill.evaluation import find_recipe
from potstill.report import read_run, search_verdict
from potstill.report.page import render
from potstill.report.search import correlation_titles, proxy_rows
from potstill.schema.evaluation import NetworkResult
from potstill.schema.search import Candidate, Proxy, SearchResult

NAMES = [f"net{number}" for number in range(24)]
GOOD = [0.3 + 0.02 * number for number in range(24)]
NOISE = [0.5 + 0.01 * (7 * number % 24) for number in range(24)]
FULL = [0.9 + 0.004 * number for number in range(24)]


def table(accuracies: list[float]) -> dict[str, Candidate]:
    return {
        name: Candidate(spec="mlp", accuracies=[each], seconds=2.0, parameters=100)
        for name, each in zip(NAMES, accuracies, strict=True)
    }


def searched(ours: list[float], **others: list[float]) -> SearchResult:
    proxies = {name: Proxy(images=30, bytes=1_920, candidates=table(each)) for name, each in others.items()}
    return SearchResult(
        space="convnet-720",
        recipe=find_recipe("coursework-50"),
        seed=0,
        set_sha256=SET,
        dataset_fingerprint=FINGERPRINT,
        candidates={**table(ours), "huge": Candidate(spec="mlp", failed="images are too <small>", skipped=True)},
        full={
            name: NetworkResult(accuracies=[each], seconds=50.0, epochs=5)
            for name, each in zip(NAMES, FULL, strict=True)
        },
        full_images=5_000,
        set_images=30,
        set_bytes=7_920,
        proxies=proxies,
        sample=NAMES,
    )


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_a_set_that_predicts_better_is_said_to_do_so():
    said = plain(search_verdict(searched(GOOD, random=NOISE)))
    assert said.startswith(
        "Over 24 candidates trained on 5,000 random training images in place of the full data, Spearman's correlation "
        "of the set's ranking with theirs is 1.00 (95 % interval 1.00 to 1.00), better than that of random real images"
    )
    assert said.endswith("Its choice, net23, is the best of those that were trained.")


def test_what_is_as_good_or_better_is_said_too():
    said = plain(search_verdict(searched(NOISE, random=NOISE, **{"early-stopping": GOOD})))
    assert "not clearly better than that of random real images" in said
    assert "worse than that of early stopping (1.00)" in said
    best = max(range(24), key=NOISE.__getitem__)
    regret = 100 * (FULL[-1] - FULL[best])
    assert (
        f"Its choice, net{best}, is {regret:.2f} points below the best; the choice of random real images and early "
        in said
    )
    assert said.endswith("early stopping is as good or better.")


@pytest.mark.parametrize("sample", [[], NAMES[:2]])
def test_without_a_sample_nothing_is_claimed(sample: list[str]):
    found = replace(searched(GOOD, random=NOISE), sample=sample)
    assert "was not measured: draw a sample with --full-sample" in search_verdict(found)
    assert "Spearman" not in search_verdict(found)
    assert correlation_titles(found) == []
    assert all(row.correlations == [] for row in proxy_rows(found))


def test_accuracies_that_are_all_equal_have_no_ranking():
    found = searched([0.5] * 24, random=NOISE)
    assert "there is no ranking to predict" in search_verdict(found)


def test_a_proxy_in_progress_is_not_judged():
    found = searched(GOOD, random=NOISE)
    some = {name: found.candidates[name] for name in NAMES[:3]}
    unfinished = replace(found, proxies={**found.proxies, "herding": Proxy(images=30, bytes=1_920, candidates=some)})
    *_, row = proxy_rows(unfinished)
    assert (row.title, row.first, row.regret) == ("real images by herding", "not finished", "–")
    assert search_verdict(unfinished) == search_verdict(found)


def test_the_page_shows_proxies_correlations_and_charts(run_path: Path):
    found = searched(GOOD, random=NOISE, **{"early-stopping": GOOD})
    write_record(run_path / "search.json", found.to_json())
    page = render(read_run(run_path))
    start = page.index('<section id="search">')
    source = page[start : page.index("</section>", start)]
    told = plain(Page(source).text)
    assert plain(search_verdict(found)) in told
    assert "1 of 25 candidates skipped, before any training: huge: images are too <small>" in told
    assert "<small>" not in source, "it is escaped"
    for title in ("the set", "random real images", "early stopping"):
        assert f"Test accuracy on 5,000 images: {title}, Spearman" in told
    assert source.count('class="point') == 3 * 24
    heads = re.findall(r'<th scope="col" class="n">(all \d+|top \d+)</th>', source)
    assert heads == ["all 24", "top 5", "top 10", "top 20"]
    assert "All 24 trainings on it took 20 min 0 s." in told
    choices = told[told.index("On 5,000 random") : told.index("All 24")]
    assert "net23 99.20 %" in choices
    assert choices.count("after 5 epochs") == 2, "the first choices alone: those of the set and of random images"


def test_of_many_candidates_the_best_are_shown(run_path: Path):
    many = {f"n{place:03}": Candidate(spec="mlp", accuracies=[place / 200]) for place in range(120)}
    write_record(run_path / "search.json", replace(searched(GOOD), candidates=many, full={}, sample=[]).to_json())
    page = render(read_run(run_path))
    assert "70 further candidates are in" in page
    assert "n119" in page
    assert "n069" not in page
