"""`python -m tests.simulation`: plays many seeds on all cores, and says what they found.

Exists for `make simulate`, for the tests that play a share of it, and for whoever has a failing
seed: `--first SEED --seeds 1` replays it, each time the same. (Sets of strings have an order that
the hash seed of Python decides, so a run with another one than 0 starts itself anew.) Exit 1 if a
seed failed.
"""

import os
import sys
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import islice

from tests.simulation.mutants import MUTANTS
from tests.simulation.play import Outcome, play_seed, shortened

_SHARE = 5  # seeds that a worker takes at once
_PROGRESS = 10.0  # seconds between two lines of it
_SHORTENED = 3  # failures


def main() -> int:
    parser = ArgumentParser("tests.simulation", formatter_class=ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="how many to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seconds", type=float, help="end then, however many are left")
    parser.add_argument("--least", type=int, default=0, help="play so many however long it takes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument(
        "--mutant", choices=sorted(MUTANTS), help="a bug to put in; ends when found"
    )
    parser.add_argument("--digests", action="store_true", help="print each seed's trace's digest")
    chosen = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    began = said = time.monotonic()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    played = events = 0
    failed: list[Outcome] = []
    with ExitStack() as mutations:
        if chosen.mutant:
            mutations.enter_context(MUTANTS[chosen.mutant]())
        for outcome in _outcomes(seeds, chosen.jobs):
            played += 1
            events += outcome.events
            if chosen.digests:
                print(outcome.plan.seed, outcome.digest)
            if outcome.failure:
                failed.append(outcome)
                print(f"seed {outcome.plan.seed}: {outcome.failure}", flush=True)
                if chosen.mutant:
                    break
            now = time.monotonic()
            if now - said > _PROGRESS:
                said = now
                print(f"{played} of {len(seeds)} seeds, {len(failed)} failed", flush=True)
            if chosen.seconds and now - began > chosen.seconds and played >= chosen.least:
                break
        for outcome in [] if chosen.mutant else failed[:_SHORTENED]:
            print(f"\n{shortened(outcome).report()}", flush=True)
    seconds = time.monotonic() - began
    print(f"{played} seeds, {events} events in {seconds:.0f} s: {len(failed)} failed")
    return 1 if failed else 0


def _outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    """In the order of the seeds."""
    if jobs == 1:
        yield from map(play_seed, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        try:
            left = iter(seeds)
            waiting = [pool.submit(_play, share) for share in _shares(left, 4 * jobs)]
            while waiting:
                yield from waiting.pop(0).result()
                waiting += [pool.submit(_play, share) for share in _shares(left, 1)]
        finally:
            pool.shutdown(cancel_futures=True)


def _shares(seeds: Iterator[int], n: int) -> Iterator[list[int]]:
    for _ in range(n):
        if share := list(islice(seeds, _SHARE)):
            yield share


def _play(seeds: list[int]) -> list[Outcome]:
    return [play_seed(seed) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
