"""Faults that come together, one kind that fails alone, and data that nobody expects."""

import asyncio

import pytest

from bench import discovery
from bench.cluster import Cluster
from bench.faults import Failure
from bench.kinds import Kind
from tests.memory_store import Fault
from tests.unit.capture.rig import CRD, CRDS, WIDGET, Rig, config_map
from watcher.errors import BucketError, ClusterError

pytestmark = pytest.mark.looptime

HELLO = "default/configmap/hello.yaml"
FOR_EVER = 10**9


# -- one kind that cannot be read


async def test_a_kind_whose_connection_always_breaks_holds_up_no_other() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    rig.cluster.faults.unreachable(FOR_EVER, label="secrets")
    async with asyncio.timeout(600):
        summary = await rig.once()
    assert HELLO in rig.files()
    assert [line for line in summary.failed if "secrets" in line]


async def test_a_kind_that_is_served_but_not_found_holds_up_no_other() -> None:
    rig = Rig()
    rig.cluster.custom_kind_lag = FOR_EVER
    rig.cluster.create(CRD)
    rig.cluster.create(config_map("hello"))
    async with asyncio.timeout(600):
        summary = await rig.once()
    assert HELLO in rig.files()
    assert [line for line in summary.failed if "widgets" in line]


async def test_one_kind_whose_connection_always_breaks_does_not_make_us_unready() -> None:
    rig = Rig()
    async with rig.running():
        rig.cluster.faults.unreachable(FOR_EVER, label="secrets")
        rig.cluster.faults.drop_watches("secrets")
        await asyncio.sleep(130)
        for _ in range(600):
            assert rig.ready() is None
            await asyncio.sleep(0.5)
        assert rig.logged.getvalue().count("following secrets fails") == 1


async def test_with_once_a_group_that_does_not_answer_is_named() -> None:
    rig = Rig()
    rig.cluster.faults.stale_group("apps")
    async with asyncio.timeout(600):
        summary = await rig.once()
    assert [line for line in summary.failed if "apps" in line]


async def test_with_once_discovery_that_fails_for_ever_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    monkeypatch.setattr(discovery, "aggregated", lambda *_, **__: (b"no json", '"x"'))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(600):
            await rig.once()
    assert caught.group_contains(ClusterError)


# -- odd data


@pytest.mark.parametrize(
    "odd",
    [
        b'{"metadata":{"namespace":"default"}}',
        b'{"metadata":{"namespace":"default","name":7}}',
        b'{"metadata":{"namespace":"default","name":""}}',
        b'{"metadata":{"namespace":["a"],"name":"odd"}}',
        b'{"metadata":{"namespace":"default","name":"odd","labels":["a"]}}',
        b'{"metadata":{"namespace":"default","name":"odd","managedFields":["a"]}}',
    ],
)
@pytest.mark.parametrize("late", [False, True])
async def test_an_odd_object_is_counted_and_stops_nothing(odd: bytes, late: bool) -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))

    def put() -> None:
        rig.cluster.version += 1
        rig.cluster.table("configmaps").put("default/odd", odd, rig.cluster.version)

    if not late:
        put()
    async with rig.running():
        if late:
            put()
        rig.cluster.update(config_map("hello", "new"))
        await asyncio.sleep(20)
        assert b"new" in rig.files()[HELLO]
        assert rig.metric("objects_skipped_total", reason="error") >= 1
    assert HELLO in rig.files()


async def test_with_once_an_object_that_cannot_be_cleaned_is_a_failure() -> None:
    rig = Rig()
    rig.cluster.create(config_map("odd", ownerReferences=["nobody"]))
    summary = await rig.once()
    assert [line for line in summary.failed if "configmaps" in line]


# -- memory


async def test_with_once_a_kind_that_overflowed_is_listed_again_before_the_end() -> None:
    rig = Rig()
    for number in range(3000):
        rig.cluster.create(config_map(f"c{number}", "x" * 1000))
    loop = asyncio.get_running_loop()
    loop.call_later(0.15, rig.store.fail_all, Fault.UNREACHABLE)
    loop.call_later(40, rig.store.recover)
    rig.store.latency = 0.001
    await rig.once(memory_budget="64KiB")
    assert rig.equal()


async def test_an_object_created_again_while_memory_is_short_is_not_deleted() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello", "x"))
    seen = []
    async with rig.running(memory_budget="64KiB"):
        rig.store.fail_all(Fault.UNREACHABLE)
        for number in range(900):
            rig.cluster.create(config_map(f"c{number}", "x" * 1000))
        await asyncio.sleep(5)
        rig.cluster.delete("configmaps", "default", "hello")
        await asyncio.sleep(1)
        rig.cluster.create(config_map("hello", "y"))
        await asyncio.sleep(5)
        rig.store.recover()
        for _ in range(600):
            await asyncio.sleep(0.1)
            seen.append(HELLO in rig.files())
        assert all(seen)
        assert rig.equal()


async def test_an_object_on_its_way_out_is_not_fetched_again() -> None:
    rig = Rig()
    for number in range(200):
        rig.cluster.create(config_map(f"c{number}", "full" * 500, finalizers=["example.com/hold"]))
    async with rig.running(memory_budget="64KiB"):
        rig.store.fail_all(Fault.UNREACHABLE)
        for number in range(200):
            rig.cluster.edit(
                "configmaps",
                "default",
                f"c{number}",
                lambda item: item["data"].update(more="1"),
            )
        await asyncio.sleep(5)
        for number in range(200):
            rig.cluster.delete("configmaps", "default", f"c{number}")
            rig.cluster.edit("configmaps", "default", f"c{number}", lambda item: item.pop("data"))
        rig.store.recover()
        await asyncio.sleep(120)
        assert all(b"full" in body for key, body in rig.files().items() if "/configmap/c" in key)


async def test_an_object_on_its_way_out_that_may_not_be_stored_is_fetched_again() -> None:
    rig = Rig()
    async with rig.running(memory_budget="64KiB"):
        rig.store.fail_all(Fault.UNREACHABLE)
        for number in range(100):
            rig.cluster.create(
                config_map(f"c{number}", "x" * 1000, finalizers=["example.com/hold"])
            )
        await asyncio.sleep(20)
        for number in range(100):
            rig.cluster.delete("configmaps", "default", f"c{number}")
        await asyncio.sleep(5)
        rig.store.recover()
        await asyncio.sleep(120)
        assert rig.files().keys() == rig.expected().keys()


async def test_an_object_that_was_left_out_for_a_moment_on_its_way_out_keeps_its_file() -> None:
    rig = Rig()

    def labelled(value: str) -> None:
        label = {"velero.io/exclude-from-backup": value}
        rig.cluster.edit(
            "configmaps", "default", "c", lambda item: item["metadata"].update(labels=label)
        )

    async with rig.running():
        rig.cluster.create(config_map("c", "full", finalizers=["example.com/hold"]))
        await asyncio.sleep(20)
        rig.cluster.delete("configmaps", "default", "c")
        labelled("true")
        await asyncio.sleep(0.2)
        labelled("false")
        await asyncio.sleep(20)
        assert b"full" in rig.files()["default/configmap/c.yaml"]


async def test_shutdown_does_not_spin_on_what_cannot_be_fetched() -> None:
    rig = Rig()
    async with rig.running(memory_budget="64KiB"):
        rig.store.fail_all(Fault.UNREACHABLE)
        for number in range(100):
            rig.cluster.create(config_map(f"c{number}", "x" * 1000))
        await asyncio.sleep(20)
        rig.store.recover()
        rig.cluster.faults.unreachable(FOR_EVER, label="configmaps")
        before = rig.cluster.requests["list", "configmaps"]
    assert rig.cluster.requests["list", "configmaps"] - before < 5000


# -- versions


def _serve(rig: Rig, *versions: str) -> None:
    served = [{"name": name, "served": True, "storage": name == versions[0]} for name in versions]
    rig.cluster.edit(
        CRDS, "", "widgets.example.com", lambda item: item["spec"].update(versions=served)
    )


async def test_what_was_to_be_fetched_by_a_version_that_is_gone_is_fetched_by_the_new_one() -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    await asyncio.sleep(1)
    async with rig.running(memory_budget="64KiB"):
        rig.store.fail_all(Fault.UNREACHABLE)
        for number in range(100):
            widget = {**WIDGET, "metadata": {"name": f"w{number}", "namespace": "default"}}
            rig.cluster.create({**widget, "spec": {"x": "x" * 1000}})
        await asyncio.sleep(5)
        # what is deleted in the moment of the switch has no event for the new version
        rig.cluster.faults.drop_watches("widgets.example.com")
        rig.cluster.faults.stop()
        for number in range(80, 100):
            rig.cluster.delete("widgets.example.com", "default", f"w{number}")
        _serve(rig, "v2")
        rig.cluster.compact()
        rig.cluster.faults.start()
        await asyncio.sleep(60)
        rig.store.recover()
        await asyncio.sleep(120)
        assert rig.metric("pending_objects") == 0
        assert rig.equal()


# -- the bucket


async def test_recognising_files_again_ends_an_outage() -> None:
    rig = Rig()
    rig.store.etags_are_not_md5()
    for number in range(300):
        rig.cluster.create(config_map(f"c{number}"))
    await rig.once()
    rig.store.removed_by_a_stranger("example.com/east/_meta/index.ndjson.gz")
    asyncio.get_running_loop().call_later(20, rig.store.recover)
    rig.store.choose_fault = lambda operation, key: (
        Fault.UNREACHABLE if operation == "HEAD" and "configmap" in key else Fault.NONE
    )
    async with rig.running():
        await asyncio.sleep(60)
        assert "writing to the bucket fails" in rig.logged.getvalue()
        assert "writing to the bucket works again" in rig.logged.getvalue()


async def test_with_once_a_bucket_that_fails_is_an_error_however_busy_the_cluster_is() -> None:
    rig = Rig()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"beat": 0}}
    rig.cluster.create(node)
    rig.store.choose_fault = lambda operation, key: (
        Fault.UNREACHABLE if operation == "PUT" and "/_meta/" not in key else Fault.NONE
    )

    async def churn() -> None:
        for beat in range(100_000):
            rig.cluster.update({**node, "status": {"beat": beat + 1}})
            await asyncio.sleep(1.0)

    task = asyncio.create_task(churn())
    try:
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(600):
                await rig.once()
        assert caught.group_contains(BucketError)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_keys_that_are_always_rejected_do_not_hold_up_the_others() -> None:
    rig = Rig()
    rig.store.choose_fault = lambda operation, key: (
        Fault.REJECTED if "/poison/" in key else Fault.NONE
    )
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "poison"}}
    async with rig.running():
        rig.cluster.create(space)
        for number in range(200):
            rig.cluster.create(config_map(f"c{number}", namespace="poison"))
        await asyncio.sleep(600)
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(120)
        assert HELLO in rig.files()
        rig.store.recover()
        await asyncio.sleep(60)


async def test_a_bucket_that_slows_us_down_does_not_make_us_fetch_what_a_list_brings() -> None:
    rig = Rig()
    for number in range(4000):
        rig.cluster.create(config_map(f"c{number}", "x" * 3000))
    turns = iter(range(1_000_000))
    rig.store.choose_fault = lambda operation, key: (
        Fault.THROTTLED if "/configmap/" in key and next(turns) % 4 == 0 else Fault.NONE
    )
    await rig.once(memory_budget="6MiB")
    assert rig.equal()
    assert rig.cluster.requests["list", "configmaps"] < 100


# -- absence


async def test_with_once_a_question_without_an_answer_is_named() -> None:
    rig = Rig()
    for number in range(3):
        rig.cluster.create(config_map(f"c{number}"))
    await rig.once()
    rig.cluster.delete("configmaps", "default", "c1")
    original = rig.cluster.faults.admit
    lists = iter(range(100))

    def admit(label: str = "", group: str = "") -> None:
        if label == "namespaces" and next(lists) >= 2:
            rig.cluster.faults.throttle(1, label="namespaces")
        original(label, group)

    rig.cluster.faults.admit = admit  # type: ignore[method-assign]
    summary = await rig.once()
    assert rig.equal() or summary.failed


async def test_two_kinds_of_one_name_do_not_take_each_others_files_for_absent() -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    await asyncio.sleep(1)
    rig.cluster.create(WIDGET)
    real = rig.cluster.kind("widgets.example.com")
    twin = Kind(
        **{
            **{f: getattr(real, f) for f in real.__dataclass_fields__},
            "resource": real.resource._replace(
                resource="processedwidgets", verbs=frozenset({"create"})
            ),
        }
    )
    rig.cluster._kinds["processedwidgets.example.com"] = twin
    from bench.table import Table

    rig.cluster._tables["processedwidgets.example.com"] = Table(100)
    async with rig.running():
        await asyncio.sleep(1000)
        assert rig.metric("deletes_held") == 0
        assert rig.equal()


async def test_an_orderly_end_is_alive() -> None:
    rig = Rig()
    async with rig.running():
        rig.store.fail_all(Fault.UNREACHABLE)
        rig.cluster.create(config_map("hello"))
        await asyncio.sleep(5)
        task = asyncio.create_task(_watch_live(rig))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert rig.said == {None}  # type: ignore[attr-defined]


async def _watch_live(rig: Rig) -> None:
    rig.said = set()  # type: ignore[attr-defined]
    while True:
        await asyncio.sleep(0.1)
        rig.said.add(rig.live())  # type: ignore[attr-defined]


# -- etcd


async def test_history_that_went_back_is_distrusted_though_the_kind_is_not_found_for_a_while() -> (
    None
):
    rig = Rig()
    rig.cluster.create(config_map("hello", "old"))
    async with rig.running():
        snapshot = rig.cluster.snapshot()
        rig.cluster.create(config_map("lost"))
        await asyncio.sleep(20)
        refuse = rig.cluster.faults._refuse
        not_found = Failure(404, "NotFound", "404 page not found", plain=True)
        refuse(lambda: not_found, 3, "configmaps")
        rig.cluster.restore(snapshot)
        await asyncio.sleep(200)
        assert "default/configmap/lost.yaml" in rig.files()
        assert rig.metric("deletes_held") == 1


async def test_a_watch_that_is_always_too_late_does_not_list_in_a_hurry() -> None:
    rig = Rig()
    async with rig.running():
        expired = Failure(410, "Expired", "too old resource version")
        real = rig.cluster.watch

        def too_old(label: str, *given: object, **named: object) -> object:
            if label == "configmaps":
                raise expired
            return real(label, *given, **named)  # type: ignore[arg-type]

        rig.cluster.watch = too_old  # type: ignore[method-assign, assignment]
        rig.cluster.faults.drop_watches("configmaps")
        before = rig.cluster.requests["list", "configmaps"]
        await asyncio.sleep(300)
        assert rig.cluster.requests["list", "configmaps"] - before < 40


async def test_a_hundred_thousand_absent_objects_are_asked_for_by_a_few_tasks() -> None:
    rig = Rig()
    for number in range(2000):
        rig.cluster.create(config_map(f"c{number}"))
    async with rig.running(max_delete_ratio="100%"):
        rig.cluster.faults.stop()
        for number in range(2000):
            rig.cluster.delete("configmaps", "default", f"c{number}")
        rig.cluster.compact()
        rig.cluster.faults.start()
        most = 0
        for _ in range(6000):
            await asyncio.sleep(0.01)
            most = max(most, len(asyncio.all_tasks()))
        assert rig.equal()
        assert most < 500


async def test_a_group_of_which_one_version_does_not_answer_keeps_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    rig.cluster.aggregated_discovery = False
    rig.cluster.create(CRD)
    _serve(rig, "v1", "v2")
    await asyncio.sleep(1)
    rig.cluster.create(WIDGET)
    async with rig.running():
        before = rig.files()["default/widget.example.com/w.yaml"]
        preferred = before.split(b"\n", 1)[0].rpartition(b"/")[2].decode()
        legacy = discovery.legacy

        def broken(cluster: Cluster, path: str) -> object:
            if path.endswith(f"/example.com/{preferred}"):
                raise Failure(503, "ServiceUnavailable", "not now")
            return legacy(cluster, path)

        monkeypatch.setattr(discovery, "legacy", broken)
        await asyncio.sleep(1000)
        assert rig.files()["default/widget.example.com/w.yaml"] == before
