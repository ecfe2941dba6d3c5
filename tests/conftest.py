"""What every test gets: quiet threads, English, a home of its own, and the tiny models."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # two spinning threads on a busy machine make torch ten times slower
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
for _name in ("WEITIAO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
    os.environ.pop(_name, None)
sys.path.insert(0, str(Path(__file__).parent))  # `import tiny` works from every folder and import mode

import pytest  # noqa: E402 - what it imports reads the environment above

import tiny  # noqa: E402
from weitiao import words  # noqa: E402


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


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> "TinyFolders":
    """The folder of each family's tiny model, made when first asked for; never write into one."""
    return TinyFolders(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_llama(tiny_folders: "TinyFolders") -> Path:
    """The folder of the tiny Llama; never write into it."""
    return tiny_folders["llama"]


class TinyFolders:
    """``folders["qwen3"]``: the folder of that family's tiny model."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __getitem__(self, family: str) -> Path:
        folder = self._root / family
        if not folder.exists():
            tiny.tiny_model(family, folder)
        return folder
