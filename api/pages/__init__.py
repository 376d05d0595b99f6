"""What people read: pages and charts, each figure from one definition."""

from api.pages.blocks import ReportFiles
from api.pages.evidence import Heat, ReportEvidence
from api.pages.report import write_report

__all__ = ["Heat", "ReportEvidence", "ReportFiles", "write_report"]
