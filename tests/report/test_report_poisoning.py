"""The page of poisoning: the numbers of the record, and words that claim no more than they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import watched

from potstill.evaluation import find_recipe
from potstill.report.poisoning import render, write_poisoning
from potstill.report.poisoning_lead import poisoning_remarks, poisoning_verdict
from potstill.schema.applications import LearnedDataset
from potstill.schema.poisoning import (
    BackdoorProtocol,
    Case,
    Poisoning,
    StepProtocol,
    VictimOutcome,
    Victims,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def victims(source: str, case: Case, *outcomes: tuple[float, float, float], **changes: object) -> Victims:
    found = [
        VictimOutcome(accuracy=a, success=s, recognised=r, unpatched=None if case in ("before", "after") else 0.0)
        for a, s, r in outcomes
    ]
    made = Victims(
        source=source,
        kind="method",
        case=case,
        network="convnet",
        images=100,
        bytes=26_400,
        outcomes=found,
        making_seconds=12.0,
        seconds=34.0,
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


BACKDOOR = Poisoning(
    protocol=BackdoorProtocol(),
    dataset=LearnedDataset(name="<b>&", fingerprint="ab", train=54_000, test=10_000),
    recipe=find_recipe("quick"),
    matched="convnet",
    networks=["convnet"],
    victims=[
        victims("dm", "poisoned", (0.90, 0.42, 0.5), (0.92, 0.40, 0.5)),
        victims("dm", "clean", (0.91, 0.02, 0.9), (0.93, 0.01, 0.9)),
        victims("random", "poisoned", (0.8, 0.1, 0.8), (0.82, 0.2, 0.8)),
        victims("random", "clean", (0.8, 0.12, 0.8), (0.82, 0.15, 0.8)),
    ],
    made_on=["a machine"],
)
STEP = replace(
    BACKDOOR,
    protocol=StepProtocol(),
    networks=["lenet"],
    victims=[
        replace(each, network="lenet")
        for each in (
            victims("no step", "before", (0.97, 0.001, 0.99), (0.97, 0.001, 0.99), images=0, bytes=0, making_seconds=0),
            victims("dd", "after", (0.95, 0.7, 0.2), (0.95, 0.72, 0.18), images=10),
            victims("random", "after", (0.97, 0.002, 0.98), (0.97, 0.002, 0.98), images=10),
        )
    ],
)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_a_backdoor_that_survives_is_told_beside_its_control():
    assert plain(poisoning_verdict(BACKDOOR)) == (
        "Trained on a set by dm from tampered images, ConvNet takes 41.0 % (95 % interval 28.3–53.7) of the test "
        "images of other classes for class 0 when they have the patch, and 0.0 % of them without it; trained on a set "
        "from the images as they were, 1.5 % (95 % interval 0.0–7.9), and 0.0 % of them without it. Without the patch "
        "it recognises 91.0 % of all test images, and 92.0 %. Some of the backdoor survives: tampering adds +39.5 "
        "points (95 % interval +33.1 to +45.9) to what the patch does."
    )


def test_no_more_is_claimed_than_is_shown():
    said = [plain(remark) for remark in poisoning_remarks(BACKDOOR)]
    assert said[0].startswith("Trained on a set by random from tampered images")
    assert (
        "No backdoor is shown: tampering adds +1.5 points (95 % interval −43.0 to +46.0) to what the patch" in said[0]
    )
    assert any("A single network" in remark for remark in said)
    assert any("stronger attack" in remark for remark in said)
    once = replace(BACKDOOR, victims=[replace(each, outcomes=each.outcomes[:1]) for each in BACKDOOR.victims])
    assert poisoning_verdict(once).endswith("One repeat shows no difference.")
    assert poisoning_verdict(replace(BACKDOOR, victims=BACKDOOR.victims[:1])) == "ConvNet on sets by dm: not measured."


def test_wrong_labels_are_not_taken_for_a_backdoor():
    """Networks that say "0" to everything do so without the patch, too."""
    always = VictimOutcome(accuracy=0.1, success=0.9, recognised=0.1, unpatched=0.9)
    bad = replace(BACKDOOR.victims[0], outcomes=[always, replace(always, success=0.91)])
    control = replace(
        BACKDOOR.victims[1], outcomes=[VictimOutcome(accuracy=0.9, success=0.01, recognised=0.9, unpatched=0)] * 2
    )
    record = replace(BACKDOOR, victims=[bad, control])
    said = plain(poisoning_verdict(record))
    assert "when they have the patch, and 90.0 % of them without it;" in said
    assert "No backdoor is shown: tampering adds −0.5 points" in said
    assert "without the patch, %" in render(record)


def test_an_older_record_does_not_say_what_the_labels_did():
    bare = [replace(each, outcomes=[replace(o, unpatched=None) for o in each.outcomes]) for each in BACKDOOR.victims]
    said = plain(poisoning_verdict(replace(BACKDOOR, victims=bare)))
    assert "without it" not in said
    assert "survives" not in said
    assert said.endswith("to the share with the patch, of which wrong labels may be the cause.")


def test_a_step_is_told_with_what_was_before_it():
    assert plain(poisoning_verdict(STEP)) == (
        "One step on 10 distilled images by dd makes 2 trained LeNet networks, none of which distillation has seen, "
        "take 71.0 % (95 % interval 58.3–83.7) of class 0 for class 1 (0.1 % before the step). They recognise 19.0 % "
        "of class 0 (99.0 % before) and 95.0 % of the other classes (97.0 % before)."
    )
    assert plain(poisoning_remarks(STEP)[0]).startswith("One step on 10 random real images makes 2 trained LeNet")
    assert poisoning_verdict(replace(STEP, victims=STEP.victims[1:])) == "A step on images by dd: not measured."


def test_an_interval_does_not_leave_what_is_possible():
    wide = [VictimOutcome(accuracy=0.9, success=s, recognised=0.5, unpatched=0.0) for s in (0.0, 0.6)]
    bad = replace(BACKDOOR.victims[0], outcomes=wide)
    said = plain(poisoning_verdict(replace(BACKDOOR, victims=[bad, BACKDOOR.victims[1]])))
    assert said.endswith("(95 % interval −200.0 to +200.0) to what the patch does.")


def test_centres_are_not_called_real_images():
    centres = replace(STEP.victims[2], source="k-means")
    said = plain(poisoning_remarks(replace(STEP, victims=[*STEP.victims, centres]))[1])
    assert said.startswith("One step on 10 k-means centres makes 2 trained LeNet")


def test_differences_without_spread_are_told():
    always = [
        replace(each, outcomes=[replace(outcome, success=success) for outcome in each.outcomes])
        for each, success in zip(BACKDOOR.victims[:2], (1.0, 0.0), strict=True)
    ]
    assert poisoning_verdict(replace(BACKDOOR, victims=always)).endswith(
        "Tampering adds +100.0 points to what the patch does, in each of 2 repeats."
    )


@pytest.mark.parametrize("record", [BACKDOOR, STEP], ids=["backdoor", "step"])
def test_the_page_has_every_case_and_escapes_names(record: Poisoning):
    page = render(record)
    assert page.count("<tr><td>") == len(record.victims)
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page
    failed = [*record.victims[1:], replace(record.victims[0], outcomes=[], failed="it diverged")]
    assert "it diverged" in render(replace(record, victims=failed))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_sound_in_a_browser(
    width: int, browser: Browser, tmp_path: Path, complaints: list[str], requests: list[str]
):
    BACKDOOR.write(tmp_path / Poisoning.FILE)
    path = write_poisoning(tmp_path)
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.locator("#results tbody tr").count() == 4
    assert complaints == []
    assert requests == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
