"""A reconcile finds exactly what is wrong, repairs exactly that, and calls nothing else drift."""

import asyncio
from datetime import timedelta
from itertools import count
from typing import Any

import orjson
import pytest

from tests.memory_store import Fault
from tests.unit.capture.rig import PREFIX, Rig, config_map
from watcher.bucket.slices import of_night

pytestmark = pytest.mark.looptime

NIGHTS = {"reconcile_schedule": "*/15 * * * *", "reconcile_window": "1s"}  # short ones
BEGINS = "reconcile begins"
NIGHT = 2000.0  # seconds until a reconcile has surely been due, and done


def reports(rig: Rig) -> list[dict[str, Any]]:
    folder = f"{PREFIX}_meta/reports/"
    return [
        orjson.loads(body) for key, body in rig.store.objects().items() if key.startswith(folder)
    ]


async def next_report(rig: Rig) -> dict[str, Any]:
    before = len(reports(rig))
    await rig.until(lambda: len(reports(rig)) > before, NIGHT, poll=5.0)
    return reports(rig)[-1]


def filled(objects: int = 60) -> Rig:
    rig = Rig(**NIGHTS)
    for number in range(objects):
        rig.cluster.create(config_map(f"map-{number:02}"))
    return rig


def key(number: int) -> str:
    return f"default/configmap/map-{number:02}.yaml"


KEYS = [key(number) for number in range(60)]


async def test_where_all_is_well_it_writes_a_report_and_nothing_else() -> None:
    rig = filled()
    async with rig.running():
        await next_report(rig)
        before = rig.writes()
        report = await next_report(rig)
        assert rig.writes() == before
        assert report["drift"] == {"missing": [], "changed": [], "orphaned": []}
        assert report["resources"]["configmaps"] == {"cluster": 60, "bucket": 60, "left_out": {}}
        assert report["hash_root"]["cluster"] == report["hash_root"]["bucket"]
        assert report["hash_root"]["objects"] == len(rig.files())
        assert report["size"] == sum(map(len, rig.files().values()))
        assert report["moving"] == []


async def test_it_finds_exactly_what_is_wrong_and_repairs_exactly_that() -> None:
    rig = filled()
    async with rig.running():
        await next_report(rig)
        for number in range(5):
            rig.store.removed_by_a_stranger(PREFIX + key(number))
        for number in range(5, 12):
            rig.store.written_by_a_stranger(PREFIX + key(number), b"kind: Garbage\n")
        strangers = [f"default/configmap/stranger-{number}.yaml" for number in range(3)]
        for stranger in strangers:
            rig.store.written_by_a_stranger(PREFIX + stranger, b"kind: ConfigMap\n")
        before = rig.writes()
        report = await next_report(rig)
        assert report["drift"] == {
            "missing": [key(number) for number in range(5)],
            "changed": [key(number) for number in range(5, 12)],
            "orphaned": strangers,
        }
        assert report["repaired"] == 15
        assert rig.writes() - before == 15
        assert rig.equal()
        assert rig.metric("reconcile_drift_objects", type="changed") == 7
        assert (await next_report(rig))["drift"] == {"missing": [], "changed": [], "orphaned": []}
        assert rig.metric("reconcile_drift_objects", type="changed") == 0


async def test_a_strangers_file_in_parts_ends_nothing() -> None:
    """Its ETag is no MD5, though all of ours are."""
    rig = filled()
    async with rig.running():
        await next_report(rig)
        rig.store.written_by_a_stranger(PREFIX + "default/configmap/other.yaml", b"a: 1\n", parts=2)
        report = await next_report(rig)
        assert report["drift"]["orphaned"] == ["default/configmap/other.yaml"]


async def test_a_bucket_that_lost_everything_is_repaired_with_no_body_kept() -> None:
    rig = filled()
    async with rig.running():
        await next_report(rig)
        for lost in rig.files():
            rig.store.removed_by_a_stranger(PREFIX + lost)
        before, begun = len(reports(rig)), rig.logged.getvalue().count(BEGINS)
        await rig.until(lambda: rig.logged.getvalue().count(BEGINS) > begun, NIGHT)
        waited = kept = 0.0
        while len(reports(rig)) == before:
            waited = max(waited, rig.metric("pending_objects"))
            kept = max(kept, rig.metric("pending_bytes"))
            await asyncio.sleep(0.01)
        assert waited > 50
        assert kept == 0
        assert rig.equal()
        assert rig.metric("changes_total", action="repair", resource="configmaps") == 60


async def test_a_file_that_another_wrote_is_found_where_etags_tell_nothing() -> None:
    rig = filled()
    rig.store.etags_are_not_md5()
    async with rig.running():
        await next_report(rig)
        rig.store.written_by_a_stranger(PREFIX + key(3), b"kind: Garbage\n")
        before = rig.store.requests["HEAD", PREFIX + key(4)]
        report = await next_report(rig)
        assert report["drift"] == {"missing": [], "changed": [key(3)], "orphaned": []}
        await rig.until(rig.equal)
        assert rig.store.requests["HEAD", PREFIX + key(4)] == before


async def test_a_damaged_file_whose_etag_lies_is_found_when_its_slice_is_read_back() -> None:
    rig = filled()
    async with rig.running():
        await next_report(rig)
        tonight = of_night(rig.clock())
        victim, other = (
            next(k for k in KEYS if k in tonight),
            next(k for k in KEYS if k not in tonight),
        )
        for damaged in (victim, other):
            rig.store.damage(PREFIX + damaged, b"rotten")
        report = await next_report(rig)
        assert report["drift"]["changed"] == report["read_back"]["differing"] == [victim]
        assert report["read_back"]["slice"] == str(tonight)
        assert rig.files()[victim] == rig.expected()[victim]
        assert rig.metric("verify_failures_total") == 1


async def test_a_clock_that_is_put_back_does_not_put_off_the_next_one() -> None:
    rig = filled()
    right, behind = rig.clock, timedelta()
    rig.clock = lambda: right() - behind
    async with rig.running():
        behind = timedelta(hours=10)
        await next_report(rig)


async def test_what_went_with_lost_history_is_held_though_no_watch_has_noticed_yet() -> None:
    rig = filled(5)
    snapshot = rig.cluster.snapshot()
    async with rig.running():
        await next_report(rig)
        rig.cluster.create(config_map("lost"))
        await asyncio.sleep(20)
        rig.cluster.faults.unauthorized(4, label="configmaps")
        rig.cluster.faults.end_watches("configmaps")
        await asyncio.sleep(0.1)
        rig.cluster.restore(snapshot)  # then it watches from a version of the future: silence
        report = await next_report(rig)
        await asyncio.sleep(10)
        assert "default/configmap/lost.yaml" in rig.files()
        assert report["held"] == 1


async def test_what_changes_all_the_time_is_no_drift() -> None:
    rig = filled()
    async with rig.running():

        async def churn() -> None:
            for value in count():
                rig.cluster.update(config_map(f"map-{value % 60:02}", str(value)))
                await asyncio.sleep(0.5)

        churning = asyncio.create_task(churn())
        report = await next_report(rig)
        churning.cancel()
        await asyncio.gather(churning, return_exceptions=True)
        assert report["drift"] == {"missing": [], "changed": [], "orphaned": []}
        assert report["hash_root"]["cluster"] == report["hash_root"]["bucket"]
        assert report["moving"]


async def test_a_kind_that_cannot_be_listed_is_named_and_not_judged() -> None:
    rig = filled()
    async with rig.running():
        await next_report(rig)
        rig.cluster.faults.forbid("configmaps")
        report = await next_report(rig)
        assert "403" in report["resources"]["configmaps"]["unread"]
        assert report["drift"] == {"missing": [], "changed": [], "orphaned": []}


async def test_a_bucket_that_is_away_makes_it_fail_and_be_tried_again() -> None:
    rig = filled()
    async with rig.running():
        await next_report(rig)
        rig.store.choose_fault = lambda operation, key: (
            Fault.UNREACHABLE if operation == "LIST" else Fault.NONE
        )
        await rig.until(
            lambda: rig.metric("reconcile_last_failure_timestamp_seconds") > 0, NIGHT, poll=5.0
        )
        rig.store.recover()
        await next_report(rig)
