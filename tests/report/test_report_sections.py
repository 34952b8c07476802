"""Sections of the page: found from their registration, each with its template and its record."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from run_folder import change_record

from potstill.report import page
from potstill.report.run import Run, Section
from potstill.report.sections import SECTIONS, costs
from potstill.runtime.errors import UserError
from potstill.schema.attacks import AttackCurves
from potstill.schema.evaluation import Evaluation
from potstill.schema.exchange import Exchange
from potstill.schema.label_regimes import LabelRegimes
from potstill.schema.robustness import Robustness
from potstill.schema.search import SearchResult
from potstill.schema.vector_map import VectorMap


def test_every_section_has_a_template_and_every_template_a_section() -> None:
    templates = files("potstill.report") / "templates" / "sections"
    assert {file.name for file in templates.iterdir()} == {f"{section.name}.html.jinja" for section in SECTIONS}


def test_the_records_of_writers_are_those_that_sections_show() -> None:
    assert [section.record for section in SECTIONS if section.record] == [
        Evaluation,
        VectorMap,
        Exchange,
        LabelRegimes,
        Robustness,
        AttackCurves,
        SearchResult,
    ]


def test_a_section_with_nothing_to_show_is_left_out(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent, present = Section("citation", lambda run: None), Section("costs", costs.SECTION.view)
    monkeypatch.setattr(page, "SECTIONS", (absent, present))
    assert page.render(page.read_run(run_path)).count("<section") == 1


def test_a_record_is_read_because_its_section_is_registered(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_record(run_path / "evaluation.json", seed="none")
    with pytest.raises(UserError, match=r"evaluation\.json: seed"):
        page.read_run(run_path)
    monkeypatch.setattr(page, "SECTIONS", tuple(section for section in SECTIONS if section.record is not Evaluation))
    run: Run = page.read_run(run_path)
    assert run.evaluation is None
