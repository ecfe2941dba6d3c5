"""A run in memory: the data, the codec, the model and what learns of it, with every open setting decided.

Separate from the training itself so that ``plan`` can build one and say what it would take, without a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from weitiao.api.chosen_head import ChosenHead, answered, decide_head, use_for
from weitiao.api.chosen_objective import ChosenObjective, decide_objective
from weitiao.api.listener import Listener
from weitiao.api.preparation import (
    Item,
    Opened,
    Prepared,
    prepare,
)
from weitiao.api.starting_model import start
from weitiao.api.workload import workload
from weitiao.codec import Codec, open_codec
from weitiao.data.ledger import Ledger
from weitiao.errors import SettingsError
from weitiao.evaluation.score import rows_of_example
from weitiao.example import Task
from weitiao.lineage import Lineage, code_version, digest_file, digest_json
from weitiao.methods import METHODS, AdaLora, Lora, Method, TopLayers, VirtualTokens, goes_on_with, trained
from weitiao.methods import prepare as prepare_model
from weitiao.methods.prompts import DEFAULT_TOKENS
from weitiao.models.anatomy import Model
from weitiao.models.files import kind_of_adapter, virtual_tokens_of, weight_files
from weitiao.models.load import Loaded, load
from weitiao.models.precision import one_precision
from weitiao.models.presets import preset_of
from weitiao.models.source import ModelSource
from weitiao.models.use import BLANKS, WORDS, Use, context_of, model_config, own_use
from weitiao.objectives.form import Form
from weitiao.objectives.objective import Objective, make_objective
from weitiao.objectives.row import Row
from weitiao.process import give_back
from weitiao.settings import TOKEN_KINDS, Settings, comparison_names
from weitiao.training import machine
from weitiao.training.budget import Budget
from weitiao.training.chance import generator, seed_for
from weitiao.training.defaults import Derived, Facts, context_limit, derive, warmup_steps
from weitiao.training.engine import Engine
from weitiao.training.fast import engine_for
from weitiao.training.keeping import Keeping, Wish, keep
from weitiao.training.loop import total_steps
from weitiao.training.optimizer import Masters, Rate
from weitiao.training.pace import Pace
from weitiao.training.plan import Estimate, estimate, measure_flops
from weitiao.training.rows import Draw, EpochRows, Rows, RowWriter
from weitiao.words import t

_CPU_CAPACITY = 2048  # tokens of one forward pass with gradients; more costs memory and gains nothing on a CPU
_GPU_CAPACITY = 16384


@dataclass
class Session:
    """All that a run has in memory. ``model`` and ``masters`` change; of the rest, a probe changes the rate."""

    settings: Settings  # nothing is left open
    reasons: dict[str, str]  # why each derived setting is what it is
    source: ModelSource
    opened: Opened
    prepared: Prepared
    ledger: Ledger
    codec: Codec
    loaded: Loaded
    model: Model
    engine: Engine
    masters: Masters
    rows: Rows
    draw: Draw | None  # what each epoch makes of a row; None where it is the row itself
    pace: Pace
    keeping: Keeping
    planned: Estimate
    new_head: bool  # which answers by chance before it has learned
    dev: list[Item]
    test: list[Item]

    @property
    def task(self) -> Task:
        """What is asked of every example; a category head reads the text without a question."""
        task = self.opened.task
        return task if self.settings.head == "words" else replace(task, question="")

    @property
    def cutoff_len(self) -> int:
        """The most tokens of a row."""
        return _decided(self.settings.cutoff_len)


def build(settings: Settings, work: Path, ledger_path: Path | None, listen: Listener) -> Session:
    """Read, encode, load, decide. ``work`` is a folder for the encoded rows."""
    source, opened = start(settings, work, listen)
    chosen = decide_head(settings, source, opened.task)
    listen("head", {"head": chosen.head, "reason": chosen.reason})
    objective = decide_objective(settings, source, opened.task.kind)
    codec = open_codec(source.tokenizer_folder, settings.template)
    context = context_of(model_config(source)) - _virtual_tokens(settings, source)
    learned_by = make_objective(objective.name, codec, settings.hide)
    place = answered(chosen.head, source)
    form = Form(codec, context_limit(settings, context), settings.learn, place, learned_by)
    ledger, prepared, rows = _encoded(settings, opened, form, work, ledger_path)
    listen("rows", {**ledger.counts(), "reasons": ledger.reasons(), **_shape(rows, prepared, form.cutoff_len)})
    threads = settings.threads or machine.cores()
    torch.set_num_threads(threads)
    facts = _facts(source, context, opened.task, rows, threads, _goes_on(settings, source))
    derived = _derived(settings, facts, chosen, objective)
    settings = derived.settings
    use = use_for(chosen.head, opened.task)
    pace = _pace(settings, len(rows))
    loaded, model, masters = _learner(source, settings, use, pace.rate.steps)
    draw = None if objective.name == "causal" else _drawing(learned_by, settings.seed)
    first_epoch = EpochRows(rows, draw) if draw else rows
    engine, note = engine_for(model, settings.engine, first_epoch, source.digest)
    listen("engine", {"name": engine.name, "note": note})
    reads = rows_of_example(codec, opened.task) if opened.task.kind == "classify" and use == WORDS else 1
    wish = _wish(settings, pace, prepared, reads)
    keeping = keep(engine, rows, wish) if draw is None else _nothing_kept(wish)
    listen("activations", {"kept": keeping.kept, "bytes": keeping.missing_bytes, "note": keeping.note})
    if settings.keep_activations == "auto":
        derived.reasons["keep_activations"] = keeping.reason
    settings = settings.model_copy(update={"keep_activations": "on" if keeping.kept else "off"})
    give_back()
    load_ahead = workload(settings, engine, masters, pace, first_epoch, prepared, keeping, reads)
    flops = measure_flops(load_ahead.width, 4 * load_ahead.width, machine.dtype_of(settings.precision))
    return Session(
        settings=settings,
        reasons=derived.reasons,
        source=source,
        opened=opened,
        prepared=prepared,
        ledger=ledger,
        codec=codec,
        loaded=loaded,
        model=model,
        engine=engine,
        masters=masters,
        rows=rows,
        draw=draw,
        pace=pace,
        keeping=keeping,
        planned=estimate(load_ahead, flops),
        new_head=not use.of_vocabulary and use != own_use(source),
        dev=prepared.dev[: settings.eval_max_samples],
        test=prepared.test[: settings.eval_max_samples],
    )


def method_of(settings: Settings) -> Method:
    """The method that ``settings`` ask for."""
    found = METHODS[settings.method]
    if isinstance(found, TopLayers):
        return TopLayers(settings.top_layers)
    if isinstance(found, VirtualTokens):
        return replace(found, tokens=settings.virtual_tokens)
    if isinstance(found, Lora):
        found = replace(found, ratio=settings.lora_plus_ratio or found.ratio)
    if isinstance(found, Lora | AdaLora):
        rank, alpha = settings.lora_rank, settings.lora_alpha
        return replace(found, rank=rank, alpha=alpha, dropout=settings.lora_dropout, targets=settings.lora_targets)
    return found


def _encoded(
    settings: Settings, opened: Opened, form: Form, work: Path, ledger_path: Path | None
) -> tuple[Ledger, Prepared, Rows]:
    """What became of every row that was read, and those to learn from, written out."""
    most = form.objective.most(form.cutoff_len)
    with Ledger(ledger_path) as ledger, RowWriter(work / "rows", most, settings.join_documents) as writer:
        prepared = prepare(opened, form, ledger, writer)
    return ledger, prepared, Rows(work / "rows")


def _drawing(objective: Objective, seed: int) -> Draw:
    def draw(row: Row, epoch: int, number: int) -> Row:
        return objective.draw(row, generator(seed, "hidden", epoch, number))

    return draw


def _derived(settings: Settings, facts: Facts, head: ChosenHead, objective: ChosenObjective) -> Derived:
    """Every setting, with what was decided before the rows were made."""
    derived = derive(settings.model_copy(update={"head": head.setting, "objective": objective.name}), facts)
    reasons = {name: each.reason for name, each in (("head", head), ("objective", objective)) if each.reason}
    return Derived(derived.settings, {**derived.reasons, **reasons})


def _nothing_kept(wish: Wish) -> Keeping:
    return Keeping(None, t("every epoch hides something else"), wish.keep == "on")


def _check_learns_head(settings: Settings, source: ModelSource, use: Use) -> None:
    if use == BLANKS and own_use(source) != BLANKS and settings.method != "full":
        raise SettingsError(
            t(
                "{model} has no head that fills blanks, and method {method} would leave a new one as it was drawn",
                model=source.name,
                method=settings.method,
            ),
            t("write method: full"),
        )


def _learner(source: ModelSource, settings: Settings, use: Use, steps: int) -> tuple[Loaded, Model, Masters]:
    """What was loaded, the same as the method adapts it, and the float32 weights that learn."""
    _check_learns_head(settings, source, use)
    dtype, method = machine.dtype_of(settings.precision), method_of(settings)
    loaded = load(source, dtype, _goes_on(settings, source), use, seed_for(settings.seed, "head"))
    model = prepare_model(loaded, method, seed_for(settings.seed, "adapter"))
    torch.nn.Module.to(model, machine.device())  # transformers declares its own in a way that hides this one
    masters = _masters(model, method, settings.weight_decay, steps)
    one_precision(model, dtype)
    return loaded, model, masters


def lineage_of(session: Session) -> Lineage:
    """Fingerprints of what decides the result's bits: of the settings all values, those that were derived too."""
    decided = session.settings.model_dump(mode="json", exclude={"output_dir", "lang", *comparison_names()})
    lineage = fingerprints(session.source, session.opened, decided, session.settings.seed)
    return replace(lineage, engine=session.engine.identity)


def fingerprints(source: ModelSource, opened: Opened, decided: Mapping[str, Any], seed: int) -> Lineage:
    """Of the model, the data, the settings that were ``decided`` and the code."""
    return Lineage(
        base=source.digest,
        data=opened.digest(),
        settings=digest_json(dict(decided)),
        tokenizer=digest_file(source.tokenizer_folder / "tokenizer.json"),
        code=code_version(),
        seed=seed,
        parent=source.run.name if source.run else None,
    )


def _shape(rows: Rows, prepared: Prepared, cutoff_len: int) -> dict[str, Any]:
    """How the train split lies in rows."""
    tokens = int(rows.lengths.sum())
    filled = round(tokens / max(len(rows) * cutoff_len, 1), 4)
    return {"train": prepared.train_rows, "rows": len(rows), "tokens": tokens, "most": cutoff_len, "filled": filled}


def _masters(model: Model, method: Method, weight_decay: float, steps: int) -> Masters:
    learning = trained(model)
    rates = method.rates(learning) if isinstance(method, Lora) else {}
    budget = Budget(learning, method.final_rank, steps) if isinstance(method, AdaLora) else None
    return Masters(learning, weight_decay, rates, budget)


def _virtual_tokens(settings: Settings, source: ModelSource) -> int:
    """That will stand before every row."""
    own = virtual_tokens_of(source.adapter)
    return own or (settings.virtual_tokens or DEFAULT_TOKENS if settings.method in TOKEN_KINDS else 0)


def _goes_on(settings: Settings, source: ModelSource) -> bool:
    """Whether it is the model's own adapter that goes on learning."""
    return kind_of_adapter(source.adapter) in goes_on_with(METHODS[settings.method])


def _facts(source: ModelSource, context: int, task: Task, rows: Rows, threads: int, goes_on: bool) -> Facts:
    config, preset = model_config(source), preset_of(source.name)
    return Facts(
        parameters=_weights_in(source),
        width=int(config.get("hidden_size") or config.get("n_embd") or 0),
        context=context,
        kind=task.kind,
        train_rows=len(rows),
        longest_row=int(rows.lengths.max()),
        fast_bf16=machine.fast_bf16(),
        on_gpu=machine.device().type == "cuda",
        threads=threads,
        continues_adapter=goes_on,
        train_tokens=int(rows.lengths.sum()),
        fresh=preset.kind if preset else None,
    )


def _pace(settings: Settings, train_rows: int) -> Pace:
    rows_per_step = _decided(settings.batch_size) * settings.gradient_accumulation_steps
    steps = total_steps(train_rows, rows_per_step, _decided(settings.epochs), settings.max_steps)
    rate = Rate(_decided(settings.learning_rate), steps, warmup_steps(settings, steps), settings.lr_scheduler_type)
    capacity = _GPU_CAPACITY if machine.device().type == "cuda" else _CPU_CAPACITY
    return Pace(rows_per_step, rate, settings.max_grad_norm, settings.seed, capacity, bool(settings.packing))


def _wish(settings: Settings, pace: Pace, prepared: Prepared, reads: int) -> Wish:
    gigabytes = settings.activations_limit_gb
    scored = [*prepared.dev[: settings.eval_max_samples], *prepared.test[: settings.eval_max_samples]]
    return Wish(
        settings.keep_activations,
        None if gigabytes is None else int(gigabytes * 2**30),
        pace.rate.steps * pace.rows_per_step,
        reads * sum(len(item.row.tokens) for item in scored),
    )


def _weights_in(source: ModelSource) -> int:
    """How many numbers the model's files hold."""
    return sum(prod(tensor.shape) for tensors in weight_files(source.folder).values() for tensor in tensors.values())


def _decided(value: Any) -> Any:
    assert value is not None, "derive() leaves nothing open"
    return value
