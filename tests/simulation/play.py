"""One seed played, and one that fails made short.

Exists so that a failure is handed over as something a person can read: the fewest steps with
which it still fails. Promises: never raises for what a seed does; shortening takes at most so many
plays.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from unittest.mock import patch

from tests.simulation.invariants import Broken
from tests.simulation.plan import Plan, Step, describe, make
from tests.simulation.story import tell
from tests.simulation.trace import Trace
from tests.simulation.virtual import Stuck, run
from watcher.capture import nightly, overview, pulse, roster
from watcher.capture.deletes import decisions
from watcher.cluster import client

_PLAYS = 150  # to make one failure short
_SELDOM = (  # what is looked at each second or two would be half of the work
    (roster, "_RELIST_CHECK", 5.0),
    (decisions, "_POLL", 5.0),
    (pulse, "_LOOK", 15.0),
    (overview, "_EVERY", 30.0),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    plan: Plan
    failure: str  # "" if every promise was kept
    digest: str  # of the trace
    events: int
    last: tuple[str, ...]  # lines of the trace

    def report(self) -> str:
        """For a person."""
        trace = "\n".join(self.last)
        return f"{describe(self.plan)}\nthe end of the trace:\n{trace}\nFAILED: {self.failure}"


def play(plan: Plan) -> Outcome:
    trace = Trace()
    failure = ""
    with ExitStack() as patches:
        patches.enter_context(patch.object(client, "PAGE_SIZE", plan.sizes.page))  # small worlds
        for module, name, seconds in _SELDOM:
            patches.enter_context(patch.object(module, name, seconds))
        if not plan.sizes.nightly:  # else it would hide what capture does wrong
            patches.enter_context(patch.object(nightly, "_FIRST", 1e8))
        try:
            run(tell(plan, trace))
        except (Broken, Stuck) as broken:
            failure = str(broken)
    return Outcome(plan, failure, trace.digest, trace.count, tuple(trace.last))


def play_seed(seed: int) -> Outcome:
    return play(make(seed))


def shortened(failed: Outcome) -> Outcome:
    """The same kind of failure with as few steps as can be found quickly."""
    best, left, size = failed, _PLAYS, len(failed.plan.steps) // 2
    while size and left:
        start = 0
        while start < len(best.plan.steps) and left:
            fewer: tuple[Step, ...] = best.plan.steps[:start] + best.plan.steps[start + size :]
            tried = play(replace(best.plan, steps=fewer))
            left -= 1
            if _kind(tried.failure) == _kind(failed.failure):
                best = tried
            else:
                start += size
        size //= 2
    return best


def _kind(failure: str) -> str:
    return failure.partition(":")[0]
