"""One self-contained HTML page about a fitted model: its scores and what it learned.

matplotlib and jinja2 (the extra ``plot``) are imported when a page is written, not before.
"""

from fastrfm.report.held_out import HeldOut
from fastrfm.report.page import write_report

__all__ = ["HeldOut", "write_report"]
