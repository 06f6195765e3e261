"""Two replicas: one writes, the other one waits, warm, and goes on where the first one left off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.memory_store import Fault
from tests.unit.capture.rig import PREFIX, Rig, config_map, refusal
from watcher.capture.service import Summary

pytestmark = pytest.mark.looptime

MAPS = "configmaps"
LEASES = "leases.coordination.k8s.io"
TAKEN = 15 + 5  # seconds after which a standby has taken over


def pair() -> tuple[Rig, Rig]:
    a = Rig(leader_elect="true", debounce="1s", max_delay="5s")
    a.instance = "a"
    return a, a.beside("b")


@asynccontextmanager
async def process(rig: Rig) -> AsyncIterator["asyncio.Task[Summary]"]:
    """A replica that is ready; killed -9 at the end, if it has not ended."""
    rig.stop = asyncio.Event()  # type: ignore[attr-defined]
    task = asyncio.create_task(rig._follow(rig.stop, False, {}))  # type: ignore[attr-defined]
    try:
        await rig.until(lambda: rig.ready() is None or task.done())
        yield task
    finally:
        await kill(task)


async def kill(task: "asyncio.Task[Any]") -> None:
    """-9: nothing is flushed, nothing given up."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def stop(rig: Rig) -> None:
    """SIGTERM."""
    rig.stop.set()  # type: ignore[attr-defined]


def leads(rig: Rig) -> bool:
    return rig.metric("leader") == 1


def put(rig: Rig, name: str, value: str) -> None:
    try:
        rig.cluster.edit(MAPS, "default", name, lambda content: content["data"].update(value=value))
    except Exception:
        rig.cluster.create(config_map(name, value))


def lists(rig: Rig) -> int:
    """Of whatever kind; that by which the cluster is recognised each minute aside."""
    return sum(
        count
        for (verb, label), count in rig.cluster.requests.items()
        if verb == "list" and label != "namespaces"
    )


def watch_versions(rig: Rig) -> list[str]:
    """Told of each key whose resourceVersion goes back in the bucket, from now on."""
    newest: dict[str, int] = {}
    back: list[str] = []
    write = rig.store._write

    def checked(key: str, new: Any, mode: Any) -> Any:
        written = write(key, new, mode)
        if version := new.metadata.get("watcher-resource-version"):
            if int(version) < newest.get(key, 0):
                back.append(f"{key}: {version} after {newest[key]}")
            newest[key] = int(version)
        return written

    rig.store._write = checked  # type: ignore[method-assign]
    return back


@asynccontextmanager
async def both() -> AsyncIterator[
    tuple[Rig, Rig, "asyncio.Task[Summary]", "asyncio.Task[Summary]"]
]:
    """a leads, and has done all; b stands by."""
    a, b = pair()
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(process(a))
        standby = await stack.enter_async_context(process(b))
        await asyncio.sleep(130)
        assert leads(a)
        assert a.equal()
        yield a, b, leader, standby


async def test_a_standby_is_ready_writes_nothing_and_says_who_does() -> None:
    async with both() as (a, b, _, standby):
        assert b.ready() is None
        assert not leads(b)
        assert (
            b.status().leader
            == a.cluster.get(LEASES, "default", "watcher")["spec"]["holderIdentity"]
        )
        page = b.metrics.render()[0].decode()
        assert "watcher_leader 0.0" in page
        assert "watcher_deletes_held" not in page
        assert "watcher_deletes_held" in a.metrics.render()[0].decode()
        epochs = [key for key in a.store.objects() if "/journal/" in key]
        assert all("-1-" in key for key in epochs)
        put(a, "new", "1")
        await asyncio.sleep(10)
        assert a.equal()
        assert not standby.done()


async def test_what_waits_in_a_standby_is_let_go_once_it_is_recorded() -> None:
    async with both() as (a, b, _, _standby):
        for number in range(50):
            put(a, f"m-{number}", "1")
        await asyncio.sleep(10)
        assert "50 changes not yet heard of" in b.status().doing
        await asyncio.sleep(130)
        assert "0 changes not yet heard of" in b.status().doing


async def test_a_standby_of_little_memory_needs_no_more_whatever_the_writer_does() -> None:
    a = Rig(leader_elect="true", memory_budget="100KiB")
    a.instance, b = "a", a.beside("b")
    async with process(a):
        a.store.choose_fault = lambda operation, key: (
            Fault.UNREACHABLE if operation == "PUT" else Fault.NONE
        )
        async with process(b):
            for number in range(2000):
                put(a, f"m-{number}", "1" * 100)
            await asyncio.sleep(100)
            waiting = float(b.status().doing.partition(" changes")[0].split()[-1])
            assert waiting < 600, "of a kind with more, only that it is to be listed"
            a.store.recover()
            await asyncio.sleep(300)
            assert "0 changes not yet heard of" in b.status().doing
            assert a.equal()


async def test_after_a_kill_the_standby_goes_on_and_lists_nothing_again() -> None:
    async with both() as (a, b, leader, _):
        put(a, "seen-by-both", "1")
        await asyncio.sleep(10)
        await kill(leader)
        put(a, "seen-by-b-alone", "1")
        a.cluster.delete(MAPS, "default", "seen-by-both")
        before, asked = lists(a), a.writes()
        await asyncio.sleep(TAKEN)
        assert leads(b)
        assert b.equal()
        await b.until(lambda: b.ready() is None)
        assert lists(a) == before + 1, "only if what no journal told of is really gone"
        assert a.writes() == asked + 2
        await asyncio.sleep(120)
        assert lists(a) == before + 1
        assert b.equal()


async def test_what_was_stored_and_never_journalled_is_recognised_and_recorded() -> None:
    async with both() as (a, b, leader, _):
        for number in range(20):
            put(a, f"m-{number}", "1")
        await asyncio.sleep(10)
        assert a.equal()
        await kill(leader)
        asked, before = a.writes(), lists(a)
        await asyncio.sleep(TAKEN + 120)
        assert leads(b)
        assert a.writes() == asked, "nothing is written twice"
        assert lists(a) == before
        journal = b"".join(body for key, body in a.store.objects().items() if "/journal/" in key)
        assert journal.count(b'"recovered":true') == 20


async def test_an_orderly_end_hands_over_in_seconds_and_leaves_nothing_pending() -> None:
    async with both() as (a, b, leader, _):
        put(a, "last", "1")
        stop(a)
        await leader
        stopped = a.writes()
        await asyncio.sleep(5)
        assert leads(b)
        assert b.equal()
        assert a.writes() == stopped


async def test_a_change_that_the_dead_one_had_half_done_is_done() -> None:
    """Written from what was seen later, though the standby saw only what came before."""
    async with both() as (a, b, leader, _):
        back = watch_versions(a)
        put(a, "lost", "1")
        await asyncio.sleep(10)
        a.cluster.faults.silence_watches()  # nobody hears of anything
        put(a, "lost", "2")
        content = b.expected()["default/configmap/lost.yaml"]
        a.store.written_by_a_stranger(PREFIX + "default/configmap/lost.yaml", content)
        a.store.removed_by_a_stranger(PREFIX + "_cluster/namespace/default.yaml")
        await kill(leader)
        await asyncio.sleep(TAKEN + 30)
        assert leads(b)
        assert b.equal()
        assert not back


async def test_a_standby_whose_watch_was_behind_overwrites_nothing_newer() -> None:
    async with both() as (a, b, leader, _):
        put(a, "ahead", "1")
        await asyncio.sleep(10)
        back = watch_versions(a)
        put(a, "ahead", "2")
        await asyncio.sleep(0.2)
        for watch in a.cluster.faults.open_watches(MAPS)[1:]:
            watch.silent = True  # that of the standby
        put(a, "ahead", "3")
        await asyncio.sleep(75)
        assert a.equal()
        await kill(leader)
        await asyncio.sleep(TAKEN)
        assert leads(b)
        assert b.equal()
        assert not back


async def test_what_the_dead_one_had_sent_and_lands_late_is_put_right() -> None:
    async with both() as (a, b, leader, _):
        put(a, "late", "1")
        await asyncio.sleep(10)
        a.store.late = 40.0
        a.store.ignore_conditions()
        a.store.fail_all(Fault.LATE)
        put(a, "late", "2")
        await asyncio.sleep(2)
        await kill(leader)
        a.store.recover()
        put(a, "late", "3")
        await asyncio.sleep(TAKEN)
        assert leads(b)
        assert b.equal()
        await asyncio.sleep(25)
        assert not b.equal(), "it has landed"
        await asyncio.sleep(60)
        assert b.equal()


@pytest.mark.parametrize("seed", range(6))
async def test_under_changes_nothing_is_lost_and_no_key_goes_back(seed: int) -> None:
    async with both() as (a, b, leader, _):
        back = watch_versions(a)

        async def change() -> None:
            for number in range(3000):
                name = f"m-{number * 7919 % 60}"
                if number % 11 == 10:
                    try:
                        a.cluster.delete(MAPS, "default", name)
                    except Exception:
                        put(a, name, str(number))
                else:
                    put(a, name, str(number))
                await asyncio.sleep(0.02)

        changing = asyncio.create_task(change())
        await asyncio.sleep(20 + seed * 1.7)
        await kill(leader)
        await changing
        await asyncio.sleep(60)
        assert leads(b)
        assert b.equal()
        assert not back


async def test_who_lost_the_lease_ends_and_writes_nothing_more() -> None:
    async with both() as (a, _, leader, standby):

        def take(content: Any) -> None:
            content["spec"]["holderIdentity"] = "somebody"

        await kill(standby)
        a.cluster.edit(LEASES, "default", "watcher", take)
        await a.until(leader.done, 5)
        assert "is lost to somebody: this process stops" in str(refusal(leader))
        asked = a.store.puts()
        put(a, "unwritten", "1")
        await asyncio.sleep(60)
        assert a.store.puts() == asked


async def test_an_api_server_away_ends_nobody_and_nothing_is_written_meanwhile() -> None:
    async with both() as (a, b, leader, standby):
        a.cluster.faults.stop()
        await asyncio.sleep(12)
        asked = a.store.puts()
        await asyncio.sleep(20)
        assert a.store.puts() == asked
        assert not leader.done()
        assert not standby.done()
        put(a, "after", "1")
        a.cluster.faults.start()
        await asyncio.sleep(90)
        assert a.equal()
        assert leads(b) == leader.done()


async def test_what_is_held_stays_held_and_what_came_back_is_not() -> None:
    async with both() as (a, b, leader, _):
        for number in range(60):
            put(a, f"m-{number}", "1")
        await asyncio.sleep(130)
        snapshot = a.cluster.snapshot()
        put(a, "newest", "1")
        await asyncio.sleep(10)
        a.cluster.restore(snapshot)
        await asyncio.sleep(60)
        held = a.metric("deletes_held")
        assert held == 1
        await kill(leader)
        await asyncio.sleep(TAKEN)
        assert leads(b)
        assert b.metric("deletes_held") == 1
        put(a, "newest", "2")
        await asyncio.sleep(20)
        assert b.metric("deletes_held") == 0
        assert b.equal()


async def test_a_bucket_with_files_of_old_is_read_anew_by_a_successor() -> None:
    """Until the first sync is over it is not known what is to be held: nothing may be inferred."""
    a, b = pair()
    a.store.written_by_a_stranger(PREFIX + "default/configmap/of-old.yaml", b"kind: ConfigMap\n")
    a.cluster.faults.forbid(MAPS)
    a.cluster.faults.unavailable(10_000, label=MAPS)
    starting = asyncio.create_task(a._follow(asyncio.Event(), False, {}))
    standing = asyncio.create_task(b._follow(asyncio.Event(), False, {}))
    try:
        await asyncio.sleep(20)
        await kill(starting)
        a.cluster.heal()
        await asyncio.sleep(TAKEN + 120)
        assert leads(b)
        assert b.metric("deletes_held") == 1
        assert "default/configmap/of-old.yaml" in b.files()
    finally:
        await kill(starting)
        await kill(standing)


async def test_each_of_many_takeovers_is_as_good_as_the_first() -> None:
    a, b = pair()
    async with AsyncExitStack() as stack:
        running = {rig.instance: await stack.enter_async_context(process(rig)) for rig in (a, b)}
        back = watch_versions(a)
        for round_ in range(6):
            await asyncio.sleep(70)
            leader = a if leads(a) else b
            put(a, "round", str(round_))
            await asyncio.sleep(round_)
            await kill(running[leader.instance])
            leader.ready = lambda: "not started"
            running[leader.instance] = await stack.enter_async_context(process(leader))
            await asyncio.sleep(TAKEN + 10)
            assert leads(a) != leads(b)
            assert a.equal()
        assert not back
