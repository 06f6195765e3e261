"""A heartbeat is what FORMAT.md says; of two living writers the younger goes on."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.memory_store import Fault, MemoryStore
from watcher.bucket.heartbeat import Ailing, DamagedError, Heartbeat, Pulse, newest
from watcher.bucket.layout import Layout
from watcher.bucket.metadata import Writer
from watcher.errors import BucketError, BucketUnreachableError, RefusedError

LAYOUT = Layout("example.com", "east")
FOLDER = "example.com/east/_meta/heartbeat/"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TODAY = FOLDER + "2026-07-01.json"
OLDER, YOUNGER = Writer("pod-a", 3), Writer("pod-b", 4)

BEAT = Heartbeat(
    NOW,
    YOUNGER,
    (Ailing("every-kind-watched", "pods", NOW - timedelta(hours=1)),),
    last_healthy=NOW - timedelta(hours=1),
    objects=12,
    last_change=NOW - timedelta(seconds=3),
    watcher_version="0.1.0",
    kubernetes_version="v1.36.3",
)


def pulse(store: MemoryStore, writer: Writer, *, conditional: bool = True) -> Pulse:
    return Pulse(store, LAYOUT, writer, conditional=conditional)


def beat(writer: Writer, at: datetime = NOW, *, released: bool = False) -> Heartbeat:
    return Heartbeat(at, writer, released=released)


def written(store: MemoryStore, key: str = TODAY) -> Heartbeat:
    return Heartbeat.decode(store.objects()[key], key)


# -- the file


def test_it_is_written_as_the_format_says() -> None:
    assert json.loads(BEAT.encode()) == {
        "format": 1,
        "at": "2026-07-01T12:00:00Z",
        "writer": "pod-b/4",
        "epoch": 4,
        "healthy": False,
        "failing": [
            {"promise": "every-kind-watched", "kind": "pods", "since": "2026-07-01T11:00:00Z"}
        ],
        "last_healthy": "2026-07-01T11:00:00Z",
        "objects": 12,
        "last_change": "2026-07-01T11:59:57Z",
        "last_reconcile": None,
        "versions": {"watcher": "0.1.0", "kubernetes": "v1.36.3"},
        "released": False,
    }


def test_what_was_written_is_read_back_as_it_was() -> None:
    assert Heartbeat.decode(BEAT.encode(), "key") == BEAT


@pytest.mark.parametrize(
    "damage",
    [
        {"format": None},
        {"at": None},
        {"at": "2026-07-01T12:00:00"},
        {"at": "noon"},
        {"epoch": "four"},
        {"failing": [{}]},
        {"failing": None},
        {"versions": "1"},
        {"last_healthy": "yesterday"},
    ],
)
def test_what_is_no_heartbeat_is_said_to_be_none(damage: dict[str, object]) -> None:
    with pytest.raises(DamagedError, match="key is no heartbeat"):
        Heartbeat.decode(json.dumps({**json.loads(BEAT.encode()), **damage}).encode(), "key")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff"])
def test_garbage_is_no_heartbeat(body: bytes) -> None:
    with pytest.raises(DamagedError):
        Heartbeat.decode(body, "key")


def test_one_of_a_newer_format_is_refused() -> None:
    with pytest.raises(RefusedError, match="format 2"):
        Heartbeat.decode(BEAT.encode().replace(b'"format": 1', b'"format": 2'), "key")


@pytest.mark.parametrize(
    ("minutes", "released", "alive"),
    [(0, False, True), (14, False, True), (15, False, False), (0, True, False), (-5, False, True)],
)
def test_a_writer_counts_as_alive_for_15_minutes_unless_it_said_good_bye(
    minutes: float, released: bool, alive: bool
) -> None:
    seen = beat(OLDER, NOW - timedelta(minutes=minutes), released=released)
    assert seen.is_alive(NOW) is alive


def test_a_beat_from_next_year_tells_of_a_wrong_clock_and_not_of_life() -> None:
    assert not beat(OLDER, NOW + timedelta(days=365)).is_alive(NOW)


# -- the newest one


async def test_the_newest_of_all_days_counts() -> None:
    store = MemoryStore()
    assert await newest(store, LAYOUT) is None
    for day in (28, 30, 29):
        at = datetime(2026, 6, day, tzinfo=UTC)
        await pulse(store, OLDER).beat(beat(OLDER, at))
    found = await newest(store, LAYOUT)
    assert found == beat(OLDER, datetime(2026, 6, 30, tzinfo=UTC))


@pytest.mark.parametrize("name", ["2026-07-02.json", "z.json"])
async def test_what_is_no_heartbeat_does_not_hide_one(name: str) -> None:
    store = MemoryStore()
    await pulse(store, OLDER).beat(beat(OLDER))
    store.written_by_a_stranger(FOLDER + name, b"garbage")
    assert await newest(store, LAYOUT) == beat(OLDER)


async def test_a_bucket_that_is_away_is_not_taken_for_an_empty_one() -> None:
    store = MemoryStore()
    await pulse(store, OLDER).beat(beat(OLDER))
    store.fail_next(Fault.NONE, Fault.UNREACHABLE)
    with pytest.raises(BucketUnreachableError):
        await newest(store, LAYOUT)


# -- beating


async def test_a_beat_replaces_the_one_before_and_a_new_day_begins_a_new_file() -> None:
    store = MemoryStore()
    ours = pulse(store, OLDER)
    for hours in (0, 1, 12, 13):
        await ours.beat(beat(OLDER, NOW + timedelta(hours=hours)))
    assert set(store.objects()) == {TODAY, FOLDER + "2026-07-02.json"}
    assert written(store).at == NOW + timedelta(hours=1)
    assert store.requests["PUT", TODAY] == 2
    assert not [key for (operation, key) in store.requests if operation in ("GET", "LIST")]


@pytest.mark.parametrize("conditional", [True, False])
async def test_the_older_of_two_living_writers_stops_at_its_next_beat(conditional: bool) -> None:
    store = MemoryStore()
    if not conditional:
        store.ignore_conditions()
    older = pulse(store, OLDER, conditional=conditional)
    younger = pulse(store, YOUNGER, conditional=conditional)
    await older.beat(beat(OLDER))
    await younger.beat(beat(YOUNGER))
    with pytest.raises(RefusedError, match=r"another writer, pod-b/4, writes"):
        await older.beat(beat(OLDER, NOW + timedelta(minutes=5)))
    assert written(store) == beat(YOUNGER), "the younger one's beat stays"


@pytest.mark.parametrize("conditional", [True, False])
async def test_the_younger_one_writes_over_the_older_one_and_goes_on(conditional: bool) -> None:
    store = MemoryStore()
    if not conditional:
        store.ignore_conditions()
    older = pulse(store, OLDER, conditional=conditional)
    younger = pulse(store, YOUNGER, conditional=conditional)
    await younger.beat(beat(YOUNGER))
    with pytest.raises(RefusedError):
        await older.beat(beat(OLDER))
    store.written_by_a_stranger(TODAY, beat(OLDER).encode())
    assert await younger.beat(beat(YOUNGER, NOW + timedelta(minutes=5))) == OLDER
    assert await younger.beat(beat(YOUNGER, NOW + timedelta(minutes=5))) is None
    assert written(store) == beat(YOUNGER, NOW + timedelta(minutes=5))


async def test_across_midnight_they_still_meet() -> None:
    store = MemoryStore()
    older, younger = pulse(store, OLDER), pulse(store, YOUNGER)
    await older.beat(beat(OLDER))
    await younger.beat(beat(YOUNGER, NOW + timedelta(hours=12)))
    with pytest.raises(RefusedError):
        await older.beat(beat(OLDER, NOW + timedelta(hours=12)))


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.UNREACHABLE])
async def test_a_beat_without_an_answer_is_not_taken_for_another_writers(fault: Fault) -> None:
    store = MemoryStore()
    ours = pulse(store, OLDER)
    await ours.beat(beat(OLDER))
    store.fail_next(fault)
    with pytest.raises(BucketUnreachableError):
        await ours.beat(beat(OLDER, NOW + timedelta(minutes=5)))
    assert await ours.beat(beat(OLDER, NOW + timedelta(minutes=10))) is None
    assert written(store).at == NOW + timedelta(minutes=10)


@pytest.mark.parametrize("conditional", [True, False])
async def test_garbage_in_its_place_is_written_over(conditional: bool) -> None:
    store = MemoryStore()
    ours = pulse(store, OLDER, conditional=conditional)
    await ours.beat(beat(OLDER))
    store.written_by_a_stranger(TODAY, b"garbage")
    await ours.beat(beat(OLDER))
    assert written(store) == beat(OLDER)


async def test_one_that_somebody_removed_is_written_anew() -> None:
    store = MemoryStore()
    ours = pulse(store, OLDER)
    await ours.beat(beat(OLDER))
    store.removed_by_a_stranger(TODAY)
    await ours.beat(beat(OLDER))
    assert written(store) == beat(OLDER)


async def test_a_key_that_keeps_changing_is_an_error_to_try_again() -> None:
    store = MemoryStore()
    ours = pulse(store, OLDER)
    await ours.beat(beat(OLDER))
    changes = iter(range(100))

    def move(operation: str, key: str) -> Fault:
        if operation == "PUT":
            store.written_by_a_stranger(TODAY, f"garbage {next(changes)}".encode())
        return Fault.NONE

    store.choose_fault = move
    with pytest.raises(BucketError):
        await ours.beat(beat(OLDER))
