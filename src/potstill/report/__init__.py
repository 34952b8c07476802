"""One HTML page and its figures, made from a run's records alone."""

from potstill.report.page import write_report
from potstill.report.records import Run, read_run

__all__ = ["Run", "read_run", "write_report"]
