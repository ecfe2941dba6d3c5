"""The arms that prompt a model as it is: its question, and before it no, some, or the nearest solved examples.

Separate because a prompt is all that varies here: the model is loaded once, when the first of these arms asks it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from weitiao.api.answering import Respondent, find_respondent, load_engine
from weitiao.api.arms import Arm
from weitiao.api.kept_answers import Asking, kept_answers
from weitiao.api.listener import Listener
from weitiao.api.outcomes import Draw, Outcome, Outcomes
from weitiao.api.preparation import MOST_ITEMS, Item
from weitiao.api.scored_set import ScoredSet
from weitiao.api.trial import Trial
from weitiao.codec.prompt import conversation
from weitiao.data.ledger import Dropped
from weitiao.errors import DataError, ModelError, SettingsError
from weitiao.evaluation.shots import apart, balanced, nearest
from weitiao.example import Example, Shots, Task
from weitiao.objectives.form import Form, rows_of, scored_row
from weitiao.process import give_back
from weitiao.training.engine import Engine
from weitiao.words import t

MOST_TOKENS = 4096  # of a prompt with its shots; a longer one costs more than it tells
_WRITTEN = 32  # replies that are written out unless the settings say how many


@dataclass(frozen=True)
class Prompt:
    """One way to ask: ``name`` says which of its arm."""

    name: str
    task: Task


class Prompting:
    """The untuned model with its answers to prompts; its weights are in memory from the first question on."""

    def __init__(self, trial: Trial, outcomes: Outcomes, listen: Listener) -> None:
        self._trial = trial
        self._outcomes = outcomes
        self._listen = listen

    @cached_property
    def _respondent(self) -> Respondent:
        return find_respondent(self._trial.settings.model_copy(update={"head": "auto"}))

    @cached_property
    def _engine(self) -> Engine:
        return load_engine(self._respondent, self._trial.settings, self._listen)

    @cached_property
    def _apart(self) -> list[Example]:
        return apart(self._trial.train, self._trial.examples)

    def forget(self) -> None:
        """Give the weights' memory back; the next question loads them again."""
        self.__dict__.pop("_engine", None)
        give_back()

    def outcome(self, arm: Arm) -> Outcome:
        """What ``arm`` answers. Raises Stopped when asked to stop."""
        prompts = list(self._prompts(arm))
        draws = tuple(
            self._outcomes.find_draw(arm.name, prompt.name)
            or self._outcomes.keep_draw(arm.name, self._draw(prompt, shown=arm.shots > 0))
            for prompt in prompts
        )
        of = "questions" if arm.name == "zero-shot" else "draws"
        settings = {"shots": arm.shots} if arm.shots else {"questions": [prompt.task.question for prompt in prompts]}
        first = conversation(self._trial.items[0].example, prompts[0].task)
        return Outcome(arm, draws, settings, of, tuple((message.role, message.content) for message in first))

    def _prompts(self, arm: Arm) -> Iterator[Prompt]:
        trial = self._trial
        if arm.name == "parent":
            yield Prompt("1", self._parent_task())
        elif not arm.shots:
            for number, question in enumerate(questions(trial), 1):
                yield Prompt(str(number), replace(trial.task, question=question))
        elif arm.name.startswith("nearest"):
            chosen = nearest(trial.train, trial.examples, arm.shots)
            yield Prompt("1", replace(trial.task, shots=Shots(by_item=chosen)))
        else:
            for draw in range(trial.settings.draws):
                common = balanced(self._apart, trial.task, arm.shots, trial.settings.seed + draw)
                yield Prompt(str(draw + 1), replace(trial.task, shots=Shots(common)))

    def _parent_task(self) -> Task:
        own, task = self._respondent.task, self._trial.task
        if own is None or (own.kind, set(own.categories)) != (task.kind, set(task.categories)):
            raise ModelError(
                t("{model} was tuned for another task, and cannot answer this one", model=self._trial.source.name),
                t("leave parent out of arms"),
            )
        return replace(own, categories=task.categories) if self._respondent.use.head == "words" else own

    def _draw(self, prompt: Prompt, shown: bool) -> Draw:
        respondent = self._respondent
        if shown:
            most = max(min(respondent.context, MOST_TOKENS), respondent.cutoff_len)
            respondent = replace(respondent, cutoff_len=most)
        items = self._items(prompt.task, respondent, shown)
        trial, given = self._trial, self._trial.settings
        scored = ScoredSet(given.data, trial.opened.digest(), trial.opened.read_as, prompt.task, items, ())
        written = given.generate_max_samples
        if written is None:
            written = MOST_ITEMS if prompt.task.kind == "mark" else _WRITTEN
        asking = Asking(respondent, scored, written, given.max_new_tokens)
        began = time.monotonic()
        with kept_answers(self._engine, asking, self._listen) as asked:
            seconds = asked.seconds + time.monotonic() - began
            return Draw(prompt.name, asked.answers, round(seconds, 2), self._tokens(prompt.task, items))

    def _items(self, task: Task, respondent: Respondent, shown: bool) -> list[Item]:
        """The items with the rows that this prompt makes of them. A category is scored without a row of its own."""
        items = list(self._trial.items)
        if task.kind == "classify" and respondent.use.head == "words":
            return items
        form = respondent.form(self._trial.settings)
        if shown:  # the shots are read, and say nothing of how well the item's own answer was foreseen
            form = replace(form, learn="last_reply")
        return [_item(item, task, form) for item in items]

    def _tokens(self, task: Task, items: list[Item]) -> int:
        if task.kind != "classify":
            return sum(len(item.row.tokens) for item in items)
        prompts = self._respondent.codec.encode_prompts([conversation(item.example, task) for item in items])
        return sum(len(prompt) for prompt in prompts)


def questions(trial: Trial) -> list[str]:
    """The wordings of the question that zero-shot asks. Raises SettingsError for a file that cannot be read."""
    name = trial.settings.questions
    if not name:
        return [trial.task.question]
    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            t("questions: {path} cannot be read: {reason}", path=name, reason=error),
            t("name a text file in UTF-8 with one question a line"),
        ) from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise SettingsError(t("questions: {path} holds no question", path=name), t("write one question a line"))
    return found


def _item(item: Item, task: Task, form: Form) -> Item:
    (row,) = rows_of([item.example], task, form)
    if isinstance(row, Dropped):
        raise DataError(
            t("{source} does not fit into a prompt: {reason}", source=item.example.source, reason=row.detail),
            t("raise cutoff_len, or leave the arms that prompt out of arms"),
        )
    return Item(item.example, scored_row(item.example, row.row, form))
