"""What a model is used for, words, categories or labels of tokens, and what its files say that it was made for.

Separate from loading because it needs no torch: rows are made, checked and refused before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from weitiao.errors import ModelError
from weitiao.models.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, inspect_safetensors, read_object
from weitiao.models.source import BASE_NOTE, ModelSource
from weitiao.words import t

Head = Literal["words", "blanks", "category", "tokens"]
Place = Literal["first", "last"]

# Those whose own classifier reads the first token. A decoder's, whatever the family, reads the last.
ENCODERS = (
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "modernbert", "mpnet",
    "roberta", "xlm-roberta",
)  # fmt: skip
_CATEGORY = "ForSequenceClassification"
_MASKED = "ForMaskedLM"
_TOKENS = "ForTokenClassification"
TASK_TYPES: dict[Head, str] = {
    "words": "CAUSAL_LM",
    "blanks": "FEATURE_EXTRACTION",
    "category": "SEQ_CLS",
    "tokens": "TOKEN_CLS",
}
"""What PEFT calls each head."""
_SEVERAL = "multi_label_classification"
_FROM_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")  # they count positions from behind padding's id
_HEAD_WEIGHTS = (".score.weight", ".classifier.weight", ".classifier.out_proj.weight")
_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class Use:
    """What a head answers: the words that follow, those in blanks, or one of ``categories``; with ``several``, yes or
    no to each.

    A head of ``tokens`` answers for each token that is asked, and its categories are labels such as ``B-person``.
    """

    head: Head = "words"
    categories: tuple[str, ...] = ()
    several: bool = False

    @property
    def of_vocabulary(self) -> bool:
        """Whether it answers with tokens of the vocabulary."""
        return self.head in ("words", "blanks")


WORDS = Use()
BLANKS = Use("blanks")


def model_config(source: ModelSource) -> dict[str, Any]:
    """The text part of the model's configuration."""
    config = read_object(source.folder / "config.json")
    return {**config, **config.get("text_config", {})}


def context_of(config: Mapping[str, Any]) -> int:
    """The model's longest input in tokens; 2,048 where its configuration does not say."""
    stated = int(config.get("max_position_embeddings") or config.get("n_positions") or _CONTEXT)
    if config.get("model_type") in _FROM_PADDING:
        return stated - 1 - int(config.get("pad_token_id") or 0)
    return stated


def is_encoder(config: Mapping[str, Any]) -> bool:
    """Whether every token of the model sees all others, so that it reads and does not write."""
    return config.get("model_type") in ENCODERS and not config.get("is_decoder")


def place_of(config: Mapping[str, Any]) -> Place:
    """The token at which transformers' own classifier reads a text."""
    return "first" if is_encoder(config) else "last"


def own_use(source: ModelSource) -> Use | None:
    """What the files say that the model answers; None for an encoder without a head, which answers nothing yet."""
    config = model_config(source)
    if source.adapter is not None:
        stated = read_object(source.adapter / ADAPTER_CONFIG).get("task_type")
        head: Head = next((head for head, name in TASK_TYPES.items() if name == stated), "words")
        if head in ("category", "tokens"):
            return _of_adapter(source, config, head)
    architecture = str((config.get("architectures") or [""])[0])
    if architecture.endswith(_TOKENS):
        return Use("tokens", tuple(_named(config)))
    if architecture.endswith(_CATEGORY):
        return Use("category", tuple(_named(config)), config.get("problem_type") == _SEVERAL)
    if not is_encoder(config):
        return WORDS
    return BLANKS if architecture.endswith(_MASKED) else None


def needs_words(source: ModelSource) -> None:
    """Raise ModelError for a model that writes no text."""
    if own_use(source) != WORDS:
        raise ModelError(
            t("{model} reads, and writes no text: it answers with categories, with blanks, or not", model=source.name),
            t("use a causal language model, or for categories weitiao predict"),
        )


def head_settings(use: Use) -> dict[str, Any]:
    """What transformers' configuration must say of ``use``."""
    if use.of_vocabulary:
        return {}
    kind = {} if use.head == "tokens" else {"problem_type": _SEVERAL if use.several else "single_label_classification"}
    return {
        **kind,
        "id2label": dict(enumerate(use.categories)),
        "label2id": {name: number for number, name in enumerate(use.categories)},
    }


def _of_adapter(source: ModelSource, config: Mapping[str, Any], head: Head) -> Use:
    """PEFT keeps the head beside the adapter, and no names: ours are in the note, another's only counted."""
    assert source.adapter is not None
    note = source.adapter / BASE_NOTE
    stored = read_object(note) if note.is_file() else {}
    if stored.get("categories"):
        return Use(head, tuple(map(str, stored["categories"])), bool(stored.get("several")))
    tensors = inspect_safetensors(source.adapter / ADAPTER_WEIGHTS)
    rows = [tensor.shape[0] for name, tensor in tensors.items() if name.endswith(_HEAD_WEIGHTS)]
    named = _named(config)
    count = rows[-1] if rows else len(named)
    names = named if len(named) == count else [f"LABEL_{number}" for number in range(count)]
    return Use(head, tuple(names), config.get("problem_type") == _SEVERAL)


def _named(config: Mapping[str, Any]) -> list[str]:
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # transformers' own default
    return [str(names[key]) for key in sorted(names, key=int)]
