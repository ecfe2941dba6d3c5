"""The page of a comparison and its Markdown: whole in both languages, harmless, and no number without its interval."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import sample_comparisons
from sample_comparisons import COMPARISONS, WAYS, classify_comparison
from seen_page import HOSTILE, Page, assert_harmless
from weitiao import words
from weitiao.evaluation import frame, measures
from weitiao.evaluation.ladder import comparison_html, comparison_markdown, complete_comparison
from weitiao.words import Language

OWN = Path(frame.__file__).parent / "ladder" / "page"
CHROMIUM = shutil.which("chromium")
CODES = (".kind", ".family", ".role", ".of", ".headline", ".metric", ".reference", ".arm", ".name", ".form")


def _with_added(report: dict[str, Any], added: str) -> dict[str, Any]:
    """``report`` with ``added`` in every text and every name of a category; the product's own codes stay."""

    def changed(value: Any, path: str) -> Any:
        if isinstance(value, str):
            return value if path.endswith(CODES) else value + added
        if isinstance(value, dict):
            return {name: changed(inner, f"{path}.{name}") for name, inner in value.items()}
        return [changed(inner, path) for inner in value] if isinstance(value, list) else value

    made: dict[str, Any] = changed(report, "")
    return made


def _ids(page: Page) -> list[str | None]:
    return [attributes.get("id") for tag, attributes in page.elements if tag == "section" and "id" in attributes]


@pytest.fixture(params=COMPARISONS)
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    return COMPARISONS[request.param]()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_is_well_formed_and_its_links_lead_somewhere(made: dict[str, Any], language: Language) -> None:
    page = Page(comparison_html(made, language))
    assert page.open == []
    assert [tag for tag, _ in page.elements].count("h1") == 1
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert all((link or "").removeprefix("#") in identifiers for link in links)
    labels = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert all(label in identifiers for label in labels)


def test_the_sections_come_in_order_and_an_absent_part_has_none() -> None:
    whole = Page(comparison_html(COMPARISONS["classify"](), "en"))
    order = ["verdict", "ladder", "price", "curve", "slices", "items", "effects", "calibration", "prompts", "threshold"]
    assert _ids(whole) == [*order, "task", "data", "settings"]
    several = _ids(Page(comparison_html(COMPARISONS["several"](), "en")))
    assert not {"curve", "effects", "calibration", "threshold"} & set(several)
    assert _ids(Page(comparison_html({}, "zh"))) == ["verdict", "settings"]


def test_the_language_is_the_one_asked_for_and_leaves_no_trace(made: dict[str, Any]) -> None:
    english, chinese = (Page(comparison_html(made, language)) for language in ("en", "zh"))
    assert "The ladder" in english.text
    assert "各种做法一览" in chinese.text
    assert "The ladder" not in chinese.text
    assert not re.search("[一-鿿]", comparison_markdown(COMPARISONS["mark"](), "en"))
    assert "各种做法一览" in comparison_markdown(made, "zh")
    assert words.language() == "en"


def test_no_text_of_a_user_becomes_html(made: dict[str, Any]) -> None:
    plain, hostile = (comparison_html(_with_added(made, added), "en") for added in ("x", HOSTILE))
    assert_harmless(plain, hostile)


def test_hostile_names_of_arms_and_families_are_shown_as_text() -> None:
    report = classify_comparison(rows=30, ways={**WAYS, HOSTILE: sample_comparisons.Way(HOSTILE, 0.5, 1, 0.1)})
    report["curve"]["arms"][HOSTILE] = report["curve"]["arms"]["small"]
    report["curve"]["fits"][HOSTILE] = report["curve"]["fits"]["small"]
    html = comparison_html(report, "zh")
    assert Page(html).open == []
    assert "<script>alert" not in html
    assert "<img" not in html


def test_nothing_is_loaded_and_only_the_own_script_may_run(made: dict[str, Any]) -> None:
    html = comparison_html(_with_added(made, " https://example.com/x.js"), "en")
    page = Page(html)
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "style", "xlink:href"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    assert "@import" not in html
    assert "url(" not in html
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert "unsafe" not in policy
    for kind, text in page.scripts:
        assert kind == "application/json" or frame.digest(text) in policy
    assert f"style-src {frame.digest(html.split('<style>')[1].split('</style>')[0])}" in policy
    script = (OWN / "page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(|fetch|import", script)


def test_rows_come_through_the_embedded_json_unchanged_and_make_no_elements(made: dict[str, Any]) -> None:
    page = Page(comparison_html(made, "en"))
    data, said = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    assert [item["answers"] for item in data] == [item["answers"] for item in made["items"]]
    assert said["status"].format(shown=1, matching=2)
    assert set(said["arms"]) <= {arm["name"] for arm in made["arms"]}
    many = Page(comparison_html({**made, "items": made["items"] * 20}, "en"))
    assert len(many.elements) == len(page.elements)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_score_stands_beside_its_interval(made: dict[str, Any], language: Language) -> None:
    page = Page(comparison_html(made, language))
    kinds = [kind for kind, _ in page.texts]
    for index, kind in enumerate(kinds):
        if kind == "value":
            assert kinds[index + 1] == "interval", page.texts[index]
    words.set_language(language)
    markdown = comparison_markdown(made, language).replace("\N{NO-BREAK SPACE}", " ")
    headline = measures.measure(made["headline"])
    for arm in made["arms"]:
        for name, score in arm["scores"].items():
            shown = measures.score_text(measures.measure(name), score)
            assert shown is not None
            written = f"{shown.value} ({shown.interval})".replace("\N{NO-BREAK SPACE}", " ")
            assert written in page.text, (arm["name"], name)
            assert written in markdown or name != headline.name


def test_a_score_without_its_interval_is_not_shown() -> None:
    bare = {"arms": [{"name": "small", "scores": {"accuracy": {"value": 0.87654, "count": 7}}}], "headline": "accuracy"}
    for text in (comparison_html(bare, "en"), comparison_markdown(bare, "en")):
        assert "87.7" not in text


def _effects(report: dict[str, Any]) -> list[str]:
    texts = Page(comparison_html(report, "en")).texts
    return [text for kind, text in texts if kind.startswith("effect ")]


def _pair(difference: dict[str, Any], metric: str = "accuracy") -> dict[str, Any]:
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "count": 90}
    arms = [{"name": name, "family": "small", "scores": {metric: score}} for name in ("a", "b")]
    return {"headline": metric, "reference": "a", "arms": arms, "differences": {"b": difference}}


def test_an_arm_is_called_better_or_worse_only_after_correction() -> None:
    behind = {"value": 0.1, "low": 0.02, "high": 0.18, "p": 0.001, "adjusted_p": 0.004, "level": 0.99, "shown": True}
    assert _effects(_pair(behind)) == ["does worse"]
    assert _effects(_pair(behind, "loss")) == ["does better"], "of a loss, less than the reference is better"
    ahead = {**behind, "value": -0.1, "low": -0.18, "high": -0.02}
    assert _effects(_pair(ahead)) == ["does better"]
    for doubt in ({"adjusted_p": 0.06}, {"low": -0.01}, {"shown": False}):
        assert _effects(_pair({**behind, **doubt})) == ["not shown different"]
    text = Page(comparison_html(_pair(behind), "en")).text
    assert "−10.0 points (−18.0 to −2.0)" in text
    assert "p = 0.004, 99.0 % interval" in text


def test_the_reference_is_marked_and_has_no_difference() -> None:
    page = Page(comparison_html(classify_comparison(rows=60), "en"))
    rows = [attributes.get("class") for tag, attributes in page.elements if tag == "tr"]
    assert rows.count("reference") == 1
    assert page.text.count("the reference arm") == 0
    assert sum(text == "the reference" for _, text in page.texts) == 1


def test_the_arms_stand_by_family_with_their_costs_spread_and_unusable_answers() -> None:
    report = classify_comparison(rows=60)
    text = Page(comparison_html(report, "en")).text
    families = ["Knowing only", "Small models", "Prompting,", "Models elsewhere", "The model before", "Tuning"]
    places = [text.index(title, text.index("cost Knowing")) for title in families]
    assert places == sorted(places)
    for cost in ("4 min 31 s to prepare", "190 µs an item", "1,054,000 tokens", "0.0310 USD", "under 1 µs an item"):
        assert cost in text
    assert "3 draws of examples:" in text
    assert "3 wordings of the prompt:" in text
    assert "unusable answers 2.1 %" in text
    assert "about 2.1 points or more" in text


def test_an_arm_that_is_not_shown_to_beat_the_commonest_answer_says_so() -> None:
    report = classify_comparison(rows=400)
    told = Page(comparison_html(report, "en")).text.count("not shown to beat the commonest answer")
    weak = [name for name, found in report["above_baseline"].items() if not found["shown"] or found["value"] < 0]
    assert told == len(weak) > 0


def test_the_prompts_stand_as_they_were_sent_with_their_roles() -> None:
    report = classify_comparison(rows=30)
    page = Page(comparison_html(report, "en"))
    turns = [text for kind, text in page.texts if kind == "full"]
    sent = [turn["content"].strip() for arm in report["arms"] for turn in arm["prompt"]]
    assert sorted(turns) == sorted(sent)
    assert {text for kind, text in page.texts if kind == "who"} == {"system", "user", "assistant"}


def test_the_first_two_arms_to_compare_are_the_reference_and_the_best_prompt() -> None:
    page = Page(comparison_html(classify_comparison(rows=300), "en"))
    chosen = [attributes["value"] for tag, attributes in page.elements if tag == "option" and "selected" in attributes]
    assert chosen == ["tuned-lora", "nearest-8"]


def test_parts_that_are_missing_or_misshapen_never_crash() -> None:
    made = COMPARISONS["classify"]()
    made["items"] = made["items"][:3]
    wrong: tuple[Any, ...] = (None, [], {}, "text", 7, [None, "text", 3], {"a": None, "b": "text"}, float("nan"))
    for name in made:
        if name in ("data", "model", "settings", "lineage", "cost"):
            continue  # as in a run's page: they are the product's own, and absent or whole
        for value in wrong:
            assert Page(comparison_html({**made, name: value}, "zh")).open == [], (name, value)
            assert comparison_markdown({**made, name: value}, "en").startswith("# ")
    for name in made:
        without = {key: value for key, value in made.items() if key != name}
        for partial in (without, {**without, name: None}, {name: made[name]}):
            assert comparison_html(partial, "en").rstrip().endswith("</html>")
            assert comparison_markdown(partial, "zh").startswith("# ")


@pytest.mark.parametrize("part", ["scores", "cost", "spread", "prompt", "details", "settings", "family", "unusable"])
def test_an_arm_that_lacks_a_part_or_has_another_thing_there_never_crashes(part: str) -> None:
    made = COMPARISONS["mark"]()
    for value in (None, [], {}, "text", 7, [None, "text", 3], {"a": None, "b": "text"}):
        made["arms"][1][part] = value
        assert Page(comparison_html(made, "en")).open == []
        assert comparison_markdown(made, "en")


def test_a_completed_report_stays_as_it_is() -> None:
    for make in COMPARISONS.values():
        once = complete_comparison(make())
        assert complete_comparison(once) == once


def test_numbers_that_are_not_finite_count_as_missing() -> None:
    made = COMPARISONS["classify"]()
    made["arms"][0]["scores"]["accuracy"]["low"] = float("nan")
    made["arms"][3]["spread"]["values"][0] = float("inf")
    made["curve"]["fits"]["small"]["curve"][2][1] = float("nan")
    html = comparison_html(made, "en")
    assert not re.search(r"\bnan\b|\binf\b|NaN|Infinity", html)


def test_markdown_holds_no_text_that_it_could_act_on() -> None:
    added = "\n# x\n<script>alert(1)</script> [a](javascript:1) | `b` ``` www.a.b"
    text = comparison_markdown(_with_added(COMPARISONS["classify"](), added), "en")
    outside = re.sub(r"```\w*\n.*?\n```", "", text, flags=re.DOTALL)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\[a\]\(", outside)
    assert not re.search(r"(?<!\\)`", outside)
    assert outside.count("\n# ") == 0


def test_the_tables_of_the_markdown_are_even(made: dict[str, Any]) -> None:
    for language in ("en", "zh"):
        for table in re.findall(r"(?:^\|.*\n)+", comparison_markdown(made, language), flags=re.MULTILINE):  # type: ignore[arg-type]
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(cells) == 1, table


def test_the_command_and_the_digests_are_told() -> None:
    made = COMPARISONS["classify"]()
    for text in (Page(comparison_html(made, "en")).text, comparison_markdown(made, "en")):
        assert "weitiao compare --model smollm2-135m-instruct --data sms-spam" in text
        assert "sha256:bcc81830d10c" in text.replace("\\", "")
    assert "weitiao compare --model 'a b' --data DATA" in comparison_markdown({"model": {"name": "a b"}}, "en")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_lists_first_what_only_the_reference_got_right(tmp_path: Path) -> None:
    report = _with_added(classify_comparison(rows=120), "</script><b id=hacked onclick=1>")
    path = tmp_path / "report.html"
    path.write_text(comparison_html(report, "en"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    ran = subprocess.run(
        [str(CHROMIUM), *flags, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.count('<details class="item">') == 25
    assert "25 of 120 matching rows are shown" in ran.stdout
    alone = sum(item["right"]["tuned-lora"] and not item["right"]["nearest-8"] for item in report["items"])
    assert f"only Tuned (LoRA) right <span>{alone}</span>" in ran.stdout
    assert ran.stdout.index("mark came-one") < ran.stdout.index("mark came-both")
    assert "<b id=" not in ran.stdout
