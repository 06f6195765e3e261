"""One look at a cluster: what is read, what it costs, and what damage does to it."""

import pytest

from tests.memory_store import Fault, MemoryStore
from tests.unit.fleet.samples import DAY, EAST, NOW, Bucket, beat, holding, report
from watcher.bucket import heartbeat, held, reports, retired
from watcher.bucket.owner import Owner
from watcher.bucket.retired import Retired
from watcher.errors import BucketUnreachableError, RejectedError
from watcher.fleet.look import Seen, Unread, look

CLUSTER = "example.com/east"
HEARTBEAT = f"{heartbeat.FOLDER}2026-07-01.json"
REPORT = reports.name_of(report())


@pytest.fixture
def bucket() -> Bucket:
    bucket = Bucket(MemoryStore())
    bucket.add(CLUSTER)
    return bucket


async def test_what_a_cluster_says_is_read(bucket: Bucket) -> None:
    bucket.hold(EAST, "a")
    bucket.retire(EAST)
    found = await look(bucket.store, EAST)
    assert isinstance(found.owner, Owner)
    assert found.owner.epoch == 7
    assert (found.heartbeat, found.report, found.held) == (beat(), report(), holding("a"))
    assert found.retired == Retired(NOW - DAY, "moved to west")
    assert found.unread == ()


async def test_what_is_not_there_is_nothing() -> None:
    assert await look(MemoryStore(), EAST) == Seen(layout=EAST)


async def test_of_many_days_and_nights_the_newest_is_read_with_seven_requests(
    bucket: Bucket,
) -> None:
    for day in range(1, 7):
        at = NOW - day * DAY
        bucket.write(EAST, f"{heartbeat.FOLDER}{at:%Y-%m-%d}.json", beat(day * DAY).encode())
    for night in range(90):
        older = report(10 * DAY + night * DAY)
        bucket.write(EAST, reports.name_of(older), older.encode())
    for number in range(3000):
        bucket.write(EAST, f"journal/2026/07/01/{number:06}-7-1.ndjson", b"")
    found = await look(bucket.store, EAST)
    assert (found.heartbeat, found.report) == (beat(), report())
    assert bucket.store.requests.total() == 7


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"format": "?"}'])
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("owner.json", "owner"),
        (REPORT, "report"),
        (held.HELD, "held"),
        (retired.FILE, "retired"),
    ],
)
async def test_a_damaged_file_is_named_and_hides_none_of_the_others(
    bucket: Bucket, name: str, part: str, body: bytes
) -> None:
    before = await look(bucket.store, EAST)
    bucket.write(EAST, name, body)
    found = await look(bucket.store, EAST)
    (unread,) = found.unread
    assert getattr(found, part) == unread
    assert f"{CLUSTER}/_meta/{name}" in unread.why
    assert not unread.newer
    others = {"owner", "heartbeat", "report", "held", "retired"} - {part}
    assert [getattr(found, it) for it in others] == [getattr(before, it) for it in others]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("owner.json", "owner"),
        (HEARTBEAT, "heartbeat"),
        (REPORT, "report"),
        (held.HELD, "held"),
        (retired.FILE, "retired"),
    ],
)
async def test_a_newer_format_is_told_as_such(bucket: Bucket, name: str, part: str) -> None:
    bucket.write(EAST, name, b'{"format": 2}')
    found = await look(bucket.store, EAST)
    (unread,) = found.unread
    assert getattr(found, part) == unread
    assert unread.newer
    assert "has format 2, this program knows up to 1" in unread.why


async def test_a_damaged_heartbeat_is_named_and_the_one_before_it_counts(bucket: Bucket) -> None:
    bucket.write(EAST, f"{heartbeat.FOLDER}2026-07-02.json", b"{")
    found = await look(bucket.store, EAST)
    assert found.heartbeat == beat()
    assert found.damaged == (f"{CLUSTER}/_meta/heartbeat/2026-07-02.json is no heartbeat",)


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.UNREACHABLE, BucketUnreachableError), (Fault.REJECTED, RejectedError)],
)
async def test_a_bucket_that_does_not_answer_says_nothing_of_a_cluster(
    bucket: Bucket, fault: Fault, error: type[Exception]
) -> None:
    bucket.store.fail_all(fault)
    with pytest.raises(error):
        await look(bucket.store, EAST)


def test_the_same_fault_of_several_files_is_told_once() -> None:
    fault = Unread("no answer")
    assert Seen(layout=EAST, owner=fault, report=fault).unread == (fault,)
