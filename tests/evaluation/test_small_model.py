"""The small models: that they learn, in Chinese too, and from training rows alone."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import tiny
from weitiao.evaluation import small_categories as module
from weitiao.evaluation.logistic import fitted, loss_by_cross_validation, shares
from weitiao.evaluation.marked import parsed
from weitiao.evaluation.metrics import scores
from weitiao.evaluation.ngrams import folded, learned, vectors
from weitiao.evaluation.small_model import answers, small_model
from weitiao.evaluation.small_tagger import looks_of, pieces_of
from weitiao.evaluation.spans import same_spans
from weitiao.example import Categories, Category, Example, Label, Message, Reply, Span, Spans, Task, make_example

TASK = Task("classify", "Spam?", ("ham", "spam"))
TOPICS = Task("classify", "Which?", ("food", "price", "staff", "view"), several=True)
PARTS = {
    "food": ("the soup was cold", "汤是凉的", "dinner tasted great"),
    "price": ("far too expensive", "价格太贵了", "cheap for what you get"),
    "staff": ("the waiter was rude", "服务员态度很好", "nobody helped us at reception"),
}


MARKS = Task("mark", "Find them", ("person", "place"))
PEOPLE = [a + b for a, b in product(("Al", "Be", "Ca", "Do"), ("na", "ric", "mo", "vin"))]
PLACES = [a + b for a, b in product(("Ri", "Lo", "Ta", "Mu"), ("burg", "ton", "ville", "sk"))]
HAN_PEOPLE, HAN_PLACES = (
    ["".join(pair) for pair in product(*two)] for two in (("张王李赵", "伟娜强敏"), ("北南东西", "京州海山"))
)
FRAMES = ("{person} lives in {place} now", "Yesterday {person} went to {place}!", "{person}昨天去了{place}。")


def example(text: str, label: Label | None) -> Example:
    return make_example((Message("document", text),), label, "here")


def mail() -> list[Example]:
    return [example(text, Category("spam")) for text in tiny.SPAM] + [example(t, Category("ham")) for t in tiny.HAM]


def reviews() -> list[Example]:
    """Every pair of a remark on one thing and of a remark on another."""
    found = []
    for (one, first), (other, second) in product(PARTS.items(), PARTS.items()):
        names = tuple(sorted({one, other}))
        found += [example(f"{a}; {b}", Categories(names)) for a, b in product(first, second) if a != b]
    return found + [example(f"we went there in month {number}", Categories(())) for number in range(12)]


def test_it_learns_categories_in_english_and_chinese() -> None:
    model = small_model(mail(), TASK)
    new = [
        example("Claim your free cash now", Category("spam")),
        example("恭喜您获得免费礼品，请点击领取", Category("spam")),
        example("Shall we have lunch after the meeting?", Category("ham")),
        example("你明天下午在家吃饭吗？", Category("ham")),
    ]
    got = answers(model, new, TASK)
    assert got.predicted == got.gold
    assert got.probabilities is not None
    assert got.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert scores(got, TASK.categories)["accuracy"].value == 1.0


def test_it_learns_several_categories_and_none() -> None:
    rows = reviews()
    train, test = [row for row in rows if int(row.id, 16) % 4], [row for row in rows if not int(row.id, 16) % 4]
    got = answers(small_model(train, TOPICS), test, TOPICS)
    assert scores(got, TOPICS.categories)["exact_match"].value > 0.9
    assert "" in got.gold and "food, staff" in got.gold
    assert got.probabilities is not None
    assert (got.probabilities[:, 3] < 0.05).all()  # no training row has a view


def test_the_same_rows_in_another_order_give_the_same_bits() -> None:
    rows = mail()
    one, other = (answers(small_model(train, TASK), rows, TASK).probabilities for train in (rows, rows[::-1]))
    assert one is not None and other is not None
    assert np.array_equal(one, other)


def test_the_labels_of_what_is_asked_are_not_looked_at() -> None:
    model = small_model(mail(), TASK)
    asked = answers(model, [example(row.text, None) for row in mail()], TASK).probabilities
    assert asked is not None
    assert np.array_equal(asked, answers(model, mail(), TASK).probabilities)


def test_it_is_scikit_learns_own_pipeline() -> None:
    texts, held = folded(mail()), np.array([[False, True]] * len(tiny.SPAM) + [[True, False]] * len(tiny.HAM))
    ngrams, matrix = learned(texts, "characters", least=2)
    mine = shares(fitted(matrix, held, several=False, strength=3.0), vectors([ngrams], texts[:5]))
    theirs = TfidfVectorizer(analyzer="char", ngram_range=(1, 5), sublinear_tf=True, min_df=2)
    regression = LogisticRegression(C=3.0).fit(theirs.fit_transform(texts), held[:, 1])
    assert mine == pytest.approx(regression.predict_proba(theirs.transform(texts[:5])), abs=1e-4)


def test_cross_validation_asks_no_regression_about_its_own_rows() -> None:
    """Vectors that tell each row from all others: whoever saw a row knows it, nobody else does."""
    held = np.random.default_rng(0).random(60) < 0.5
    loss = loss_by_cross_validation(np.eye(60), np.column_stack([held, ~held]), several=False, strength=300.0)
    assert loss > 0.65
    assert loss < 1.0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_rows_teach_at_least_their_shares(count: int) -> None:
    got = answers(small_model([example(text, Category("ham")) for text in tiny.HAM[:count]], TASK), mail(), TASK)
    assert got.probabilities is not None
    assert got.probabilities[:, 0] == pytest.approx((count + 1) / (count + 2))


def test_a_category_without_training_rows_is_unlikely_but_possible() -> None:
    three = Task("classify", "", ("ham", "other", "spam"))
    got = answers(small_model(mail(), three), mail(), three)
    assert got.probabilities is not None
    assert got.probabilities[:, 1] == pytest.approx(1 / (len(mail()) + 3))
    assert got.probabilities.sum(axis=1) == pytest.approx(1.0)


def test_more_text_than_it_reads_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CHARACTERS", 400)
    model = small_model(mail(), TASK)
    assert 1 < model.rows < len(mail())


def test_importing_it_imports_no_scikit_learn() -> None:
    code = "import sys, weitiao.evaluation.small_model\n"
    code += "print([name for name in ('sklearn', 'scipy', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def marked(frame: str, person: str, place: str) -> Example:
    text = frame.format(person=person, place=place)
    found = [
        Span(text.index(one), text.index(one) + len(one), name) for name, one in (("person", person), ("place", place))
    ]
    return example(text, Spans(tuple(sorted(found, key=lambda span: span.start))))


def sentences() -> list[Example]:
    rows = [marked(frame, *names) for frame in FRAMES[:2] for names in zip(PEOPLE, PLACES, strict=True)]
    rows += [marked(FRAMES[2], *names) for names in zip(HAN_PEOPLE, HAN_PLACES, strict=True)]
    return rows + [example(f"nothing was said on day {number}", Spans(())) for number in range(12)]


def test_it_learns_marks_in_english_and_chinese_and_places_them_by_code_point() -> None:
    new = [
        marked("{person} lives in {place} now", "Mary", "Oslo"),
        marked("{person}昨天去了{place}。", "李娜", "北京"),
        example("nothing was said on day 99", Spans(())),
    ]
    got = answers(small_model(sentences(), MARKS), new, MARKS)
    assert [same_spans(gold, given) for gold, given in zip(got.gold, got.predicted, strict=True)] == [True] * 3
    first = parsed(got.predicted[0])[0]
    assert (first["start"], first["end"], first["text"], first["label"]) == (0, 4, "Mary", "person")
    assert 0 < first["confidence"] <= 1
    found = scores(got, MARKS.categories)
    assert found["span_f1"].value == 1.0
    assert "loss" not in found


def test_marks_do_not_depend_on_the_order_of_the_file_nor_on_the_labels_asked() -> None:
    rows, plain = sentences(), [example(row.text, None) for row in sentences()]
    asked = [answers(small_model(train, MARKS), plain, MARKS).predicted for train in (rows, rows[::-1])]
    assert asked[0] == asked[1] == answers(small_model(rows, MARKS), rows, MARKS).predicted


def test_a_text_without_a_word_or_a_single_training_text_is_no_trouble() -> None:
    model = small_model(sentences()[:1], MARKS)
    assert answers(model, [example(" \n ", Spans(()))], MARKS).predicted == ("",)


def test_pieces_are_words_signs_and_chinese_characters() -> None:
    text = "@ada_l 在New York!"
    pieces = pieces_of(text)
    assert [text[a:b] for a, b in zip(pieces.starts, pieces.ends, strict=True)] == [
        "@", "ada", "_", "l", "在", "New", "York", "!",
    ]  # fmt: skip
    looks = looks_of(text, pieces)
    assert {"is New", "0 new", "-1 在", "1 york", "0 like Xx", "begins Ne", "ends ew"} <= set(looks[5])


def test_a_reply_is_that_to_the_most_similar_question() -> None:
    pairs = {
        "What is the capital of France?": "Paris.",
        "法国的首都是哪里？": "巴黎。",
        "How do I boil an egg?": "Eight minutes.",
    }
    train = [make_example((Message("user", asked),), Reply(reply), "here") for asked, reply in pairs.items()]
    items = [
        make_example((Message("user", asked),), Reply("?"), "here")
        for asked in ("Tell me the capital of France", "法国首都在哪", "how long to boil an egg")
    ]
    got = answers(small_model(train, Task("reply")), items, Task("reply"))
    assert got.predicted == ("Paris.", "巴黎。", "Eight minutes.")
    found = scores(got)
    assert found["exact_match"].value == 0.0
    assert "loss" not in found


def test_there_is_none_of_plain_texts() -> None:
    with pytest.raises(ValueError, match="continue"):
        small_model(mail(), Task("continue"))
