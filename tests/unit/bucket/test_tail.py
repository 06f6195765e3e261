"""A standby's ledger: what another process records, heard of a little later."""

from datetime import datetime, timedelta

import pytest

from bench.memory_api import EPOCH
from tests.memory_store import MemoryStore
from watcher.bucket import checkpoint
from watcher.bucket.compare import Differing, differing
from watcher.bucket.journal import Line, Position, stamp
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import UNKNOWN, Entry, Ledger, Stored
from watcher.bucket.tail import Tail

LAYOUT = Layout("example.com", "east")
PREFIX = "example.com/east/"
A, B, C = ("ns/pod/a.yaml", "ns/pod/b.yaml", "ns/pod/c.yaml")
FINGERPRINT = b"f" * 16


class Scene:
    """A writer's records, and who follows them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ledger = Ledger()
        self.now = EPOCH
        self.tail = Tail(self.store, LAYOUT, self.ledger, lambda: self.now)
        self.position = Position(1, 0)

    async def checkpoint(self, **entries: str) -> None:
        ledger = Ledger()
        for name, etag in entries.items():
            ledger.put(f"ns/pod/{name}.yaml", Entry(Stored(etag, FINGERPRINT)))
        body = await checkpoint.write(ledger, self.position, at=self.now)
        await checkpoint.save(self.store, LAYOUT, body)

    async def journal(self, *lines: Line, epoch: int = 1, at: datetime | None = None) -> None:
        seq = self.position.seq + 1 if epoch == self.position.epoch else 1
        self.position = Position(epoch, seq)
        name = f"{at or self.now:%Y/%m/%d/%H%M%S}-{epoch}-{seq}.ndjson"
        body = b"".join(line.encode() for line in lines)
        await self.store.put(f"{PREFIX}_meta/journal/{name}", body)

    def line(self, key: str, etag: str) -> Line:
        action = "update" if etag else "delete"
        return Line(
            stamp(self.now), key, action, etag, fingerprint=(FINGERPRINT * bool(etag)).hex()
        )

    def known(self) -> dict[str, str]:
        ledger = self.ledger
        keys = [key for kind in ledger.kinds() for key in ledger.keys_of(kind)]
        found = ((key, ledger.get(key).stored) for key in keys)
        return {key: stored.etag for key, stored in found if stored}

    def requests(self) -> int:
        return sum(self.store.requests.values())


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_an_empty_prefix_says_nothing(scene: Scene) -> None:
    await scene.tail.catch_up()
    assert scene.known() == {}


async def test_first_all_of_the_record_is_read_then_only_what_is_new(scene: Scene) -> None:
    await scene.checkpoint(a='"1"', b='"1"')
    await scene.journal(scene.line(A, '"2"'), scene.line(C, '"1"'))
    await scene.tail.catch_up()
    assert scene.known() == {A: '"2"', B: '"1"', C: '"1"'}
    assert scene.ledger.get(A).holds(FINGERPRINT)

    scene.store.requests.clear()
    await scene.journal(scene.line(B, ""), scene.line(A, '"3"'))
    await scene.tail.catch_up()
    assert scene.known() == {A: '"3"', C: '"1"'}
    read = [key for (operation, key) in scene.store.requests if operation == "GET"]
    assert [key.rsplit("/", 1)[1] for key in read] == ["000000-1-2.ndjson"]


async def test_without_a_checkpoint_the_journal_is_followed_all_the_same(scene: Scene) -> None:
    await scene.tail.catch_up()
    await scene.journal(scene.line(A, '"1"'))
    await scene.tail.catch_up()
    assert scene.known() == {A: '"1"'}


async def test_another_checkpoint_is_read_and_believed(scene: Scene) -> None:
    """What a start recognised, it told no journal."""
    await scene.checkpoint(a='"1"')
    await scene.tail.catch_up()
    await scene.checkpoint(b='"1"')
    await scene.tail.catch_up()
    assert scene.known() == {B: '"1"'}


async def test_a_file_of_an_older_writer_that_lands_late_is_passed_over(scene: Scene) -> None:
    await scene.tail.catch_up()
    await scene.journal(scene.line(A, '"2"'), epoch=2)
    await scene.tail.catch_up()
    await scene.journal(scene.line(A, '"1"'), epoch=1)
    await scene.tail.catch_up()
    assert scene.known() == {A: '"2"'}


async def test_old_files_are_not_even_listed(scene: Scene) -> None:
    scene.store.page = 10
    for minutes in range(100):
        at = scene.now - timedelta(days=2) + timedelta(minutes=minutes)
        await scene.journal(scene.line(A, '"1"'), at=at)
    await scene.tail.catch_up()
    scene.now += timedelta(minutes=1)
    scene.store.requests.clear()
    await scene.tail.catch_up()
    assert scene.requests() <= 3


async def test_where_a_bucket_is_other_than_the_ledger_says(scene: Scene) -> None:
    for key, etag in ((A, '"1"'), (B, '"1"')):
        scene.ledger.put(key, Entry(Stored(etag, UNKNOWN)))
    for key in (B, C, "no-key-of-ours"):
        scene.store.written_by_a_stranger(PREFIX + key, b"1")
    await scene.journal(scene.line(A, '"1"'))
    found = (await scene.store.head(PREFIX + B)).etag
    assert await differing(scene.store, LAYOUT, scene.ledger) == {
        A: Differing('"1"', ""),
        B: Differing('"1"', found),
        C: Differing("", found),
    }
