"""Figures, tables and one self-contained HTML page."""

from makedo.report.page import Report, Section

__all__ = ["Report", "Section"]
