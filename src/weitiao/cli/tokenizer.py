"""``weitiao tokenizer``: one of your own texts, for a model that is trained from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.cli.output import output
from weitiao.cli.own_flags import refuse_unused, take_flags
from weitiao.errors import SettingsError
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.api.tokenizer import MadeTokenizer

USED = frozenset(
    (
        "data", "test", "format", "header", "documents", "kind", "text_column", "label_column", "prompt_column",
        "reply_column", "val_size", "test_size", "max_samples", "seed", "lang",
    )
)  # fmt: skip


def describe() -> str:
    """The help text."""
    return t(
        "Makes a tokenizer of your texts, for a fresh model. It is good for Chinese, English and mixed texts, loses "
        "nothing, and holds the control tokens of every kind of training. What it says of characters a token is "
        "measured on texts that were kept aside. weitiao train --model preset:small makes one by itself.\n"
        "\n"
        "  weitiao tokenizer texts.txt --output tokenizer\n"
        "  weitiao tokenizer reviews-zh --algorithm unigram --vocabulary 8000 --output tokenizer\n"
        "  weitiao train --model preset:small --tokenizer tokenizer --data texts.txt\n"
        "\n"
        "Flags of its own:\n"
        "  --output FOLDER      where to write it: a new folder\n"
        "  --vocabulary NUMBER  how many tokens; without it, the size of the texts decides\n"
        "  --algorithm NAME     bpe, pieces of bytes that often stand together; or unigram, likely pieces of characters"
    )


def command(arguments: list[str]) -> None:
    """Make it, and show what it does to held-out texts."""
    own, others = take_flags(arguments, ("output", "vocabulary", "algorithm"))
    if "output" not in own:
        raise SettingsError(t("--output is missing"), t("name a new folder: --output tokenizer"))
    vocabulary = _count(own["vocabulary"]) if "vocabulary" in own else None
    algorithm = own.get("algorithm", "bpe")
    if algorithm not in ("bpe", "unigram"):
        raise SettingsError(
            t("--algorithm is {value}, but it must be bpe or unigram", value=algorithm[:60]), t("write --algorithm bpe")
        )
    from weitiao.cli.train import announce
    from weitiao.settings import parse_settings

    parsed = parse_settings(others, word="data", required=("data",))
    refuse_unused(parsed.given, USED, "tokenizer")
    announce(parsed)
    from weitiao.api.tokenizer import make_tokenizer

    made = make_tokenizer(
        parsed.settings, Path(own["output"]), "unigram" if algorithm == "unigram" else "bpe", vocabulary, _tell
    )
    _show(made)
    output().result(made.json())


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= 1_000_000):
        raise SettingsError(
            t("--vocabulary is {value}, but it must be a whole number up to 1000000", value=value[:60]),
            t("write --vocabulary 8000"),
        )
    return int(value)


def _tell(kind: str, facts: dict[str, Any]) -> None:
    match kind:
        case "data":
            for sentence in facts["read_as"]:
                output().say(sentence)
        case "rows":
            from weitiao.cli.watch import ledger_line

            output().say(ledger_line(facts))


def _show(made: MadeTokenizer) -> None:
    from weitiao.cli.train import score_text

    names = {"han": t("Chinese characters"), "latin": t("Latin letters"), "other": t("other letters")}
    out = output()
    rows = [[names[script], score_text(score.json())] for script, score in made.characters_per_token.items()]
    if rows:
        out.table([t("texts kept aside, mostly in"), t("characters a token")], rows)
    out.show(t("{count} tokens, in {folder}", count=made.vocabulary, folder=made.folder))
    out.show(t("next:"))
    out.show(f"  weitiao train --model preset:small --tokenizer {made.folder} --data TEXTS")
