"""``python -m benchmarks``: measure all jobs beside the peers, keep the results, print the table.

With ``--job``, ``--peer`` or ``--steps`` it is a part, which is printed and kept only where ``--output`` says so.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import results
from benchmarks.comparison import chosen, compare
from benchmarks.jobs import JOBS
from benchmarks.table import more_table, ratios_table


def main() -> int:
    given = arguments()
    jobs = chosen(JOBS, given.job, given.peer, given.steps)
    if not jobs:
        print(f"error: there is no such job against such a peer: {given.job} {given.peer}", file=sys.stderr)
        return 2
    document = compare(jobs, given.home, given.repeats)
    whole = not (given.job or given.peer or given.steps)
    output = given.output or (results.FOLDER / f"{document['date'][:10]}-{document['commit']}.json" if whole else None)
    if output:
        results.write(document, output)
    print(f"\n{ratios_table(document)}\n\n{more_table(document)}")
    for failure in document["failures"]:
        print(f"\n{failure['job']} {failure['against']}: {failure['reason']}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--job", action="append", default=[], choices=[job.name for job in JOBS])
    parser.add_argument("--peer", action="append", default=[], help="trl, or one of its settings: 'trl best'")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of each job, instead of its own number")
    parser.add_argument("--home", type=Path, default=Path(".bench"), help="the folder for environments, data and logs")
    parser.add_argument("--output", type=Path, help="where the results are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
