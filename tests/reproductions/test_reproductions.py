"""Published tables made anew: verdicts, resuming, and that every table can be begun."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import SPACES
from potstill.applications.architecture_search import spaces as searching
from potstill.cli.main import main
from potstill.distillation.settings import Settings
from potstill.engine.trainer import Trainer
from potstill.evaluation import RECIPES, Resources
from potstill.experts.plan import ExpertPlan
from potstill.methods import DC, DM, METHODS, MTT, Random, TaughtCoreset
from potstill.methods.coresets import Forgetting, Herding
from potstill.methods.trajectory.mtt import MTT_PRESETS
from potstill.networks import ImageShape, build_network
from potstill.reproductions import REPRODUCTIONS, Published, Reproduction, Row, find_reproduction, reproduce
from potstill.reproductions import run as running
from potstill.runtime import progress as pacing
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import Diverged, UserError
from potstill.schema.published import PublishedIterations, PublishedSearch
from potstill.schema.reproduction import FullDataRecord, Outcome, ReproductionRecord
from potstill.schema.search import SearchResult
from tests.small import NETWORK

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]

OTHER = "mlp:width=16"
PLAIN = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))


def settings(method: Any, **changes: Any) -> Settings[Any]:
    return replace(Settings(method=method, dataset="digits", ipc=1, network=NETWORK, validate_every=0), **changes)


SMALL = Reproduction(
    name="small",
    title="A table of digits",
    source="nobody",
    recipe="coursework-50",
    repeats=2,
    rows=(
        Row(
            label="Random!", settings=partial(settings, Random()), published={NETWORK: Published(1.0, 0.5), OTHER: None}
        ),
        Row(
            label="dm",
            settings=partial(settings, DM(batch_real=8), iterations=20),
            published={NETWORK: Published(50.0, 50.0)},
        ),
    ),
)


@pytest.fixture
def all_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes as they are."""
    monkeypatch.setattr("potstill.evaluation.recipes.RECIPES", RECIPES)


def outcomes_of(*given: Any, **named: Any) -> list[Outcome]:
    return reproduce(*given, **named).outcomes


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [(0.5, "inside"), (0.52, "inside"), (0.521, "above"), (0.48, "inside"), (0.479, "below"), (0.0, "below")],
)
def test_verdicts(accuracy: float, verdict: str):
    assert Published(50.0, 2.0).verdict(accuracy) == verdict
    assert Published(50.0).verdict(accuracy) == "no spread published"


def test_published_figures_as_tables_print_them():
    assert str(Published(91.7, 0.5)) == "91.7 ± 0.5"
    assert str(Published(94)) == "94.0"
    assert str(Published(91.81, 0.25)) == "91.81 ± 0.25"


def test_every_row_is_distilled_evaluated_and_recorded(tmp_path: Path):
    outcomes = outcomes_of(SMALL, tmp_path)
    assert [(o.row, o.network) for o in outcomes] == [("Random!", NETWORK), ("Random!", OTHER), ("dm", NETWORK)]
    assert [o.verdict for o in outcomes] == ["above", "nothing published", "inside"]
    assert all(o.measured.repeats == 2 for o in outcomes)
    assert outcomes[2].iterations == PublishedIterations(done=20, published=20)
    record = json.loads((tmp_path / ReproductionRecord.FILE).read_text())
    assert [entry["verdict"] for entry in record["outcomes"]] == [o.verdict for o in outcomes]
    assert record["outcomes"][0]["published"] == {"mean": 1.0, "std": 0.5, "time": ""}
    assert record["outcomes"][0]["measured"]["accuracies"] == outcomes[0].measured.accuracies
    assert record["recipe"] == "coursework-50"
    assert (tmp_path / "random" / "synthetic.safetensors").exists()


def test_another_dataset_has_no_verdict_and_is_named(tmp_path: Path):
    mnist = replace(SMALL, rows=(replace(SMALL.rows[0], settings=partial(settings, Random(), dataset="mnist")),))
    outcomes = outcomes_of(mnist, tmp_path, dataset="digits", repeats=1)
    assert [(o.dataset, o.verdict) for o in outcomes] == [("digits", "another dataset")] * 2
    (entry, _) = json.loads((tmp_path / ReproductionRecord.FILE).read_text())["outcomes"]
    assert (entry["dataset"], entry["verdict"]) == ("digits", "another dataset")
    assert len(entry["dataset_fingerprint"]) == 64


def test_a_second_call_may_spell_the_folder_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = ExpertPlan(network=NETWORK, count=1, epochs=2)
    row = Row(label="herding", settings=partial(settings, Herding()), published={NETWORK: None}, experts=plan)
    table = replace(SMALL, rows=(row,))
    monkeypatch.chdir(tmp_path)
    reproduce(table, "made", repeats=1, resources=PLAIN)
    reproduce(table, tmp_path / "made", repeats=1, resources=PLAIN)
    with pytest.raises(UserError, match="use the options that it was started with"):
        reproduce(
            table, Path("made"), repeats=1, resources=Resources(compute=replace(PLAIN.compute, precision="float64"))
        )


@pytest.mark.usefixtures("all_epochs")
def test_a_share_of_the_published_iterations_is_said_to_be_one(tmp_path: Path):
    outcomes = outcomes_of(SMALL, tmp_path, scale=0.25, rows=["dm"], repeats=1)
    assert [o.iterations for o in outcomes] == [PublishedIterations(done=5, published=20)]
    assert outcomes[0].measured.repeats == 1
    (entry,) = json.loads((tmp_path / ReproductionRecord.FILE).read_text())["outcomes"]
    assert entry["iterations"] == {"done": 5, "published": 20}
    assert entry["scale"] == 0.25
    recipe = json.loads((tmp_path / "dm" / "evaluation.json").read_text())["recipe"]
    assert (recipe["name"], recipe["full_epochs"]) == ("coursework-50-scale-0.25", 12), "evaluations are shortened too"
    with pytest.raises(UserError, match=r"dm was started with other settings: `iterations` \(5 there, 20 here\)"):
        reproduce(SMALL, tmp_path, rows=["dm"], repeats=1)


def test_even_the_smallest_share_is_one_iteration(tmp_path: Path):
    assert outcomes_of(SMALL, tmp_path, scale=0.001, rows=["dm"], repeats=1)[0].iterations == PublishedIterations(
        done=1, published=20
    )


def test_rows_that_a_call_leaves_out_stay_in_the_record(tmp_path: Path):
    reproduce(SMALL, tmp_path, rows=["dm"], repeats=1)
    reproduce(SMALL, tmp_path, rows=["Random!"], repeats=1)
    record = json.loads((tmp_path / ReproductionRecord.FILE).read_text())
    assert [entry["row"] for entry in record["outcomes"]] == ["Random!", "Random!", "dm"]


def test_a_time_limit_counts_over_all_calls(tmp_path: Path):
    (first,) = outcomes_of(SMALL, tmp_path, rows=["dm"], repeats=1, time_limit=0.0)
    assert first.iterations == PublishedIterations(done=0, published=20)
    again = reproduce(SMALL, tmp_path, rows=["dm"], repeats=1, time_limit=0.0)
    assert again.outcomes[0].iterations == PublishedIterations(done=0, published=20), "its time is used up"
    assert (again.unfinished, again.outcomes[0].note) == (["dm"], "stopped by the time limit")
    rest = reproduce(SMALL, tmp_path, rows=["dm"], repeats=1)
    assert rest.outcomes[0].iterations == PublishedIterations(done=20, published=20)
    assert (rest.unfinished, rest.outcomes[0].note) == ([], "")


def test_a_row_of_options_that_the_method_resolves_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = DC(distance="euclidean", batch_real=4, outer_loops=2, network_batch=8)
    row = Row(label="dc", settings=partial(settings, made, iterations=4), published={NETWORK: None})
    step, steps = DC.step, 0

    def mortal(*given: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt
        return step(*given)

    monkeypatch.setattr(DC, "step", mortal)
    with pytest.raises(KeyboardInterrupt):
        reproduce(replace(SMALL, rows=(row,)), tmp_path, repeats=1)
    (outcome,) = outcomes_of(replace(SMALL, rows=(row,)), tmp_path, repeats=1)
    assert outcome.iterations == PublishedIterations(done=4, published=4)
    assert steps == 5


@pytest.mark.usefixtures("all_epochs")
def test_full_data_is_trained_on_without_a_set_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "distill", lambda *given, **named: pytest.fail("distilled"))
    row = Row(label="full data", settings=partial(settings, DM()), published={OTHER: Published(90.0, 20.0)}, full=True)
    table = replace(SMALL, recipe="coursework-50", rows=(row,))
    (one,) = outcomes_of(table, tmp_path, resources=PLAIN)
    (path,) = (tmp_path / "full-data").iterdir()
    assert (one.measured.repeats, FullDataRecord.read(path).result.epochs) == (1, 50)
    assert (one.iterations, one.seconds) == (None, None)
    (two,) = outcomes_of(table, tmp_path, resources=PLAIN, repeats=2)
    assert two.measured.accuracies[0] == one.measured.accuracies[0]
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: pytest.fail("trained"))
    assert outcomes_of(table, tmp_path, resources=PLAIN, repeats=2)[0].measured == two.measured


def test_another_place_of_the_dataset_keeps_the_published_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[Settings[Any]] = []

    def stop(settings: Settings[Any], *given: Any, **named: Any) -> None:
        asked.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "distill", stop)
    monkeypatch.setattr(running._Making, "_experts", lambda *given: Path("experts"))
    with pytest.raises(KeyboardInterrupt):
        reproduce(find_reproduction("mtt-cifar10"), tmp_path, dataset="digits", rows=["mtt ipc 10"])
    assert asked[0].dataset == "digits"
    assert asked[0].method.student_steps == MTT_PRESETS["cifar10"][10].student_steps


def test_labels_of_rows_can_be_asked_for():
    for table in REPRODUCTIONS.values():
        assert not any("," in row.label for row in table.rows), table.name


def test_a_second_call_goes_on_where_the_first_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fit, trainings = Trainer.fit, 0

    def mortal(*given: Any, **named: Any) -> None:
        nonlocal trainings
        trainings += 1
        if trainings == 4:
            raise KeyboardInterrupt
        fit(*given, **named)

    monkeypatch.setattr(Trainer, "fit", mortal)
    with pytest.raises(KeyboardInterrupt):
        reproduce(SMALL, tmp_path)
    distilled: list[Any] = []
    distil = running.distill
    monkeypatch.setattr(running, "distill", lambda *given, **named: distilled.append(given) or distil(*given, **named))
    outcomes = outcomes_of(SMALL, tmp_path)
    assert trainings == 4 + 3, "six trainings, and the one that was cut short"
    assert len(distilled) == 1, "the random images are there already"
    assert [o.measured.repeats for o in outcomes] == [2, 2, 2]


def test_rows_that_match_experts_share_those_of_one_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = ExpertPlan(network=NETWORK, count=1, epochs=3, learning_rate=0.05)
    made = MTT(student_steps=2, expert_epochs=1, latest_start=2, learning_rate=1.0)
    rows = tuple(
        Row(
            label=f"mtt {seed}",
            settings=partial(settings, made, iterations=2, seed=seed),
            published={NETWORK: None},
            experts=plan,
        )
        for seed in (0, 1)
    )
    trained: list[ExpertPlan] = []
    train = running.train_experts
    monkeypatch.setattr(
        running, "train_experts", lambda plan, *given, **named: trained.append(plan) or train(plan, *given, **named)
    )
    outcomes = outcomes_of(replace(SMALL, rows=rows), tmp_path, repeats=1)
    assert len(outcomes) == 2
    folders = list(tmp_path.glob("experts-*"))
    assert len(folders) == 1
    assert (tmp_path / "mtt-1" / "config.toml").read_text().count(str(folders[0])) == 1


def test_selections_look_at_one_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = ExpertPlan(network=NETWORK, count=1, epochs=2)
    published = {NETWORK: None}
    table = replace(
        SMALL,
        repeats=1,
        rows=tuple(
            Row(label=name, settings=partial(settings, METHODS[name]()), published=published, experts=plan)
            for name in ("herding", "forgetting")
        ),
    )
    reproduce(table, tmp_path, resources=PLAIN)
    experts = sorted(str(path) for path in tmp_path.glob("experts-*"))
    assert len(experts) == 1
    for row in table.rows:
        assert tomllib.loads((tmp_path / row.folder / "config.toml").read_text())["method"]["features"] == experts[0]
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: pytest.fail("trained again"))
    reproduce(table, tmp_path, resources=PLAIN)


def test_a_long_row_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pacing, "QUIET_SECONDS", 0)
    said: list[str] = []
    chosen = Row(label="hard", settings=partial(settings, Forgetting(teacher_epochs=2)), published={NETWORK: None})
    reproduce(
        replace(SMALL, rows=(chosen, SMALL.rows[1])),
        tmp_path,
        repeats=1,
        resources=Resources(compute=PLAIN.compute, progress=said.append),
    )
    assert any(words.startswith("hard: training the selection's network, epoch 1 of 2") for words in said)
    assert "hard: testing the network of epoch 2 of 2" in said
    assert any(re.match(r"dm: iteration 1 of \d+, loss ", words) for words in said)
    assert "doing" not in (tmp_path / "hard" / "metrics.jsonl").read_text()


def test_a_row_that_diverges_has_its_last_good_set_and_stops_nothing(tmp_path: Path):
    wild = Row(
        label="wild",
        settings=partial(settings, DM(batch_real=8, learning_rate=1e30), iterations=20),
        published={NETWORK: None},
    )
    table = replace(SMALL, rows=(wild, SMALL.rows[1]))
    for _ in range(2):
        outcomes = outcomes_of(table, tmp_path, repeats=1, resources=PLAIN)
        assert [outcome.row for outcome in outcomes] == ["wild", "dm"]
        assert outcomes[0].note == "diverged: its last good set"
        assert outcomes[0].iterations is not None
        assert outcomes[0].iterations.done < 20
        assert outcomes[1].note == ""


def two_networks(monkeypatch: pytest.MonkeyPatch) -> PublishedSearch:
    """A search over two networks, and what someone printed of it."""
    monkeypatch.setattr(searching, "SPACES", {"two": {"small": "mlp:width=4", "wide": "mlp:width=32"}})
    return PublishedSearch(space="two", found="wide", accuracy=70.0, time="34 s", full=Published(90.0, time="8 min"))


def test_a_search_begins_anew_when_its_set_went_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = Row(
        label="dm",
        settings=partial(settings, DM(batch_real=8), iterations=40),
        published={},
        search=two_networks(monkeypatch),
    )
    table = replace(SMALL, rows=(row,))
    stopped = reproduce(table, tmp_path, time_limit=1e-3, resources=PLAIN)
    assert (stopped.unfinished, stopped.searches[0].note) == (["dm"], "stopped by the time limit")
    path = tmp_path / "dm" / "search.json"
    before = json.loads(path.read_text())["set_sha256"]
    assert reproduce(table, tmp_path, resources=PLAIN).unfinished == []
    assert json.loads(path.read_text())["set_sha256"] != before


@pytest.mark.usefixtures("all_epochs")
def test_a_set_is_evaluated_and_searched_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    published = two_networks(monkeypatch)
    row = Row(
        label="from real", settings=partial(settings, Random()), published={OTHER: Published(50.0)}, search=published
    )
    table = replace(SMALL, rows=(row,))
    record = reproduce(table, tmp_path, resources=PLAIN)
    (outcome,), (found,) = record.outcomes, record.searches
    assert (outcome.network, outcome.measured.repeats) == (OTHER, 2)
    assert found.found in ("small", "wide")
    assert (found.row, found.published, found.comparable, found.candidates) == ("from real", published, True, 2)
    assert (found.on_set.repeats, found.full.repeats) == (1, 1)
    assert found.full_seconds is not None
    assert found.full_seconds > 0
    assert 0 < found.on_set.mean < found.full.mean <= 1
    searched = SearchResult.read(tmp_path / "from-real" / "search.json")
    assert [len(made.accuracies) for made in searched.candidates.values()] == [1, 1], "once, unless told otherwise"
    assert found.on_set.accuracies == searched.candidates[found.found].accuracies
    assert ReproductionRecord.read(tmp_path / ReproductionRecord.FILE) == record
    again = reproduce(table, tmp_path, resources=PLAIN, repeats=2)
    assert again.searches[0].on_set.repeats == 2


def test_a_search_without_any_result_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: (_ for _ in ()).throw(Diverged("it diverged", "no")))
    row = Row(label="it", settings=partial(settings, Random()), published={}, search=two_networks(monkeypatch))
    (found,) = reproduce(replace(SMALL, rows=(row,)), tmp_path, resources=PLAIN).searches
    assert found.found is None
    assert (found.on_set.failed, found.full.failed) == ("every candidate failed", "not trained")


def test_random_images_are_those_of_equal_number(tmp_path: Path):
    more = replace(SMALL.rows[0], label="two", settings=partial(settings, Random(), ipc=2))
    record = reproduce(replace(SMALL, rows=(*SMALL.rows, more)), tmp_path, resources=PLAIN, repeats=1)
    drawn, other, ours, twice, _ = record.outcomes
    assert (ours.row, ours.method, ours.ipc, ours.folder) == ("dm", "dm", 1, "dm")
    assert (twice.row, twice.ipc) == ("two", 2)
    assert record.random(ours) == drawn
    assert record.random(drawn) is None, "it is its own baseline"
    assert (drawn.network, other.network) == (NETWORK, OTHER)


def test_a_folder_holds_one_table(tmp_path: Path):
    reproduce(SMALL, tmp_path, rows=["dm"], repeats=1, resources=PLAIN)
    with pytest.raises(UserError, match=r"reproduction.json is of the table small, not of other"):
        reproduce(replace(SMALL, name="other"), tmp_path, rows=["dm"], repeats=1, resources=PLAIN)


def test_unknown_rows_names_and_scales_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="small has no row 'dn'; its rows are Random!, dm"):
        reproduce(SMALL, tmp_path, rows=["dn"])
    with pytest.raises(UserError, match=r"`scale=0` is outside \(0, 1\]"):
        reproduce(SMALL, tmp_path, scale=0.0)
    with pytest.raises(UserError, match="unknown reproduction 'dc-mnst'; did you mean 'dc-mnist'"):
        find_reproduction("dc-mnst")


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_every_table_can_be_begun(name: str):
    made = REPRODUCTIONS[name]
    assert made.name == name
    assert made.recipe in RECIPES
    assert made.source
    assert len({row.folder for row in made.rows}) == len(made.rows)
    shape = ImageShape(3, 224, 224) if "mhist" in name else ImageShape(3, 32, 32)
    for row in made.rows:
        settings = row.settings()
        method = settings.method.resolved(settings.ipc)
        assert method.default_iterations(settings.ipc) >= 0
        assert not isinstance(method, TaughtCoreset) or row.experts is not None or made.name == "dd-baselines"
        searched = () if row.search is None else (SPACES[row.search.space][row.search.found],)
        for network in (settings.network or "convnet", *searched, *row.published):
            build_network(network, shape, 10, torch.Generator())
        for figure in row.published.values():
            assert figure is None or 0 < figure.mean < 100


def test_the_command_prints_published_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr("potstill.reproductions.find_reproduction", lambda name: SMALL)
    assert main(["reproduce", "small", "--out", str(tmp_path / "out"), "--rows", "Random!", "--repeats", "1"]) == 0
    told = capsys.readouterr().out
    assert "1.0 ± 0.5" in told
    assert "above" in told
    assert "Source: nobody." in told
    assert (tmp_path / "out" / "reproduction.html").is_file()
    assert main(["list", "reproductions"]) == 0
    assert "dc-distances" in capsys.readouterr().out


def test_the_command_says_how_to_go_on_after_its_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("potstill.reproductions.find_reproduction", lambda name: SMALL)
    words = ["reproduce", "small", "--rows", "dm", "--repeats", "1", "--out", str(tmp_path / "my table")]
    assert main([*words, "--time-limit", "0.001s"]) == 0
    stopped, command = capsys.readouterr().out.splitlines()[-1].split("; go on with: potstill ")
    assert stopped == "stopped by the time limit: dm"
    assert shlex.split(command) == words, "the same limit would stop it at once"
    assert main(shlex.split(command)) == 0
    assert "go on with" not in capsys.readouterr().out
    (entry,) = json.loads((tmp_path / "my table" / ReproductionRecord.FILE).read_text())["outcomes"]
    assert (entry["iterations"]["done"], entry["status"]) == (20, "complete")
