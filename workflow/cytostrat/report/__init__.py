"""The report stage: one HTML file for readers, and its figures as files for a paper."""

from cytostrat.report.facts import ReportInputs
from cytostrat.report.page import Report, build_report

__all__ = ["Report", "ReportInputs", "build_report"]
