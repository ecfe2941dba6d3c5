"""The settings of a run: one flat, frozen model with every name, type, bound and description.

Separate from the reading (``parse.py``) because the page, the reference and the run folder are made from this alone.
``None`` means: derived from the model, the method and the data when the run starts. A description is English here; its
Chinese stands in ``locales/zh/settings.json`` under the same text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from weitiao.example import Kind
from weitiao.settings.allowed import Costs, CurveRows, MetricName, TemplateName, Text
from weitiao.words import t

Group = Literal["data", "model", "method", "training", "evaluation", "comparison", "output"]

FRESH = "preset:"
"""How the name of a model begins that is made anew."""


class Contradiction(ValueError):  # noqa: N818 - the words of the user disagree; SettingsError is what is raised for it
    """Settings that cannot hold together: their ``names``, the ``problem`` and the ``hint``, both for people."""

    def __init__(self, names: tuple[str, ...], problem: str, hint: str) -> None:
        super().__init__(problem)
        self.names = names
        self.problem = problem
        self.hint = hint


def _setting(
    group: Group,
    default: Any,
    description: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    return Field(default, description=description, ge=ge, gt=gt, le=le, lt=lt, json_schema_extra={"group": group})


class Settings(BaseModel):
    """Every setting of a run. Strict: nothing is converted here; people come in through ``make_settings``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=False)

    # data
    data: Text = _setting("data", "", "The data to learn from: a file, a folder, or the name of a sample.")
    dev: Text | None = _setting(
        "data",
        None,
        "A file of its own for the dev split, which chooses the best checkpoint. Without it, val_size is split off.",
    )
    test: Text | None = _setting(
        "data", None, "A file of its own for the test split, which only measures. Without it, test_size is split off."
    )
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "text", "conll"] | None = _setting(
        "data", None, "How the file is to be read. Without it, the content decides."
    )
    header: bool | None = _setting(
        "data", None, "Whether the first line of a table holds the column names. Without it, the content decides."
    )
    documents: Literal["lines", "paragraphs", "file", "fasttext"] | None = _setting(
        "data", None, "What one text of a plain text file is: a line, a paragraph, or the whole file."
    )
    kind: Kind | None = _setting(
        "data",
        None,
        "What is learned: continue a text, reply to a conversation, classify a text, or mark spans in it. "
        "Without it, the columns decide.",
    )
    text_column: Text | None = _setting("data", None, "The column that holds the text.")
    label_column: Text | None = _setting("data", None, "The column that holds the label.")
    prompt_column: Text | None = _setting("data", None, "The column that holds the prompt or instruction.")
    reply_column: Text | None = _setting("data", None, "The column that holds the reply to learn.")
    question: Text | None = _setting(
        "data",
        None,
        "The question put before each text to be classified or marked. Without it, one is made of the categories.",
    )
    val_size: float = _setting(
        "data", 0.1, "The share of the rows for the dev split, when no dev file is given.", ge=0, le=0.5
    )
    test_size: float = _setting(
        "data", 0.2, "The share of the rows for the test split, when no test file is given.", ge=0, le=0.9
    )
    join_documents: bool = _setting(
        "data",
        False,
        "Kind continue: put the texts behind each other and cut them into full rows, in which each sees those before "
        "it. Without it, every text has rows of its own, a long one several.",
    )
    max_samples: int | None = _setting("data", None, "Read at most this many rows.", ge=1)
    max_train_samples: int | None = _setting(
        "data", None, "Learn from at most this many rows of the train split; dev and test stay as they are.", ge=1
    )
    # model
    model: Text = _setting(
        "model",
        "",
        "The model to start from: the name of a sample, a folder, a .gguf file, the folder of an earlier run, or "
        "preset:tiny, preset:small or preset:base for a fresh one.",
    )
    tokenizer: Text | None = _setting(
        "model",
        None,
        "The folder of a tokenizer, made with weitiao tokenizer, for a fresh model. Without it, one is made of the "
        "training texts.",
    )
    template: TemplateName | None = _setting(
        "model",
        None,
        "The chat template: plain, chatml, or the path of a .jinja file. Without it, the model's own, or plain.",
    )
    cutoff_len: int | None = _setting(
        "model", None, "The most tokens of one row; what is longer is cut by a rule that is said.", ge=8, le=1_048_576
    )
    head: Literal["auto", "words", "category"] = _setting(
        "model",
        "auto",
        "How a category or a mark is answered: words writes it as a reply does, category gives the model a new head "
        "with one answer for each; auto takes category for marks and for a model that only reads, else words.",
    )
    precision: Literal["auto", "bf16", "fp32"] = _setting(
        "model", "auto", "The number format of the calculation. auto takes bf16 where the machine is fast at it."
    )
    # method
    method: Literal[
        "full", "top_layers", "bitfit", "lora", "rslora", "dora", "loraplus", "pissa", "olora", "adalora",
        "ia3", "prefix", "prompt", "p_tuning",
    ] = _setting(
        "method",
        "lora",
        "What learns: every weight (full), the top layers, only biases (bitfit); LoRA matrices beside the weights, of "
        "seven kinds; factors (ia3); or virtual tokens before every text (prefix, prompt, p_tuning).",
    )  # fmt: skip
    top_layers: int = _setting(
        "method", 4, "How many of the last layers may change with method top_layers.", ge=1, le=1000
    )
    lora_rank: int | None = _setting(
        "method", None, "The rank of the LoRA matrices: more can learn more, and costs more.", ge=1, le=4096
    )
    lora_alpha: float | None = _setting(
        "method", None, "What LoRA's change is multiplied by, after division by the rank.", gt=0, le=65536
    )
    lora_dropout: float = _setting(
        "method", 0.0, "The share of LoRA's inputs that is set to zero while learning.", ge=0, lt=1
    )
    lora_targets: tuple[Text, ...] | Literal["all"] = _setting(
        "method", "all", "Which linear layers get LoRA matrices, by name, separated by commas; all means every one."
    )
    lora_plus_ratio: float | None = _setting(
        "method",
        None,
        "How many times faster LoRA's second matrices learn than the first (LoRA+). Without it, 16 with method "
        "loraplus, else 1.",
        gt=0,
        le=1024,
    )
    virtual_tokens: int | None = _setting(
        "method", None, "How many virtual tokens the methods prefix, prompt and p_tuning learn.", ge=1, le=4096
    )
    # training
    learning_rate: float | None = _setting("training", None, "How far one step moves the weights at most.", gt=0, le=1)
    probe_learning_rate: bool = _setting(
        "training",
        False,
        "Before training, try half the learning rate, the rate and twice the rate for a few steps each, and take the "
        "one with the lowest dev loss.",
    )
    epochs: float | None = _setting(
        "training", None, "How often the training rows are gone through; may be a fraction.", gt=0, le=1000
    )
    max_steps: int | None = _setting(
        "training", None, "Stop after this many steps; takes the place of epochs.", ge=1, le=1_000_000_000
    )
    batch_size: int | None = _setting(
        "training", None, "Rows that are learned from together in one pass, before accumulation.", ge=1, le=65536
    )
    gradient_accumulation_steps: int = _setting(
        "training", 1, "Passes whose gradients are added up for one step.", ge=1, le=65536
    )
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = _setting(
        "training", "cosine", "How the learning rate falls after the warm-up."
    )
    warmup_ratio: float | None = _setting(
        "training", None, "The share of the steps in which the learning rate rises.", ge=0, lt=1
    )
    warmup_steps: int | None = _setting(
        "training",
        None,
        "The number of steps in which the learning rate rises; instead of warmup_ratio.",
        ge=0,
        le=1_000_000_000,
    )
    weight_decay: float = _setting("training", 0.0, "How strongly the weights are pulled towards zero.", ge=0, le=1)
    max_grad_norm: float = _setting(
        "training", 1.0, "Longer gradients are shortened to this length; 0 switches it off.", ge=0
    )
    packing: bool | None = _setting(
        "training",
        None,
        "Put several rows into one sequence, so that nothing is spent on padding; they cannot see each other.",
    )
    learn: Literal["replies", "last_reply"] = _setting(
        "training", "replies", "Which turns of a conversation are learned: every reply, or only the last one."
    )
    objective: Literal["auto", "causal", "masked", "infill", "prefix"] = _setting(
        "training",
        "auto",
        "Kind continue: predict the next token (causal), hidden tokens from both sides (masked), spans cut out of the "
        "text (infill), or what follows a beginning that is read from both sides (prefix). auto is masked for an "
        "encoder and causal for any other model.",
    )
    hide: Literal["tokens", "words", "spans", "sentences", "document", "mixed"] | None = _setting(
        "training",
        None,
        "What is hidden. Objective masked: tokens, or whole words, Chinese ones too with the package jieba. Objective "
        "infill: short spans, whole sentences, the second half of the document, or mixed. Without it, tokens or mixed.",
    )
    seed: int = _setting(
        "training", 0, "Decides every random choice: the same seed gives the same result.", ge=0, lt=2**63
    )
    split_seed: int | None = _setting(
        "training", None, "Decides which rows are dev and test, when another seed should leave them.", ge=0, lt=2**63
    )
    engine: Literal["auto", "exact", "fast"] = _setting(
        "training",
        "auto",
        "exact runs transformers' own modules; fast calculates the same, quicker, for models of the Llama pattern; "
        "auto is fast where that agrees with exact on the first rows.",
    )
    keep_activations: Literal["auto", "on", "off"] = _setting(
        "training",
        "auto",
        "Calculate what the frozen bottom layers return only once, and keep it on disk for later epochs and runs; auto "
        "does so within activations_limit_gb.",
    )
    activations_limit_gb: float | None = _setting(
        "training",
        None,
        "The most disk, in GB, that the kept activations of all models may take. Without it, a tenth of what is free.",
        gt=0,
    )
    threads: int | None = _setting("training", None, "CPU threads to calculate with.", ge=1, le=1024)
    # evaluation
    eval_steps: int | None = _setting("evaluation", None, "Score the dev split every so many steps.", ge=1)
    save_steps: int | None = _setting("evaluation", None, "Write a checkpoint every so many steps.", ge=1)
    save_total_limit: int = _setting(
        "evaluation", 2, "How many checkpoints are kept, besides the best one.", ge=1, le=10_000
    )
    early_stopping_patience: int | None = _setting(
        "evaluation", None, "Stop when the dev score has not improved this many times in a row.", ge=1
    )
    metric_for_best_model: MetricName | None = _setting(
        "evaluation", None, "The dev score that decides which checkpoint is best. Without it, the task's own metric."
    )
    eval_max_samples: int | None = _setting("evaluation", None, "Score at most this many rows of a split.", ge=1)
    generate_max_samples: int | None = _setting(
        "evaluation", None, "Write out replies for at most this many rows when scoring; 0 writes none.", ge=0
    )
    max_new_tokens: int = _setting(
        "evaluation", 128, "The most tokens of a reply that is written out.", ge=1, le=1_048_576
    )
    # comparison
    arms: tuple[Text, ...] | Literal["all"] = _setting(
        "comparison",
        "all",
        "What weitiao compare tries: majority, small, embedding, zero-shot, few-shot-8, nearest-8, tuned, tuned-full, "
        "parent, endpoint; any number for 8, any method for full. Without it, all that the model and the data allow.",
    )
    draws: int = _setting(
        "comparison", 2, "How many times the solved examples of a few-shot prompt are drawn.", ge=1, le=100
    )
    tuned_seeds: int = _setting("comparison", 1, "With how many seeds the model is tuned by each method.", ge=1, le=20)
    questions: Text | None = _setting(
        "comparison",
        None,
        "A text file with one question a line: zero-shot asks each, to see what they change.",
    )
    curve: CurveRows = _setting(
        "comparison",
        "auto",
        "How many rows each point of the learning curve learns from: 50,100,200; off for none.",
    )
    costs: Costs | None = _setting(
        "comparison",
        None,
        "What mistakes cost, RIGHT>GIVEN=NUMBER, like spam>ham=5,ham>spam=1; any other costs 1. The tuned model then "
        "also answers by the least expected cost, with weights that dev chooses.",
    )
    encoder: Text | None = _setting(
        "comparison", None, "The encoder of the embedding arm: a folder or a sample. Without it, one that was fetched."
    )
    endpoint: Text | None = _setting(
        "comparison",
        None,
        "The URL of an OpenAI-compatible server to compare with; its key stands in WEITIAO_ENDPOINT_KEY.",
    )
    endpoint_model: Text | None = _setting("comparison", None, "The name of the model that the endpoint is asked for.")
    # output
    output_dir: Text | None = _setting("output", None, "The folder of the run. Without it, a new one under runs/.")
    lang: Literal["en", "zh"] | None = _setting(
        "output", None, "The language of the report. Without it, that of the terminal."
    )

    @model_validator(mode="before")
    @classmethod
    def _fresh_learns_whole(cls, values: Any) -> Any:
        """Beside weights that know nothing there is nothing to adapt."""
        fresh = isinstance(values, dict) and str(values.get("model", "")).startswith(FRESH)
        return {"method": "full", **values} if fresh else values

    @model_validator(mode="after")
    def _hold_together(self) -> Settings:
        for contradiction in _contradictions(self):
            raise contradiction
        return self


def _contradictions(settings: Settings) -> Iterator[Contradiction]:
    warmup_steps, max_steps = settings.warmup_steps, settings.max_steps
    if warmup_steps is not None and max_steps is not None and warmup_steps > max_steps:
        yield Contradiction(
            ("warmup_steps", "max_steps"),
            t("warmup_steps is {warmup}, but there are only {steps} steps", warmup=warmup_steps, steps=max_steps),
            t("give at most {steps} warmup_steps, or raise max_steps", steps=max_steps),
        )
    if warmup_steps is not None and settings.warmup_ratio is not None:
        yield Contradiction(
            ("warmup_steps", "warmup_ratio"),
            t(
                "warmup_steps ({steps}) and warmup_ratio ({ratio}) are both given",
                steps=warmup_steps,
                ratio=settings.warmup_ratio,
            ),
            t("give only one of the two"),
        )
    if settings.model.startswith(FRESH) and settings.method != "full":
        yield Contradiction(
            ("model", "method"),
            t(
                "{model} is a fresh model, and method {method} leaves most of it as it is",
                model=settings.model,
                method=settings.method,
            ),
            t("leave method out, or write method: full"),
        )
    if settings.tokenizer is not None and not settings.model.startswith(FRESH):
        yield Contradiction(
            ("tokenizer", "model"),
            t("a tokenizer is given, but {model} brings its own", model=settings.model or "model"),
            t("leave tokenizer out; it is for preset:tiny, preset:small and preset:base"),
        )
    if settings.val_size + settings.test_size >= 1:
        yield Contradiction(
            ("val_size", "test_size"),
            t(
                "val_size ({dev}) and test_size ({test}) leave nothing to learn from",
                dev=settings.val_size,
                test=settings.test_size,
            ),
            t("together they must stay under 1"),
        )
