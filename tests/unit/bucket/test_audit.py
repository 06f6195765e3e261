"""One trail of many journals: in order, in little memory, and whole or said not to be."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.memory_store import Fault, MemoryStore
from watcher.bucket.audit import Entry, Wanted, tell
from watcher.bucket.journal import Line, stamp
from watcher.bucket.layout import Layout, Place

pytestmark = pytest.mark.looptime

EAST, WEST = Layout("example.com", "east"), Layout("example.com", "west")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
DAMAGED = b'{"at": "2026-07-'


def line(at: datetime, name: str = "a", **fields: Any) -> Line:
    return Line(stamp(at), f"shop/configmap/{name}.yaml", "update")._replace(**fields)


class Journals:
    """Of clusters in a bucket in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.faults: dict[str, str] = {}
        self._files = 0

    def file(
        self, layout: Layout, *lines: Line | bytes, written: datetime | None = None, epoch: int = 1
    ) -> str:
        """One that was written at this time, or right after its last line. Its key."""
        self._files += 1
        last = lines[-1]
        if written is None:
            assert isinstance(last, Line)
            written = datetime.fromisoformat(last.at)
        name = f"{written:%Y/%m/%d/%H%M%S}-{epoch}-{self._files}.ndjson"
        key = layout.prefix + layout.meta(f"journal/{name}")
        bodies = (it.encode() if isinstance(it, Line) else it + b"\n" for it in lines)
        self.store.written_by_a_stranger(key, b"".join(bodies))
        return key

    async def told(
        self, *layouts: Layout, since: datetime = NOON, at_once: int = 4, **wanted: Any
    ) -> list[Entry]:
        found: list[Entry] = []
        question = Wanted(since, **wanted)
        self.faults = await tell(
            self.store, layouts or (EAST, WEST), question, found.append, at_once=at_once
        )
        return found

    async def names(self, *layouts: Layout, **wanted: Any) -> list[str]:
        found = [entry.place for entry in await self.told(*layouts, **wanted)]
        return [str(place.name) for place in found if place]


@pytest.fixture
def journals() -> Journals:
    return Journals()


# -- order


async def test_clusters_are_merged_by_time(journals: Journals) -> None:
    journals.file(EAST, line(NOON, "1"), line(NOON + 3 * SECOND, "4"))
    journals.file(EAST, line(NOON + 9 * SECOND, "5"))
    journals.file(WEST, line(NOON + SECOND, "2"), line(NOON + 2 * SECOND, "3"))
    assert await journals.names() == ["1", "2", "3", "4", "5"]
    assert journals.faults == {}


async def test_what_is_told_stands_in_order_however_it_is_spread_over_files(
    journals: Journals,
) -> None:
    draw = random.Random(7)
    layouts = [Layout("example.com", f"c{number}") for number in range(30)]
    for layout in layouts:
        now = NOON
        for _ in range(draw.randrange(40)):
            lines = []
            for _ in range(draw.randrange(1, 9)):
                now += draw.random() * 10 * SECOND
                lines.append(line(now))
            journals.file(layout, *lines)
    journals.store.page = 7
    told = await journals.told(*layouts)
    assert [entry.at for entry in told] == sorted(entry.at for entry in told)
    kept = sum(body.count(b"\n") for body in journals.store.objects().values())
    assert len(told) == kept > 1000


async def test_files_of_one_second_are_told_in_their_own_order(journals: Journals) -> None:
    for number in range(12):
        journals.file(EAST, line(NOON, str(number)))
    assert await journals.names() == [str(number) for number in range(12)]


async def test_a_line_that_is_older_than_one_before_it_stands_where_it_was_written(
    journals: Journals,
) -> None:
    set_back = (line(NOON + 8 * SECOND, "1"), line(NOON + SECOND, "2"))
    journals.file(EAST, *set_back, written=NOON + 9 * SECOND)
    journals.file(WEST, line(NOON + 3 * SECOND, "0"), line(NOON + 9 * SECOND, "3"))
    assert await journals.names() == ["0", "1", "2", "3"]


# -- what is wanted


async def test_only_what_was_stored_in_the_time_asked_for_is_told(journals: Journals) -> None:
    times = (NOON - SECOND, NOON, NOON + SECOND, NOON + HOUR - SECOND, NOON + HOUR)
    journals.file(EAST, *(line(at, str(number)) for number, at in enumerate(times)))
    assert await journals.names() == ["1", "2", "3", "4"]
    assert await journals.names(until=NOON + HOUR) == ["1", "2", "3"]


async def test_files_that_can_hold_nothing_of_that_time_are_not_read(journals: Journals) -> None:
    for minutes in range(-600, 600):
        journals.file(EAST, line(NOON + minutes * MINUTE, str(minutes)))
    told = await journals.names(EAST, until=NOON + 10 * MINUTE, at_once=1)
    assert told == [str(minutes) for minutes in range(10)]
    requests = Counter(operation for operation, _ in journals.store.requests.elements())
    assert requests == {"LIST": 1, "GET": 5 + 10 + 5 + 1}


async def test_a_file_that_was_written_late_is_not_missed(journals: Journals) -> None:
    late = NOON + 3 * HOUR
    journals.file(EAST, line(NOON + MINUTE, "1"), line(late), written=late)
    journals.file(EAST, line(NOON + 2 * MINUTE, "2"), line(late), written=late)
    journals.file(EAST, line(late))
    assert await journals.names(EAST, until=NOON + HOUR, at_once=1) == ["1", "2"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, "1234"),
        ({"kinds": ["configmap"]}, "13"),
        ({"kinds": ["*.cert-manager.io", "clusterrole"]}, "24"),
        ({"namespaces": ["shop*"]}, "12"),
        ({"namespaces": ["_cluster"]}, "4"),
        ({"managers": ["kubectl*"]}, "13"),
        ({"actions": ["create", "delete"]}, "24"),
        ({"kinds": ["configmap"], "namespaces": ["lab"], "managers": ["kubectl"]}, "3"),
        ({"kinds": ["config"]}, ""),
    ],
)
async def test_patterns_choose_entries(
    wanted: dict[str, Any], told: str, journals: Journals
) -> None:
    kubectl, helm = {"manager": "kubectl"}, {"manager": "helm"}
    journals.file(
        EAST,
        line(NOON, key="shop/configmap/1.yaml", **kubectl),
        line(NOON, key="shop-2/certificate.cert-manager.io/2.yaml", action="create", **helm),
        line(NOON, key="lab/configmap/3.yaml", **kubectl),
        line(NOON, key="_cluster/clusterrole/4.yaml", action="delete", **kubectl),
    )
    assert "".join(await journals.names(**wanted)) == told


async def test_who_deleted_an_object_is_not_known(journals: Journals) -> None:
    journals.file(
        EAST,
        line(NOON, manager="kubectl"),
        line(NOON, action="left-out", manager="kubectl"),
        line(NOON, action="delete", manager="kubectl"),
    )
    assert [entry.by for entry in await journals.told()] == ["kubectl", "kubectl", ""]


async def test_a_key_that_is_not_of_our_shape_is_told_without_a_place(journals: Journals) -> None:
    journals.file(EAST, line(NOON, key="notes.txt"), line(NOON))
    places = [entry.place for entry in await journals.told()]
    assert places == [None, Place("shop", "configmap", "a")]


# -- memory


@pytest.mark.parametrize(("clusters", "at_once"), [(1, 1), (1, 8), (20, 8), (20, 40)])
async def test_no_more_is_read_than_some_files_ahead_of_what_is_told(
    clusters: int, at_once: int, journals: Journals
) -> None:
    layouts = [Layout("example.com", f"c{number}") for number in range(clusters)]
    for minutes in range(200):
        for layout in layouts:
            journals.file(layout, line(NOON + minutes * MINUTE))
    journals.store.page, journals.store.latency = 50, 0.01
    told: Counter[str] = Counter()
    ahead = 0

    def out(entry: Entry) -> None:
        nonlocal ahead
        told[entry.cluster] += 1
        requests = journals.store.requests.items()
        read = sum(n for (operation, _), n in requests if operation == "GET")
        ahead = max(ahead, read - told.total())

    assert not await tell(journals.store, layouts, Wanted(NOON), out, at_once=at_once)
    assert set(told.values()) == {200}
    each = max(1, at_once // clusters)
    # The one that is told, the one that waits, and a batch that is being asked for.
    assert ahead <= clusters * (2 + each)


async def test_files_are_asked_for_together_but_no_more_than_so_many(journals: Journals) -> None:
    layouts = [Layout("example.com", f"c{number}") for number in range(20)]
    for layout in layouts:
        journals.file(layout, line(NOON))
    journals.store.latency = 1.0
    most = under_way = 0
    get = journals.store.get

    async def counted(key: str) -> Any:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        try:
            return await get(key)
        finally:
            under_way -= 1

    journals.store.get = counted  # type: ignore[method-assign]
    assert len(await journals.told(*layouts, at_once=5)) == 20
    assert most == 5


# -- what cannot be read


async def test_damaged_lines_are_counted_and_the_others_told(journals: Journals) -> None:
    journals.file(EAST, line(NOON, "1"))
    first = journals.file(EAST, DAMAGED, line(NOON, "2"))
    journals.file(EAST, DAMAGED, DAMAGED, written=NOON)
    journals.file(WEST, line(NOON, "3"))
    assert await journals.names() == ["1", "2", "3"]
    assert journals.faults == {EAST.name: f"3 lines are damaged, the first in {first}"}


async def test_a_newer_journal_hides_neither_what_was_before_it_nor_the_others(
    journals: Journals,
) -> None:
    journals.file(EAST, line(NOON, "1"))
    newer = journals.file(EAST, b'{"format": 2}', written=NOON + SECOND)
    journals.file(EAST, line(NOON + 3 * SECOND, "never"))
    journals.file(WEST, line(NOON + 2 * SECOND, "2"))
    assert await journals.names() == ["1", "2"]
    assert journals.faults == {
        EAST.name: f"{newer} has format 2, this program knows up to 1"
        " (use the newer program that wrote it)"
    }


@pytest.mark.parametrize("operation", ["LIST", "GET"])
async def test_a_cluster_that_may_not_be_read_is_named_and_the_others_are_told(
    operation: str, journals: Journals
) -> None:
    journals.file(EAST, line(NOON, "1"))
    journals.file(WEST, line(NOON, "2"))
    journals.store.choose_fault = lambda asked, key: (
        Fault.REJECTED if asked == operation and key.startswith(EAST.prefix) else Fault.NONE
    )
    assert await journals.names() == ["2"]
    assert journals.faults == {EAST.name: "access denied"}


async def test_a_file_that_is_removed_meanwhile_is_no_fault(journals: Journals) -> None:
    gone = journals.file(EAST, line(NOON, "1"))
    journals.file(EAST, line(NOON, "2"))

    def remove(operation: str, key: str) -> Fault:
        if operation == "GET":
            journals.store.removed_by_a_stranger(gone)
        return Fault.NONE

    journals.store.choose_fault = remove
    assert await journals.names() == ["2"]
    assert journals.faults == {}


async def test_a_cluster_without_a_journal_has_nothing_to_tell(journals: Journals) -> None:
    journals.store.written_by_a_stranger(f"{EAST.prefix}_meta/journal/notes.txt", b"x")
    assert await journals.told() == []
    assert journals.faults == {}


async def test_who_listens_no_more_ends_it_and_no_request_stays(journals: Journals) -> None:
    for minutes in range(100):
        journals.file(EAST, line(NOON + minutes * MINUTE))
        journals.file(WEST, line(NOON + minutes * MINUTE))
    journals.store.latency = 0.01
    heard: list[Entry] = []

    def out(entry: Entry) -> None:
        heard.append(entry)
        if len(heard) == 10:
            raise BrokenPipeError

    with pytest.raises(ExceptionGroup) as error:
        await tell(journals.store, (EAST, WEST), Wanted(NOON), out, at_once=4)
    assert error.group_contains(BrokenPipeError)
    assert len(heard) == 10
    assert sum(journals.store.requests.values()) < 40
