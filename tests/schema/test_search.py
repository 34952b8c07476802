"""What follows from the trainings of a search, by hand: who is compared, the regret of choices, and old records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from potstill.evaluation import find_recipe
from potstill.runtime.errors import UserError
from potstill.schema.evaluation import NetworkResult
from potstill.schema.rank_correlation import rank_correlation
from potstill.schema.search import Candidate, Proxy, SearchResult

NAMES = [f"n{number}" for number in range(7)]
ON_SET = [0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70]
ON_RANDOM = [0.70, 0.60, 0.50, 0.40, 0.30, 0.20, 0.10]
ON_FULL = [0.91, 0.93, 0.92, 0.94, 0.96, 0.95, 0.97]


def table(accuracies: list[float]) -> dict[str, Candidate]:
    return {
        name: Candidate(spec="mlp", accuracies=[each], seconds=2.0, parameters=10)
        for name, each in zip(NAMES, accuracies, strict=True)
    }


def searched() -> SearchResult:
    return SearchResult(
        space="convnet-22",
        recipe=find_recipe("quick"),
        seed=0,
        set_sha256="a",
        dataset_fingerprint="b",
        candidates={**table(ON_SET), "huge": Candidate(spec="mlp", failed="too large", skipped=True)},
        full={name: NetworkResult(accuracies=[each], seconds=5.0) for name, each in zip(NAMES, ON_FULL, strict=True)},
        proxies={"random": Proxy(images=10, bytes=640, choosing_seconds=1.5, candidates=table(ON_RANDOM))},
        sample=NAMES[:6],
    )


def test_the_drawn_candidates_are_compared_and_the_best_of_them():
    found = searched()
    assert found.judged == ["distilled", "random"]
    assert found.compared == ["n4", "n5", "n3", "n1", "n2", "n0"], "by the full data; n6 was not drawn"
    assert found.tops == [6, 5]
    assert found.correlation("distilled") == rank_correlation(ON_SET[:6], ON_FULL[:6])
    whole, best = found.correlation("distilled"), found.correlation("distilled", 5)
    assert whole is not None
    assert best is not None
    # Ranks 1 2 3 4 5 6 against 1 3 2 4 6 5: the squares of the differences sum to 4.
    assert whole.spearman == pytest.approx(1 - 6 * 4 / (6 * 35))
    assert best.spearman == pytest.approx(1 - 6 * 4 / (5 * 24))
    opposite = found.correlation("random")
    assert opposite is not None
    assert opposite.spearman == pytest.approx(-whole.spearman)
    advantage = found.advantage("random")
    assert advantage is not None
    assert advantage[0] == pytest.approx(2 * whole.spearman)


def test_the_regret_is_the_distance_from_the_best_that_was_trained():
    found = searched()
    assert found.regret("distilled") == 0.0
    assert found.regret("random") == pytest.approx(0.97 - 0.91)
    untrained = replace(found, full={name: found.full[name] for name in NAMES[1:]})
    assert untrained.regret("random") is None
    assert untrained.regret("distilled") == 0.0


def test_seconds_and_what_was_skipped_are_counted():
    found = searched()
    assert found.all_proxies["random"].seconds == 7 * 2.0 + 1.5
    assert found.full_seconds == 7 * 5.0
    assert found.skipped == {"huge": "too large"}
    assert found.all_proxies["distilled"].first == "n6"


def test_a_proxy_that_is_not_finished_is_not_judged_and_keeps_no_one_out():
    found = searched()
    few = Proxy(images=10, bytes=640, candidates={"n0": found.candidates["n0"]})
    unfinished = replace(found, proxies={**found.proxies, "herding": few})
    assert unfinished.judged == found.judged
    assert unfinished.compared == found.compared


@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_over_fewer_than_three_there_is_no_number(drawn: int):
    found = replace(searched(), sample=NAMES[:drawn])
    assert found.correlation("distilled") is None
    assert found.advantage("random") is None


def test_failed_trainings_on_the_full_data_are_left_out():
    found = searched()
    broken = replace(found, full={**found.full, "n4": NetworkResult(failed="diverged")})
    assert "n4" not in broken.compared
    assert len(broken.compared) == 5


def test_a_search_of_the_set_alone_is_written_as_before(tmp_path: Path):
    alone = replace(searched(), proxies={}, sample=[])
    alone.write(tmp_path / "search.json")
    content = json.loads((tmp_path / "search.json").read_text())
    assert not {"proxies", "sample", "prediction", "full_images"} & set(content)
    older = {name: value for name, value in content.items() if name not in ("set_images", "set_bytes")}
    for candidate in older["candidates"].values():
        del candidate["skipped"]
    (tmp_path / "search.json").write_text(json.dumps(older))
    assert SearchResult.read(tmp_path / "search.json").ranked == alone.ranked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": ["nobody"]}, "sample is not a list of candidates"),
        ({"full_images": 0}, "full_images is not a whole number of at least 1"),
        ({"proxies": {"distilled": {"images": 1, "bytes": 1}}}, "proxies is not without 'distilled'"),
        ({"proxies": {"random": {"images": 1}}}, r"proxies\.random\.bytes is missing"),
    ],
)
def test_damage_is_named(change: dict[str, object], message: str, tmp_path: Path):
    (tmp_path / "search.json").write_text(json.dumps(searched().to_json() | change))
    with pytest.raises(UserError, match=message):
        SearchResult.read(tmp_path / "search.json")
