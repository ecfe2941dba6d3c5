"""A run or a model made ready to answer: found, its codec opened, its task known, loaded as it was trained.

Separate because ``evaluate``, ``predict`` and ``chat`` must ask in exactly the same way; what they measure and show is
what training saw. Knowing whom one asks is apart from loading, so that wrong data are reported before minutes pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from weitiao.api.chosen_head import answered
from weitiao.api.listener import Listener
from weitiao.api.task_file import TrainedTask, read_task
from weitiao.codec import Codec, open_codec
from weitiao.errors import ModelError
from weitiao.example import Kind, Task
from weitiao.models.anatomy import Model
from weitiao.models.files import virtual_tokens_of
from weitiao.models.load import load
from weitiao.models.precision import one_precision
from weitiao.models.source import ModelSource, Progress, resolve
from weitiao.models.use import BLANKS, Use, context_of, model_config, needs_words, own_use
from weitiao.objectives.bio import types_of
from weitiao.objectives.causal import Causal
from weitiao.objectives.form import Form
from weitiao.objectives.objective import Objective, ObjectiveName, make_objective
from weitiao.objectives.row import Row
from weitiao.run import Run
from weitiao.settings import Settings, parse_settings
from weitiao.training import machine
from weitiao.training.defaults import context_limit
from weitiao.training.engine import Engine
from weitiao.training.fast import engine_for
from weitiao.words import t

_PROOF = (  # what both engines read before one is chosen
    "The quick brown fox jumps over the lazy dog, and nobody asks it why.",
    "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？",
)


@dataclass(frozen=True)
class Respondent:
    """Who will answer. ``own`` and ``trained`` are what a run says of itself; None for a model that is no run's."""

    source: ModelSource
    own: Settings | None
    trained: TrainedTask | None
    codec: Codec
    context: int  # the model's longest input, in tokens
    cutoff_len: int  # the most tokens of a row that is scored
    precision: str  # "bf16" or "fp32"
    use: Use  # what its head answers

    @property
    def run(self) -> Run | None:
        """The run whose result answers."""
        return Run(self.source.run) if self.source.run else None

    @property
    def task(self) -> Task | None:
        """What the run was trained for, or what the model's own head answers."""
        if self.trained:
            return self.trained.task
        if self.use.head == "tokens":
            return Task("mark", categories=self._types())
        return Task("classify", "", self.use.categories, self.use.several) if self.use.head == "category" else None

    def _types(self) -> tuple[str, ...]:
        types = types_of(self.use.categories)
        if types is None:
            raise ModelError(
                t(
                    "{model} labels tokens in a way that is not read: {names}",
                    model=self.source.name,
                    names=", ".join(self.use.categories[:6]),
                ),
                t("labels must be O, B-X, I-X, B-Y, I-Y … in this order; tuning gives the model a head of its own"),
            )
        return types

    def form(self, given: Settings) -> Form:
        """How it is asked."""
        place = answered(self.use.head, self.source)
        return Form(self.codec, self.cutoff_len, self.setting(given, "learn"), place, self.objective(given))

    def objective(self, given: Settings) -> Objective:
        """How it reads plain texts."""
        stated = self.setting(given, "objective")
        name: ObjectiveName = "masked" if self.use == BLANKS else "causal" if stated == "auto" else stated
        return make_objective(name, self.codec, self.setting(given, "hide"))

    def check_answers(self, kind: Kind) -> None:
        """Raise ModelError where the model's head cannot answer data of ``kind``."""
        if self.use.head != "words" and not (self.use == BLANKS and kind == "continue"):
            needs_words(self.source)

    def setting(self, given: Settings, name: str) -> Any:
        """The setting ``name`` as it was given, else as the run was trained with it, else its default."""
        told = given if self.own is None or name in given.model_fields_set else self.own
        return getattr(told, name)


def find_respondent(settings: Settings, on_progress: Progress | None = None) -> Respondent:
    """The run or model that ``settings.model`` names; the settings overrule what a run says of itself.

    ``on_progress`` is told when a sample is fetched. Raises ModelError for what cannot be used.
    """
    source = resolve(settings.model, on_progress)
    run = Run(source.run) if source.run else None
    own = parse_settings([str(run.settings)]).settings if run else None
    trained = read_task(run) if run else None
    context = context_of(model_config(source)) - virtual_tokens_of(source.adapter)
    cutoff_len = settings.cutoff_len or (trained.cutoff_len if trained else context_limit(settings, context))
    precision: str = settings.precision
    if precision == "auto":
        precision = trained.precision if trained else ("bf16" if machine.fast_bf16() else "fp32")
    codec = open_codec(source.tokenizer_folder, settings.template)
    use = own_use(source)
    if use is None:
        raise ModelError(
            t("{model} has no head: it reads, and answers nothing", model=settings.model),
            t("tune it first: weitiao train --model {model} --data FILE", model=settings.model),
        )
    return Respondent(source, own, trained, codec, context, cutoff_len, precision, use)


def load_respondent(respondent: Respondent, given: Settings) -> Model:
    """Its weights in memory, calculating as in training, down to the number of threads, which decides the last bits."""
    torch.set_num_threads(respondent.setting(given, "threads") or machine.cores())
    dtype = machine.dtype_of(respondent.precision)
    model = load(respondent.source, dtype).model
    one_precision(model, dtype).requires_grad_(False)
    torch.nn.Module.to(model, machine.device())  # transformers declares its own in a way that hides this one
    return model


def load_engine(respondent: Respondent, given: Settings, listen: Listener) -> Engine:
    """The model of :func:`load_respondent` with what reads its answers, chosen as in training."""
    model = load_respondent(respondent, given)
    texts = respondent.codec.encode_texts(_PROOF, respondent.cutoff_len)
    both = not isinstance(respondent.objective(given), Causal)
    rows = [
        Row("", text.tokens, np.zeros(len(text.tokens), dtype=np.int32), len(text.tokens) if both else 0)
        for text in texts
    ]
    engine, note = engine_for(model, respondent.setting(given, "engine"), rows, respondent.source.digest)
    listen("engine", {"name": engine.name, "note": note})
    return engine
