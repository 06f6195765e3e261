"""A backup that nobody keeps up to date, or that no reconcile proves, is a finding."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.capture.rig import PREFIX
from tests.unit.verify.backup import (
    DAY,
    HOUR,
    LAYOUT,
    A,
    B,
    backed_up,
    beat,
    events_of,
    findings_of,
    put,
    report,
    rig_with_objects,
    spoil,
)
from watcher.bucket import retired
from watcher.bucket.hashroot import hash_root
from watcher.bucket.heartbeat import Ailing
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import etag_of
from watcher.bucket.reports import Root, Tally
from watcher.bucket.retired import Retired
from watcher.verify.findings import (
    Ailing as SaysIll,
)
from watcher.verify.findings import (
    Changed,
    Drift,
    Fast,
    Finding,
    Incomplete,
    Overdue,
    Proven,
    Silent,
    Stopped,
    Unchecked,
    Unequal,
    Unproven,
)
from watcher.verify.verify import Demands

pytestmark = pytest.mark.looptime


# Signs of life


async def test_a_heartbeat_that_stopped_is_a_finding() -> None:
    rig = await backed_up()
    await asyncio.sleep(1200)
    await beat(rig, timedelta(minutes=16))
    (found,) = await findings_of(rig)
    assert str(found) == "the last heartbeat is 16 minutes old: nobody keeps this backup up to date"


async def test_no_heartbeat_at_all_is_a_finding() -> None:
    rig = rig_with_objects()
    await rig.once()
    await report(rig)
    for key in rig.store.objects():
        if "/_meta/heartbeat/" in key:
            rig.store.removed_by_a_stranger(key)
    assert await findings_of(rig) == [Silent()]


async def test_a_writer_that_was_stopped_may_be_away_for_a_day() -> None:
    rig = await backed_up()
    await asyncio.sleep(23 * 3600)
    assert await findings_of(rig) == []
    await asyncio.sleep(2 * 3600)
    (found,) = await findings_of(rig)
    assert isinstance(found, Stopped)  # and no word of the reconcile that it could not run
    assert await findings_of(rig, Demands(retired=("example.com/e*",))) == []


async def test_a_cluster_that_the_bucket_says_is_retired_may_be_away_for_ever() -> None:
    rig = await backed_up()
    await asyncio.sleep(3 * 86400)
    await retired.mark(rig.store, LAYOUT, Retired(rig.clock(), "moved"))
    assert await findings_of(rig) == []


async def test_a_mark_that_nobody_understands_retires_nobody() -> None:
    rig = await backed_up()
    await asyncio.sleep(3 * 86400)
    await rig.store.put(PREFIX + Layout.meta(retired.FILE), b"yes")
    broken, stopped = await findings_of(rig)
    assert str(broken).endswith("_meta/retired.json is no mark of a retired cluster")
    assert isinstance(stopped, Stopped)


async def test_a_writer_that_says_it_is_ill_is_believed_after_a_quarter_of_an_hour() -> None:
    rig = await backed_up()
    await asyncio.sleep(3600)
    since = rig.clock().replace(microsecond=0)
    ill = Ailing("capture-lag", "pods", since)
    await beat(rig, failing=[ill], last_healthy=since - timedelta(minutes=14))
    assert await findings_of(rig) == []
    await beat(rig, failing=[ill], last_healthy=since - timedelta(minutes=15))
    assert await findings_of(rig) == [SaysIll("capture-lag", "pods", since)]


async def test_a_writer_that_was_never_well_is_believed_once_its_first_sync_took_half_an_hour() -> (
    None
):
    rig = await backed_up()
    since = rig.clock().replace(microsecond=0)
    ill = Ailing("first-sync", "", since)
    await asyncio.sleep(1700)
    await beat(rig, failing=[ill], last_healthy=None)
    assert await findings_of(rig) == []
    await asyncio.sleep(200)
    await beat(rig, failing=[ill], last_healthy=None)
    assert await findings_of(rig) == [SaysIll("first-sync", "", since)]


async def test_a_heartbeat_from_the_future_is_a_finding() -> None:
    rig = await backed_up()
    await beat(rig, -HOUR)
    (found,) = await findings_of(rig)
    assert isinstance(found, Fast)


# The last reconcile


async def test_a_reconcile_is_due_26_hours_after_the_last_or_after_the_claim() -> None:
    rig = rig_with_objects()
    await rig.once()
    await asyncio.sleep(25 * 3600)
    await beat(rig)
    assert await findings_of(rig) == []
    await asyncio.sleep(2 * 3600)
    await beat(rig)
    assert await findings_of(rig) == [Overdue(None, timedelta(hours=26))]
    await report(rig)
    assert await findings_of(rig) == []
    await report(rig, 3 * HOUR)
    assert await findings_of(rig) == []  # an older one changes nothing
    assert len(await findings_of(rig, Demands(max_report_age=timedelta(0)))) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"resources": {"pods": Tally(0, 3, unread="403"), "jobs.batch": Tally(1, 1)}},
            [Incomplete("pods", "403")],
        ),
        ({"missing": (A,), "orphaned": (B,), "repaired": 2}, []),
        ({"missing": (A,), "orphaned": (B,), "repaired": 1, "held": 1}, [Drift(1, 1)]),
        ({"missing": (A,), "repaired": 1, "dry_run": True}, [Drift(1, 0)]),
    ],
)
async def test_what_a_reconcile_left_is_a_finding(
    fields: dict[str, Any], expected: list[Finding]
) -> None:
    rig = await backed_up()
    await asyncio.sleep(2)
    await report(rig, **fields)
    assert await findings_of(rig) == expected


async def test_roots_that_differ_without_a_difference_are_a_finding() -> None:
    rig = await backed_up()
    await asyncio.sleep(2)
    made = await report(rig)
    assert made.hash_root is not None
    await asyncio.sleep(2)
    await report(rig, hash_root=replace(made.hash_root, cluster="0" * 64))
    assert await findings_of(rig) == [Unequal()]


# The hash root


async def test_the_root_is_seen_again_whatever_changed_since() -> None:
    rig = rig_with_objects()
    await rig.once()
    async with rig.running():
        await asyncio.sleep(65)
        await report(rig)
        for value in ("2", "3"):
            put(rig, "a", value)
            await asyncio.sleep(30)
        rig.cluster.delete("configmaps", "default", "b")
        put(rig, "d")
        await asyncio.sleep(10)
        put(rig, "b", "9")
        await asyncio.sleep(70)
        await beat(rig)
        events = await events_of(rig)
        assert any(isinstance(event, Proven) for event in events)


async def test_keys_that_moved_during_the_reconcile_are_left_out() -> None:
    rig = await backed_up()
    await asyncio.sleep(2)
    files = [(key, etag_of(body).strip('"')) for key, body in rig.files().items() if key != A]
    root = hash_root(files)
    await report(rig, hash_root=Root(root, root, len(files)), moving=(A,))
    assert Proven(len(files)) in await events_of(rig)


async def test_a_root_that_cannot_be_shown_again_is_a_finding() -> None:
    rig = await backed_up()
    await asyncio.sleep(2)
    files = len(rig.files())
    await report(rig, hash_root=Root("0" * 64, "0" * 64, 7))
    assert await findings_of(rig) == [Unproven(7, files)]


async def test_one_damaged_file_does_not_spoil_the_proof_of_the_others() -> None:
    rig = await backed_up()
    spoil(rig, A, lambda body: body.replace(b'"1"', b'"2"'))
    events = await events_of(rig)
    assert Changed(A) in events
    assert any(isinstance(event, Proven) for event in events)


async def test_where_etags_are_no_md5s_it_is_said_that_nothing_is_proven() -> None:
    rig = rig_with_objects()
    rig.store.etags_are_not_md5()
    await rig.once()
    await report(rig)
    await beat(rig, released=True)
    events = await events_of(rig)
    assert not any(isinstance(event, Finding) for event in events)
    assert any("no MD5s" in str(event) for event in events if isinstance(event, Unchecked))


# Said in words


def test_every_event_is_one_line_for_a_person() -> None:
    at = datetime(2026, 7, 1)
    for event in (
        SaysIll("capture-lag", "pods", at),
        SaysIll("bucket", "", at),
        Overdue(None, DAY),
        Overdue(3 * DAY, DAY),
        Silent(),
        Silent(3 * DAY),
        Drift(3, 1),
        Drift(3, 0),
    ):
        assert str(event)
        assert "\n" not in str(event)
