"""The answers to a scored set, asked in parts of which each is on disk before the next: an evaluation that was stopped
or killed goes on where it was, to the same bits.

What was kept is found again by digests of the model, of the items and of all else that decides an answer's bits, so
that answers to something else are never taken. Separate because ``evaluate`` wants the answers and no more.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import transformers

from weitiao.api.answering import Respondent
from weitiao.api.growing_file import GrowingFile, growing_file
from weitiao.api.listener import Listener
from weitiao.api.scored_set import ScoredSet
from weitiao.api.stopping import StopRequest
from weitiao.codec.prompt import conversation
from weitiao.data.samples import cache_folder
from weitiao.errors import MachineError
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.ask import Progress, ask, scored_together, written_together
from weitiao.evaluation.stored import answers_from_json, answers_json
from weitiao.lineage import code_version, digest_json
from weitiao.training import machine
from weitiao.training.engine import Engine
from weitiao.words import t

_FORGOTTEN_SECONDS = 30 * 86400.0


@dataclass(frozen=True)
class Asking:
    """Who is asked what; of what is answered in words, the first ``generated`` items are also written out."""

    respondent: Respondent
    scored: ScoredSet
    generated: int
    max_new_tokens: int


@dataclass(frozen=True)
class Asked:
    """The answers, and the time that processes before this one have spent on them."""

    answers: Answers
    seconds: float
    cpu_seconds: float


@contextmanager
def kept_answers(engine: Engine, asking: Asking, listen: Listener) -> Iterator[Asked]:
    """The answers of ``engine``. They stay on disk until the block ends well.

    Raises Stopped when asked to stop, SettingsError when another process does the same, MachineError when the disk
    refuses.
    """
    digests = _digests(engine, asking)
    with growing_file(_place(digests), digests) as kept:
        yield _asked(engine, asking, kept, listen)
        kept.discard()


@dataclass(frozen=True, slots=True)
class _Part:
    items: Sequence[int]
    written: bool  # written out, else only scored


def _asked(engine: Engine, asking: Asking, kept: GrowingFile, listen: Listener) -> Asked:
    parts, count = _parts(asking), len(asking.scored.items)
    found = [answers_from_json(json.loads(line)) for line in kept.path.read_text(encoding="ascii").split("\n")[:-1]]
    if found:
        listen("kept", {"done": _scored(parts[: len(found)]), "count": count})
    before = kept.journal.place or {"seconds": 0.0, "cpu_seconds": 0.0}
    began = {"seconds": time.monotonic(), "cpu_seconds": time.process_time()}
    with StopRequest() as stop:

        def obey(_: int = 0, __: int = 0) -> None:
            done = _scored(parts[: len(found)])
            stop.obey(t("stopped after {count} rows, and saved", count=done), t("give the same command again to go on"))

        for part in parts[len(found) :]:
            found.append(_answers(engine, asking, part, obey))
            spent = {
                "seconds": before["seconds"] + time.monotonic() - began["seconds"],
                "cpu_seconds": before["cpu_seconds"] + time.process_time() - began["cpu_seconds"],
            }
            kept.append(f"{json.dumps(answers_json(found[-1]))}\n".encode("ascii"), spent)
            listen("scoring", {"done": _scored(parts[: len(found)]), "count": count})
            obey()
    return Asked(_joined(parts, found), **before)


def _parts(asking: Asking) -> list[_Part]:
    """What ``ask`` would take together, in its order."""
    items, task = asking.scored.items, asking.scored.task
    scored = [_Part(numbers, False) for numbers in scored_together(len(items))]
    if asking.respondent.use.head != "words" or task.kind not in ("reply", "mark"):
        return scored
    conversations = [conversation(item.example, task) for item in items[: asking.generated]]
    prompts = asking.respondent.codec.encode_prompts(conversations)
    return [*scored, *(_Part(numbers, True) for numbers in written_together(prompts))]


def _answers(engine: Engine, asking: Asking, part: _Part, obey: Progress) -> Answers:
    items = [asking.scored.items[number] for number in part.items]
    return ask(
        engine,
        [(item.example, item.row) for item in items],
        asking.scored.task,
        asking.respondent.codec,
        asking.respondent.cutoff_len,
        len(items) if part.written else 0,
        asking.max_new_tokens,
        obey if part.written else None,  # writing is slow; a score, once there, is kept first
    )


def _joined(parts: Sequence[_Part], found: Sequence[Answers]) -> Answers:
    """The answers to all items: of those that were written out the reply, of all the score."""
    scored = [answers for part, answers in zip(parts, found, strict=True) if not part.written]
    predicted = [text for answers in scored for text in answers.predicted]
    generated = np.concatenate([answers.generated for answers in scored])
    for part, answers in zip(parts, found, strict=True):
        for number, text in zip(part.items, answers.predicted, strict=True):
            if part.written:
                predicted[number], generated[number] = text, True
    shares = [answers.probabilities for answers in scored if answers.probabilities is not None]
    held = [answers.held for answers in scored if answers.held is not None]
    hits = [answers.hit_count for answers in scored if answers.hit_count is not None]
    return replace(
        scored[0],
        gold=tuple(text for answers in scored for text in answers.gold),
        predicted=tuple(predicted),
        probabilities=np.concatenate(shares) if shares else None,
        loss_sum=np.concatenate([answers.loss_sum for answers in scored]),
        loss_count=np.concatenate([answers.loss_count for answers in scored]),
        byte_count=np.concatenate([answers.byte_count for answers in scored]),
        generated=generated,
        hit_count=np.concatenate(hits) if hits else None,
        held=np.concatenate(held) if held else None,
    )


def _scored(parts: Sequence[_Part]) -> int:
    return sum(len(part.items) for part in parts if not part.written)


def _digests(engine: Engine, asking: Asking) -> dict[str, str]:
    respondent = asking.respondent
    rows = hashlib.sha256()
    for item in asking.scored.items:
        for piece in (item.example.id.encode("ascii"), item.row.tokens.tobytes(), item.row.targets.tobytes()):
            rows.update(len(piece).to_bytes(8, "big") + piece)
    settings = {
        "task": asdict(asking.scored.task),
        "template": respondent.codec.template.source,
        "cutoff_len": respondent.cutoff_len,
        "precision": respondent.precision,
        "engine": engine.identity,
        "generated": asking.generated,
        "max_new_tokens": asking.max_new_tokens,
        "threads": torch.get_num_threads(),
        "device": str(machine.device()),
        "code": [code_version(), torch.__version__, transformers.__version__],
    }
    return {"model": respondent.source.digest, "data": rows.hexdigest(), "settings": digest_json(settings)}


def _place(digests: dict[str, str]) -> Path:
    """Where answers are kept; what nobody went on with for a month is gone."""
    folder = cache_folder() / "evaluations"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            with suppress(FileNotFoundError):  # another process was faster
                if left.stat().st_mtime < time.time() - _FORGOTTEN_SECONDS:
                    left.unlink()
    except OSError as error:
        raise MachineError(
            t("{folder} cannot be written: {reason}", folder=folder, reason=error.strerror or error),
            t("make the folder writable, or point WEITIAO_HOME at another one"),
        ) from error
    return folder / f"{digest_json(digests)[:32]}.jsonl"
