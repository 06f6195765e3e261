"""One writer a prefix, though no Lease decides: heartbeats, epochs and conditions do."""

import asyncio
import re
from datetime import datetime

import orjson
import pytest

from tests.memory_store import Fault
from tests.unit.capture.rig import PREFIX, Rig, config_map, following, refusal
from watcher.bucket.heartbeat import Heartbeat
from watcher.errors import RefusedError

pytestmark = pytest.mark.looptime

HELLO = "default/configmap/hello.yaml"
BEATS = PREFIX + "_meta/heartbeat/"


def beat(rig: Rig) -> Heartbeat:
    """The newest one."""
    key, body = [it for it in rig.store.objects().items() if it[0].startswith(BEATS)][-1]
    return Heartbeat.decode(body, key)


def beats(rig: Rig) -> int:
    """How many were written so far."""
    found = rig.store.requests.items()
    return sum(count for (operation, key), count in found if operation == "PUT" and BEATS in key)


def epoch(rig: Rig) -> int:
    return int(orjson.loads(rig.store.objects()[PREFIX + "_meta/owner.json"])["epoch"])


def age(rig: Rig, at: datetime | None) -> float:
    assert at is not None
    return (rig.clock() - at).total_seconds()


# -- heartbeats


async def test_it_beats_at_once_every_five_minutes_and_says_good_bye() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        assert beats(rig) >= 1
        await asyncio.sleep(20)
        before = beats(rig)
        await asyncio.sleep(3600)
        assert 12 <= beats(rig) - before <= 14
        seen = beat(rig)
        assert age(rig, seen.at) <= 300
        assert seen.healthy
        assert not seen.released
        assert seen.objects == len(rig.files())
        assert seen.kubernetes_version == "v1.36.3"
        assert seen.watcher_version == "test"
        assert seen.last_healthy == seen.at
        rig.cluster.update(config_map("hello", "2"))
        await rig.until(rig.equal)
        told = rig.metric("heartbeat_last_success_timestamp_seconds")
        assert int(told) == seen.at.timestamp()
    last = beat(rig)
    assert last.released
    assert age(rig, last.at) < 1
    assert 0 < age(rig, last.last_change) < 5
    assert last.writer == ("test", 1)


async def test_once_beats_and_says_good_bye_too() -> None:
    rig = Rig()
    await rig.once()
    assert beat(rig).released


async def test_who_is_killed_says_nothing() -> None:
    rig = Rig()
    async with rig.killed():
        await asyncio.sleep(60)
    assert not beat(rig).released


async def test_when_a_promise_breaks_and_when_it_holds_again_a_beat_says_so_soon() -> None:
    rig = Rig()
    async with rig.running():
        await asyncio.sleep(100)
        rig.store.choose_fault = lambda operation, key: (
            Fault.NONE if "_meta" in key else Fault.UNREACHABLE
        )
        rig.cluster.create(config_map("hello"))
        broken = rig.clock()
        await rig.until(lambda: not beat(rig).healthy, 50)
        (ailing,) = beat(rig).failing
        assert ailing.promise == "captured-in-time"
        assert abs((ailing.since - broken).total_seconds()) < 10
        last_healthy = beat(rig).last_healthy
        assert last_healthy is not None
        assert abs((last_healthy - broken).total_seconds()) < 40
        rig.store.recover()
        await rig.until(rig.equal)
        await rig.until(lambda: beat(rig).healthy, 20)


async def test_what_changes_all_the_time_beats_every_ten_seconds_at_most() -> None:
    rig = Rig()
    async with rig.running():
        await asyncio.sleep(30)
        before = beats(rig)
        for _ in range(100):
            rig.cluster.faults.unreachable(2)
            rig.cluster.faults.drop_watches()
            await asyncio.sleep(3)
        assert beats(rig) - before <= 31


async def test_a_bucket_that_takes_no_heartbeat_is_said_once_and_ends_nothing() -> None:
    rig = Rig()
    async with rig.running():
        rig.store.choose_fault = lambda operation, key: (
            Fault.REJECTED if BEATS in key else Fault.NONE
        )
        await asyncio.sleep(1800)
        assert rig.logged.getvalue().count("writing the heartbeat fails") == 1
        rig.store.recover()
        await asyncio.sleep(60)
        assert age(rig, beat(rig).at) < 60
        assert rig.logged.getvalue().count("writing the heartbeat works again") == 1


async def test_one_that_never_answers_does_not_keep_it_from_beating_again() -> None:
    rig = Rig()
    async with rig.running():
        rig.store.choose_fault = lambda operation, key: Fault.SILENT if BEATS in key else Fault.NONE
        await asyncio.sleep(400)
        rig.store.recover()
        await asyncio.sleep(60)
        assert age(rig, beat(rig).at) < 60


async def test_a_start_knows_from_the_last_beat_when_all_was_well() -> None:
    rig = Rig()
    await rig.once()
    well = beat(rig).last_healthy
    await asyncio.sleep(3600)
    rig.store.choose_fault = lambda operation, key: (
        Fault.UNREACHABLE if operation == "PUT" and "_meta" not in key else Fault.NONE
    )
    rig.cluster.create(config_map("hello"))
    async with rig.killed():
        await asyncio.sleep(60)
        assert not beat(rig).healthy
        assert beat(rig).last_healthy == well


# -- a second instance


async def test_a_second_instance_is_refused_while_the_first_one_lives() -> None:
    rig = Rig()
    async with rig.running():
        await asyncio.sleep(1000)
        before = rig.store.puts()
        with pytest.raises(RefusedError, match=r"test writes to example.com/east/.*--takeover"):
            await rig.beside("other").once()
        assert rig.store.puts() == before, "it touched nothing"
        assert epoch(rig) == 1
        rig.cluster.create(config_map("hello"))
        await rig.until(rig.equal)


async def test_it_need_not_wait_after_a_good_bye() -> None:
    rig = Rig()
    async with rig.running():
        pass
    await rig.beside("other").once()


async def test_it_waits_15_minutes_for_one_that_was_killed() -> None:
    rig = Rig()
    async with rig.killed():
        await asyncio.sleep(60)
    other = rig.beside("other")
    with pytest.raises(RefusedError, match=r"heartbeat is 5\d s old"):
        await other.once()
    await asyncio.sleep(840)
    with pytest.raises(RefusedError, match=r"heartbeat is 89\d s old"):
        await other.once()
    await asyncio.sleep(60)
    await other.once()


async def test_the_same_instance_starts_again_at_once() -> None:
    rig = Rig()
    async with rig.killed():
        await asyncio.sleep(60)
    await rig.once()
    assert epoch(rig) == 2


@pytest.mark.parametrize("conditional", [True, False])
async def test_after_a_takeover_the_older_one_stops_at_its_next_beat(conditional: bool) -> None:
    rig = Rig()
    if not conditional:
        rig.store.ignore_conditions()
    younger = rig.beside("other", takeover=True)
    async with following(rig) as older:
        await rig.until(lambda: rig.ready() is None)
        async with younger.running():
            await asyncio.sleep(310)
            assert re.match("another writer, other/2, writes to", str(refusal(older)))
            rig.cluster.create(config_map("hello"))
            await rig.until(rig.equal)
            assert beat(rig).writer == ("other", 2)


async def test_after_a_takeover_the_older_one_stops_at_its_next_write_if_that_is_first() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    younger = rig.beside("other", takeover=True)
    async with following(rig) as older:
        await rig.until(lambda: rig.ready() is None)
        async with younger.running(debounce="500ms"):
            rig.cluster.update(config_map("hello", "2"))
            await asyncio.sleep(5)
            assert re.match("another writer, other/2, writes to", str(refusal(older)))
            assert rig.equal()
        assert rig.metric("bucket_retries_total", reason="second-writer") == 1


async def test_what_the_older_one_wrote_first_is_no_strangers_work() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    younger = rig.beside("other", takeover=True)
    async with following(rig):
        await rig.until(lambda: rig.ready() is None)
        async with younger.running(debounce="5s", max_delay="10s"):
            rig.cluster.update(config_map("hello", "2"))
            await asyncio.sleep(3)
            assert rig.equal(), "the older one was quicker"
            rig.cluster.update(config_map("hello", "3"))
            await asyncio.sleep(20)
            assert rig.equal()
            assert younger.metric("bucket_retries_total", reason="stranger") == 0


@pytest.mark.parametrize("conditional", [True, False])
async def test_what_an_older_one_overwrote_late_is_put_right_by_the_next_look(
    conditional: bool,
) -> None:
    rig = Rig()
    if not conditional:
        rig.store.ignore_conditions()
    rig.cluster.create(config_map("hello"))
    younger = rig.beside("other", takeover=True)
    async with following(rig) as older:
        await rig.until(lambda: rig.ready() is None)
        rig.store.late = 60
        rig.store.choose_fault = lambda operation, key: (
            Fault.LATE if operation == "PUT" and HELLO in key else Fault.NONE
        )
        rig.cluster.update(config_map("hello", "2"))
        await asyncio.sleep(3)
        older.cancel()
        rig.store.recover()
        async with younger.running():
            rig.cluster.update(config_map("hello", "3"))
            await rig.until(rig.equal, 30)
            await asyncio.sleep(100)
            assert rig.equal() is conditional, "where conditions hold nothing lands late"
    await younger.once()
    assert rig.equal()


@pytest.mark.parametrize("conditional", [True, False])
async def test_of_starts_that_race_one_goes_on(conditional: bool) -> None:
    rig = Rig()
    if not conditional:
        rig.store.ignore_conditions()
    for number in range(50):
        rig.cluster.create(config_map(f"c{number}"))
    other = rig.beside("other")
    async with following(rig) as one, following(other) as two:
        await asyncio.sleep(1000)
        for number in range(50):
            rig.cluster.update(config_map(f"c{number}", "2"))
        await asyncio.sleep(100)
        ended = [task for task in (one, two) if task.done()]
        assert len(ended) == 1
        assert "another writer" in str(refusal(ended[0]))
        assert rig.equal()
        assert beat(rig).writer.epoch == epoch(rig)


@pytest.mark.parametrize("times", [1, 2, 7])
async def test_a_conflict_of_the_moment_is_tried_again_and_is_nobodys_fault(times: int) -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        conflicts = iter(range(times))
        rig.store.choose_fault = lambda operation, key: (
            Fault.CONFLICT
            if operation == "PUT" and HELLO in key and next(conflicts, None) is not None
            else Fault.NONE
        )
        rig.cluster.update(config_map("hello", "2"))
        await asyncio.sleep(2.5)
        assert "writing to the bucket fails" not in rig.logged.getvalue()
        await rig.until(rig.equal, 60)
        assert rig.metric("bucket_retries_total", reason="conflict") == times
        assert rig.metric("bucket_retries_total", reason="stranger") == 0
        assert rig.metric("bucket_retries_total", reason="precondition") == 0


async def test_what_is_too_old_is_swept_after_each_reconcile() -> None:
    rig = Rig()
    await rig.once()
    old = "heartbeat/2025-12-01.json", "reports/reconcile-20250901T020000Z.json"
    told = "journal/2025/09/01/000000-0-1.ndjson"
    for name in (*old, told):
        rig.store.written_by_a_stranger(f"{PREFIX}_meta/{name}", b"{}")
    async with rig.running():
        await asyncio.sleep(1500)  # the first one is overdue
    left = {key.removeprefix(PREFIX + "_meta/") for key in rig.store.objects()}
    assert not left & {*old, told}
    assert any(name.startswith("reports/") for name in left)


async def test_a_clock_that_was_a_year_ahead_keeps_nobody_out() -> None:
    rig = Rig()
    async with rig.killed():
        await asyncio.sleep(60)
    key, body = next(it for it in rig.store.objects().items() if it[0].startswith(BEATS))
    rig.store.written_by_a_stranger(
        BEATS + "2027-01-01.json", body.replace(b"2026-01-01T", b"2027-01-01T")
    )
    rig.store.removed_by_a_stranger(key)
    await rig.beside("other").once()


async def test_a_damaged_heartbeat_keeps_nobody_out() -> None:
    rig = Rig()
    rig.store.written_by_a_stranger(BEATS + "2026-01-01.json", b"garbage")
    await rig.once()
    assert beat(rig).released
