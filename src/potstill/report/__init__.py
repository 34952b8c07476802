"""HTML pages and their figures, made from records alone."""

from potstill.report.comparison import write_comparison
from potstill.report.page import write_report
from potstill.report.records import Run, read_run

__all__ = ["Run", "read_run", "write_comparison", "write_report"]
