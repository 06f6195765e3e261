"""Whatever breaks outside, capture goes on, deletes nothing by mistake, converges, and says so."""

import asyncio
from collections.abc import Callable

import pytest

from tests.memory_store import Fault
from tests.unit.capture.rig import CRD, CRDS, WIDGET, Rig, config_map
from watcher.errors import BucketError, ClusterError

pytestmark = pytest.mark.looptime

HELLO = "default/configmap/hello.yaml"
KEY = "example.com/east/" + HELLO


def _fill(rig: Rig, count: int = 1200) -> None:
    for number in range(count):
        rig.cluster.create(config_map(f"c{number}"))


async def _settle(rig: Rig, seconds: float = 400) -> None:
    await rig.until(lambda: rig.equal() and rig.metric("pending_objects") == 0, seconds)


def _forbid(rig: Rig) -> None:
    rig.cluster.faults.forbid("configmaps")
    rig.cluster.faults.drop_watches("configmaps")


def _cut_lists(rig: Rig) -> None:
    rig.cluster.compact()
    rig.cluster.faults.cut_lists(5)
    rig.cluster.faults.drop_watches()


def _expire_tokens(rig: Rig) -> None:
    rig.cluster.compact()
    rig.cluster.faults.expire_tokens(3)
    rig.cluster.faults.drop_watches()


def _compact(rig: Rig) -> None:
    rig.cluster.faults.drop_watches()
    rig.cluster.create(config_map("while-away"))
    rig.cluster.compact()


def _throttle(rig: Rig) -> None:
    rig.cluster.faults.throttle(60, retry_after=3)
    rig.cluster.faults.drop_watches()


def _unavailable(rig: Rig) -> None:
    rig.cluster.faults.unavailable(60)
    rig.cluster.faults.drop_watches()


def _unauthorized(rig: Rig) -> None:
    rig.cluster.faults.unauthorized(60)
    rig.cluster.faults.drop_watches()


def _unreachable(rig: Rig) -> None:
    rig.cluster.faults.unreachable(60)
    rig.cluster.faults.drop_watches()


def _no_answer(rig: Rig) -> None:
    rig.cluster.faults.no_answer(3)
    rig.cluster.faults.drop_watches()


def _silence(rig: Rig) -> None:
    rig.cluster.faults.silence_watches()


def _cut_mid_line(rig: Rig) -> None:
    rig.cluster.faults.cut_mid_line()


def _end_watches(rig: Rig) -> None:
    rig.cluster.faults.end_watches()


def _stop(rig: Rig) -> None:
    rig.cluster.faults.stop()
    asyncio.get_running_loop().call_later(60, rig.cluster.faults.start)


FAULTS = [
    _forbid,
    _cut_lists,
    _expire_tokens,
    _compact,
    _throttle,
    _unavailable,
    _unauthorized,
    _unreachable,
    _no_answer,
    _silence,
    _cut_mid_line,
    _end_watches,
    _stop,
]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_api_server_deletes_nothing_and_is_survived(
    fault: Callable[[Rig], None],
) -> None:
    rig = Rig()
    _fill(rig)
    async with rig.running():
        await asyncio.sleep(150)  # watches have sent two bookmarks: silence can be told
        before = set(rig.files())
        fault(rig)
        rig.cluster.create(config_map("hello"))
        rig.cluster.update(config_map("c0", "changed"))
        for _ in range(60):
            await asyncio.sleep(5)
            assert before <= set(rig.files())
        rig.cluster.heal()
        await _settle(rig)
        assert rig.metric("deletes_held") == 0


async def test_a_missing_right_keeps_the_files_is_counted_and_ends_by_itself() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        _forbid(rig)
        await asyncio.sleep(700)
        assert HELLO in rig.files()
        assert rig.metric("informers", state="forbidden") == 1
        assert rig.metric("kinds_failing", resource="configmaps") == 1
        assert rig.metric("watch_restarts_total", resource="configmaps", reason="forbidden") > 1
        assert rig.logged.getvalue().count("following configmaps fails") == 1
        rig.cluster.heal()
        rig.cluster.update(config_map("hello", "new"))
        await _settle(rig)
        assert rig.metric("informers", state="forbidden") == 0
        assert 'kinds_failing{resource="configmaps"}' not in rig.metrics.render()[0].decode()
        assert "following configmaps works again" in rig.logged.getvalue()


async def test_a_kind_that_is_forbidden_from_the_start_does_not_hide_the_others() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    rig.cluster.faults.forbid("secrets")
    summary = await rig.once()
    assert HELLO in rig.files()
    assert [line for line in summary.failed if "secrets" in line and "403" in line]


async def test_an_empty_list_deletes_nothing() -> None:
    rig = Rig()
    _fill(rig, 30)
    async with rig.running():
        before = set(rig.files())
        rig.cluster.faults.empty_list("configmaps")
        rig.cluster.compact()
        rig.cluster.faults.drop_watches("configmaps")
        await asyncio.sleep(60)
        # The list was whole and empty, and so is each answer about one object: nothing tells it
        # from a kind whose objects are gone, until issues of mass deletes are looked at.
        rig.cluster.heal()
        rig.cluster.compact()
        rig.cluster.faults.drop_watches("configmaps")
        await _settle(rig)
        assert set(rig.files()) == before


async def test_a_backend_that_is_down_keeps_its_kinds() -> None:
    rig = Rig()
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 1},
    }
    rig.cluster.create(deployment)
    async with rig.running():
        rig.cluster.faults.stale_group("apps")
        await asyncio.sleep(1000)
        assert "default/deployment/web.yaml" in rig.files()
        assert rig.metric("discovery_failures_total") > 0
        rig.cluster.heal()
        rig.cluster.update({**deployment, "spec": {"replicas": 2}})
        await _settle(rig)


async def test_an_etcd_put_back_in_time_is_followed_but_deletes_nothing() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello", "old"))
    async with rig.running():
        snapshot = rig.cluster.snapshot()
        rig.cluster.update(config_map("hello", "new"))
        rig.cluster.create(config_map("lost"))
        await asyncio.sleep(20)
        rig.cluster.restore(snapshot)
        await asyncio.sleep(120)
        assert b"old" in rig.files()[HELLO]
        assert "default/configmap/lost.yaml" in rig.files()
        assert rig.metric("deletes_held") == 1
        rig.cluster.create(config_map("lost"))
        await asyncio.sleep(20)
        assert rig.metric("deletes_held") == 0
        assert rig.equal()


async def test_a_kind_that_went_with_lost_history_keeps_its_files() -> None:
    rig = Rig()
    async with rig.running():
        snapshot = rig.cluster.snapshot()
        rig.cluster.create(CRD)
        await asyncio.sleep(1)
        rig.cluster.create(WIDGET)
        await asyncio.sleep(20)
        before = set(rig.files())
        rig.cluster.restore(snapshot)
        await asyncio.sleep(600)
        assert "default/widget.example.com/w.yaml" in before
        assert before <= set(rig.files())
        assert rig.metric("deletes_held") >= 2


async def test_a_kind_that_is_back_after_history_was_lost_keeps_the_files_of_its_objects() -> None:
    rig = Rig()
    async with rig.running():
        snapshot = rig.cluster.snapshot()
        rig.cluster.create(CRD)
        await asyncio.sleep(1)
        rig.cluster.create(WIDGET)
        await asyncio.sleep(20)
        rig.cluster.restore(snapshot)
        await asyncio.sleep(30)
        rig.cluster.create(CRD)
        await asyncio.sleep(600)
        assert "default/widget.example.com/w.yaml" in rig.files()
        assert rig.metric("deletes_held") >= 1


async def test_a_removed_crd_takes_its_files_with_it_though_the_watch_ended_too_early() -> None:
    rig = Rig()
    async with rig.running():
        rig.cluster.create(CRD)
        await asyncio.sleep(1)
        rig.cluster.create(WIDGET)
        await asyncio.sleep(20)
        rig.cluster.faults.silence_watches("widgets.example.com")
        rig.cluster.delete(CRDS, "", "widgets.example.com")
        await asyncio.sleep(17)
        assert rig.equal()


async def test_refusals_of_an_api_server_that_starts_are_not_believed() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        await asyncio.sleep(10)
        _forbid(rig)
        asyncio.get_running_loop().call_later(4, rig.cluster.faults.allow, "configmaps")
        rig.cluster.update(config_map("hello", "new"))
        await asyncio.sleep(40)
        assert rig.equal()
        assert rig.metric("informers", state="forbidden") == 0
        assert "following configmaps fails" not in rig.logged.getvalue()


STORE_FAULTS = [
    Fault.UNREACHABLE,
    Fault.ANSWER_LOST,
    Fault.LATE,
    Fault.THROTTLED,
    Fault.REJECTED,
]


@pytest.mark.parametrize("fault", STORE_FAULTS)
async def test_a_bucket_that_fails_for_a_minute_loses_nothing(fault: Fault) -> None:
    rig = Rig()
    _fill(rig, 50)
    async with rig.running():
        rig.store.fail_all(fault)
        for number in range(50):
            rig.cluster.update(config_map(f"c{number}", "changed"))
            await asyncio.sleep(1.2)
        rig.cluster.delete("configmaps", "default", "c7")
        rig.cluster.create(config_map("hello"))
        assert rig.metric("oldest_pending_seconds") > 40
        rig.store.recover()
        await asyncio.sleep(35)
        assert rig.equal()
        assert rig.logged.getvalue().count("writing to the bucket fails") == 1
        assert "writing to the bucket works again" in rig.logged.getvalue()


@pytest.mark.parametrize("fault", STORE_FAULTS)
async def test_single_faults_here_and_there_cost_no_change(fault: Fault) -> None:
    rig = Rig()
    _fill(rig, 50)
    async with rig.running():
        turns = iter(range(10_000))
        rig.store.choose_fault = lambda *_: fault if next(turns) % 3 == 0 else Fault.NONE
        for number in range(50):
            rig.cluster.update(config_map(f"c{number}", "changed"))
        rig.cluster.delete("configmaps", "default", "c7")
        await asyncio.sleep(60)
        rig.store.recover()
        await asyncio.sleep(30)
        assert rig.equal()


async def test_a_lost_answer_is_found_out_without_a_second_write() -> None:
    rig = Rig()
    async with rig.running():
        rig.store.fail_next(Fault.ANSWER_LOST)
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(60)
        assert rig.equal()
        assert rig.store.requests["HEAD", KEY] == 1
        assert rig.metric("bucket_retries_total", reason="conflict") == 1


async def test_where_conditions_are_ignored_a_lost_answer_is_written_again() -> None:
    rig = Rig()
    rig.store.ignore_conditions()
    async with rig.running():
        rig.store.fail_next(Fault.ANSWER_LOST)
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(60)
        assert rig.equal()


async def test_what_a_stranger_wrote_is_reported_and_follows_the_cluster_again() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        rig.store.written_by_a_stranger(KEY, b"strange\n")
        rig.cluster.update(config_map("hello", "new"))
        await asyncio.sleep(20)
        assert rig.equal()
        assert rig.metric("bucket_retries_total", reason="stranger") == 1


async def test_what_a_stranger_removed_comes_back_with_the_next_change() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        rig.store.removed_by_a_stranger(KEY)
        rig.cluster.update(config_map("hello", "new"))
        await asyncio.sleep(20)
        assert rig.equal()


async def test_a_bucket_that_is_down_at_the_start_is_waited_for() -> None:
    rig = Rig()
    rig.store.fail_all(Fault.REJECTED)
    asyncio.get_running_loop().call_later(300, rig.store.recover)
    async with rig.running():
        assert asyncio.get_running_loop().time() > 300
        assert rig.equal()


async def test_an_api_server_that_is_down_at_the_start_is_waited_for() -> None:
    rig = Rig()
    rig.cluster.faults.stop()
    asyncio.get_running_loop().call_later(300, rig.cluster.faults.start)
    async with rig.running():
        assert rig.equal()


async def test_with_once_a_fault_is_an_error() -> None:
    rig = Rig()
    rig.store.fail_all(Fault.REJECTED)
    with pytest.raises(BucketError):
        await rig.once()
    rig.store.recover()
    rig.cluster.faults.stop()
    with pytest.raises(ClusterError):
        await rig.once()


async def test_with_once_a_bucket_that_fails_half_way_is_an_error() -> None:
    rig = Rig()
    _fill(rig, 200)
    asyncio.get_running_loop().call_later(0.3, rig.store.fail_all, Fault.UNREACHABLE)
    rig.store.latency = 0.1
    with pytest.raises(BucketError):
        await rig.once()


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 3.0])
async def test_killed_during_the_first_sync_the_next_start_finishes_it(seconds: float) -> None:
    rig = Rig()
    _fill(rig, 200)
    async with rig.killed():
        await asyncio.sleep(seconds)
    stored = len(rig.files())
    before = rig.writes()
    await rig.once()
    assert rig.equal()
    in_flight = rig.settings.concurrency
    assert rig.writes() - before <= len(rig.files()) - stored + in_flight
