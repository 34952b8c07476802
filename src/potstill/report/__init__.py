"""HTML pages and PNG figures, made from records alone."""

from potstill.report.comparison import write_comparison
from potstill.report.inspection import check_folder, write_inspection
from potstill.report.page import read_run, write_report
from potstill.report.run import Run, Section

__all__ = ["Run", "Section", "check_folder", "read_run", "write_comparison", "write_inspection", "write_report"]
