"""What every test gets: quiet threads, English, a home of its own, and the tiny models."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # two spinning threads on a busy machine make torch ten times slower
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
for _name in ("WEITIAO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
    os.environ.pop(_name, None)
_USERS_HOME = os.environ.get("WEITIAO_HOME")
sys.path.insert(0, str(Path(__file__).parent))  # `import tiny` works from every folder and import mode

import pytest  # noqa: E402 - what it imports reads the environment above

import tiny  # noqa: E402
from weitiao import words  # noqa: E402
from weitiao.data import samples  # noqa: E402
from weitiao.training import machine  # noqa: E402


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    words.set_language("en")
    yield
    words.set_language("en")


@pytest.fixture(autouse=True, scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``WEITIAO_HOME`` for the whole session: nothing of the user's cache is read or written."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEITIAO_HOME", str(home))
        yield home


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """A process that a script starts in the background ignores Ctrl-C, and Python leaves that as it is."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tests fork, and a child of a process whose OpenMP has had two threads waits for the second for ever."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "cores", lambda: 1)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_measuring() -> Iterator[None]:
    """How fast the machine is takes a tenth of a second to find out, each time that a session is built, and general
    texts are long for so small models: two of each language show as much.
    """
    from weitiao.evaluation.general_text import general_texts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weitiao.api.session.measure_flops", lambda width, hidden, dtype: 1e10)
        patch.setattr("weitiao.api.side_effects.general_texts", lambda language: general_texts(language)[:2])
        yield


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> "TinyFolders":
    """The folder of each family's tiny model, made when first asked for; never write into one."""
    return TinyFolders(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_llama(tiny_folders: "TinyFolders") -> Path:
    """The folder of the tiny Llama; never write into it."""
    return tiny_folders["llama"]


@pytest.fixture(scope="session")
def tiny_run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: the tiny Llama tuned by LoRA for six steps on the thirty rows, fp32; never write into it."""
    return tiny.tiny_run(tiny_llama, tmp_path_factory.mktemp("tuned"), "parent")


@pytest.fixture(scope="session")
def tiny_child(tiny_run: Path) -> Path:
    """A run tuned from the result of ``tiny_run``, on the same rows, lying beside it; never write into it."""
    return tiny.tiny_run(tiny_run, tiny_run.parent.parent, "child")


@pytest.fixture
def users_sample() -> Callable[[str], Path]:
    """``users_sample("sms-spam")``: a real sample in the user's own cache, never fetched here; skips when it is not."""

    def find(name: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            if _USERS_HOME is None:
                patch.delenv("WEITIAO_HOME")
            else:
                patch.setenv("WEITIAO_HOME", _USERS_HOME)
            found = samples.cached(name)
        if found is None:
            pytest.skip(f"the sample {name} is not here: weitiao samples {name}")
        return found

    return find


class TinyFolders:
    """``folders["qwen3"]``: the folder of that family's tiny model."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __getitem__(self, family: str) -> Path:
        folder = self._root / family
        if not folder.exists():
            (tiny.tiny_encoder if family in tiny.ENCODERS else tiny.tiny_model)(family, folder)
        return folder
