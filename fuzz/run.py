"""Damage files and read them, for a time: `python -m fuzz.run --help`.

Each case is decided by the name of its target, the seed and its number, so that `--only NAME --case NUMBER` repeats it.
The cases run in a process of their own, which is started again where one ends it.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from tabulate import tabulate

from fuzz.cases import SECONDS, Outcome, run_case, write_case
from fuzz.targets import TARGETS

FINDINGS = Path(__file__).parent / "findings"
RESERVE = 8 * 2**30  # bytes of addresses that the cases may take beside what the libraries do
START_SECONDS = 120  # to import the libraries


def main() -> int:
    options = parse_arguments()
    names = options.only or list(TARGETS)
    numbers: Iterable[int] = count() if options.case is None else [options.case]
    cases = ((name, number) for number in numbers for name in names)
    end = time.monotonic() + 60 * options.minutes
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in run(cases, options.seed, end):
        counts[outcome.target, outcome.kind] += 1
        if outcome.is_finding:
            folder = keep(outcome, options.seed)
            print(f"{outcome.target} {outcome.number}: {outcome.kind}: {outcome.text}\n  {folder}", flush=True)
    print(as_table(names, counts))
    findings = sum(number for (_, kind), number in counts.items() if Outcome("", 0, kind).is_finding)
    print(f"{counts.total():,} cases with the seed {options.seed}, {findings} of which neither read nor refused")
    return int(findings > 0)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="another seed is other damage")
    parser.add_argument("--only", nargs="+", choices=TARGETS, metavar="NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--case", type=int, help="the number of the one case to run")
    return parser.parse_args()


def run(cases: Iterable[tuple[str, int]], seed: int, end: float) -> Iterator[Outcome]:
    """Yield what comes of each case until the time `end` of the monotonic clock."""
    worker = None
    for target, number in cases:
        if time.monotonic() > end:
            break
        worker = worker or _Worker()
        outcome = worker.run(target, seed, number)
        if outcome.kind in ("crash", "stuck"):
            worker = None
        yield outcome
    if worker:
        worker.stop()


class _Worker:
    """A process that runs cases."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other,), daemon=True)
        self.process.start()
        other.close()
        self.pipe.poll(START_SECONDS)
        self.pipe.recv()

    def run(self, target: str, seed: int, number: int) -> Outcome:
        try:
            self.pipe.send((target, seed, number))
            # A reader that is in C does not hear of its deadline.
            if self.pipe.poll(4 * SECONDS):
                outcome: Outcome = self.pipe.recv()
                return outcome
        except (EOFError, OSError):
            self.process.join()
            return Outcome(target, number, "crash", f"the process ended with status {self.process.exitcode}")
        self.stop()
        return Outcome(target, number, "stuck", f"more than {4 * SECONDS} s")

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def _serve(pipe: Connection) -> None:
    """Run the cases that come, with a limit to the memory, and without what C libraries print."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        limit = pages * resource.getpagesize() + RESERVE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    pipe.send(None)
    with suppress(EOFError):
        while True:
            pipe.send(run_case(*pipe.recv()))


def keep(outcome: Outcome, seed: int) -> Path:
    """Write the files of a case to a folder, with what came of it; return the folder."""
    folder = FINDINGS / f"{outcome.target}-{seed}-{outcome.number}"
    write_case(outcome.target, seed, outcome.number, folder / "given")
    (folder / "outcome.txt").write_text(f"{outcome.kind}: {outcome.text}\n", encoding="utf-8")
    return folder


def as_table(names: Sequence[str], counts: Counter[tuple[str, str]]) -> str:
    """Return how often each target was read, refused, and neither."""
    rows = []
    for name in names:
        own = {kind: number for (target, kind), number in counts.items() if target == name}
        others = sum(own.values()) - own.get("read", 0) - own.get("refused", 0)
        rows.append([name, sum(own.values()), own.get("read", 0), own.get("refused", 0), others])
    return tabulate(rows, ["", "cases", "read", "refused", "neither"], tablefmt="github")


if __name__ == "__main__":
    sys.exit(main())
