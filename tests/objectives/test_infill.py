"""GLM's blanks: what is cut out stands after the text, to the token, and where every token stands is known twice."""

from __future__ import annotations

import numpy as np
import pytest

from weitiao.objectives.infill import Blanks, BlankTokens, Infill, cut_out
from weitiao.objectives.row import IGNORE, NEVER_HIDDEN, Row

MARKS = BlankTokens(span=1, sentence=2, document=3, begin=4, end=5)
BLANKS: tuple[Blanks, ...] = ("spans", "sentences", "document")


def text(count: int, sentence: int = 7) -> Row:
    """A beginning and ``count`` tokens of sentences of seven."""
    tokens = np.concatenate([[9], np.arange(100, 100 + count)]).astype(np.int32)
    units = np.concatenate([[NEVER_HIDDEN], np.arange(count) // sentence]).astype(np.int32)
    return Row("a", tokens, np.full(len(tokens), IGNORE, dtype=np.int32), units=units)


def filled(row: Row) -> list[int]:
    """The text again, from the corrupted one and the spans behind it; checks targets and positions on the way."""
    assert row.positions is not None
    assert (row.targets[: row.prefix] == IGNORE).all()
    assert row.positions[: row.prefix].tolist() == [[place, 0] for place in range(row.prefix)]
    spans: dict[int, list[int]] = {}
    for at in range(row.prefix, len(row.tokens)):
        place, inside = row.positions[at].tolist()
        if inside == 1:
            assert row.tokens[at] == MARKS.begin
            assert place not in spans
            spans[place] = []
        else:
            spans[place].append(int(row.tokens[at]))
            assert len(spans[place]) == inside - 1
        ends = at + 1 == len(row.tokens) or row.positions[at + 1, 1] == 1
        assert row.targets[at] == (MARKS.end if ends else row.tokens[at + 1])
    blanks = [place for place in range(row.prefix) if row.tokens[place] in (MARKS.span, MARKS.sentence, MARKS.document)]
    assert sorted(spans) == blanks
    pieces = [spans.get(place, [int(token)]) for place, token in enumerate(row.tokens[: row.prefix])]
    return [token for piece in pieces for token in piece]


def test_a_row_by_hand() -> None:
    row = text(6)  # 9 100 101 102 103 104 105
    found = cut_out(row, [(2, 3), (4, 6)], [1, 0], MARKS.span, MARKS)
    assert found.prefix == 6
    assert found.tokens.tolist() == [9, 100, 1, 102, 1, 105, 4, 103, 104, 4, 101]
    assert found.targets.tolist() == [*[IGNORE] * 6, 103, 104, 5, 101, 5]
    assert found.positions is not None
    assert found.positions.T.tolist() == [[0, 1, 2, 3, 4, 5, 4, 4, 4, 2, 2], [0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 2]]


@pytest.mark.parametrize("blanks", [*BLANKS, "mixed"])
@pytest.mark.parametrize("count", [1, 2, 5, 13, 200])
def test_the_spans_fill_the_blanks(blanks: Blanks, count: int) -> None:
    row = text(count)
    for seed in range(30):
        found = Infill(MARKS, blanks).draw(row, np.random.default_rng(seed))
        assert filled(found) == row.tokens.tolist()


def test_short_spans_are_three_tokens_long_on_average_and_hide_fifteen_percent() -> None:
    row = text(1000)
    lengths: list[int] = []
    for seed in range(20):
        found = Infill(MARKS, "spans").draw(row, np.random.default_rng(seed))
        spans = int((found.tokens[found.prefix :] == MARKS.begin).sum())
        hidden = len(found.tokens) - found.prefix - spans
        assert hidden == 150
        lengths += [hidden / spans]  # type: ignore[list-item]
    assert np.mean(lengths) == pytest.approx(3.1, abs=0.15)  # of a Poisson of 3 that is at least 1


def test_whole_sentences_are_hidden() -> None:
    row = text(700)
    found = Infill(MARKS, "sentences").draw(row, np.random.default_rng(0))
    spans = found.targets[found.prefix :] == MARKS.end
    assert spans.sum() == 15  # of a hundred
    assert (np.diff(np.flatnonzero(np.append(True, spans))) == 8).all()  # seven tokens and the end


def test_a_documents_end_is_half_of_it_at_least() -> None:
    row = text(100)
    counts = []
    for seed in range(200):
        found = Infill(MARKS, "document").draw(row, np.random.default_rng(seed))
        assert found.tokens[found.prefix - 1] == MARKS.document
        counts.append(found.asked - 1)
    assert min(counts) >= 50
    assert max(counts) <= 99
    assert np.mean(counts) == pytest.approx(75, abs=4)


def test_mixed_blanks_are_half_spans_and_a_quarter_each_of_the_others() -> None:
    row, counts = text(100), np.zeros(3)
    for seed in range(600):
        tokens = Infill(MARKS, "mixed").draw(row, np.random.default_rng(seed)).tokens
        counts += [(tokens == blank).any() for blank in (MARKS.span, MARKS.sentence, MARKS.document)]
    assert counts / 600 == pytest.approx([0.5, 0.25, 0.25], abs=0.06)


@pytest.mark.parametrize("blanks", BLANKS)
def test_no_row_is_longer_than_the_limit(blanks: Blanks) -> None:
    for share in (0.15, 0.5):
        infill = Infill(MARKS, blanks, share)
        for limit in (8, 50, 333):
            row = text(infill.most(limit) - 1, sentence=1)
            for seed in range(20):
                assert len(infill.draw(row, np.random.default_rng(seed)).tokens) <= limit
