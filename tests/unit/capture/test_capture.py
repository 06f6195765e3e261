"""The bucket follows the cluster: every change, seconds later, and nothing else is written."""

import asyncio

import pytest

from tests.unit.capture.rig import CRD, CRDS, WIDGET, Object, Rig, config_map

pytestmark = pytest.mark.looptime

HELLO = "default/configmap/hello.yaml"


async def test_after_the_first_sync_the_bucket_equals_the_cluster() -> None:
    rig = Rig()
    for number in range(1200):
        rig.cluster.create(config_map(f"c{number}"))
    summary = await rig.once()
    assert rig.equal()
    assert summary.written == len(rig.files()) > 1200
    assert summary.failed == ()


@pytest.mark.parametrize("etags_are_md5", [True, False])
async def test_a_restart_with_nothing_changed_writes_and_reads_no_object(
    etags_are_md5: bool,
) -> None:
    rig = Rig()
    if not etags_are_md5:
        rig.store.etags_are_not_md5()
    rig.cluster.create(config_map("hello"))
    await rig.once()
    rig.store.requests.clear()
    summary = await rig.once()
    assert rig.writes() == 0
    assert not [key for (_, key), _ in rig.store.requests.items() if key.endswith(".yaml")]
    assert (summary.written, summary.deleted) == (0, 0)
    assert summary.unchanged == len(rig.files())


async def test_what_is_said_at_the_end_counts_objects_not_their_status_churn() -> None:
    rig = Rig()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"beat": 0}}
    rig.cluster.create(node)
    rig.store.latency = 1.0  # so that the node beats a few times before the end
    beating = asyncio.create_task(_beat(rig, node))
    summary = await rig.once()
    beating.cancel()
    assert rig.metric("changes_dropped_total", reason="unchanged") > 0
    assert (summary.written, summary.unchanged) == (len(rig.files()), 0)


async def _beat(rig: Rig, node: Object) -> None:
    for beat in range(1000):
        rig.cluster.update({**node, "status": {"beat": beat}})
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("etags_are_md5", [True, False])
async def test_a_restart_without_a_checkpoint_recognises_every_file(etags_are_md5: bool) -> None:
    rig = Rig()
    if not etags_are_md5:
        rig.store.etags_are_not_md5()
    rig.cluster.create(config_map("hello"))
    await rig.once()
    rig.store.removed_by_a_stranger("example.com/east/_meta/index.ndjson.gz")
    before = rig.writes()
    await rig.once()
    assert rig.writes() == before
    assert rig.equal()


async def test_a_change_is_stored_once_the_object_was_quiet() -> None:
    rig = Rig()
    async with rig.running():
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(1.5)
        assert HELLO not in rig.files()
        await asyncio.sleep(1.0)
        assert rig.equal()
        assert rig.metric("capture_lag_seconds_count") == 1


async def test_an_object_that_never_gets_quiet_is_stored_every_max_delay() -> None:
    rig = Rig()
    async with rig.running():
        before = rig.writes()
        rig.cluster.create(config_map("hello"))
        for number in range(60):
            await asyncio.sleep(1.0)
            rig.cluster.update(config_map("hello", str(number)))
        assert rig.writes() - before == 3  # 15, 31 and 47 seconds after the first change


async def test_ten_minutes_of_status_noise_write_nothing() -> None:
    rig = Rig()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"beat": 0}}
    rig.cluster.create(node)
    async with rig.running():
        before = rig.writes()
        for beat in range(600):
            rig.cluster.update({**node, "status": {"beat": beat + 1}})
            await asyncio.sleep(1.0)
        assert rig.writes() == before
        assert rig.metric("changes_dropped_total", reason="unchanged") >= 600


async def test_a_change_and_its_undoing_write_nothing() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello", "A"))
    async with rig.running():
        before = rig.writes()
        rig.cluster.update(config_map("hello", "B"))
        await asyncio.sleep(0.5)
        rig.cluster.update(config_map("hello", "A"))
        await asyncio.sleep(20)
        assert rig.writes() == before
        assert rig.equal()


async def test_a_change_undone_while_it_was_being_written_is_undone_in_the_bucket_too() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello", "A"))
    async with rig.running():
        rig.store.latency = 5.0
        rig.cluster.update(config_map("hello", "B"))
        await asyncio.sleep(3.0)  # its PUT is under way
        rig.cluster.update(config_map("hello", "A"))
        await asyncio.sleep(30)
        assert rig.equal()


async def test_an_object_deleted_and_created_again_at_once_is_never_missing() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        before = rig.writes()
        rig.cluster.delete("configmaps", "default", "hello")
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(20)
        assert rig.writes() == before
        assert rig.equal()


async def test_a_deleted_object_is_deleted() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        rig.cluster.delete("configmaps", "default", "hello")
        await asyncio.sleep(5)
        assert HELLO not in rig.files()
        assert rig.equal()


async def test_an_object_deleted_while_nobody_looked_is_deleted_at_the_next_start() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    await rig.once()
    rig.cluster.delete("configmaps", "default", "hello")
    summary = await rig.once()
    assert summary.deleted == 1
    assert rig.equal()


async def test_an_object_on_its_way_out_keeps_its_last_state() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello", "full", finalizers=["example.com/hold"]))
    async with rig.running():
        rig.cluster.delete("configmaps", "default", "hello")
        rig.cluster.edit("configmaps", "default", "hello", lambda item: item.pop("data"))
        await asyncio.sleep(20)
        assert b"full" in rig.files()[HELLO]
        rig.cluster.edit(
            "configmaps", "default", "hello", lambda item: item["metadata"].pop("finalizers")
        )
        await asyncio.sleep(20)
        assert HELLO not in rig.files()


async def test_a_deleted_namespace_takes_its_objects_with_it() -> None:
    rig = Rig()
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    rig.cluster.create(space)
    for number in range(50):
        rig.cluster.create(config_map(f"c{number}", namespace="shop"))
    async with rig.running():
        rig.cluster.delete("namespaces", "", "shop")
        await asyncio.sleep(20)
        assert not [key for key in rig.files() if "shop" in key]
        assert rig.equal()


async def test_a_burst_of_changes_is_stored_within_max_delay() -> None:
    rig = Rig()
    async with rig.running():
        for number in range(500):
            rig.cluster.create(config_map(f"c{number}"))
        await asyncio.sleep(17)
        assert rig.equal()


async def test_kinds_come_and_go_while_it_runs() -> None:
    rig = Rig()
    async with rig.running():
        rig.cluster.create(CRD)
        await asyncio.sleep(0.5)
        rig.cluster.create(WIDGET)
        await asyncio.sleep(17)
        assert "default/widget.example.com/w.yaml" in rig.files()
        assert rig.equal()
        rig.cluster.delete(CRDS, "", "widgets.example.com")
        await asyncio.sleep(17)
        assert "default/widget.example.com/w.yaml" not in rig.files()
        assert rig.equal()


async def test_files_of_a_kind_that_went_while_nobody_looked_are_deleted_after_a_minute() -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    await asyncio.sleep(1)
    rig.cluster.create(WIDGET)
    await rig.once()
    rig.cluster.delete(CRDS, "", "widgets.example.com")
    async with rig.running():
        assert "default/widget.example.com/w.yaml" in rig.files()
        await asyncio.sleep(150)
        assert rig.equal()


async def test_an_object_that_excludes_itself_is_removed() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        excluded = config_map("hello", annotations={"watcher/exclude": "true"})
        rig.cluster.update(excluded)
        await asyncio.sleep(5)
        assert HELLO not in rig.files()
        assert rig.metric("changes_total", action="left-out", resource="configmaps") == 1


@pytest.mark.parametrize(
    "setting",
    [
        {"exclude_namespaces": "default"},
        {"include_namespaces": "kube-*"},
        {"exclude_kinds": "configmaps"},
        {"label_selector": "app=web"},
    ],
)
async def test_what_a_change_of_settings_leaves_out_stays_in_the_bucket(
    setting: dict[str, str],
) -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    await rig.once()
    before = rig.files()
    await rig.once(**setting)
    assert rig.files() == before
    assert rig.metric("deletes_held") > 0


async def test_what_is_pending_is_written_before_the_end() -> None:
    rig = Rig()
    async with rig.running():
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(0.1)
    assert HELLO in rig.files()


async def test_the_end_does_not_wait_longer_than_the_grace_period() -> None:
    from tests.memory_store import Fault

    rig = Rig()
    loop = asyncio.get_running_loop()
    async with rig.running():
        rig.store.fail_all(Fault.UNREACHABLE)
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(5)
        asked = loop.time()
    assert loop.time() - asked <= 60


async def test_bodies_beyond_the_memory_budget_are_fetched_again() -> None:
    from tests.memory_store import Fault

    rig = Rig()
    async with rig.running(memory_budget="64KiB"):
        rig.store.fail_all(Fault.UNREACHABLE)
        for number in range(300):
            rig.cluster.create(config_map(f"c{number}", "x" * 1000))
        await asyncio.sleep(30)
        assert rig.metric("pending_bytes") <= 64 * 1024
        assert rig.metric("pending_objects") == 300
        rig.store.recover()
        await asyncio.sleep(60)
        assert rig.equal()


async def test_a_kind_with_too_many_changes_to_remember_is_listed_again() -> None:
    from tests.memory_store import Fault

    rig = Rig()
    async with rig.running(memory_budget="64KiB"):
        rig.store.fail_all(Fault.UNREACHABLE)
        for number in range(900):
            rig.cluster.create(config_map(f"c{number}", "x" * 1000))
        await asyncio.sleep(30)
        assert rig.metric("pending_objects") < 700
        rig.store.recover()
        await asyncio.sleep(120)
        assert rig.equal()


async def test_an_object_whose_name_is_too_long_for_a_key_is_asked_for_by_its_real_name() -> None:
    rig = Rig()
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "a:" * 150},
    }
    rig.cluster.create(role)
    rig.cluster.create({**role, "metadata": {"name": "b:" * 150}})
    await rig.once()
    assert rig.equal()
    rig.cluster.delete("clusterroles.rbac.authorization.k8s.io", "", "a:" * 150)
    summary = await rig.once()
    assert summary.deleted == 1
    assert rig.equal()


async def test_a_damaged_file_whose_key_does_not_tell_its_name_is_kept() -> None:
    rig = Rig()
    await rig.once()
    key = f"example.com/east/_cluster/clusterrole/{'a' * 160}~{'0' * 32}.yaml"
    rig.store.written_by_a_stranger(key, b": not yaml")
    summary = await rig.once()
    assert key in rig.store.objects()
    assert summary.failed


async def test_an_aggregated_api_must_deny_an_object_twice_a_minute_apart() -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    service = {"name": "api", "namespace": "default"}
    aggregated = {"group": "example.com", "version": "v1", "service": service}
    rig.cluster.edit(
        "apiservices.apiregistration.k8s.io",
        "",
        "v1.example.com",
        lambda item: item.update(spec=aggregated),
    )
    await asyncio.sleep(1)
    rig.cluster.create(WIDGET)
    async with rig.running():
        rig.cluster.faults.drop_watches("widgets.example.com")
        rig.cluster.delete("widgets.example.com", "default", "w")
        rig.cluster.compact()
        await asyncio.sleep(50)
        assert "default/widget.example.com/w.yaml" in rig.files()
        await asyncio.sleep(40)
        assert "default/widget.example.com/w.yaml" not in rig.files()


async def test_a_start_is_ready_only_when_what_went_meanwhile_is_gone_from_the_bucket() -> None:
    rig = Rig()
    rig.cluster.create(config_map("a"))
    rig.cluster.create(config_map("b"))
    await rig.once()
    rig.cluster.delete("configmaps", "default", "a")
    async with rig.running():
        assert rig.equal()
