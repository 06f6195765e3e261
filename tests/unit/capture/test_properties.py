"""Whatever the order of events, crashes and faults: in the end the bucket equals the cluster.

Hypothesis draws the story; virtual time plays it; at every crash the process is gone at once and
its last request may still land.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

import looptime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.faults import Failure
from tests.memory_store import Fault
from tests.unit.capture.rig import Rig, config_map


class _Loop(looptime.LoopTimeEventLoop, asyncio.SelectorEventLoop):
    pass


def _in_virtual_time(story: Coroutine[Any, Any, None]) -> None:
    def loop() -> _Loop:
        return _Loop(start=0, idle_step=1, idle_timeout=2)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story)


NAMES = st.sampled_from(["a", "b", "c"])
EVENTS = st.one_of(
    st.tuples(st.just("set"), NAMES, st.sampled_from(["1", "2"])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.5, 2.05, 20.0])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("drop watches")),
    st.tuples(st.just("compact")),
    st.tuples(st.just("store"), st.sampled_from([Fault.ANSWER_LOST, Fault.LATE, Fault.THROTTLED])),
)


async def _play(story: list[tuple[Any, ...]], conditional: bool) -> None:
    rig = Rig()
    if not conditional:
        rig.store.ignore_conditions()
    async with AsyncExitStack() as lives:
        await lives.enter_async_context(rig.killed())
        for what, *details in story:
            match what:
                case "set":
                    _set(rig, *details)
                case "delete":
                    _delete(rig, *details)
                case "wait":
                    await asyncio.sleep(*details)
                case "crash":
                    await lives.aclose()
                    await lives.enter_async_context(rig.killed())
                case "drop watches":
                    rig.cluster.faults.drop_watches()
                case "compact":
                    rig.cluster.faults.drop_watches()
                    rig.cluster.compact()
                case "store":
                    rig.store.fail_next(*details)
        rig.store.recover()
        await asyncio.sleep(rig.store.late + 120)
    # A dead process's request may land after all others: one more start puts that right.
    await rig.once()
    assert rig.files() == rig.expected()


def _set(rig: Rig, name: str, value: str) -> None:
    try:
        rig.cluster.create(config_map(name, value))
    except Failure:  # it is there already
        rig.cluster.update(config_map(name, value))


def _delete(rig: Rig, name: str) -> None:
    with suppress(Failure):  # it is not there
        rig.cluster.delete("configmaps", "default", name)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(story=st.lists(EVENTS, min_size=3, max_size=25), conditional=st.booleans())
def test_any_order_of_events_crashes_and_faults_ends_in_the_same_bucket(
    story: list[tuple[Any, ...]], conditional: bool
) -> None:
    _in_virtual_time(_play(story, conditional))
