"""The page of an audit: the numbers of the record, and words that claim no more than they show."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import contrasts, watched

from potstill.evaluation import find_recipe
from potstill.report.audit import render, write_audit
from potstill.report.audit_lead import audit_remarks, audit_verdict
from potstill.schema.audit import (
    AreaDifference,
    Arm,
    Attacked,
    AttackName,
    AttackResult,
    Audit,
    AuditedDataset,
    AuditProtocol,
    FromStart,
    NearestPair,
    Neighbours,
    Rate,
)
from potstill.schema.privacy import Privacy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES: tuple[AttackName, ...] = ("threshold", "rmia", "lira-offline", "lira-online")


def attack(
    name: AttackName,
    found: float,
    area: float,
    epsilon: float = 0.0,
    begun: float | None = None,
    level: float = 1 - 0.05 / 11,
) -> AttackResult:
    """An attack that finds this share of 5,000 members at 0.1 % false positives."""
    roc = [(10 ** (-4 + power / 5), min(1.0, 10 ** (-4 + power / 5) * area * 2)) for power in range(21)]
    origins = [] if begun is None else [Rate(fpr=0.001, found=100 * begun, members=100)]
    return AttackResult(
        attack=name,
        aucs=[area] * 8,
        auc_error=0.004,
        balanced_accuracy=0.51,
        rates=[
            Rate(fpr=0.01, found=5000 * found * 2, members=5000),
            Rate(fpr=0.001, found=5000 * found, members=5000),
        ],
        begun=origins,
        epsilon=epsilon,
        epsilon_level=level,
        roc=roc,
    )


def attacked(arm: Arm, network: str, found: float, area: float, **more: float) -> Attacked:
    names: list[AttackName] = [name for name in NAMES if network or name != "rmia"]
    attacks = [attack(name, found * (name == "lira-offline") + 0.0005, area, **more) for name in names]
    return Attacked(arm=arm, network=network, accuracies=[0.91, 0.92] if network else [], attacks=attacks)


def neighbours(start: FromStart | None = None, closer: bool = False) -> Neighbours:
    picture = b64encode(bytes(range(64))).decode()
    return Neighbours(
        train=50_000,
        shape=(1, 8, 8),
        distances=[(0.1 if closer else 5.0) + 0.01 * number for number in range(100)],
        similarities=[0.8] * 100,
        held_out=[4 + 0.01 * number for number in range(200)],
        held_out_similarities=[0.7] * 200,
        pairs=[
            NearestPair(
                place=n, real=7 * n, label="<b>", distance=0.1, similarity=0.99, image=picture, neighbour=picture
            )
            for n in range(8)
        ],
        start=start,
    )


def record(set_found: float = 0.0, network_found: float = 0.0, *, older: bool = False, **changes: object) -> Audit:
    """An audit that finds these shares of members; an older one, whose bounds are not corrected for their number."""
    level = {"level": 0.95} if older else {}
    made = Audit(
        source="runs/<i>dm",
        kind="run",
        protocol=AuditProtocol(),
        dataset=AuditedDataset(name="mnist", fingerprint="ab", pool=10_000, population=5_000),
        settings={"ipc": 10, "method": {"name": "dm", "learning_rate": 1.0}},
        images=100,
        recipe=find_recipe("dsa-1000"),
        networks=["convnet", "mlp"],
        attacked=[
            attacked("set", "", set_found, 0.5 + set_found, begun=0.97, epsilon=0.1 + 40 * set_found, **level),
            attacked("random", "", 0.02, 0.51, begun=1.0),
            attacked("set", "convnet", network_found, 0.5 + network_found, begun=0.3, **level),
            attacked("random", "convnet", 0.004, 0.504, begun=0.31),
            attacked("set", "mlp", 0.0, 0.5, **level),
            Attacked(arm="random", network="mlp", failed="it <diverged>"),
        ],
        differences=[AreaDifference(network="convnet", attack="threshold", mean=-0.004, error=0.001)],
        neighbours=neighbours(),
        seconds=812.0,
        made_on=["a machine"],
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_what_the_images_give_away_comes_first():
    found = record(set_found=0.02, network_found=0.003)
    assert plain(audit_verdict(found)) == (
        "The sets themselves give members away: at 0.1 % false positives, offline LiRA finds 2.1 % "
        "(95 % interval 1.7 % to 2.5 %) of them. ConvNet gives members away: at 0.1 % false positives, offline LiRA "
        "finds 0.35 % (95 % interval 0.21 % to 0.56 %) of them."
    )


def test_a_large_area_is_said_where_no_rate_is_high():
    found = record()
    small = replace(found.attacked[2], attacks=[attack("rmia", 0.001, 0.53)])
    assert plain(audit_verdict(replace(found, attacked=[small]))) == (
        "ConvNet gives members away: the largest area under a ROC curve is 0.530 (guesses: 0.5; 95 % interval 0.522 to "
        "0.538), by RMIA."
    )


def test_where_nothing_is_found_no_guarantee_is_claimed():
    found = record()
    assert plain(audit_verdict(found)) == (
        "No attack on ConvNet distinguishes members from other images: the largest area under a ROC curve is 0.500 "
        "(guesses: 0.5; 95 % interval 0.492 to 0.508), by a threshold on the loss."
    )
    said = " ".join(map(plain, audit_remarks(found)))
    assert "No attack on the sets themselves distinguishes members from other images" in said
    assert "A failed attack is no guarantee: a stronger one may succeed." in said
    assert "run 8 times, each time on a random half of 10,000 images" in said
    assert "with 6 others as references" in said


def test_an_area_that_may_be_due_to_chance_is_said_to_be():
    """Its own interval is above 0.5; but it is the largest of several."""
    found = record()
    lucky = [attack("rmia", 0.0005, 0.509), *(attack(name, 0.0005, 0.5) for name in ("threshold", "lira-online"))]
    said = plain(audit_verdict(replace(found, attacked=[replace(found.attacked[2], attacks=lucky)])))
    assert "is 0.509 (guesses: 0.5; 95 % interval 0.501 to 0.517), by RMIA." in said
    assert said.endswith("Among 9 tests, that may be due to chance.")


@pytest.mark.parametrize(("set_found", "network_found"), [(0.0, 0.0), (0.02, 0.003)])
def test_no_word_says_private_without_epsilon_and_delta(set_found: float, network_found: float):
    for kind in ("run", "set"):
        page = render(record(set_found, network_found, kind=kind))
        assert "private" not in page.lower()
    said = audit_remarks(record(set_found))
    [bound] = [each for each in said if "δ = 1e-05" in each]
    assert "neighbouring datasets differ by one image that is added or removed" in bound
    assert ("no guarantee with an ε below 0.90 can hold" in plain(bound)) is bool(set_found)


def test_the_bound_stands_beside_the_promise():
    promised = Privacy(
        epsilon=1.0,
        delta=1e-6,
        sampling_rate=0.02,
        clip=1.0,
        noise_multiplier=1.3,
        queries=1500,
        accountant="an accountant",
        public=("the labels",),
    )
    [said] = [plain(each) for each in audit_remarks(record(promised=promised)) if "prove" in each]
    assert said == (
        "Each set is (1.0, 1e-06)-differentially private with respect to adding or removing one image of the training "
        "set. The attacks prove an ε of at least 0.10 (δ = 1e-06, at 95 % "
        "confidence for all 11 attacks together, if outcomes of images are independent), which is no more than is "
        "promised."
    )
    [broken] = [each for each in audit_remarks(record(set_found=0.03, promised=promised)) if "prove" in each]
    assert "at least 1.30" in broken
    assert "which contradicts the promise" in broken
    old = record(set_found=0.03, older=True, promised=promised)
    [unsure] = [plain(each) for each in audit_remarks(old) if "prove" in each]
    assert "each at 95 % confidence" in unsure
    assert unsure.endswith("more than is promised, but as the largest of 11 bounds may be due to chance.")


def test_random_images_stand_beside_the_set():
    said = " ".join(map(plain, audit_remarks(record(network_found=0.003))))
    assert (
        "ConvNet on the sets: an area of 0.503 and 0.35 % found at 0.1 %; on as many random real images in their "
        "place: an area of 0.504 and 0.45 % found at 0.1 %. By a threshold on the loss, the sets give away less."
    ) in said
    assert (
        "Of the members that a set started from, about 100 of each target, the best attack finds 97.0 % "
        "(95 % interval 91.5 % to 99.4 %) in the images themselves, and 30.0 % (95 % interval 21.2 % to 40.0 %) "
        "through ConvNet, at 0.1 % false positives."
    ) in said


def test_a_set_that_has_barely_moved_is_flagged():
    moved = neighbours(FromStart(copied=1.0, kept=0.96, moved=0.2), closer=True)
    said = " ".join(map(plain, audit_remarks(record(neighbours=moved))))
    assert "started from real images and has barely moved: 96.0 % of its images are still nearest" in said
    assert "100.0 % of the synthetic images are closer to a training image than 99 % of held-out" in said
    far = neighbours(FromStart(copied=1.0, kept=0.1, moved=1.7))
    assert not any("barely" in each for each in audit_remarks(record(neighbours=far)))


def test_what_cannot_be_resolved_is_said():
    few = record()
    without = [replace(a, rates=a.rates[:1]) for a in few.attacked[2].attacks]
    said = audit_remarks(replace(few, attacked=[replace(few.attacked[2], attacks=without)]))
    [missing] = [plain(each) for each in said if "cannot be resolved" in each]
    assert missing.startswith("A false positive rate of 0.1 % or less cannot be resolved: it takes 10,000 questions")


def test_a_finished_set_has_only_neighbours():
    given = record(kind="set", attacked=[], networks=[], recipe=None, differences=[])
    assert "A finished set cannot be made again" in audit_verdict(given)
    page = render(given)
    assert 'id="attacks"' not in page
    assert page.count('class="couple"') == 8


def test_without_results_the_page_says_so():
    failed = [Attacked(arm="set", network="convnet", failed="it <diverged>")]
    page = render(record(attacked=failed, neighbours=None, differences=[]))
    assert "ConvNet has no result." in page
    assert "it &lt;diverged&gt;" in page
    assert "<polyline" not in page


def test_the_page_says_what_the_record_says(tmp_path: Path):
    record(set_found=0.02).write(tmp_path / Audit.FILE)
    text = plain(write_audit(tmp_path).read_text())
    assert "<i>dm" not in text
    assert "Audit of runs/&lt;i&gt;dm on mnist" in text
    assert "<b>:" not in text
    assert "2.05 (1.68–2.48)" in text, "the rate of offline LiRA at 0.1 %"
    assert "91.5 % (85.1–97.9)" in text, "accuracy of networks, with its interval"
    assert "method = dm, method.learning_rate = 1.0" in text
    assert "13 min 32 s" in text
    assert "ratio 1.1" in text
    assert text.count('class="couple"') == 8


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_sound_in_a_browser(
    width: int, browser: Browser, tmp_path: Path, complaints: list[str], requests: list[str]
):
    record(set_found=0.02, network_found=0.003).write(tmp_path / Audit.FILE)
    path = write_audit(tmp_path)
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#results tbody tr").count() == 3 * 2 + 4 * 3
    assert page.locator("#attacks figure.chart").count() == 5
    sizes = page.eval_on_selector_all(".couple img", "all => all.map(i => [i.naturalWidth, i.complete])")
    assert sizes == [[8, True]] * 16
    assert "give members away" in page.locator(".lead").inner_text()
    assert [pair for pair in contrasts(page) if pair[0] < 4.5] == []
    assert complaints == []
    assert requests == [path.as_uri()]
    page.close()
