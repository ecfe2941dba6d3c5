"""The jobs, a table and nothing else: what is trained or scored, who is compared, which figure counts, and the goal."""

from dataclasses import dataclass
from typing import Literal

MODEL = "smollm2-135m-instruct"
CUTOFF = 512  # tokens of a row

Figure = Literal[
    "tokens_per_cpu_second",  # real ones, of the training steps
    "tokens_per_second",  # of the wall
    "rows_per_cpu_second",  # of the last epoch
    "cpu_seconds",  # of the training steps
    "peak_memory_gb",
    "gflops",  # useful operations a processor second
    "startup_cpu_seconds",  # to the first step, beyond importing torch and reading the weights
    "demo_seconds",  # of the wall
]


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do a job. ``program`` is "ours", "peak", or a peer's module; ``arguments`` go to it."""

    program: str
    setting: str
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As results call it."""
        return f"{self.program} {self.setting}"


@dataclass(frozen=True, slots=True)
class Against:
    """Whom a job is compared with, or nobody. ``goal`` is of the ratio, at least; or at most."""

    side: Side | None
    goal: float | None = None
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """``steps`` of ``batch`` rows of the set ``rows``: ours and each rival, in turn."""

    name: str
    figure: Figure
    rows: Literal["alpaca", "sms", "long"]
    batch: int
    steps: int
    ours: Side
    against: tuple[Against, ...]
    heldout: int = 0  # rows that are scored
    threads: int = 1
    repeats: int | None = None  # where not as often as the others


def _ours(what: str, setting: str, *settings: str, flags: tuple[str, ...] = ()) -> Side:
    return Side("ours", setting, (what, *(f"--set={each}" for each in (*settings, f"cutoff_len={CUTOFF}")), *flags))


def _peer(program: str, setting: str = "default", *arguments: str) -> Side:
    return Side(program, setting, (f"--setting={setting}", f"--cutoff={CUTOFF}", *arguments))


_LORA = ("lora_rank=8", "lora_alpha=16", "learning_rate=2e-4", "epochs=1")
_FULL = ("method=full", "learning_rate=2e-5", "epochs=1")
_TOP = ("method=top_layers", "top_layers=4", "epochs=2")
_EQUAL = _ours("train", "default", *_LORA)  # as the peers train

JOBS = (
    Job(
        name="alpaca",
        figure="tokens_per_cpu_second",
        rows="alpaca",
        batch=4,
        steps=8,
        ours=_EQUAL,
        against=(
            Against(_peer("trl"), 8),
            Against(_peer("trl", "best")),
            Against(_peer("llamafactory"), 5),
            Against(_peer("llamafactory", "best"), 2.3),
            Against(_peer("swift"), 5),
            Against(_peer("swift", "best")),
            Against(_peer("torchtune"), 5),
            Against(_peer("litgpt"), 5),
            Against(_peer("litgpt", "best")),
        ),
    ),
    Job(
        name="alpaca-fp32",
        figure="tokens_per_cpu_second",
        rows="alpaca",
        batch=4,
        steps=8,
        ours=_ours("train", "fp32", *_LORA, "precision=fp32"),
        against=(Against(_peer("trl", "fp32"), 3.5),),
    ),
    Job(
        name="sms",
        figure="rows_per_cpu_second",
        rows="sms",
        batch=16,
        steps=4,
        ours=_EQUAL,
        against=(Against(_peer("trl"), 10),),
    ),
    Job(
        name="top-layers",
        figure="rows_per_cpu_second",
        rows="sms",
        batch=16,
        steps=4,
        ours=_ours("train", "top 4 layers, second epoch", *_TOP),
        against=(
            Against(_peer("trl"), 50),
            Against(_ours("train", "activations not kept", *_TOP, "keep_activations=off")),
        ),
    ),
    Job(
        name="full",
        figure="tokens_per_cpu_second",
        rows="alpaca",
        batch=4,
        steps=8,
        ours=_ours("train", "full", *_FULL),
        against=(Against(_peer("trl", "default", "--method=full"), 4),),
    ),
    Job(
        name="scoring",
        figure="rows_per_cpu_second",
        rows="sms",
        batch=64,
        steps=1,
        ours=_ours("score", "default"),
        against=(
            Against(_peer("transformers", "generate"), 17),
            Against(_peer("transformers", "batched"), 4.5),
            Against(_peer("transformers", "best")),
        ),
    ),
    Job(
        name="time-to-loss",
        figure="cpu_seconds",
        rows="alpaca",
        batch=4,
        steps=32,
        ours=_ours("reach", "own defaults"),
        against=(Against(_peer("trl", "default", "--heldout"), 15),),
        heldout=64,
        repeats=1,
    ),
    Job(
        name="memory",
        figure="peak_memory_gb",
        rows="long",
        batch=4,
        steps=2,
        ours=_EQUAL,
        against=(Against(_peer("trl", "best"), 0.5, at_most=True),),
    ),
    Job(
        name="share-of-peak",
        figure="gflops",
        rows="alpaca",
        batch=4,
        steps=8,
        ours=_EQUAL,
        against=(Against(Side("peak", "bf16"), 0.65),),
    ),
    Job(
        name="start-up",
        figure="startup_cpu_seconds",
        rows="alpaca",
        batch=4,
        steps=1,
        ours=_EQUAL,
        against=(Against(None, 3, at_most=True),),
    ),
    Job(
        name="start-up-first",
        figure="startup_cpu_seconds",
        rows="alpaca",
        batch=4,
        steps=1,
        ours=_ours("train", "default", *_LORA, flags=("--without=proofs",)),
        against=(Against(None, 3, at_most=True),),
    ),
    Job(
        name="two-cores",
        figure="tokens_per_second",
        rows="alpaca",
        batch=4,
        steps=8,
        ours=_ours("train", "two cores", *_LORA, "threads=2"),
        against=(Against(_ours("train", "one core", *_LORA, "threads=1"), 1.7), Against(_peer("trl"))),
        threads=2,
    ),
    Job(
        name="demo",
        figure="demo_seconds",
        rows="sms",
        batch=16,
        steps=1,
        ours=_ours("demo", "two cores"),
        against=(Against(None, 60, at_most=True),),
        threads=2,
        repeats=1,
    ),
    Job(
        name="without",
        figure="rows_per_cpu_second",
        rows="sms",
        batch=16,
        steps=4,
        ours=_EQUAL,
        against=(
            Against(_ours("train", "exact engine", *_LORA, flags=("--engine=exact",))),
            Against(_ours("train", "no shared prefix", *_LORA, flags=("--without=prefix",))),
            Against(_ours("train", "no compiled kernels", *_LORA, flags=("--without=kernels",))),
        ),
    ),
)
