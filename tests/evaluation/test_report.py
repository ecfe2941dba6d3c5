"""The page: whole in both languages, harmless whatever the data hold, and no number without its interval."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest

import sample_reports
from sample_reports import with_added
from seen_page import HOSTILE, Page, assert_harmless
from weitiao import words
from weitiao.evaluation import frame, measures, report
from weitiao.evaluation.metrics import Answers, Difference, Score, details, differences, scores
from weitiao.evaluation.report import card_markdown, report_html
from weitiao.evaluation.report_json import visible
from weitiao.example import Kind

REPORTS: dict[str, Callable[[], dict[str, Any]]] = {
    "classify": lambda: sample_reports.classify_report(rows=120),
    "reply": sample_reports.reply_report,
    "evaluation": sample_reports.evaluation_report,
}
EVALUATION = Path(report.__file__).parent
CHROMIUM = shutil.which("chromium")


def _sentences() -> Iterator[str]:
    """Every English sentence of the page, the card and the code that fills them."""
    for file in [
        EVALUATION / f"{name}.py" for name in ("report", "card", "sections", "titles", "figures", "measures", "plots")
    ]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t":
                yield ast.literal_eval(node.args[0])
    for file in sorted((EVALUATION / "page").glob("*.[hm]*")):
        for call in jinja2.Environment().parse(file.read_text(encoding="utf-8")).find_all(jinja2.nodes.Call):
            if isinstance(call.node, jinja2.nodes.Name) and call.node.name == "t":
                assert isinstance(call.args[0], jinja2.nodes.Const), f"{file.name}: t() wants a literal"
                yield call.args[0].value


@pytest.fixture(params=REPORTS)
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    return REPORTS[request.param]()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_is_well_formed_and_has_its_sections(made: dict[str, Any], language: words.Language) -> None:
    page = Page(report_html(made, language))
    assert page.open == []
    names = [attributes.get("id") for tag, attributes in page.elements if tag == "section"]
    assert names[:3] == ["verdict", "task", "data"]
    assert {"scores", "items", "settings"} <= set(names)
    assert [tag for tag, _ in page.elements].count("h1") == 1
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert all((link or "").removeprefix("#") in identifiers for link in links)


def test_the_language_is_the_one_asked_for_and_leaves_no_trace(made: dict[str, Any]) -> None:
    english, chinese = (Page(report_html(made, language)) for language in ("en", "zh"))
    assert "What these numbers do not say" in english.text
    assert "这些数字没有说明什么" in chinese.text
    assert "What these numbers do not say" not in chinese.text
    assert words.language() == "en"


def test_every_sentence_has_its_chinese_and_every_chinese_its_sentence() -> None:
    chinese = json.loads((EVALUATION.parent / "locales/zh/report.json").read_text(encoding="utf-8"))
    said = set(_sentences())
    assert set(chinese) <= said
    assert said <= set(words.translations())
    for english, translated in chinese.items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", translated)), english
        assert translated


def test_no_text_of_a_user_becomes_html(made: dict[str, Any]) -> None:
    plain, hostile = (report_html(with_added(made, added), "en") for added in ("x", HOSTILE))
    assert_harmless(plain, hostile)


def test_rows_come_through_the_embedded_json_unchanged(made: dict[str, Any]) -> None:
    added = '</script><!--<script>&amp;"\\'
    page = Page(report_html(with_added(made, added), "en"))
    data, shown = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    assert [item["text"] for item in data] == [item["text"] + added for item in made["items"]]
    assert shown["status"].format(shown=1, matching=2)


def test_nothing_is_loaded_and_only_the_own_script_may_run(made: dict[str, Any]) -> None:
    html = report_html(with_added(made, " https://example.com/x.js"), "en")
    page = Page(html)
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "style", "xlink:href"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    assert "@import" not in html
    assert "url(" not in html
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, text in page.scripts:
        assert kind == "application/json" or frame.digest(text) in policy
    style = html.split("<style>")[1].split("</style>")[0]
    assert f"style-src {frame.digest(style)}" in policy


def test_the_script_writes_text_and_never_markup() -> None:
    script = "".join((EVALUATION / "page" / name).read_text(encoding="utf-8") for name in ("rows.js", "page.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(|fetch|import", script)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_score_stands_beside_its_interval(made: dict[str, Any], language: words.Language) -> None:
    page = Page(report_html(made, language))
    kinds = [kind for kind, _ in page.texts]
    for index, kind in enumerate(kinds):
        if kind == "value":
            assert kinds[index + 1] == "interval", page.texts[index]
    shown = {text for kind, text in page.texts if kind == "value"}
    words.set_language(language)
    for side in ("before", "after"):
        for name, score in made.get(side, {}).get("scores", {}).items():
            text = measures.score_text(measures.measure(name), score)
            assert text is not None
            assert text.value in shown, name
            assert " ".join(f"({text.interval})".split()) in page.text, name


@pytest.mark.parametrize("kind", ["classify", "reply"])
def test_everything_that_the_metrics_give_is_shown(kind: Kind) -> None:
    categories = ("ham", "spam") if kind == "classify" else ()
    before, after = (_answers(kind, seed) for seed in (1, 2))
    made = {
        "task": {"kind": kind, "categories": list(categories)},
        "before": {"scores": _json(scores(before, categories)), "details": details(before, categories)},
        "after": {"scores": _json(scores(after, categories)), "details": details(after, categories)},
        "difference": _json(differences(before, after, categories)),
    }
    page = Page(report_html(json.loads(json.dumps(made)), "en"))
    shown = [text for kind, text in page.texts if kind == "value"]
    for name, score in made["after"]["scores"].items():
        text = measures.score_text(measures.measure(name), score)
        assert text is not None
        assert text.value in shown, name
        assert measures.measure(name).meaning, f"{name} is not explained"
    if kind == "classify":
        assert "always answering" in page.text
        assert "Can its confidence be believed?" in page.text


def test_a_score_without_its_interval_is_not_shown() -> None:
    bare = {"task": {"kind": "classify"}, "after": {"scores": {"accuracy": {"value": 0.87654, "count": 7}}}}
    for text in (report_html(bare, "en"), card_markdown(bare, "en")):
        assert "87.7" not in text


def test_numbers_that_are_not_finite_count_as_missing() -> None:
    made = sample_reports.classify_report(rows=40)
    made["after"]["scores"]["accuracy"]["low"] = float("nan")
    made["curve"][3]["loss"] = float("inf")
    made["items"][0]["after_confidence"] = float("nan")
    html = report_html(made, "en")
    assert not re.search(r"\bnan\b|\binf\b|NaN|Infinity", html)


@pytest.mark.parametrize("kind", ["classify", "evaluation"])
def test_parts_that_are_missing_never_crash(kind: str) -> None:
    made = REPORTS[kind]()
    made |= {name: made[name][:5] for name in ("items", "curve", "evaluations") if name in made}
    for name in made:
        without = {key: value for key, value in made.items() if key != name}
        for partial in (without, {**without, name: None}, {name: made[name]}):
            assert report_html(partial, "zh").rstrip().endswith("</html>")
            assert card_markdown(partial, "zh").startswith("---\n")
    for outer, inner in [(o, i) for o, value in made.items() if isinstance(value, dict) for i in value]:
        cut = {**made, outer: {key: value for key, value in made[outer].items() if key != inner}}
        assert Page(report_html(cut, "en")).open == []
        assert card_markdown(cut, "en")
    assert Page(report_html({}, "en")).open == []


def test_an_evaluation_alone_shows_only_what_was_measured() -> None:
    page = Page(report_html(sample_reports.evaluation_report(), "en"))
    assert "before tuning" not in page.text
    assert "difference" not in page.text
    assert "answered wrong" in page.text
    assert "weitiao evaluate runs/2026-11-20-news --data news.jsonl" in page.text


def test_the_verdict_comes_first_and_big() -> None:
    made = sample_reports.classify_report(rows=60)
    page = Page(report_html(made, "en"))
    before_first_heading = [tag for tag, _ in page.elements[: [tag for tag, _ in page.elements].index("h1")]]
    assert not {"h2", "h3", "table"} & set(before_first_heading)
    assert made["verdict"][0] in page.text


def test_the_ledger_the_mask_and_the_reasons_are_told() -> None:
    text = Page(report_html(sample_reports.classify_report(rows=60), "en")).text
    assert "4,862 read = 4,512 used + 6 truncated + 344 dropped" in text
    assert "only the 3 coloured tokens of" in text
    assert "328 repeats an earlier row" in text
    assert "LoRA on a model of 0.13 B weights" in text


def test_the_kept_checkpoint_is_explained_by_the_measure_that_chose_it() -> None:
    made = sample_reports.classify_report(rows=60)
    assert "step 200 was kept, because Macro F1 on the dev rows was best" in Page(report_html(made, "en")).text
    for one in made["evaluations"]:
        one["best"] = one["step"] == 50  # best by nothing that is known
    assert "step 50 was kept as the best on the dev rows" in Page(report_html(made, "en")).text


def test_the_estimate_is_compared_with_what_it_really_took() -> None:
    text = Page(report_html(sample_reports.classify_report(rows=60), "en")).text
    assert "3 min 18 s 3 min 41 s 12 % more than estimated" in text
    assert "8 % less than estimated" in text


def test_a_difference_is_called_clear_only_when_interval_and_p_say_so() -> None:
    accuracy, loss = measures.measure("accuracy"), measures.measure("loss")
    assert measures.effect(accuracy, {"value": 0.1, "low": 0.05, "high": 0.2, "p": 0.001}) == "better"
    assert measures.effect(loss, {"value": 0.1, "low": 0.05, "high": 0.2, "p": 0.001}) == "worse"
    assert measures.effect(accuracy, {"value": 0.1, "low": -0.05, "high": 0.2, "p": 0.001}) == "unclear"
    assert measures.effect(accuracy, {"value": 0.1, "low": 0.05, "high": 0.2, "p": 0.06}) == "unclear"
    assert measures.effect(accuracy, None) == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(scheme: str) -> None:
    style = (EVALUATION / "page/page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{([^}]*)\}", style)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0] + (blocks[1] if scheme == "dark" else "")))
    pairs = [(ink, ground) for ink in ("ink", "muted", "after", "good", "bad") for ground in ("paper", "panel", "soft")]
    for ink, ground in [*pairs, ("ink", "learned"), ("paper", "after")]:
        assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert _contrast(colours["before"], colours["panel"]) >= 3


def test_thousands_of_rows_stay_json_and_make_no_elements() -> None:
    few, many = sample_reports.classify_report(rows=100), sample_reports.classify_report(rows=5000)
    assert abs(len(Page(report_html(few, "en")).elements) - len(Page(report_html(many, "en")).elements)) < 40


def test_hidden_characters_are_written_out() -> None:
    assert visible("a\x1b[31m\u202eb\ud800\r\nc\td") == "a\\x1b[31m\\u202eb\\ud800\nc\td"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_the_rows_as_text(tmp_path: Path) -> None:
    made = with_added(sample_reports.classify_report(rows=40), "</script><b id=hacked onclick=1>")
    path = tmp_path / "report.html"
    path.write_text(report_html(made, "en"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    ran = subprocess.run(
        [str(CHROMIUM), *flags, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.count('<details class="item">') == 25
    assert "25 of 40 matching rows are shown" in ran.stdout
    assert "<b id=" not in ran.stdout
    assert "&lt;b id=hacked" in ran.stdout


def _answers(kind: Kind, seed: int) -> Answers:
    random = np.random.default_rng(seed)
    names = (
        np.array(["ham", "spam"]) if kind == "classify" else np.array(["to be or not to be", "that is the question"])
    )
    share = random.random(60)
    return Answers(
        kind=kind,
        gold=tuple(names[np.arange(60) % 2].tolist()),
        predicted=tuple(names[(share > 0.5).astype(int)].tolist()),
        probabilities=np.column_stack([1 - share, share]) if kind == "classify" else None,
        loss_sum=random.random(60) * 9,
        loss_count=np.full(60, 5),
        byte_count=np.full(60, 20),
        generated=np.full(60, kind == "reply"),
    )


def _json(found: Mapping[str, Score] | Mapping[str, Difference]) -> dict[str, Any]:
    return {name: one.json() for name, one in found.items()}


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
