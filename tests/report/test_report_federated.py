"""The page of federated learning: the numbers of the record, and words that claim no more than they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import contrasts, watched
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.evaluation import find_recipe
from potstill.report.charts.course import CourseData, course_chart
from potstill.report.federated import render, write_federated
from potstill.report.federated_lead import federated_verdict, leaks, remarks
from potstill.schema.applications import LearnedDataset
from potstill.schema.federated import (
    CENTRAL,
    FEDAVG,
    ONE_SHOT,
    Averaging,
    Client,
    Federated,
    FederatedProtocol,
    Learner,
    Partition,
    Way,
    standings,
)
from potstill.schema.privacy import Privacy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PRIVACY = Privacy(
    epsilon=1.0,
    delta=1e-5,
    sampling_rate=0.1,
    clip=1.0,
    noise_multiplier=1.5,
    queries=10,
    accountant="one of ours",
    public=("labels",),
)
NETWORKS = ["convnet", "mlp:width=100"]
SETS = ("dm", "random", "k-means")


def learner(way: str, network: str, *accuracies: float) -> Learner:
    """Sets of 9 kB; five rounds of averaging at 1.2 MB each, the last of which is at the given accuracies."""
    repeats = len(accuracies)
    if way in (FEDAVG, ONE_SHOT):
        rounds = [[last - 0.1 * (4 - number) for number in range(5)] for last in accuracies]
        sent = [3_000_000] * repeats
    else:
        rounds, sent = [], [] if way == CENTRAL else [9_000] * repeats
    return Learner(
        way=way,
        network=network,
        accuracies=list(accuracies),
        rounds=rounds,
        bytes_up=sent,
        bytes_down=sent if rounds else [0] * len(sent),
        seconds=[3.0] * repeats,
    )


def with_learners(*learners: Learner) -> Federated:
    return Federated(
        protocol=FederatedProtocol(partition=Partition(clients=2, alpha=0.1), images_per_class=(3, 1), repeats=3),
        averaging=Averaging(rounds=5),
        dataset=LearnedDataset(name="<b>&", fingerprint="ab", train=540, test=100),
        class_names=["cat", "<i>", "dog"],
        recipe=find_recipe("quick"),
        matched=NETWORKS[0],
        networks=NETWORKS,
        clients=[
            [Client(class_sizes=[500, 0, 30], images_per_class=3), Client(class_sizes=[0, 10, 0], images_per_class=1)],
            [Client(class_sizes=[500, 10, 30], images_per_class=3), Client(class_sizes=[0, 0, 0], images_per_class=1)],
        ],
        ways=[
            *(
                Way(name=name, kind="sets", images=[7, 9], bytes=[9000, 9000], bytes_in_8_bits=[2500] * 2)
                for name in SETS
            ),
            *(Way(name=name, kind="averaging") for name in (FEDAVG, ONE_SHOT)),
            Way(name=CENTRAL, kind="central"),
        ],
        learners=list(learners),
        standings=standings(learners, SETS),
        made_on=["a machine"],
    )


def record() -> Federated:
    return with_learners(
        learner("dm", "convnet", 0.80, 0.81, 0.82),
        learner("random", "convnet", 0.70, 0.72, 0.71),
        learner("k-means", "convnet", 0.85, 0.84, 0.86),
        learner(FEDAVG, "convnet", 0.9, 0.91, 0.92),
        learner(ONE_SHOT, "convnet", 0.5, 0.5, 0.5),
        learner(CENTRAL, "convnet", 0.9, 0.9, 0.9),
        learner("dm", "mlp:width=100", 0.60, 0.65, 0.61),
        learner("random", "mlp:width=100", 0.62, 0.64, 0.61),
        learner(FEDAVG, "mlp:width=100", 0.5, 0.5, 0.5),
    )


def with_rounds(*finals: float, rounds: int = 3) -> Federated:
    """The record with refined sets, at 9 kB up and 300 kB down a round; each round but the last is 0.05 lower."""
    found = record()
    refined = Learner(
        way="refined dm",
        network="convnet",
        accuracies=list(finals),
        rounds=[[last - 0.05 * (rounds - number) for number in range(1, rounds + 1)] for last in finals],
        bytes_up=[9_000 * rounds] * len(finals),
        bytes_down=[300_000 * rounds] * len(finals),
        seconds=[3.0] * len(finals),
    )
    way = Way(name="refined dm", kind="refined", images=[24, 24], bytes=[27_000] * 2, bytes_in_8_bits=[7_500] * 2)
    learners = [*found.learners[:3], refined, *found.learners[3:]]
    return replace(
        found,
        protocol=replace(found.protocol, refine=rounds, radius=2.5),
        ways=[*found.ways[:3], way, *found.ways[3:]],
        learners=learners,
        standings=standings(learners, SETS),
    )


def body(page: str) -> str:
    """What a page says, without its styles and its icon."""
    return page.partition("<main")[2].partition("</main>")[0]


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_verdict_says_what_one_round_reaches_and_what_others_take_for_it():
    found = record()
    assert plain(federated_verdict(found)) == (
        "In one round, 2 clients send 8 images by dm (9 kB), on which ConvNet reaches 81.0 %, 90.0 % of what it "
        "reaches on all images, 10.0 points above as many random images (95 % interval +7.5 to +12.5). FedAvg takes 4 "
        "rounds and 4.8 MB to reach as much, 533 times the bytes."
    )
    said = [plain(each) for each in remarks(found)]
    assert said[0] == (
        "In one round, 2 clients send 8 images by dm (9 kB), on which MLP (width=100) reaches 62.0 %; the difference "
        "from as many random images (−0.3 points, 95 % interval −4.1 to +3.5) may be due to chance. FedAvg does not "
        "reach as much in 5 rounds and 6 MB."
    )
    assert "With ConvNet, sets by k-means have the highest mean: 85.0 %." in said
    assert any(
        each.startswith(
            "With ConvNet, FedAvg reaches 91.0 % after 5 rounds and 6 MB; weights that are averaged only once"
        )
        for each in said
    )
    assert "Of 4 clients in 2 repeats, 1 has images of a single class and 1 has too few images to send any." in said


def test_the_verdict_says_what_refined_sets_reach_after_each_round_and_what_they_cost():
    found = with_rounds(0.88, 0.88, 0.88)
    once, said = plain(federated_verdict(record())), plain(federated_verdict(found))
    assert said == (
        f"{once} With sets by dm, matched near the server's weights, ConvNet reaches 78.0 %, 83.0 % and 88.0 % after "
        "each of 3 rounds (27 kB up, 900 kB down). FedAvg takes 5 rounds and 6 MB to reach as much, 6.47 times the "
        "bytes."
    )
    assert "reaches 88.0 % after one round (9 kB up" in plain(federated_verdict(with_rounds(0.88, 0.88, rounds=1)))
    many = plain(federated_verdict(with_rounds(0.88, 0.88, rounds=8)))
    assert "reaches 53.0 % after one round and 88.0 % after 8 rounds" in many
    assert any("Only ConvNet, whose weights are sent, is refined." in each for each in remarks(found))
    assert not any("refined" in each for each in remarks(record()))


def test_other_refined_sets_are_a_remark_and_those_that_failed_are_not():
    found = with_rounds(0.88, 0.88)
    ways = [replace(way, name="datadam") if way.name == "dm" else way for way in found.ways]
    assert any("With sets by dm, matched near" in each for each in remarks(replace(found, ways=ways)))
    learners = [replace(each, failed="it diverged") if each.way == "refined dm" else each for each in found.learners]
    assert federated_verdict(replace(found, learners=learners)) == federated_verdict(record())


def test_the_page_has_the_rounds_of_refined_sets_as_a_line():
    page = plain(render(with_rounds(0.88, 0.87, 0.89)))
    lines = [line.split('points="')[1].split('"')[0].split() for line in page.split("<polyline")[1:]]
    assert [len(line) for line in lines] == [5, 3, 5], "of FedAvg for each network, and of refined sets"
    assert page.count('class="point') == 6 + 3
    row = page[page.index("<bdi>refined dm</bdi>") :].split("</tr>")[0]
    for cell in ("88.0 %", "27 kB", "900 kB", "5 rounds, 6 MB", "–"):
        assert cell in row, cell
    sent = page[page.index('<table id="sent">') :].split("</section>")[0]
    assert sent.count("<tr>") == 1 + 4
    assert "Refined sets are made again in every round" in sent
    assert "3 rounds, networks matched within 2.5 of the server's weights" in page.replace("&#39;", "'")
    assert "Refined sets" not in render(record())


def test_of_vectors_no_image_is_mentioned():
    found = record()
    found = replace(found, dataset=replace(found.dataset, kind="vector"))
    for said in (federated_verdict(found), *remarks(found), body(render(found))):
        assert "image" not in said.lower()
        assert "pixel" not in said
    assert "in 8 bits" not in render(found)
    assert "16 vectors" in federated_verdict(replace(found, ways=[replace(each, images=[16]) for each in found.ways]))


def test_that_sets_show_what_clients_have_is_always_said():
    assert leaks("image") in remarks(record())
    assert leaks("image") in remarks(with_learners())
    for word in ("Random images are the client's own", "barely move", "weights can be inverted"):
        assert word in leaks("image")
    assert "There is no privacy guarantee." in remarks(record())
    assert "private" not in render(record()).lower().replace("privacy", "")


def test_a_guarantee_is_said_where_there_is_one():
    found = record()
    ways = [replace(way, privacy=PRIVACY) if way.name == "dm" else way for way in found.ways]
    said = remarks(replace(found, ways=ways))
    assert (
        "The set by dm that a client sends is (1.0, 1e-05)-differentially private with respect to adding or removing "
        "one image of the training set of that client."
    ) in said
    assert "There is no privacy guarantee." not in said


def test_a_single_repeat_shows_no_difference():
    single = with_learners(learner("dm", "convnet", 0.8), learner("random", "convnet", 0.7))
    assert "a difference that may be due to chance" in federated_verdict(single)
    assert "One repeat: no difference can be shown." in remarks(single)


def test_what_limits_the_outcome_is_said():
    found = replace(record(), networks=NETWORKS[:1], made_on=["a machine", "another"])
    assert any("A single network" in said for said in remarks(found))
    assert any("different conditions" in said for said in remarks(found))


def test_without_results_the_page_says_so():
    page = render(with_learners(Learner(way="dm", network="convnet", failed="it <diverged>")))
    assert "ConvNet has no result with sets by dm." in page
    assert "it &lt;diverged&gt;" in page
    assert "<polyline" not in page
    assert '<table id="results">' not in page


def test_the_page_says_what_the_record_says(tmp_path: Path):
    record().write(tmp_path / Federated.FILE)
    text = plain(write_federated(tmp_path).read_text())
    assert "<b>&" not in text
    assert "<i>" not in text.split("<main>")[1].replace("<i ", "")
    assert "&lt;b&gt;&amp; at 2 clients: Dirichlet shares, α = 0.1" in text
    row = text[text.index("<td>ConvNet</td>") :].split("</tr>")[0]
    cells = (
        "dm",
        "81.0 %",
        "78.5–83.5",
        "90.0 % (87.2–92.8)",
        "+10.0 (+7.5 to +12.5)",
        "9 kB",
        "0 bytes",
        "4 rounds, 4.8 MB",
    )
    for cell in cells:
        assert cell in row, cell
    assert text.count("<polyline") == 2, "a line of rounds for each network"
    assert text.count('class="point') == 5 + 3
    sent = text[text.index('<table id="sent">') :].split("</table>")[0]
    assert sent.count("<tr>") == 1 + 3
    assert "2.5 kB" in sent
    clients = text[text.index('<section id="clients">') :]
    assert clients.count('<table class="confusion">') == 2
    assert '<td class="right" style="--share:0.06">30</td>' in clients
    for said in (
        "3 and 1 images of each class",
        "5 rounds, 100 % of the clients in each, 5 epochs of SGD in batches of 32",
    ):
        assert said in text


def test_a_chart_names_methods_without_their_settings():
    name = "dm:batch_real=64:learning_rate=10+average"
    found = with_learners(learner(name, "convnet", 0.8), learner(CENTRAL, "convnet", 0.9))
    ways = [replace(way, name=name) if way.name == "dm" else way for way in found.ways]
    page = render(replace(found, ways=ways))
    assert ">dm+average</span>" in page
    assert f"<bdi>{name}</bdi>" in page


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(10, 90).map(lambda part: part / 100)] * 2), min_size=1, max_size=4))
def test_the_verdict_never_contradicts_the_numbers(finals: list[tuple[float, float]]):
    ours, theirs = zip(*finals, strict=True)
    found = with_learners(learner("dm", "convnet", *ours), learner("random", "convnet", *theirs))
    said = federated_verdict(found)
    significant = any(each.gain is not None and each.gain.is_significant for each in found.standings)
    assert ("may be due to chance" in said) == (not significant)
    if significant:
        assert ("points above" in said) == (sum(ours) > sum(theirs))


def test_a_chart_has_what_has_a_cost():
    points = [("dm", 100.0, 0.8), ("nothing", 0.0, 0.5), ("FedAvg", 1000.0, 0.9)]
    chart = course_chart(
        "ConvNet", "bytes", "{:.0f}".format, CourseData(points, [[(500.0, 0.4), (1000.0, 0.9)]], ("all", 0.95))
    )
    assert chart is not None
    assert [point.name for point in chart.points] == ["dm", "FedAvg"]
    ends = [float(part) for part in chart.lines[0].split()[-1].split(",")]
    assert ends == pytest.approx([chart.points[-1].x, 100 - chart.points[-1].y], abs=0.01), "the line ends at its point"
    assert chart.level is not None
    assert chart.points[-1].y < chart.level.height < 100
    assert chart.summary == "ConvNet by bytes: dm: 80.0\u00a0% at 100; FedAvg: 90.0\u00a0% at 1000; all: 95.0\u00a0%."
    assert course_chart("ConvNet", "bytes", str, CourseData([("nothing", 0.0, 0.5)])) is None


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_sound_in_a_browser(
    width: int, browser: Browser, tmp_path: Path, complaints: list[str], requests: list[str]
):
    with_rounds(0.88, 0.87, 0.89).write(tmp_path / Federated.FILE)
    path = write_federated(tmp_path)
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    assert complaints == []
    assert requests == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [found for found in contrasts(page) if found[0] < 4.5] == []
    page.close()
