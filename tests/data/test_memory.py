"""What a large file takes, as the system counts it: every pass over it, in a process of its own."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from weitiao.data import keys
from weitiao.data.checks import inspect
from weitiao.data.dataset import open_dataset
from weitiao.data.ledger import Dropped, Entry, Ledger
from weitiao.data.partition import Sources, assigned, partition
from weitiao.process import settle

settle()  # memory that was freed and cannot be used again counts too
keys._PART_ROWS = 1 << 12  # so that sorting one part takes the same, few rows or many
sources = Sources(open_dataset(Path(sys.argv[1])))
divided = partition(sources)
inspect(sources, divided, near_rows=1000)
with Ledger(Path(sys.argv[2])) as ledger:
    for row, (item, split) in enumerate(assigned(sources, divided)):
        if isinstance(item, Dropped):
            ledger.add(Entry(item.source, "dropped", item.reason, item.detail))
        elif split:
            ledger.add(Entry(item.source, "used", "", "", item.id, split))
        else:
            ledger.add(Entry(item.source, "dropped", *divided.dropped[row], item.id))
counts = ledger.counts()
assert counts["read"] == len(divided.split_of) and counts["dropped"] > len(divided.split_of) // 100, counts
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def _peak(folder: Path, rows: int) -> int:
    """The most bytes that a process held that read a file of so many rows, a few of them repeated or broken."""
    draw = random.Random(rows)
    path = folder / f"{rows}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            text = f"text 文本 {draw.randrange(rows)} " + "and so on " * draw.randrange(8)
            broken = '5, "label": "a"' if number % 200 == 7 else f'"{text}", "label": "{draw.choice("abc")}"'
            file.write(f'{{"text": {broken}}}\n')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(folder / "ledger.jsonl")],
        check=True,
        capture_output=True,
        text=True,
    )
    return 1024 * int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_further_row_takes_less_than_forty_bytes(tmp_path: Path) -> None:
    few, many = 30_000, 300_000
    grown = _peak(tmp_path, many) - _peak(tmp_path, few)
    assert grown / (many - few) < 40
