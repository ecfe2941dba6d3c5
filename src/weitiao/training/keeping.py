"""Whether a run keeps what can never change, where, and how much of the disk that may take.

Separate from the keeping itself, which is only asked to give the same numbers.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from weitiao.models.anatomy import Model, blocks, embeddings
from weitiao.training.activation_files import ActivationFiles, every_folder, existing, taken_bytes
from weitiao.training.activations import SCORED_TYPE
from weitiao.training.engine import Engine
from weitiao.training.fast import Fast
from weitiao.training.proved import circumstances
from weitiao.training.rows import Rows
from weitiao.words import t

_SHARE_OF_FREE = 10  # a tenth


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings say, and what the run will ask for."""

    keep: str  # auto, on or off
    limit_bytes: int | None
    rows_seen: int  # over all steps
    scored_tokens: int  # of dev and test


@dataclass(frozen=True, slots=True)
class Keeping:
    """What was decided."""

    where: Path | None  # the folder; None when nothing is kept
    reason: str  # for people
    worth_saying: bool = False
    missing_bytes: int = 0  # that will be written, at most

    @property
    def kept(self) -> bool:
        """Whether anything is."""
        return self.where is not None

    @property
    def note(self) -> str:
        """What to tell a person who did not ask; empty for nothing."""
        if not self.worth_saying:
            return ""
        return self.reason if self.kept else t("activations are not kept: {reason}", reason=self.reason)


def keep(engine: Engine, rows: Rows, wish: Wish) -> Keeping:
    """Decide, and let ``engine`` keep what its frozen blocks return."""
    asked_for = wish.keep == "on"
    if wish.keep == "off":
        return Keeping(None, t("as asked"))
    if not isinstance(engine, Fast):
        return Keeping(None, t("only the fast engine keeps them"), asked_for)
    if not engine.border:
        return Keeping(None, t("nothing stays as it is under what learns"), asked_for)
    weight = embeddings(engine.model).weight
    learned = int(rows.lengths.sum()) * weight.shape[1] * weight.itemsize
    scored = wish.scored_tokens * weight.shape[1] * SCORED_TYPE.itemsize
    limit = wish.limit_bytes if wish.limit_bytes is not None else _default_limit()
    if not asked_for and wish.rows_seen < len(rows):
        return Keeping(None, t("not every row is learned from"))
    against = "" if asked_for else _against(learned, limit)
    if against:
        return Keeping(None, against, worth_saying=True)
    where = every_folder() / fingerprint(engine.model, engine.border)[:32]
    room = max(limit - learned, 0)
    scored = min(scored, room)
    missing = max(learned + scored - taken_bytes(where), 0)
    engine.keep(rows, ActivationFiles(where, None if asked_for else max(limit - missing, 0)), room)
    said = t(
        "the lowest {blocks} layers never change: what they return is kept, about {size} MB of disk",
        blocks=engine.border,
        size=-(-(learned + scored) >> 20),
    )
    return Keeping(where, said, True, missing)


def fingerprint(model: Model, border: int) -> str:
    """The digest of all that decides, to the last bit, what the first ``border`` blocks return for a row."""
    digest = circumstances(model)
    digest.update(str(border).encode("ascii"))
    frozen: list[nn.Module] = [embeddings(model), *blocks(model)[:border]]
    for module in frozen:
        for name, weight in module.named_parameters():
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
            digest.update(_bytes_of(weight))
    return digest.hexdigest()


def _against(size: int, limit: int) -> str:
    """Why ``size`` bytes cannot be kept; empty where they can."""
    if size > limit:
        return t("{size} MB are needed, and the limit is {limit} MB", size=-(-size >> 20), limit=limit >> 20)
    try:
        every_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return t("{folder} cannot be written: {reason}", folder=every_folder(), reason=error.strerror or error)
    return ""


def _default_limit() -> int:
    """A tenth of what is free or taken by what was kept."""
    free = shutil.disk_usage(existing(every_folder())).free
    return (free + taken_bytes(every_folder())) // _SHARE_OF_FREE


def _bytes_of(weight: Tensor) -> memoryview:
    return weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy().data
