"""Labels as the exports of labelling tools hold them: Label Studio (JSON) and Prodigy (JSONL).

Separate because these are other programs' formats:
https://labelstud.io/guide/export and https://prodi.gy/docs/api-interfaces
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from weitiao.data.columns import known_column
from weitiao.data.fields import Unfit, label_names, label_of, missing_field, text_of, wrong_type
from weitiao.data.spans import offset_spans
from weitiao.example import Categories, Category, Spans
from weitiao.words import t

Found = Literal["mark", "classify"]


def text_of_task(fields: Mapping[str, object], column: str) -> str:
    """The text of a Label Studio task."""
    data = fields.get("data")
    if not isinstance(data, dict):
        raise wrong_type(data, "data", t("an object"))
    return text_of(data, column)


def label_studio_label(
    fields: Mapping[str, object], text: str, marks: bool, several: bool
) -> Spans | Category | Categories | None:
    """The label by the first annotation that was not cancelled; None when there is none."""
    result = _result(fields)
    if result is None:
        return None
    if marks:
        spans = [_value(item) for item in result if "labels" in _value(item)]
        return offset_spans([{**value, "label": value["labels"]} for value in spans], text, "annotations.result")
    chosen = [name for item in result for name in label_names(_choices(_value(item)), "choices") or []]
    return label_of(chosen, "choices", several) if chosen or several else None


def prodigy_label(
    fields: Mapping[str, object], text: str, marks: bool, several: bool
) -> Spans | Category | Categories | None:
    """The label that was accepted; Unfit when the answer was to reject or ignore."""
    answer = fields.get("answer", "accept")
    if answer != "accept":
        raise Unfit("rejected", t("its answer is `{answer}`", answer=answer))
    if marks:
        return offset_spans(fields.get("spans") or [], text, "spans")
    if "accept" in fields:
        return label_of(fields["accept"], "accept", several)
    if "label" not in fields:
        raise missing_field(fields, "label")
    return label_of(fields["label"], "label", several)


def is_label_studio(rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether these are tasks of Label Studio."""
    return bool(rows) and all(
        isinstance(row.get("data"), dict) and ("annotations" in row or "completions" in row) for row in rows
    )


def label_studio_facts(rows: Sequence[Mapping[str, object]]) -> tuple[str, Found, bool]:
    """The name of the text in ``data``, what was annotated, and whether any task has several choices."""
    first = next((data for row in rows if isinstance(data := row.get("data"), dict)), {})
    texts = [name for name, value in first.items() if isinstance(value, str)]
    column = known_column("text", texts) or max(texts, key=lambda name: len(str(first[name])), default="text")
    values = [[_value(item) for item in _result(row) or []] for row in rows]
    marks = any("labels" in value for task in values for value in task)
    counts = [sum(len(_choices(value)) for value in task) for task in values]
    return column, "mark" if marks else "classify", max(counts, default=0) > 1


def is_prodigy(rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether these are answers of Prodigy: it hashes each task, or writes the answer beside spans or options."""
    return bool(rows) and all(
        "text" in row
        and ("_task_hash" in row or ("answer" in row and bool({"spans", "options", "label"} & row.keys())))
        for row in rows
    )


def prodigy_facts(rows: Sequence[Mapping[str, object]]) -> tuple[Found, bool]:
    """What was annotated, and whether any task has several choices."""
    several = any(isinstance(accept := row.get("accept"), list) and len(accept) > 1 for row in rows)
    chosen = any("accept" in row or "label" in row for row in rows)
    return "classify" if chosen and not any("spans" in row for row in rows) else "mark", several


def _result(fields: Mapping[str, object]) -> list[object] | None:
    annotations = fields.get("annotations", fields.get("completions"))
    for annotation in annotations if isinstance(annotations, list) else ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            result = annotation.get("result")
            if isinstance(result, list):
                return result
    return None


def _value(item: object) -> dict[str, object]:
    value = item.get("value") if isinstance(item, dict) else None
    return value if isinstance(value, dict) else {}


def _choices(value: Mapping[str, object]) -> list[object]:
    choices = value.get("choices")
    return choices if isinstance(choices, list) else []
