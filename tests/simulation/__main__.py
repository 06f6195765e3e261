"""`python -m tests.simulation`: plays many seeds on all cores, and says what they found.

Exists for `make simulate`, for the tests that play a share of it, and for whoever has a failing
seed: `--first SEED --seeds 1` replays it, each time the same. (Sets of strings have an order that
the hash seed of Python decides, so a run with another one than 0 starts itself anew.) Exit 1 if a
seed failed, or with `--mutants` if a bug that was put in was not caught.
"""

import os
import sys
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from contextlib import ExitStack

from tests.simulation.mutants import LAST_CAUGHT_BY, MUTANTS
from tests.simulation.play import Outcome, shortened
from tests.simulation.seeds import outcomes

_PROGRESS = 10.0  # seconds between two lines of it
_SHORTENED = 3  # failures
_CRASHES = ("ended", "swallowed")  # a bug that breaks the program would be caught by any test


def main() -> int:
    parser = ArgumentParser("tests.simulation", formatter_class=ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="how many to play")
    parser.add_argument("--first", type=int, help="the first of them (0)")
    parser.add_argument("--seconds", type=float, help="end then, however many are left")
    parser.add_argument("--least", type=int, default=0, help="play so many however long it takes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument(
        "--mutants",
        nargs="*",
        metavar="NAME",
        help="put in these bugs (all), one at a time; is each caught by so many seeds? Without"
        " --first begin with the seed that caught it last",
    )
    parser.add_argument("--digests", action="store_true", help="print each trace's digest")
    chosen = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    return _play(chosen) if chosen.mutants is None else _mutate(chosen)


def _play(chosen: Namespace) -> int:
    began = said = time.monotonic()
    first = chosen.first or 0
    seeds = range(first, first + chosen.seeds)
    played = events = 0
    failed: list[Outcome] = []
    for outcome in outcomes(seeds, chosen.jobs):
        played += 1
        events += outcome.events
        if chosen.digests:
            print(outcome.plan.seed, outcome.digest)
        if outcome.failure:
            failed.append(outcome)
            print(f"seed {outcome.plan.seed}: {outcome.failure}", flush=True)
        now = time.monotonic()
        if now - said > _PROGRESS:
            said = now
            print(f"{played} of {len(seeds)} seeds, {len(failed)} failed", flush=True)
        if chosen.seconds and now - began > chosen.seconds and played >= chosen.least:
            break
    for outcome in failed[:_SHORTENED]:
        print(f"\n{shortened(outcome).report()}", flush=True)
    seconds = time.monotonic() - began
    print(f"{played} seeds, {events} events in {seconds:.0f} s: {len(failed)} failed")
    return 1 if failed else 0


def _mutate(chosen: Namespace) -> int:
    survivors = 0
    for name in chosen.mutants or MUTANTS:
        first = LAST_CAUGHT_BY.get(name, 0) if chosen.first is None else chosen.first
        with ExitStack() as bug:
            bug.enter_context(MUTANTS[name]())
            for outcome in outcomes(range(first, first + chosen.seeds), chosen.jobs, share=1):
                if outcome.failure and not outcome.failure.startswith(_CRASHES):
                    print(f"{name}: caught by seed {outcome.plan.seed}: {outcome.failure}")
                    break
            else:
                survivors += 1
                print(f"{name}: SURVIVED {chosen.seeds} seeds from {first} on")
        sys.stdout.flush()
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
