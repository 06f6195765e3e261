"""A process that writes while `verify` looks is no finding; real damage beside it is."""

import asyncio
from datetime import timedelta

import pytest

from tests.memory_store import Fault
from tests.unit.capture.rig import PREFIX
from tests.unit.verify.backup import (
    A,
    B,
    C,
    backed_up,
    beat,
    events_of,
    findings_of,
    put,
    report,
    rig_with_objects,
    spoil,
)
from watcher.verify.findings import (
    Changed,
    Finding,
    Missing,
    Proven,
    Unchecked,
    Waiting,
)

pytestmark = pytest.mark.looptime


async def test_a_change_that_the_journal_does_not_tell_of_yet_is_waited_for() -> None:
    rig = rig_with_objects()
    await rig.once()
    async with rig.running():
        await asyncio.sleep(65)
        await report(rig)
        await beat(rig)
        put(rig, "a", "2")
        put(rig, "d")
        rig.cluster.delete("configmaps", "default", "b")
        await rig.until(rig.equal)
        events = await events_of(rig)
        assert any(isinstance(event, Waiting) for event in events)
        assert not any(isinstance(event, Finding | Unchecked) for event in events)
        assert any(isinstance(event, Proven) for event in events)


async def test_a_cluster_that_never_rests_gives_no_finding() -> None:
    rig = rig_with_objects()
    await rig.once()
    rig.store.latency = 0.3  # verify takes its time too

    async def churn() -> None:
        for number in range(10_000):
            put(rig, "a", str(number))
            put(rig, f"new-{number}")
            if number >= 10:
                rig.cluster.delete("configmaps", "default", f"new-{number - 10}")
            await asyncio.sleep(1.7)

    async with rig.running():
        await report(rig)
        await beat(rig)
        churning = asyncio.create_task(churn())
        try:
            for _ in range(5):
                await asyncio.sleep(17)
                await beat(rig)
                assert await findings_of(rig) == []
        finally:
            churning.cancel()
            await asyncio.gather(churning, return_exceptions=True)


async def test_real_damage_is_found_beside_a_living_writer_and_at_once_where_it_can_be() -> None:
    rig = rig_with_objects()
    await rig.once()
    async with rig.running():
        await asyncio.sleep(130)
        await report(rig)
        await beat(rig)
        spoil(rig, A, lambda body: body.replace(b'"1"', b'"2"'))
        began = rig.clock()
        assert await findings_of(rig) == [Changed(A)]
        assert rig.clock() - began < timedelta(seconds=10)

        rig.store.removed_by_a_stranger(PREFIX + B)
        await beat(rig)
        assert await findings_of(rig) == [Changed(A), Missing(B)]
        assert rig.clock() - began > timedelta(seconds=60)


async def test_what_a_killed_writer_did_not_journal_is_told_apart() -> None:
    rig = rig_with_objects()
    await rig.once()
    async with rig.killed():
        await asyncio.sleep(65)
        await report(rig)
        await beat(rig)
        put(rig, "a", "2")
        await rig.until(rig.equal)
    await asyncio.sleep(300)
    events = await events_of(rig)
    assert [event for event in events if isinstance(event, Finding)] == []
    assert any("after the last line of the journal: 1;" in str(e) for e in events)


async def test_a_file_that_changed_while_it_was_read_is_judged_by_what_came_then() -> None:
    rig = await backed_up()
    reads = 0

    def choose(operation: str, key: str) -> Fault:
        nonlocal reads
        if operation == "GET" and key == PREFIX + A:
            reads += 1
            rig.store.removed_by_a_stranger(key)
        return Fault.NONE

    rig.store.choose_fault = choose
    assert await findings_of(rig) == [Missing(A)]
    assert reads == 1


async def test_what_a_real_reconcile_reports_is_seen_again_before_and_after_more_changes() -> None:
    rig = rig_with_objects(reconcile_schedule="0 * * * *", reconcile_window="1s")

    def reconciled() -> int:
        return sum("/_meta/reports/" in key for key in rig.store.objects())

    async with rig.running():
        await asyncio.sleep(700)  # an overdue one comes after ten minutes
        for name in ("a", "b"):
            spoil(rig, f"default/configmap/{name}.yaml", lambda body: body + b"# spoilt\n")
        rig.store.removed_by_a_stranger(PREFIX + C)
        rig.store.written_by_a_stranger(PREFIX + "default/configmap/stranger.yaml", b"kind: X\n")
        await asyncio.sleep(3700)
        assert reconciled() == 2
        for value in ("2", "3"):
            events = await events_of(rig)
            assert [event for event in events if isinstance(event, Finding)] == []
            assert any(isinstance(event, Proven) for event in events)
            put(rig, "a", value)
            put(rig, f"new-{value}")
            await asyncio.sleep(20)
