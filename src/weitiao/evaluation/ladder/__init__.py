"""The report of a comparison: every way of getting a task done, on the same test items, drawn from its JSON alone.

Separate because the views of one run know a before and an after, and these know a ladder of arms.
"""

from weitiao.evaluation.ladder.markdown import comparison_markdown
from weitiao.evaluation.ladder.page import comparison_html
from weitiao.evaluation.ladder.report_json import complete_comparison

__all__ = ["comparison_html", "comparison_markdown", "complete_comparison"]
