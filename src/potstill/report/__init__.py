"""HTML pages and PNG figures, made from records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.report.attacks import attack_sentences as attack_sentences
    from potstill.report.audit import write_audit as write_audit
    from potstill.report.audit_lead import audit_remarks as audit_remarks
    from potstill.report.audit_lead import audit_verdict as audit_verdict
    from potstill.report.comparison import write_comparison as write_comparison
    from potstill.report.continual import write_continual as write_continual
    from potstill.report.continual_lead import continual_verdict as continual_verdict
    from potstill.report.exchange import exchange_sentences as exchange_sentences
    from potstill.report.federated import write_federated as write_federated
    from potstill.report.federated_lead import federated_verdict as federated_verdict
    from potstill.report.inspection import check_folder as check_folder
    from potstill.report.inspection import write_inspection as write_inspection
    from potstill.report.leaderboard import write_leaderboard as write_leaderboard
    from potstill.report.page import read_run as read_run
    from potstill.report.page import write_report as write_report
    from potstill.report.poisoning import write_poisoning as write_poisoning
    from potstill.report.poisoning_lead import poisoning_verdict as poisoning_verdict
    from potstill.report.reproduction import write_reproduction as write_reproduction
    from potstill.report.reproduction_lead import reproduction_remarks as reproduction_remarks
    from potstill.report.reproduction_lead import reproduction_verdict as reproduction_verdict
    from potstill.report.run import Run as Run
    from potstill.report.run import Section as Section
    from potstill.report.search import correlation_titles as correlation_titles
    from potstill.report.search import full_data_of as full_data_of
    from potstill.report.search import proxy_rows as proxy_rows
    from potstill.report.search import search_verdict as search_verdict
    from potstill.report.search import short_full_data as short_full_data
    from potstill.report.search import skipped_candidates as skipped_candidates
    from potstill.report.sections.labels import label_sentence as label_sentence
    from potstill.report.subset import subset_verdict as subset_verdict
    from potstill.report.subset import write_subset as write_subset
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
