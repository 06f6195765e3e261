"""A file goes only when its object is gone beyond doubt: of many at once, only if they may."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from bench.cluster import API_SERVICES
from tests.unit.capture.rig import CRD, CRDS, PREFIX, WIDGET, Rig, config_map
from watcher.capture.deletes import absence

pytestmark = pytest.mark.looptime

HELD = PREFIX + "_meta/deletes/held.json"
ORDERS = PREFIX + "_meta/deletes/allow.json"
OWNER = PREFIX + "_meta/owner.json"


def fill(rig: Rig, count: int, namespace: str = "default") -> list[str]:
    """So many ConfigMaps; their keys."""
    if namespace != "default":
        rig.cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
    for number in range(count):
        rig.cluster.create(config_map(f"c{number}", namespace=namespace))
    return [f"{namespace}/configmap/c{number}.yaml" for number in range(count)]


def delete(rig: Rig, count: int) -> None:
    for number in range(count):
        rig.cluster.delete("configmaps", "default", f"c{number}")


def held(rig: Rig) -> dict[str, str]:
    """What is on record as held, and why."""
    if HELD not in rig.store.objects():
        return {}
    return {line["key"]: line["why"] for line in record(rig)["held"]}


def record(rig: Rig) -> dict[str, Any]:
    return dict(orjson.loads(rig.store.objects()[HELD]))


def order(rig: Rig, verb: str, *patterns: str) -> None:
    """What an operator writes who has seen all that is held."""
    lines = [*record(rig)["held"], *record(rig)["kept"]]
    seen = max(line["since"] for line in lines)
    orders = {"format": 1, verb: [{"pattern": pattern, "seen": seen} for pattern in patterns]}
    rig.store.written_by_a_stranger(ORDERS, orjson.dumps(orders))


# -- many at once


async def test_a_few_objects_that_were_deleted_while_nobody_watched_lose_their_files() -> None:
    rig = Rig()
    fill(rig, 25)
    await rig.once()
    delete(rig, 20)
    await rig.once()
    assert rig.equal()
    assert held(rig) == {}


async def test_most_objects_of_a_kind_are_held_and_said_once() -> None:
    rig = Rig()
    keys = fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    async with rig.running():
        await asyncio.sleep(100)
        assert held(rig) == dict.fromkeys(keys[:60], "many")
        assert set(keys) <= set(rig.files())
        assert rig.metric("deletes_held") == 60
    assert rig.logged.getvalue().count("deletes are held") == 1
    assert "count=60" in rig.logged.getvalue()
    assert f"first={keys[0]}" in rig.logged.getvalue()


async def test_half_of_the_objects_of_a_kind_may_go() -> None:
    rig = Rig()
    fill(rig, 100)
    await rig.once()
    delete(rig, 50)
    await rig.once()
    assert rig.equal()


async def test_a_start_is_judged_as_a_whole_though_some_kinds_are_listed_late() -> None:
    rig = Rig()
    kinds = ["ConfigMap", "Secret", "Service", "ServiceAccount", "ResourceQuota"]
    items = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": f"c{n}", "namespace": "default"}}
        for kind in kinds
        for n in range(12)
    ]
    for item in items:
        rig.cluster.create(item)
    await rig.once()
    for kind in kinds:
        for number in range(12):
            rig.cluster.delete(f"{kind.lower()}s", "default", f"c{number}")
    rig.cluster.faults.unavailable(5, label="secrets")
    rig.cluster.faults.unavailable(5, label="services")
    before = set(rig.files())
    await rig.once()
    assert set(rig.files()) == before
    assert len(held(rig)) == len(items)


async def test_the_ratio_is_a_setting() -> None:
    rig = Rig(max_delete_ratio="30%")
    fill(rig, 100)
    await rig.once()
    delete(rig, 40)
    await rig.once()
    assert len(held(rig)) == 40


async def test_what_goes_bit_by_bit_within_an_hour_is_counted_together() -> None:
    rig = Rig()
    fill(rig, 100)
    async with rig.running():
        for start in (0, 20, 40):
            rig.cluster.faults.stop()
            for number in range(start, start + 20):
                rig.cluster.delete("configmaps", "default", f"c{number}")
            rig.cluster.compact()
            rig.cluster.faults.start()
            await asyncio.sleep(120)
        assert rig.metric("deletes_held") == 20
        assert len([key for key in rig.files() if "/configmap/c" in key]) == 60


async def test_objects_that_come_back_are_not_held_any_more() -> None:
    rig = Rig()
    fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    async with rig.running():
        await asyncio.sleep(30)
        assert rig.metric("deletes_held") == 60
        for number in range(60):
            rig.cluster.create(config_map(f"c{number}", "new"))
        await asyncio.sleep(30)
        assert rig.metric("deletes_held") == 0
        assert held(rig) == {}
        assert rig.equal()
    assert "no deletes are held any more" in rig.logged.getvalue()


async def test_what_is_held_stays_held_over_restarts() -> None:
    rig = Rig()
    keys = fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    async with rig.killed():
        await asyncio.sleep(30)
    since = record(rig)["held"][0]["since"]
    for _ in range(2):
        await asyncio.sleep(7200)
        await rig.once()
        assert set(keys) <= set(rig.files())
        assert held(rig) == dict.fromkeys(keys[:60], "many")
        assert record(rig)["held"][0]["since"] == since


# -- what an operator decides


async def test_what_is_allowed_is_deleted_after_one_more_question() -> None:
    rig = Rig()
    keys = fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    async with rig.running():
        await asyncio.sleep(30)
        order(rig, "allow", *keys[:30])
        rig.cluster.faults.forbid("configmaps")  # the question has no answer yet
        await asyncio.sleep(100)
        assert set(keys) <= set(rig.files())
        rig.cluster.faults.allow("configmaps")
        await asyncio.sleep(180)
        assert not set(keys[:30]) & set(rig.files())
        assert set(held(rig)) == set(keys[30:60])
        order(rig, "allow", "default/configmap/*")
        await asyncio.sleep(100)
        assert rig.equal()
        assert held(rig) == {}
        assert rig.metric("deletes_held") == 0


async def test_what_was_allowed_while_nobody_ran_is_deleted_by_the_next_run() -> None:
    rig = Rig()
    fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    await rig.once()
    order(rig, "allow", "*")
    await rig.once()
    assert rig.equal()
    assert held(rig) == {}


async def test_an_object_that_is_there_after_all_keeps_its_file_though_it_was_allowed() -> None:
    rig = Rig()
    keys = fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    await rig.once()
    order(rig, "allow", "*")
    rig.cluster.create(config_map("c0"))
    await rig.once()
    assert keys[0] in rig.files()
    assert rig.equal()


async def test_what_is_kept_stays_for_good_and_is_held_no_more() -> None:
    rig = Rig()
    keys = fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    async with rig.running():
        await asyncio.sleep(30)
        order(rig, "keep", "default/configmap/*")
        await asyncio.sleep(100)
        assert rig.metric("deletes_held") == 0
    rig.store.removed_by_a_stranger(ORDERS)  # it did its work
    async with rig.running():
        await asyncio.sleep(400)
        assert rig.metric("deletes_held") == 0
    assert set(keys) <= set(rig.files())
    assert held(rig) == {}


async def test_what_was_kept_is_an_object_like_others_once_it_came_back() -> None:
    rig = Rig()
    fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    await rig.once()
    order(rig, "keep", "*")
    await rig.once()
    rig.cluster.create(config_map("c0"))
    await rig.once()
    rig.cluster.delete("configmaps", "default", "c0")
    await rig.once()
    assert "default/configmap/c0.yaml" not in rig.files()
    assert len(record(rig)["kept"]) == 59


async def test_what_was_kept_can_be_allowed_later_by_its_very_key() -> None:
    rig = Rig()
    keys = fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    await rig.once()
    order(rig, "keep", "*")
    await rig.once()
    order(rig, "allow", "*", keys[0])
    await rig.once()
    assert keys[0] not in rig.files()
    assert {line["key"] for line in record(rig)["kept"]} == set(keys[1:60])
    assert set(keys[1:]) <= set(rig.files())


@pytest.mark.parametrize(
    "drift", [0.0, -86400.0], ids=["as time goes by", "though the clock went back a day"]
)
async def test_an_order_decides_over_nothing_that_was_held_after_it(drift: float) -> None:
    rig = Rig()
    keys = fill(rig, 200)
    await rig.once()
    delete(rig, 110)
    await rig.once()
    order(rig, "allow", "*")
    await rig.once()
    assert rig.equal()
    clock = rig.clock
    rig.clock = lambda: clock() + timedelta(seconds=drift)
    await asyncio.sleep(10)
    for number in range(110, 180):
        rig.cluster.delete("configmaps", "default", f"c{number}")
    for _ in range(2):
        await rig.once()
        assert set(held(rig)) == set(keys[110:180])


@pytest.mark.parametrize("orders", [b"", b"{}", b'{"format":1,"allow":["*"]}', b'{"format":9}'])
async def test_orders_that_cannot_be_read_are_said_once_and_order_nothing(orders: bytes) -> None:
    rig = Rig()
    keys = fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    async with rig.running():
        await asyncio.sleep(30)
        rig.store.written_by_a_stranger(ORDERS, orders)
        await asyncio.sleep(600)
        assert set(keys) <= set(rig.files())
    assert rig.logged.getvalue().count("orders about held deletes are not obeyed") == 1
    assert ORDERS in rig.logged.getvalue()


async def test_where_the_record_is_damaged_what_is_absent_is_held() -> None:
    rig = Rig()
    keys = fill(rig, 30)
    await rig.once()
    rig.store.written_by_a_stranger(HELD, b"not JSON")
    delete(rig, 3)
    for _ in range(2):
        await rig.once()
        assert held(rig) == dict.fromkeys(keys[:3], "unknown")
        assert set(keys) <= set(rig.files())
    assert rig.logged.getvalue().count("it is not known what was held") == 1


async def test_looking_for_orders_costs_one_listing_a_minute() -> None:
    rig = Rig()
    fill(rig, 100)
    await rig.once()
    delete(rig, 60)
    async with rig.running():
        await asyncio.sleep(30)
        order(rig, "keep", "*")
        await asyncio.sleep(90)
        before = rig.store.requests.copy()
        await asyncio.sleep(600)
        spent = rig.store.requests - before
    assert spent["LIST", PREFIX + "_meta/deletes/"] == 10
    assert {key for _, key in spent if "/deletes/" in key} == {PREFIX + "_meta/deletes/"}


# -- what is gone with what it belonged to


async def test_a_namespace_that_was_deleted_while_nobody_watched_takes_its_files_with_it() -> None:
    rig = Rig()
    fill(rig, 400, "shop")
    fill(rig, 30)
    await rig.once()
    rig.cluster.delete("namespaces", "", "shop")
    delete(rig, 3)
    await rig.once()
    assert rig.equal()
    assert held(rig) == {}


async def test_a_namespace_deleted_during_an_outage_takes_its_files_with_it() -> None:
    rig = Rig()
    fill(rig, 400, "shop")
    async with rig.running():
        rig.cluster.faults.stop()
        rig.cluster.delete("namespaces", "", "shop")
        rig.cluster.compact()
        rig.cluster.faults.unavailable(8, label="namespaces")  # heard of last
        rig.cluster.faults.start()
        await asyncio.sleep(300)
        assert rig.equal()
        assert rig.metric("deletes_held") == 0


async def _lose_a_namespace_unheard(rig: Rig) -> list[str]:
    """Its objects are missed at once, itself a minute later; the keys of the objects."""
    keys = fill(rig, 400, "shop")
    await asyncio.sleep(150)  # the watch has sent two bookmarks: its silence can be told
    rig.cluster.faults.silence_watches("namespaces")
    rig.cluster.faults.drop_watches("configmaps")
    rig.cluster.delete("namespaces", "", "shop")
    rig.cluster.compact()
    await asyncio.sleep(20)
    return keys


async def test_objects_wait_until_it_is_decided_on_their_namespace() -> None:
    rig = Rig()
    async with rig.running():
        keys = await _lose_a_namespace_unheard(rig)
        assert set(keys) <= set(rig.files())
        assert rig.metric("deletes_held") == 0
        await asyncio.sleep(120)
        assert rig.equal()
        assert rig.metric("deletes_held") == 0


async def test_objects_do_not_wait_for_their_namespace_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(absence, "_PATIENCE", 10.0)
    rig = Rig()
    async with rig.running():
        keys = await _lose_a_namespace_unheard(rig)
        assert set(keys) <= set(rig.files())
        assert rig.metric("deletes_held") == 400


async def test_objects_of_a_namespace_that_is_there_are_held() -> None:
    rig = Rig()
    keys = fill(rig, 400, "shop")
    await rig.once()
    for number in range(400):
        rig.cluster.delete("configmaps", "shop", f"c{number}")
    await rig.once()
    assert held(rig) == dict.fromkeys(keys, "many")


async def test_a_namespace_that_is_held_itself_excuses_nothing() -> None:
    rig = Rig()
    for number in range(30):
        fill(rig, 3, f"team-{number}")
    await rig.once()
    for number in range(30):
        rig.cluster.delete("namespaces", "", f"team-{number}")
    before = set(rig.files())
    await rig.once()
    assert before <= set(rig.files())
    assert set(held(rig).values()) == {"many"}
    assert len(held(rig)) == 120


async def test_a_crd_that_was_removed_while_nobody_watched_takes_its_objects_with_it() -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    await asyncio.sleep(1)
    for number in range(100):
        metadata = {"name": f"w{number}", "namespace": "default"}
        rig.cluster.create({**WIDGET, "metadata": metadata})
    await rig.once()
    rig.cluster.delete(CRDS, "", "widgets.example.com")
    async with rig.running():
        await asyncio.sleep(200)
        assert rig.equal()
        assert rig.metric("deletes_held") == 0
    assert rig.logged.getvalue().count("a kind is gone") == 1


async def test_a_kind_that_is_not_served_while_its_crd_is_there_keeps_its_files() -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    await asyncio.sleep(1)
    rig.cluster.create(WIDGET)
    await rig.once()
    rig.cluster._kinds.pop("widgets.example.com")
    async with rig.running():
        await asyncio.sleep(1000)
        assert "default/widget.example.com/w.yaml" in rig.files()


async def test_a_group_missing_from_discovery_while_its_apiservice_is_there_keeps_its_files() -> (
    None
):
    rig = Rig()
    rig.cluster.create(CRD)
    await asyncio.sleep(1)
    rig.cluster.create(WIDGET)
    rig.cluster.edit(
        API_SERVICES,
        "",
        "v1.example.com",
        lambda item: item["spec"].update(service={"name": "backend", "namespace": "default"}),
    )
    rig.cluster._remove(rig.cluster._kinds[CRDS], "widgets.example.com")  # another server's kind
    async with rig.running():
        rig.cluster._kinds.pop("widgets.example.com")
        rig.cluster.faults.drop_watches("widgets.example.com")
        await asyncio.sleep(1000)
        assert "default/widget.example.com/w.yaml" in rig.files()


# -- lists and clusters that are not to be believed


def _empty(rig: Rig) -> None:
    rig.cluster.faults.empty_list("configmaps")


def _cut(rig: Rig) -> None:
    rig.cluster.faults.cut_lists(3)


def _forbid(rig: Rig) -> None:
    rig.cluster.faults.forbid("configmaps")


@pytest.mark.parametrize("fault", [_empty, _cut, _forbid])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_list_that_does_not_show_all_deletes_nothing(
    fault: Callable[[Rig], None], restarted: bool
) -> None:
    rig = Rig()
    keys = fill(rig, 600)
    if restarted:
        await rig.once()
        fault(rig)
    async with rig.running():
        if not restarted:
            fault(rig)
            rig.cluster.compact()
            rig.cluster.faults.drop_watches("configmaps")
        for _ in range(60):
            await asyncio.sleep(10)
            assert set(keys) <= set(rig.files())
        rig.cluster.heal()
        rig.cluster.faults.drop_watches("configmaps")
        rig.cluster.create(config_map("more"))
        rig.cluster.compact()
        await asyncio.sleep(400)
        assert rig.equal()
        assert rig.metric("deletes_held") == 0
        assert held(rig) == {}


async def test_an_aggregated_api_that_answers_empty_deletes_nothing() -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    await asyncio.sleep(1)
    for number in range(5):
        metadata = {"name": f"w{number}", "namespace": "default"}
        rig.cluster.create({**WIDGET, "metadata": metadata})
    rig.cluster.edit(
        API_SERVICES,
        "",
        "v1.example.com",
        lambda item: item["spec"].update(service={"name": "backend", "namespace": "default"}),
    )
    async with rig.running():
        before = set(rig.files())
        rig.cluster.faults.empty_list("widgets.example.com")
        rig.cluster.compact()
        rig.cluster.faults.drop_watches("widgets.example.com")
        await asyncio.sleep(50)
        assert before <= set(rig.files())
        rig.cluster.heal()
        await asyncio.sleep(100)
        assert before <= set(rig.files())
        assert rig.metric("deletes_held") == 0


async def test_what_went_with_lost_history_is_held_after_a_restart_too() -> None:
    rig = Rig()
    fill(rig, 3)
    async with rig.running():
        snapshot = rig.cluster.snapshot()
        rig.cluster.create(config_map("lost"))
        await asyncio.sleep(20)
        rig.cluster.restore(snapshot)
        await asyncio.sleep(120)
        assert held(rig) == {"default/configmap/lost.yaml": "history-lost"}
    for _ in range(2):
        async with rig.running():
            await asyncio.sleep(100)
            assert rig.metric("deletes_held") == 1
        assert "default/configmap/lost.yaml" in rig.files()


async def test_an_answer_that_events_overtook_is_not_from_an_older_past() -> None:
    rig = Rig()
    fill(rig, 5)
    await rig.once()
    delete(rig, 2)
    rig.latency = 2.0
    async with asyncio.TaskGroup() as group:

        async def churn() -> None:
            for value in range(400):
                rig.cluster.update(config_map("c4", str(value)))
                await asyncio.sleep(0.25)

        group.create_task(churn())
        async with rig.running():
            await asyncio.sleep(60)
            assert held(rig) == {}
            assert "default/configmap/c0.yaml" not in rig.files()


# -- settings and what was there before

SETTINGS = [
    {"exclude_kinds": "configmaps"},
    {"exclude_namespaces": "default"},
    {"include_namespaces": "kube-*"},
    {"label_selector": "app=web"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
async def test_what_settings_leave_out_is_held_until_they_want_it_again(
    settings: dict[str, str],
) -> None:
    rig = Rig()
    keys = fill(rig, 50)
    await rig.once()
    for _ in range(2):
        async with rig.running(**settings):
            await asyncio.sleep(100)
            assert {held(rig)[key] for key in keys} == {"settings"}
        assert set(keys) <= set(rig.files())
    await rig.once()
    assert held(rig) == {}
    assert rig.equal()


async def test_a_hold_for_settings_is_not_renewed_by_each_change_of_its_object() -> None:
    rig = Rig()
    fill(rig, 1)
    await rig.once()
    async with rig.running(exclude_namespaces="default"):
        await asyncio.sleep(30)
        before = rig.store.objects()[HELD]
        rig.cluster.update(config_map("c0", "new"))
        await asyncio.sleep(30)
        assert rig.store.objects()[HELD] == before


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
async def test_what_settings_leave_out_is_removed_when_allowed(settings: dict[str, str]) -> None:
    rig = Rig()
    keys = fill(rig, 50)
    await rig.once()
    async with rig.running(**settings):
        await asyncio.sleep(30)
        order(rig, "allow", "*/configmap/*")
        await asyncio.sleep(100)
        assert not set(keys) & set(rig.files())
        rig.cluster.update(config_map("c0", "new"))
        await asyncio.sleep(100)
        assert not set(keys) & set(held(rig))
    action = rig.metric("changes_total", resource="configmaps", action="left-out")
    assert action == 50


async def test_what_was_deleted_while_settings_left_it_out_goes_when_they_want_it_again() -> None:
    rig = Rig()
    fill(rig, 50)
    await rig.once()
    await rig.once(exclude_kinds="configmaps")
    delete(rig, 10)
    await rig.once()
    assert rig.equal()
    assert held(rig) == {}


async def test_what_was_in_the_prefix_before_us_is_held_where_no_object_shows_up() -> None:
    rig = Rig()
    keys = fill(rig, 5)
    await rig.once()
    rig.store.removed_by_a_stranger(OWNER)  # as if others had filled it
    delete(rig, 2)
    async with rig.killed():
        await asyncio.sleep(0.1)  # it died before it had looked at the cluster
    assert orjson.loads(rig.store.objects()[OWNER])["hold_orphans"] == "adopted"
    for _ in range(2):
        await rig.once()
        assert held(rig) == dict.fromkeys(keys[:2], "adopted")
        assert set(keys) <= set(rig.files())
        assert "hold_orphans" not in orjson.loads(rig.store.objects()[OWNER])
    rig.cluster.delete("configmaps", "default", "c2")
    await rig.once()
    assert keys[2] not in rig.files()


# -- trash


async def test_a_bucket_that_keeps_no_versions_gets_a_trash() -> None:
    rig = Rig()
    [key] = fill(rig, 1)
    async with rig.running():
        body = rig.files()[key]
        rig.cluster.delete("configmaps", "default", "c0")
        await asyncio.sleep(20)
    [trash] = [key for key in rig.store.objects() if "/_meta/trash/" in key]
    assert trash.endswith(f"Z/{key}")
    assert rig.store.objects()[trash] == body
    assert key not in rig.files()


@pytest.mark.parametrize(
    ("versioned", "settings"), [(True, {}), (False, {"trash_days": "0"})], ids=["versioned", "0"]
)
async def test_there_is_no_trash_where_nobody_needs_it(
    versioned: bool, settings: dict[str, str]
) -> None:
    rig = Rig(**settings)
    rig.store = type(rig.store)(latency=0.01, versioned=versioned)
    fill(rig, 1)
    async with rig.running():
        rig.cluster.delete("configmaps", "default", "c0")
        await asyncio.sleep(20)
    assert not [key for key in rig.store.objects() if "/_meta/trash/" in key]
    assert rig.equal()
