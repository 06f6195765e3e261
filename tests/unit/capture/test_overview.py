"""What a running capture says of itself, on the way of a day with troubles."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.memory_store import Fault
from tests.unit.capture.rig import PREFIX, Rig, config_map
from watcher.bucket.reports import ReadBack, Report, Root, Tally
from watcher.capture.overview import proof
from watcher.status import Kind, Promise, Standing, Status

pytestmark = pytest.mark.looptime


def kind(status: Status, label: str) -> Kind:
    return next(each for each in status.kinds if each.label == label)


def standing(status: Status, promise: Promise) -> Standing:
    return next(each for each in status.promises if each.promise == promise)


def at_risk(status: Status) -> set[tuple[Promise, str]]:
    return {(f.promise, f.kind) for each in status.promises for f in each.failing}


async def test_a_start_that_cannot_go_on_says_what_it_waits_for() -> None:
    rig = Rig()
    rig.cluster.faults.stop()
    async with rig.killed():
        await asyncio.sleep(5)
        status = rig.status()
        assert status.doing.startswith("connecting to the cluster: ")
        assert (status.about.domain, status.about.cluster) == ("example.com", "east")
        assert status.promises == ()


async def test_a_first_sync_shows_how_far_it_is_and_calls_nothing_kept_that_it_cannot_know() -> (
    None
):
    rig = Rig()
    for number in range(500):
        rig.cluster.create(config_map(f"c{number}"))
    rig.store.latency = 2.0
    async with rig.killed():
        await rig.until(lambda: rig.writes() >= 100)
        status = rig.status()
        assert status.first_sync is not None
        assert 0 < status.first_sync.written < 500
        assert at_risk(status) == {(Promise.CAPTURED, "")}
        assert standing(status, Promise.WATCHED).unknown
        assert standing(status, Promise.NOTHING_HELD).unknown
        assert status.last_healthy is None


async def test_a_quiet_cluster_is_well_and_counted() -> None:
    rig = Rig()
    for number in range(10):
        rig.cluster.create(config_map(f"c{number}"))
    async with rig.running():
        await asyncio.sleep(60)
        rig.cluster.create(config_map("late"))
        await asyncio.sleep(40)
        status = rig.status()
        assert at_risk(status) == set()
        assert status.first_sync is None
        assert not standing(status, Promise.ONE_WRITER).unknown
        assert status.last_healthy == status.at == rig.clock()
        assert status.epoch == 1
        assert status.numbers is not None
        assert status.numbers.in_cluster == status.numbers.in_bucket == len(rig.files())
        assert status.numbers.lag_p50 == 2.25  # the histogram's bound above debounce and a PUT
        assert status.recent is not None
        assert len(status.recent) == len(rig.files())
        newest = status.recent[0]
        assert (newest.key, newest.action) == ("default/configmap/late.yaml", "create")
        config_maps = kind(status, "configmaps")
        assert config_maps.state == "watching"
        assert config_maps.last_event is not None
        assert (status.at - config_maps.last_event).total_seconds() == pytest.approx(40, abs=1)
        assert config_maps.last_write is not None
        assert (status.at - config_maps.last_write).total_seconds() == pytest.approx(38, abs=1)


async def test_a_forbidden_kind_is_named_and_dated_though_nobody_looked_when_it_began() -> None:
    rig = Rig()
    async with rig.running():
        await asyncio.sleep(60)
        began = rig.clock()
        rig.cluster.faults.forbid("secrets")
        rig.cluster.faults.drop_watches("secrets")
        await asyncio.sleep(500)
        status = rig.status()
        assert at_risk(status) == {(Promise.WATCHED, "secrets")}
        since = standing(status, Promise.WATCHED).since
        assert 0 < (since - began).total_seconds() < 60
        assert kind(status, "secrets").state == "forbidden"
        assert "secrets" in kind(status, "secrets").trouble
        assert kind(status, "configmaps").trouble == ""


async def test_an_api_server_that_is_away_is_one_trouble_not_one_a_kind() -> None:
    rig = Rig()
    async with rig.running():
        await asyncio.sleep(60)
        rig.cluster.faults.stop()
        await asyncio.sleep(200)
        status = rig.status()
        assert at_risk(status) >= {(Promise.REACHABLE, ""), (Promise.WATCHED, "")}
        assert not any(each.trouble for each in status.kinds)
        assert {label for _, label in at_risk(status)} == {""}
        rig.cluster.faults.start()
        await asyncio.sleep(60)
        assert at_risk(rig.status()) == set()


async def test_a_bucket_that_fails_is_a_risk_once_it_lasts() -> None:
    rig = Rig()
    async with rig.running():
        await asyncio.sleep(10)
        rig.store.fail_all(Fault.UNREACHABLE)
        rig.cluster.create(config_map("waits"))
        await asyncio.sleep(20)
        assert at_risk(rig.status()) == set()
        await asyncio.sleep(30)
        [failing] = standing(rig.status(), Promise.CAPTURED).failing
        assert failing.reason.startswith("the bucket takes no writes: ")
        rig.store.recover()
        await asyncio.sleep(60)
        assert at_risk(rig.status()) == set()


NIGHTS = {"reconcile_schedule": "*/15 * * * *", "reconcile_window": "1s"}  # short ones


async def test_a_night_proves_what_was_not_known_before() -> None:
    rig = Rig(**NIGHTS)
    async with rig.running():
        before = rig.status()
        assert standing(before, Promise.RECONCILED).unknown
        assert standing(before, Promise.VERIFIED).unknown
        await asyncio.sleep(1000)
        status = rig.status()
        assert at_risk(status) == set()
        assert not standing(status, Promise.RECONCILED).unknown
        assert status.reconcile is not None
        assert status.reconcile.drift == 0
        assert status.reconcile.root_cluster == status.reconcile.root_bucket != ""
        assert PREFIX + status.reconcile.report in rig.store.objects()
        assert status.next_reconcile is not None
        assert status.next_reconcile > status.at


async def test_drift_is_a_risk_until_a_night_finds_none() -> None:
    rig = Rig(**NIGHTS)
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        rig.store.removed_by_a_stranger(PREFIX + "default/configmap/hello.yaml")
        await rig.until(lambda: rig.status().reconcile is not None, 1000)
        status = rig.status()
        assert (Promise.RECONCILED, "") in at_risk(status)
        assert status.reconcile is not None
        assert (status.reconcile.missing, status.reconcile.repaired) == (1, 1)
        await asyncio.sleep(900)
        assert (Promise.RECONCILED, "") not in at_risk(rig.status())


async def test_a_night_that_fails_is_a_risk() -> None:
    rig = Rig(**NIGHTS)
    async with rig.running():
        rig.store.fail_all(Fault.UNREACHABLE)
        await asyncio.sleep(1000)
        [failing] = standing(rig.status(), Promise.RECONCILED).failing
        assert failing.reason.startswith("the last one failed: ")
        rig.store.recover()
        await asyncio.sleep(1000)
        assert at_risk(rig.status()) == set()


async def test_what_is_held_is_named_with_the_reason() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        pass
    async with rig.running(exclude_kinds="configmaps"):
        await asyncio.sleep(30)
        status = rig.status()
        assert (Promise.NOTHING_HELD, "") in at_risk(status)
        held = {each.key: each.why for each in status.held}
        assert status.held_count == len(held)
        assert held["default/configmap/hello.yaml"] == "settings"


def test_a_report_becomes_what_the_page_shows_of_it() -> None:
    at = datetime(2026, 10, 17, 2, 31, 12, tzinfo=UTC)
    report = Report(
        started_at=at,
        finished_at=at + timedelta(seconds=60),
        trigger="schedule",
        writer="watcher-0/17",
        resources={"pods": Tally(120, 119), "secrets": Tally(0, 9, unread="403")},
        missing=("a/pod/b.yaml",),
        repaired=1,
        read_back=ReadBack("7/30", 12, ("a/pod/c.yaml",)),
        hash_root=Root("aa", "bb", 119),
    )
    shown = proof(report, "reports/reconcile-20261017T023112Z.json")
    assert (shown.objects, shown.drift, shown.repaired, shown.unread) == (119, 1, 1, 1)
    assert (shown.root_cluster, shown.root_bucket) == ("aa", "bb")
    assert (shown.read_back_slice, shown.read_back, shown.differing) == (
        "7/30",
        12,
        ("a/pod/c.yaml",),
    )
    assert shown.report == "_meta/reports/reconcile-20261017T023112Z.json"
    without = proof(replace(report, hash_root=None, read_back=None), "")
    assert (without.objects, without.root_cluster, without.read_back) == (128, "", 0)
