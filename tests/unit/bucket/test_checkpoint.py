"""A start knows again what the last run knew, as far as the bucket still agrees."""

import asyncio
import gzip
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
import pytest

from tests.memory_store import MemoryStore
from watcher.bucket.checkpoint import save, write
from watcher.bucket.journal import Line, Position
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import UNKNOWN, Entry, Ledger, Stored, etag_of
from watcher.bucket.loading import load_ledger
from watcher.errors import RefusedError

LAYOUT = Layout("example.com", "east")
PREFIX = "example.com/east/"
CHECKPOINT = PREFIX + "_meta/index.ndjson.gz"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
START = Position(1, 0)
A, B = b"a" * 16, b"b" * 16
KEYS = ["_cluster/namespace/ns.yaml", "ns/configmap/a.yaml", "ns/pod/a.yaml", "ns/pod/b.yaml"]


def entry(body: bytes, fingerprint: bytes = A) -> Entry:
    return Entry(Stored(etag_of(body), fingerprint))


def filled(store: MemoryStore) -> Ledger:
    """A store with four objects, and the ledger of the run that wrote them."""
    ledger = Ledger()
    for key in KEYS:
        store.written_by_a_stranger(PREFIX + key, key.encode())
        ledger.put(key, entry(key.encode()))
    return ledger


def lines(data: bytes) -> list[object]:
    return [orjson.loads(line) for line in gzip.decompress(data).splitlines()]


async def test_the_file_is_a_header_and_a_line_a_key_in_order() -> None:
    data = await write(filled(MemoryStore()), Position(7, 3), at=NOW)
    header, *entries = lines(data)
    assert header == {
        "format": 1,
        "epoch": 7,
        "at": "2026-07-01T12:00:00+00:00",
        "journal": {"epoch": 7, "seq": 3},
    }
    assert sorted(entries) == [[key, etag_of(key.encode()), A.hex()] for key in KEYS]  # type: ignore[type-var]


async def test_the_same_ledger_gives_the_same_bytes() -> None:
    there, back = Ledger(), Ledger()
    for key in KEYS:
        there.put(key, entry(b"x"))
    for key in reversed(KEYS):
        back.put(key, entry(b"x"))
    assert await write(there, START, at=NOW) == await write(back, START, at=NOW)


async def test_of_what_is_in_doubt_it_tells_what_was_there_before() -> None:
    ledger = Ledger()
    ledger.put("ns/pod/sent.yaml", entry(b"x").sent())
    ledger.put("ns/pod/new.yaml", Entry().sent())
    _, *entries = lines(await write(ledger, START, at=NOW))
    assert entries == [["ns/pod/sent.yaml", etag_of(b"x"), A.hex()]]


async def test_a_key_of_unknown_content_is_told_as_such_and_is_no_news_to_the_next_start() -> None:
    store = MemoryStore()
    store.written_by_a_stranger(PREFIX + "ns/pod/listed.yaml", b"x")
    ledger = Ledger()
    ledger.put("ns/pod/listed.yaml", entry(b"x", UNKNOWN))
    body = await write(ledger, START, at=NOW)
    assert lines(body)[1:] == [["ns/pod/listed.yaml", etag_of(b"x"), ""]]
    await save(store, LAYOUT, body)
    loaded = await load_ledger(store, LAYOUT)
    assert loaded.ledger.get("ns/pod/listed.yaml") == entry(b"x", UNKNOWN)
    assert (loaded.unusable, loaded.remembered, loaded.unjournalled) == ("", 0, {})


async def test_the_ledger_may_change_while_it_is_written() -> None:
    ledger = Ledger()
    for number in range(2000):
        ledger.put(f"ns/pod/{number:04}.yaml", entry(b"x"))
    writing = asyncio.create_task(write(ledger, START, at=NOW))
    await asyncio.sleep(0)
    ledger.put("ns/pod/1999.yaml", Entry())
    ledger.put("ns/job/new.yaml", entry(b"x"))
    assert ["ns/pod/1999.yaml", etag_of(b"x"), A.hex()] not in lines(await writing)


async def test_an_empty_bucket_gives_an_empty_ledger() -> None:
    loaded = await load_ledger(MemoryStore(), LAYOUT)
    assert (len(loaded.ledger), loaded.foreign, loaded.remembered) == (0, 0, 0)
    assert loaded.unusable == "there is none"


async def test_a_start_remembers_what_the_last_run_saved() -> None:
    store = MemoryStore()
    ledger = filled(store)
    await save(store, LAYOUT, await write(ledger, START, at=NOW))
    loaded = await load_ledger(store, LAYOUT)
    assert {key: loaded.ledger.get(key) for key in KEYS} == {key: ledger.get(key) for key in KEYS}
    assert (len(loaded.ledger), loaded.remembered, loaded.unusable) == (4, 4, "")


async def test_an_entry_counts_only_if_the_listing_shows_the_same_etag() -> None:
    store = MemoryStore()
    await save(store, LAYOUT, await write(filled(store), START, at=NOW))
    store.written_by_a_stranger(PREFIX + "ns/pod/a.yaml", b"changed since")
    store.removed_by_a_stranger(PREFIX + "ns/pod/b.yaml")
    loaded = await load_ledger(store, LAYOUT)
    assert loaded.ledger.get("ns/pod/a.yaml") == entry(b"changed since", UNKNOWN)
    assert loaded.ledger.get("ns/pod/b.yaml") == Entry()
    assert loaded.remembered == 2


def journal(store: MemoryStore, name: str, *lines: Line) -> None:
    body = b"".join(line.encode() for line in lines)
    store.written_by_a_stranger(f"{PREFIX}_meta/journal/2026/07/01/{name}.ndjson", body)


def wrote(key: str, body: bytes, fingerprint: bytes = B) -> Line:
    at = "2026-07-01T12:00:00.000Z"
    return Line(at, key, "update", etag_of(body), "", fingerprint.hex())


async def test_what_was_journalled_after_the_checkpoint_is_remembered_too() -> None:
    store = MemoryStore()
    await save(store, LAYOUT, await write(filled(store), START, at=NOW))
    for key in ("ns/pod/a.yaml", "ns/pod/new.yaml"):
        store.written_by_a_stranger(PREFIX + key, b"new")
    store.removed_by_a_stranger(PREFIX + "ns/pod/b.yaml")
    # By the clock the second file is older: only its place in the order of writing tells.
    journal(store, "120100-1-1", wrote("ns/pod/a.yaml", b"old"), wrote("ns/pod/new.yaml", b"new"))
    gone = Line("2026-07-01T12:00:00.000Z", "ns/pod/b.yaml", "delete")
    journal(store, "115900-1-2", wrote("ns/pod/a.yaml", b"new"), gone)
    loaded = await load_ledger(store, LAYOUT)
    assert loaded.ledger.get("ns/pod/a.yaml") == entry(b"new", B)
    assert loaded.ledger.get("ns/pod/new.yaml") == entry(b"new", B)
    assert (loaded.remembered, loaded.unjournalled) == (4, {})


async def test_lines_that_are_in_the_checkpoint_already_are_not_read_again() -> None:
    store = MemoryStore()
    await save(store, LAYOUT, await write(filled(store), Position(1, 2), at=NOW))
    for name in ("115900-1-1", "120000-1-2"):
        journal(store, name, wrote("ns/pod/a.yaml", b"older"))
    assert (await load_ledger(store, LAYOUT)).unjournalled == {}


async def test_what_was_stored_but_not_journalled_is_named_with_what_was_there_before() -> None:
    store = MemoryStore()
    await save(store, LAYOUT, await write(filled(store), START, at=NOW))
    store.written_by_a_stranger(PREFIX + "ns/pod/a.yaml", b"changed")
    store.written_by_a_stranger(PREFIX + "ns/pod/new.yaml", b"new")
    store.removed_by_a_stranger(PREFIX + "ns/pod/b.yaml")
    loaded = await load_ledger(store, LAYOUT)
    assert loaded.unjournalled == {
        "ns/pod/a.yaml": etag_of(b"ns/pod/a.yaml"),
        "ns/pod/new.yaml": "",
        "ns/pod/b.yaml": etag_of(b"ns/pod/b.yaml"),
    }


async def test_without_a_checkpoint_nothing_counts_as_unjournalled() -> None:
    store = MemoryStore()
    filled(store)
    assert (await load_ledger(store, LAYOUT)).unjournalled == {}


async def test_without_a_checkpoint_every_listed_key_is_there_and_unknown() -> None:
    store = MemoryStore()
    filled(store)
    loaded = await load_ledger(store, LAYOUT)
    assert [loaded.ledger.get(key) for key in KEYS] == [entry(k.encode(), UNKNOWN) for k in KEYS]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: b"",
        lambda good: b"not gzip at all",
        lambda good: good[:-9],
        lambda good: good[: len(good) // 2],
        lambda good: good[:-6] + bytes((good[-6] ^ 1,)) + good[-5:],
        lambda good: gzip.compress(b""),
        lambda good: gzip.compress(b"no JSON\n"),
        lambda good: gzip.compress(b'{"epoch": 1}\n'),
        lambda good: gzip.compress(b'{"format": 1}\n["ns/pod/a.yaml"]\n'),
        lambda good: gzip.compress(b'{"format": 1}\n["ns/pod/a.yaml", "etag", "no hex"]\n'),
        lambda good: gzip.compress(b'{"format": 1}\n["ns/pod/a.yaml", "etag", "abcd"]\n'),
    ],
)
async def test_an_unusable_checkpoint_is_reported_and_costs_nothing_else(
    spoil: Callable[[bytes], bytes],
) -> None:
    store = MemoryStore()
    good = await write(filled(store), START, at=NOW)
    store.written_by_a_stranger(CHECKPOINT, spoil(good))
    loaded = await load_ledger(store, LAYOUT)
    assert loaded.unusable
    assert [loaded.ledger.get(key) for key in KEYS] == [entry(k.encode(), UNKNOWN) for k in KEYS]


async def test_a_checkpoint_of_a_newer_format_is_refused() -> None:
    store = MemoryStore()
    store.written_by_a_stranger(CHECKPOINT, gzip.compress(b'{"format": 2}\nwho knows\n'))
    with pytest.raises(RefusedError, match="format 2"):
        await load_ledger(store, LAYOUT)


async def test_foreign_keys_are_counted_and_not_in_the_ledger() -> None:
    store = MemoryStore()
    filled(store)
    for foreign in ("README.md", "ns/pod/UPPER%2e.yaml", "ns/pod/a.yaml.bak", "_other/x"):
        store.written_by_a_stranger(PREFIX + foreign, b"")
    loaded = await load_ledger(store, LAYOUT)
    assert (loaded.foreign, len(loaded.ledger)) == (4, 4)


async def test_keys_of_other_clusters_are_never_seen() -> None:
    store = MemoryStore()
    for other in ("example.com/east1/", "example.com/eas/", "example.com/"):
        store.written_by_a_stranger(f"{other}ns/pod/a.yaml", b"")
    loaded = await load_ledger(store, LAYOUT)
    assert (loaded.foreign, len(loaded.ledger)) == (0, 0)


async def test_a_long_journal_is_not_listed() -> None:
    store = MemoryStore(page=10)
    filled(store)
    for number in range(1000):
        store.written_by_a_stranger(f"{PREFIX}_meta/journal/{number:04}.ndjson", b"")
    loaded = await load_ledger(store, LAYOUT)
    assert (loaded.foreign, len(loaded.ledger)) == (0, 4)
    assert sum(store.requests.values()) < 5
