"""The journal keeps every line, in order, until a file in the bucket holds it."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from bench.memory_api import loop_clock
from tests.memory_store import Fault, MemoryStore
from watcher.bucket.journal import FULL, INTERVAL, Journal, Line, Position, files, read, stamp
from watcher.bucket.layout import Layout
from watcher.errors import BucketError, BucketUnreachableError, RefusedError
from watcher.logs import open_log

pytestmark = pytest.mark.looptime

LAYOUT = Layout("example.com", "east")
FOLDER = "example.com/east/_meta/journal/"
KEY = f"{FOLDER}2026/01/01/000000-1-1.ndjson"
START = datetime(2026, 1, 1, tzinfo=UTC)  # what loop_clock() shows first


def line(number: int, at: datetime = START) -> Line:
    return Line(stamp(at), f"ns/pod/{number}.yaml", "create", f'"{number}"', fingerprint="ab" * 16)


class Keeper:
    """A journal, the bucket it is written to and what was logged."""

    def __init__(self, *, epoch: int = 7) -> None:
        self.store = MemoryStore(latency=0.01)
        self.logged = io.StringIO()
        self.now = loop_clock()
        log = open_log(self.logged, "logfmt", "info", self.clock)
        self.journal = Journal(self.store, LAYOUT, epoch, clock=self.clock, log=log)

    def clock(self) -> datetime:
        return self.now()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.journal.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def note(self, *numbers: int) -> None:
        for number in numbers:
            self.journal.note(line(number, self.now()))

    async def told(self, **given: Position | datetime | None) -> list[int]:
        """Numbers of the lines in the bucket, in order."""
        found = read(self.store, LAYOUT, **given)  # type: ignore[arg-type]
        return [int(each.key.split("/")[2].removesuffix(".yaml")) async for each in found]

    def names(self) -> list[str]:
        return [key.removeprefix(FOLDER) for key in self.store.objects()]


# -- lines


def test_a_line_has_the_fields_of_the_format() -> None:
    told = Line(
        at="2026-01-01T00:00:00.000Z",
        key="shop/deployment/web.yaml",
        action="update",
        etag='"e2"',
        version_id="v2",
        fingerprint="ab" * 16,
        uid="u",
        resource_version="12",
        manager="kubectl",
        operation="Apply",
        changed_at="2026-01-01T00:00:00Z",
        previous_etag='"e1"',
    )
    assert orjson.loads(told.encode()) == {
        "format": 1,
        "at": "2026-01-01T00:00:00.000Z",
        "key": "shop/deployment/web.yaml",
        "action": "update",
        "etag": '"e2"',
        "version_id": "v2",
        "fingerprint": "ab" * 16,
        "uid": "u",
        "resource_version": "12",
        "manager": "kubectl",
        "operation": "Apply",
        "changed_at": "2026-01-01T00:00:00Z",
        "previous_etag": '"e1"',
    }
    assert Line.decode(told.encode(), KEY) == told
    recovered = told._replace(recovered=True)
    assert orjson.loads(recovered.encode())["recovered"] is True
    assert Line.decode(recovered.encode(), KEY) == recovered


def test_fields_of_later_programs_are_left_aside() -> None:
    known = orjson.loads(line(1).encode())
    assert Line.decode(orjson.dumps({**known, "weather": "fine"}), KEY) == line(1)


def test_a_line_of_a_newer_format_is_refused_and_names_its_file() -> None:
    with pytest.raises(RefusedError, match=r"000000-1-1\.ndjson has format 2"):
        Line.decode(b'{"format": 2}', KEY)


def test_a_line_without_a_format_has_the_first_one() -> None:
    fields = orjson.loads(line(1).encode())
    del fields["format"]
    assert Line.decode(orjson.dumps(fields), KEY) == line(1)


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"key": "ns/pod/a.yaml"}',
    orjson.dumps({**orjson.loads(line(1).encode()), "format": None}),
    orjson.dumps({**orjson.loads(line(1).encode()), "etag": 5}),
    orjson.dumps({**orjson.loads(line(1).encode()), "fingerprint": "no hex"}),
    orjson.dumps({**orjson.loads(line(1).encode()), "fingerprint": None}),
    orjson.dumps({**orjson.loads(line(1).encode()), "at": "noon"}),
    orjson.dumps({**orjson.loads(line(1).encode()), "at": "2026-01-01T00:00:00"}),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_line_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        Line.decode(text, KEY)


# -- when it is written


async def test_after_a_minute_what_was_noted_is_in_the_bucket() -> None:
    keeper = Keeper()
    async with keeper.running():
        keeper.note(1, 2)
        await asyncio.sleep(INTERVAL - 1)
        assert keeper.names() == []
        await asyncio.sleep(2)
        assert keeper.names() == ["2026/01/01/000100-7-1.ndjson"]
        assert len(keeper.journal) == 0
    assert await keeper.told() == [1, 2]


async def test_a_thousand_lines_do_not_wait_for_the_minute() -> None:
    keeper = Keeper()
    async with keeper.running():
        await asyncio.sleep(1)
        keeper.note(*range(FULL))
        await asyncio.sleep(1)
        assert keeper.names() == ["2026/01/01/000001-7-1.ndjson"]


async def test_nor_do_a_thousand_that_come_while_a_file_is_under_way() -> None:
    keeper = Keeper()
    async with keeper.running():
        keeper.note(*range(FULL))
        await asyncio.sleep(0.005)
        keeper.note(*range(FULL, 2 * FULL + 5))
        await asyncio.sleep(1)
        assert len(keeper.journal) == 0
    assert await keeper.told() == list(range(2 * FULL + 5))


async def test_with_nothing_to_tell_nothing_is_written() -> None:
    keeper = Keeper()
    async with keeper.running():
        await asyncio.sleep(600)
    await keeper.journal.flush()
    assert not keeper.store.requests


async def test_a_flush_ends_when_all_that_was_noted_before_is_in_the_bucket() -> None:
    keeper = Keeper()
    keeper.note(*range(2 * FULL + 10))
    await keeper.journal.flush()
    assert await keeper.told() == list(range(2 * FULL + 10))
    assert keeper.journal.position == Position(7, 3)


async def test_two_flushes_at_once_write_each_line_once() -> None:
    keeper = Keeper()
    keeper.note(1, 2)
    flushing = asyncio.create_task(keeper.journal.flush())
    await asyncio.sleep(0.005)
    keeper.note(3)
    await asyncio.gather(flushing, keeper.journal.flush())
    assert await keeper.told() == [1, 2, 3]


# -- what can go wrong


@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.ANSWER_LOST, Fault.LATE])
async def test_a_file_whose_answer_was_lost_is_written_again_under_its_own_name(
    fault: Fault,
) -> None:
    keeper = Keeper()
    keeper.note(1, 2)
    keeper.store.fail_next(fault)
    with pytest.raises(BucketUnreachableError):
        await keeper.journal.flush()
    assert len(keeper.journal) == 2
    await asyncio.sleep(100)
    keeper.note(3)
    await keeper.journal.flush()
    assert keeper.names() == ["2026/01/01/000000-7-1.ndjson", "2026/01/01/000140-7-2.ndjson"]
    assert await keeper.told() == [1, 2, 3]


async def test_a_flush_that_is_given_up_loses_nothing() -> None:
    keeper = Keeper()
    keeper.note(1)
    keeper.store.fail_next(Fault.SILENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await keeper.journal.flush()
    keeper.note(2)
    await keeper.journal.flush()
    assert await keeper.told() == [1, 2]
    assert keeper.names()[0] == "2026/01/01/000000-7-1.ndjson"


async def test_a_bucket_that_refuses_journals_is_said_once_and_tried_each_minute() -> None:
    keeper = Keeper()
    keeper.store.fail_all(Fault.REJECTED)
    async with keeper.running():
        for number in range(60):
            keeper.note(number)
            await asyncio.sleep(10)
        assert keeper.logged.getvalue().count("writing the journal fails") == 1
        assert 9 <= keeper.store.puts() <= 11
        keeper.store.recover()
        await asyncio.sleep(2 * INTERVAL)
        assert keeper.logged.getvalue().count("writing the journal works again") == 1
    assert await keeper.told() == list(range(60))


async def test_lines_beyond_what_memory_may_take_are_lost_and_that_is_known() -> None:
    keeper = Keeper()
    keeper.note(*range(50_000))
    assert not keeper.journal.incomplete
    keeper.note(50_000, 50_001)
    assert len(keeper.journal) == 50_000
    await keeper.journal.flush()
    assert keeper.journal.incomplete
    assert 'event="lines of the journal were lost" lines=2' in keeper.logged.getvalue()


async def test_a_clock_that_jumps_changes_names_and_not_the_order() -> None:
    keeper = Keeper()
    for number, jump in enumerate((0, 86400, -3600, 40)):
        keeper.now = lambda jump=jump: START + timedelta(seconds=jump)  # type: ignore[misc]
        keeper.note(number)
        await keeper.journal.flush()
    assert keeper.names() != sorted(keeper.names(), key=lambda name: name.split("-")[2])
    assert await keeper.told() == [0, 1, 2, 3]


async def test_the_journal_of_a_later_start_comes_after_all_of_an_earlier_one() -> None:
    store = MemoryStore()
    for epoch in (10, 9):
        keeper = Keeper(epoch=epoch)
        keeper.store = store
        keeper.journal._store = store
        keeper.note(epoch)
        await keeper.journal.flush()
    assert await keeper.told() == [9, 10]


# -- reading


async def test_damaged_lines_and_strange_files_are_passed_over() -> None:
    keeper = Keeper()
    keeper.note(1)
    await keeper.journal.flush()
    body = b"\n".join([*DAMAGED, line(2).encode(), b"\xff\xfe"])
    keeper.store.written_by_a_stranger(FOLDER + "2026/01/01/000001-7-2.ndjson", body)
    keeper.store.written_by_a_stranger(FOLDER + "notes.txt", line(3).encode())
    keeper.store.written_by_a_stranger(FOLDER + "2026/01/01/x-7-3.ndjson", line(4).encode())
    assert await keeper.told() == [1, 2]


async def test_files_beyond_a_position_are_read_whole_whatever_their_clock_said() -> None:
    keeper = Keeper()
    for number in range(4):
        keeper.note(number)
        await keeper.journal.flush()
        await asyncio.sleep(3600)
    late = START + timedelta(hours=10)
    assert await keeper.told(after=Position(7, 2), since=late) == [2, 3]


async def test_lines_since_a_time_need_no_listing_of_the_years_before() -> None:
    keeper = Keeper()
    keeper.store.page = 10
    for day in range(1, 29):
        for number in range(20):
            at = datetime(2025, 12, day, number, tzinfo=UTC)
            name = f"{at:%Y/%m/%d/%H%M%S}-6-{day * 100 + number}.ndjson"
            keeper.store.written_by_a_stranger(FOLDER + name, line(0, at).encode())
    keeper.note(1)
    await keeper.journal.flush()
    assert await keeper.told(since=START) == [1]
    assert keeper.store.requests["LIST", FOLDER] == 1


async def test_a_file_that_goes_while_it_is_read_is_no_error() -> None:
    keeper = Keeper()
    for number in range(3):
        keeper.note(number)
        await keeper.journal.flush()
    (_, second, _) = await files(keeper.store, LAYOUT)
    keeper.store.removed_by_a_stranger(second.key)
    listed = await files(keeper.store, LAYOUT)
    assert [file.position.seq for file in listed] == [1, 3]
    assert await keeper.told() == [0, 2]


async def test_a_bucket_that_goes_away_while_it_is_read_is_an_error_and_leaves_no_request() -> None:
    keeper = Keeper()
    for number in range(5):
        keeper.note(number)
        await keeper.journal.flush()
    keeper.store.fail_next(Fault.NONE, Fault.NONE, Fault.UNREACHABLE, Fault.SILENT)
    with pytest.raises(BucketError):
        await keeper.told()
