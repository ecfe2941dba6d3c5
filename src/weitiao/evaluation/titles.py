"""The codes of a report in words: kinds of task, methods, splits, reasons, what became of a row.

Separate because the page, the card and the script of the rows all say them, and an unknown code is shown as it is.
"""

from weitiao.words import t


def change_title(change: str, compared: bool = True) -> str:
    """A change in words; without a before, a row is merely right or wrong."""
    if not compared:
        return {"right": t("answered right"), "wrong": t("answered wrong")}.get(change, change)
    titles = {
        "fixed": t("fixed"),
        "broken": t("broken"),
        "wrong": t("still wrong"),
        "right": t("still right"),
        "changed": t("changed"),
        "same": t("same"),
    }
    return titles.get(change, change)


def kind_title(kind: str) -> str:
    """What is asked of the model, by kind of task."""
    titles = {
        "classify": t("Put each text into one of the categories"),
        "reply": t("Write the reply"),
        "continue": t("Continue the text"),
        "mark": t("Mark parts of the text"),
    }
    return titles.get(kind, kind)


def method_title(method: str) -> str:
    """A method of tuning in words."""
    titles = {
        "lora": t("LoRA: small added matrices learn, the model itself stays as it was"),
        "full": t("full: every weight learns"),
        "top_layers": t("top layers: only the last blocks learn"),
        "bitfit": t("BitFit: only the biases learn, or the norms' weights where there are none"),
        "rslora": t("rsLoRA: LoRA that counts as much at every rank"),
        "dora": t("DoRA: LoRA for the direction of each weight, a factor for its length"),
        "loraplus": t("LoRA+: LoRA whose second matrices learn faster"),
        "pissa": t("PiSSA: LoRA that begins with the largest part of each weight"),
        "olora": t("OLoRA: LoRA that begins with an orthonormal part of each weight"),
        "adalora": t("AdaLoRA: LoRA that gives more rank to the layers that need it"),
        "ia3": t("IA³: factors for keys, values and the gated unit learn"),
        "prefix": t("prefix tuning: what every block reads of virtual tokens learns"),
        "prompt": t("prompt tuning: virtual tokens before every text learn"),
        "p_tuning": t("P-tuning: virtual tokens learn through a small network"),
    }
    return titles.get(method, method)


def reason_title(reason: str) -> str:
    """Why a row was not used whole, in words."""
    titles = {
        "empty_text": t("the text is empty"),
        "no_reply": t("no reply to learn from"),
        "no_label": t("no label"),
        "duplicate": t("repeats an earlier row"),
        "contradiction": t("the same text has different labels"),
        "leak": t("also stands in the dev or test file"),
        "missing_field": t("a field is missing"),
        "wrong_type": t("a field has the wrong type"),
        "unknown_role": t("a turn of an unknown speaker"),
        "ragged": t("too many or too few cells"),
        "rejected": t("rejected by the annotator"),
        "unsupported": t("of a form that is not supported"),
        "over_max_rows": t("beyond the number of rows to read"),
        "over_max_train": t("beyond the number of rows to learn from"),
        "bad_encoding": t("not readable as UTF-8"),
        "malformed": t("cannot be parsed"),
        "unreadable": t("cannot be read"),
        "too_long": t("longer than the model can read"),
        "shortened": t("shortened to fit the model"),
        "nothing_to_learn": t("no token of it would be learned"),
        "no_end": t("the reply never ends with the token that ends a reply"),
        "double_bos": t("the row begins with two BOS tokens"),
        "unsupported_label": t("several categories at once"),
    }
    return titles.get(reason, reason)


def outcome_title(outcome: str) -> str:
    """What became of a row, in words."""
    return {"used": t("used"), "truncated": t("truncated"), "dropped": t("dropped")}.get(outcome, outcome)


def split_title(split: str) -> str:
    """A split in words, with what it is for."""
    titles = {
        "train": t("train: learned from"),
        "dev": t("dev: chooses the checkpoint"),
        "test": t("test: only measured"),
    }
    return titles.get(split, split)
