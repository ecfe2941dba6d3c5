"""What tuning did to each item, for the list of what got fixed and what got broken.

Separate because it speaks of single items, where every other number speaks of all of them.
"""

from __future__ import annotations

from weitiao.evaluation.answers import Answers, check_same_items, folded
from weitiao.evaluation.spans import same_spans


def changes(before: Answers, after: Answers) -> list[str]:
    """What became of each item: ``fixed``, ``broken``, ``right``, ``wrong``, or of texts ``changed``, ``same``.

    Two replies are the same when they differ in white space or compatibility forms alone; so are two that were not
    generated. Raises ``ValueError`` unless both answer the same items in the same order.
    """
    check_same_items(before, after)
    answers = zip(before.gold, before.predicted, after.predicted, strict=True)
    if before.kind in ("classify", "mark"):
        names = {(False, True): "fixed", (True, False): "broken", (True, True): "right", (False, False): "wrong"}
        right = same_spans if before.kind == "mark" else str.__eq__
        return [names[right(gold, first), right(gold, second)] for gold, first, second in answers]
    return ["same" if folded(first) == folded(second) else "changed" for _, first, second in answers]
