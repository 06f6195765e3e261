"""An informer outlives whatever the API server does, loses nothing and concludes nothing false.

In virtual time over the cluster model; what a real API server can be made to do as well is in
tests/informer_contract.py.
"""

import asyncio
from random import Random

import pytest

from bench.cluster import Cluster, Object
from bench.memory_api import MemoryAPI, loop_clock
from tests.following import Follower, Hurried, following, nobody_doubts, until, until_watching
from tests.unit.cluster.scripted import Reply, Script, json_reply
from watcher.cluster.client import PAGE_SIZE, Event, Item
from watcher.cluster.informer import PARKED, SILENCE, Informer
from watcher.cluster.phases import Watching
from watcher.objects.ref import APIResource

pytestmark = pytest.mark.looptime

MAPS = APIResource("", "v1", "configmaps", "ConfigMap", True)
EVENTS = APIResource("", "v1", "events", "Event", True)
WIDGETS = APIResource("example.com", "v1", "widgets", "Widget", True)


def a_cluster(*names: str) -> Cluster:
    """With ConfigMaps of these names in it."""
    cluster = Cluster(loop_clock())
    add(cluster, *names)
    return cluster


def add(cluster: Cluster, *names: str) -> None:
    for name in names:
        metadata = {"name": name, "namespace": "default"}
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})


def edit(cluster: Cluster, name: str, value: str) -> Object:
    return cluster.edit("configmaps", "default", name, lambda c: c.update(data={"value": value}))


def many(count: int) -> list[str]:
    return [f"map-{number:04}" for number in range(count)]


def now() -> float:
    return asyncio.get_running_loop().time()


# -- silence


async def test_a_stream_that_sent_two_bookmarks_is_left_after_90_seconds_of_silence() -> None:
    cluster = a_cluster("a")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await asyncio.sleep(130)
        cluster.faults.silence_watches()
        edit(cluster, "a", "unheard")
        await until(lambda: seen.pauses, 600)
        assert now() == pytest.approx(120 + SILENCE, abs=1)
        assert seen.restarts == ["connection"]
        await until(lambda: seen.events)
    assert seen.state["default", "a"]["data"] == {"value": "unheard"}
    assert seen.begun == 1


@pytest.mark.parametrize(("resource", "silent_from"), [(EVENTS, 130), (MAPS, 70)])
async def test_a_stream_that_sent_fewer_is_left_a_minute_after_its_end_was_due(
    resource: APIResource, silent_from: float
) -> None:
    cluster = a_cluster()
    async with following(MemoryAPI(cluster), resource) as seen:
        await asyncio.sleep(silent_from)
        cluster.faults.silence_watches()
        await asyncio.sleep(300 + 60 - silent_from)
        assert not seen.pauses
        await asyncio.sleep(300 + 1)
        assert seen.restarts == ["connection"]


async def test_a_request_that_is_never_answered_is_given_up_after_a_minute() -> None:
    cluster = a_cluster("a")
    cluster.faults.no_answer(1)
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until(lambda: seen.pauses, 61)
        await until_watching(seen)
    assert seen.restarts == ["connection"]
    assert "did not begin to answer" in str(seen.pauses[0].error)
    assert seen.names == {"a"}


# -- refusals


async def test_a_throttled_watch_keeps_its_place_and_stays_away_as_told() -> None:
    cluster = a_cluster("a")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        edit(cluster, "a", "1")
        await until(lambda: seen.events)
        cluster.faults.throttle(1, retry_after=7)
        cluster.faults.end_watches()
        await until(lambda: len(seen.pauses) == 2)
        edit(cluster, "a", "2")
        await until(lambda: len(seen.events) == 2)
    assert seen.restarts == ["ended", "throttled"]
    assert seen.pauses[1].seconds == 7
    assert seen.versions[1] == seen.versions[2]
    assert seen.begun == 1


async def test_a_throttled_list_goes_on_at_its_page() -> None:
    cluster = a_cluster(*many(501))
    follower = Follower(of=lambda item: _throttle_once(cluster, item))
    async with following(MemoryAPI(cluster), MAPS, follower=follower) as seen:
        await until_watching(seen)
    assert seen.restarts == ["throttled"]
    assert seen.pauses[0].seconds == 7
    assert (seen.begun, len(seen.listed_items), seen.completed) == (1, 501, [True])


def _throttle_once(cluster: Cluster, item: Item) -> bool:
    if item["metadata"]["name"] == "map-0000":
        cluster.faults.throttle(1, retry_after=7)
    return True


async def test_a_missing_right_is_tried_again_after_minutes_and_recovers_by_itself() -> None:
    cluster = a_cluster("a")
    cluster.faults.forbid("configmaps")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await asyncio.sleep(1)
        cluster.faults.allow("configmaps")
        await until_watching_within(seen, 400)
        assert PARKED[0] <= now() <= PARKED[1] + 1
    assert seen.restarts == ["forbidden"]
    assert seen.completed == [True]


async def test_a_watch_whose_right_is_missing_keeps_its_place() -> None:
    cluster = a_cluster("a")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        cluster.faults.forbid("configmaps")
        cluster.faults.end_watches()
        await until(lambda: "forbidden" in seen.restarts)
        edit(cluster, "a", "meanwhile")
        cluster.faults.allow("configmaps")
        await until(lambda: seen.events, 400)
    assert (seen.begun, seen.completed) == (1, [True])


async def test_expired_credentials_cost_a_moment_and_no_list() -> None:
    cluster = a_cluster("a")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        edit(cluster, "a", "1")
        await until(lambda: seen.events)
        cluster.faults.unauthorized(1)
        cluster.faults.end_watches()
        await until(lambda: len(seen.pauses) == 2)
        edit(cluster, "a", "2")
        await until(lambda: len(seen.events) == 2, 2)
    assert (seen.begun, seen.restarts) == (1, ["ended", "unauthorized"])


async def test_a_kind_that_is_not_found_rings_at_each_try() -> None:
    async with following(MemoryAPI(a_cluster()), WIDGETS) as seen:
        await until(lambda: seen.rediscoveries == 3)
    assert set(seen.restarts) == {"not-found"}
    assert seen.completed == []


async def test_waits_double_up_to_half_a_minute_and_are_short_again_after_health() -> None:
    cluster = a_cluster("a")
    cluster.faults.unavailable(8)
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching_within(seen, 600)
        for number, pausing in enumerate(seen.pauses):
            whole = min(30.0, 0.8 * 2**number)
            assert whole / 2 <= pausing.seconds <= whole
        assert seen.restarts == ["server-error"] * 8
        cluster.faults.drop_watches()  # not yet healthy for long
        await until(lambda: len(seen.pauses) == 9)
        assert seen.pauses[-1].seconds >= 15
        await asyncio.sleep(200)
        cluster.faults.drop_watches()
        await until(lambda: len(seen.pauses) == 10)
        assert seen.pauses[-1].seconds <= 0.8


async def test_a_watch_that_ends_at_once_with_nothing_said_does_not_spin() -> None:
    cluster = a_cluster()
    async with following(Hurried(MemoryAPI(cluster), 0), EVENTS):
        await asyncio.sleep(60)
    assert 2 < cluster.requests["watch", "events"] < 12


# -- lists


async def test_a_continue_token_that_expired_makes_one_list_in_one_piece() -> None:
    cluster = a_cluster(*many(1001))
    cluster.faults.expire_tokens(1)
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        assert cluster.requests["list", "configmaps"] == 3
    assert (seen.restarts, seen.completed) == (["token-expired"], [True])
    assert seen.names == set(many(1001))


async def test_a_list_cut_in_its_last_page_is_never_complete() -> None:
    cluster = a_cluster(*many(510))
    cluster.faults.cut_lists(3)
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until(lambda: len(seen.pauses) == 3)
        assert seen.completed == []
        await until_watching(seen)
    assert seen.restarts == ["connection"] * 3
    assert (seen.begun, seen.completed, seen.names) == (1, [True], set(many(510)))


async def test_pages_wait_while_there_is_no_room_for_them() -> None:
    room = asyncio.Event()

    class Slow(Follower):
        async def room(self) -> None:
            await room.wait()

    cluster = a_cluster(*many(PAGE_SIZE + 1))
    async with following(MemoryAPI(cluster), MAPS, follower=Slow()) as seen:
        await asyncio.sleep(100)
        assert len(seen.listed_items) == PAGE_SIZE
        room.set()
        await until_watching(seen)
    assert (len(seen.listed_items), seen.completed) == (PAGE_SIZE + 1, [True])


async def test_no_more_kinds_are_listed_at_once_than_there_are_places() -> None:
    cluster = a_cluster("a")
    cluster.faults.no_answer(1)
    lists, seen = asyncio.Semaphore(1), [Follower(), Follower()]
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(
                Informer(
                    MemoryAPI(cluster),
                    resource,
                    follower,
                    observer=follower,
                    random=Random(1),
                    lists=lists,
                    confirm=nobody_doubts,
                ).run()
            )
            for resource, follower in zip((MAPS, EVENTS), seen, strict=True)
        ]
        await asyncio.sleep(59)
        assert [len(follower.phases) for follower in seen] == [1, 0]
        await until_watching(*seen)
        for task in running:
            task.cancel()


# -- history


async def test_a_history_that_went_back_makes_a_list_whose_absences_prove_nothing() -> None:
    cluster = a_cluster("old")
    snapshot = cluster.snapshot()
    add(cluster, "new")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        cluster.restore(snapshot)
        await until(lambda: len(seen.completed) == 2)
    assert seen.completed == [True, False]
    assert "history-lost" in seen.restarts


async def test_a_history_that_went_back_and_grew_on_is_found_by_a_silent_watch() -> None:
    """A watch from the future is not refused: it says nothing, and ends in order."""
    cluster = a_cluster("old")
    snapshot = cluster.snapshot()
    add(cluster, *many(50))
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        cluster.faults.silence_watches()
        cluster.restore(snapshot)
        cluster.faults.unreachable(2)
        add(cluster, "other")
        await until(lambda: len(seen.completed) == 2, 1000)
    assert seen.completed == [True, False]
    assert seen.names == {"old", "other"}


async def test_a_version_moves_on_to_what_was_handed_over_and_no_further() -> None:
    cluster = a_cluster("a")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        changed = edit(cluster, "a", "1")
        await until(lambda: seen.events)
        cluster.faults.drop_watches()
        await until(lambda: seen.pauses)
        edit(cluster, "a", "2")
        await until(lambda: len(seen.events) == 2)
        assert seen.versions[-1] == changed["metadata"]["resourceVersion"]


async def test_a_change_that_its_taker_cannot_take_is_not_passed_over() -> None:
    class Full(Exception):
        pass

    class Refusing(Follower):
        def changed(self, events: list[Event]) -> None:
            raise Full

    async def follow(refusing: Follower) -> None:
        async with following(MemoryAPI(cluster), MAPS, follower=refusing):
            await until_watching(refusing)
            edit(cluster, "a", "1")
            await asyncio.sleep(1000)

    cluster, refusing = a_cluster("a"), Refusing()
    with pytest.raises(AssertionError) as ended:
        await follow(refusing)
    assert isinstance(ended.value.__cause__, Full)
    assert len(refusing.versions) == 1


async def test_a_bookmark_is_a_place_to_go_on_from() -> None:
    cluster = a_cluster("a")
    async with following(MemoryAPI(cluster), MAPS) as seen:
        await until_watching(seen)
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
        version = cluster.version
        await asyncio.sleep(61)
        cluster.faults.drop_watches()
        await until(lambda: len(seen.versions) == 2)
    assert seen.phases[-1] == Watching(str(version))
    assert seen.events == []


# -- nonsense


PAGE = json_reply({"metadata": {"resourceVersion": "7"}, "items": []})


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"7",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":7}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"ADDED","object":{"metadata":null}}',
        b'{"type":"ADDED","object":{"metadata":"x"}}',
        b'{"type":"BOOKMARK","object":null}',
        b'{"type":"ERROR","object":"x"}',
        b'{"type":"ERROR","object":{"kind":"Status","code":"x","details":"y"}}',
        b"<html>",
    ],
)
async def test_a_watch_that_talks_nonsense_is_begun_again_where_it_was(line: bytes) -> None:
    script = Script({"/api/v1/configmaps": [PAGE, Reply(200, [line + b"\n"]), PAGE, Reply(200)]})
    async with following(script, MAPS) as seen:
        await until(lambda: len(seen.versions) >= 2, 100)
    assert seen.versions[:2] == ["7", "7"]
    assert seen.events == []


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"",
        b"[]",
        b"{}",
        b'{"metadata":7,"items":[]}',
        b'{"metadata":{"resourceVersion":"7"},"items":7}',
        b'{"metadata":{"resourceVersion":"7"},"items":[7]}',
        b'{"kind":"Table","rows":[]}',
    ],
)
async def test_a_list_that_is_none_is_never_complete(body: bytes) -> None:
    script = Script({"/api/v1/configmaps": [Reply(200, [body]), PAGE, Reply(200)]})
    async with following(script, MAPS) as seen:
        await until(lambda: seen.completed, 100)
    assert seen.begun == 2
    assert seen.completed == [True]


async def until_watching_within(seen: Follower, seconds: float) -> None:
    await until(lambda: seen.versions, seconds)
