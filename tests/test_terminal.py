"""Chinese characters take two columns and may be broken anywhere, but for punctuation."""

from weitiao.terminal import padded, width, wrapped


def test_a_chinese_character_takes_two_columns() -> None:
    assert (width("ab"), width("微调"), width("微调 ab")) == (2, 4, 7)
    assert padded("微调", 6) == "微调  "
    assert padded("long", 2) == "long"


def test_english_breaks_at_spaces() -> None:
    assert wrapped("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrapped("the quick brown fox", 12, indent=2) == ["  the quick", "  brown fox"]


def test_chinese_breaks_between_characters_but_not_around_punctuation() -> None:
    assert wrapped("一二三四五六", 6) == ["一二三", "四五六"]
    assert wrapped("一二三，四五", 6) == ["一二三，", "四五"]
    assert wrapped("一二（三四）", 6) == ["一二", "（三四）"]


def test_a_long_word_stays_whole() -> None:
    assert wrapped("a " + "x" * 30, 10) == ["a", "x" * 30]
    assert wrapped("", 10) == []
