"""A tokenizer trained on the user's own text: byte-level BPE, or Unigram with byte fallback; no text is lost in either.

Separate because a codec only ever reads a tokenizer. Both cut a text by the same pattern before they look for pieces:
runs of Han characters apart from other letters, for Chinese has no spaces that would part them, each digit alone, a
word with the space before it.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from weitiao.codec.files import read_tokenizer
from weitiao.errors import ModelError
from weitiao.words import t

Algorithm = Literal["bpe", "unigram"]
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)

BOS, EOS, PAD, MASK = "<|bos|>", "<|eos|>", "<|pad|>", "[MASK]"
TURN_BEGINS, TURN_ENDS = "<|im_start|>", "<|im_end|>"  # of the chatml template
SENTENCE_MASK, TEXT_MASK, PIECE_BEGINS, PIECE_ENDS = "[sMASK]", "[gMASK]", "<|sop|>", "<|eop|>"  # GLM's
CONTROL_TOKENS = (
    PAD, BOS, EOS, TURN_BEGINS, TURN_ENDS, MASK, SENTENCE_MASK, TEXT_MASK, PIECE_BEGINS, PIECE_ENDS,
)  # fmt: skip
"""In every tokenizer made here, whatever the objective: ids 0, 1, 2, … in this order."""

LEAST, MOST = 1024, 32768  # tokens of a vocabulary that is derived
CHARACTERS_READ = {"bpe": 20_000_000, "unigram": 2_000_000}  # about a minute each; docs/log.md
_MULTIPLE = 64  # rows of a matrix that a processor multiplies together

_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)"
    r"|\p{Han}+"
    r"| ?(?:(?!\p{Han})[\p{L}\p{M}])+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LONGEST_PIECE = 8  # characters of a Unigram piece; more only finds phrases of the sample
_SEEDS = 10  # pieces that Unigram begins with, for each that stays
_PENALTY = 1e-4  # between the scores that tokenizers' trainer gives to characters which no piece needs
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_BYTE_SCORE = -30.0  # below that of any piece: bytes stand only for what no piece holds


def vocabulary_for(size_bytes: int) -> int:
    """How many tokens a text of ``size_bytes`` is worth: distinct words grow with the square root of a text (Heaps)."""
    tokens = 4 * math.sqrt(size_bytes)
    return min(max(_MULTIPLE * round(tokens / _MULTIPLE), LEAST), MOST)


def train_tokenizer(texts: Iterable[str], vocabulary: int, algorithm: Algorithm = "bpe") -> Tokenizer:
    """A tokenizer with at most ``vocabulary`` tokens, fewer where the texts hold no more; the same for the same texts.

    Their order changes nothing. Any text goes through it and comes back as it was.
    """
    return _byte_level(texts, vocabulary) if algorithm == "bpe" else _unigram(texts, vocabulary)


def sample_of(texts: Iterable[str], characters: int) -> list[str]:
    """Different texts with about ``characters`` together, chosen by hash: where they stand in the file changes nothing.

    In memory of that size; sorted.
    """
    kept: list[tuple[int, str]] = []
    held: set[str] = set()
    length = 0
    for text in texts:
        entry = (-_draw(text), text)
        full = length >= characters
        if text in held or (full and entry < kept[0]):
            continue
        heapq.heappush(kept, entry)
        held.add(text)
        length += len(text)
        while length - len(kept[0][1]) >= characters:
            left = heapq.heappop(kept)[1]
            held.discard(left)
            length -= len(left)
    return sorted(held)


def write_tokenizer(tokenizer: Tokenizer, folder: Path, context: int, ends_text: bool = False) -> None:
    """Into ``folder`` in transformers' layout. Every text begins with BOS; with ``ends_text``, as encoders read, it
    ends with EOS too. ``context`` is the most tokens that the model reads.
    """
    ids = {name: tokenizer.token_to_id(name) for name in (BOS, EOS)}
    pieces = f"{BOS} $A {EOS}" if ends_text else f"{BOS} $A"
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=pieces, pair=f"{pieces} $B {EOS}" if ends_text else f"{pieces} $B", special_tokens=list(ids.items())
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "mask_token": MASK, "cls_token": BOS}
    others = [name for name in CONTROL_TOKENS if name not in named.values()]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        **named,
        "sep_token": EOS,
        "additional_special_tokens": others,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def read_own_tokenizer(folder: Path) -> Tokenizer:
    """What :func:`write_tokenizer` wrote into ``folder``. Raises ModelError for any other tokenizer."""
    tokenizer = read_tokenizer(folder).tokenizer
    lacking = [name for name in CONTROL_TOKENS if tokenizer.token_to_id(name) is None]
    if lacking:
        raise ModelError(
            t("the tokenizer in {folder} lacks control tokens: {names}", folder=folder, names=" ".join(lacking)),
            t("make one with: weitiao tokenizer DATA --output FOLDER"),
        )
    return tokenizer


def _byte_level(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(_PATTERN), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, as_bytes])  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _unigram(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """No normalisation and no stand-in for spaces: both would change texts. Bytes cannot be met in a text as they are
    written, for the pattern parts "<" from "0".
    """
    learner = Tokenizer(models.Unigram())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(_PATTERN), "isolated")  # type: ignore[assignment]
    room = vocabulary - len(CONTROL_TOKENS) - len(_BYTES)
    trainer = trainers.UnigramTrainer(  # type: ignore[call-arg]  # its stub knows no seed_size
        vocab_size=room + 1,
        special_tokens=[PAD],
        unk_token=PAD,
        max_piece_length=_LONGEST_PIECE,
        seed_size=_SEEDS * vocabulary,
        show_progress=False,
    )
    learner.train_from_iterator(_without_rare(list(texts), room // 2), trainer)
    learned = json.loads(learner.to_str())["model"]["vocab"]
    pieces = _settled((piece, score) for piece, score in learned if piece != PAD)
    control = [(name, 0.0) for name in CONTROL_TOKENS]
    model = models.Unigram([*control, *((byte, _BYTE_SCORE) for byte in _BYTES), *pieces[:room]], 0, True)
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROL_TOKENS])
    tokenizer.pre_tokenizer = learner.pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])  # type: ignore[assignment]
    return tokenizer


def _without_rare(texts: Sequence[str], characters: int) -> Iterator[str]:
    """``texts`` with the commonest ``characters``; each rarer one, which bytes will stand for, parts a text."""
    counts = Counter(character for text in texts for character in text)
    common = sorted(counts, key=lambda character: (-counts[character], character))[:characters]
    rare = str.maketrans(dict.fromkeys(counts.keys() - set(common), "\n"))
    return (text.translate(rare) for text in texts)


def _settled(pieces: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Pieces with their scores, likeliest first, without what differs from run to run: the last digits, and how the
    trainer ranks the characters which no piece needs.
    """
    found = list(pieces)
    least = min((score for _, score in found), default=0.0)
    settled = []
    for piece, score in found:
        steps = (score - least) / _PENALTY
        ranked = len(piece) == 1 and abs(steps - round(steps)) < 1e-5
        settled.append((piece, round(least if ranked else score, 6)))
    return sorted(settled, key=lambda entry: (-entry[1], entry[0]))


def _draw(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
