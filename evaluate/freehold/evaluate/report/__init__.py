"""What an evaluation found, as a page, as Markdown and as JSON. The same answers and seed give the same bytes."""

from freehold.evaluate.report.document import Asked, Report, build_report
from freehold.evaluate.report.writing import write_report

__all__ = ["Asked", "Report", "build_report", "write_report"]
