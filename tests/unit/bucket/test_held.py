"""What is held and what operators decided, as files: strict to read, safe to change by many."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.memory_store import MemoryStore
from watcher.bucket import held
from watcher.bucket.held import Book, DamagedError, Hold, Order, Orders, with_order
from watcher.bucket.layout import Layout
from watcher.errors import PreconditionError, RefusedError

LAYOUT = Layout("example.com", "east")
T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
T1 = T0 + timedelta(microseconds=1)
A, B, C = "shop/configmap/a.yaml", "shop/configmap/b.yaml", "shop/secret/c.yaml"
BOOK = Book({A: Hold("many", T0), B: Hold("many", T0)}, {C: Hold("adopted", T0)}, 7)


def test_a_record_is_read_as_it_was_written() -> None:
    assert held.read_book(held.write_book(BOOK, T0)) == BOOK


def test_orders_are_read_as_they_were_written() -> None:
    orders = Orders((Order("shop/*", T0),), (Order(C, T1),))
    assert held.read_orders(held.write_orders(orders)) == orders


def test_orders_may_be_written_by_hand() -> None:
    by_hand = b'{"format": 1, "allow": [{"pattern": "shop/*", "seen": "2026-07-01T12:00:00Z"}]}'
    assert held.read_orders(by_hand) == Orders((Order("shop/*", T0),))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 1, "allow": "*"}',
        b'{"format": 1, "allow": ["*"]}',
        b'{"format": 1, "alow": []}',
        b'{"format": 1, "allow": [{"pattern": "*"}]}',
        b'{"format": 1, "allow": [{"pattern": "", "seen": "2026-07-01T12:00:00Z"}]}',
        b'{"format": 1, "allow": [{"pattern": "*", "seen": "2026-07-01T12:00:00"}]}',
        b'{"format": 1, "allow": [{"pattern": "*", "seen": "now"}]}',
        b'{"format": 1, "allow": [{"pattern": "*", "seen": 1}]}',
    ],
)
def test_damaged_orders_are_named(text: bytes) -> None:
    with pytest.raises(DamagedError, match=r"allow\.json is damaged: ."):
        held.read_orders(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"format": 1}',
        b'{"format": 1, "epoch": 1, "held": [{"key": "a", "why": "many"}], "kept": []}',
        b'{"format": 1, "epoch": 1, "held": {"a": 1}, "kept": []}',
    ],
)
def test_a_damaged_record_is_named(text: bytes) -> None:
    with pytest.raises(DamagedError, match=r"held\.json is damaged: ."):
        held.read_book(text)


def test_a_newer_format_is_refused() -> None:
    for read in (held.read_book, held.read_orders):
        with pytest.raises(RefusedError, match="format 2"):
            read(b'{"format": 2}')


def test_a_pattern_is_a_key_in_which_a_star_stands_for_any_text() -> None:
    assert list(BOOK.matching([A])) == [A]
    assert list(BOOK.matching(["shop/*"])) == [A, B]
    assert list(BOOK.matching(["*/a.yaml", B])) == [A, B]
    assert not BOOK.matching(["shop"])
    assert not BOOK.matching(["shop/configmap/?.yaml", "shop/configmap/[ab].yaml"])


def test_what_is_kept_is_decided_over_only_by_its_very_key() -> None:
    assert list(BOOK.matching(["*", C])) == [A, B, C]
    assert list(BOOK.matching(["*"])) == [A, B]
    assert BOOK.decided(Order("*", T0)) == {A, B}
    assert BOOK.decided(Order(C, T0)) == {C}


def test_an_order_decides_only_over_what_its_writer_was_shown() -> None:
    book = Book({A: Hold("many", T0), B: Hold("many", T1), "a/b/c.yaml": Hold("many", T0)})
    assert book.decided(Order("shop/*", T0)) == {A}
    assert book.decided(Order("shop/*", T1)) == {A, B}


def test_who_wrote_both_by_hand_keeps() -> None:
    orders = Orders((Order("*", T0),), (Order(A, T0),))
    assert orders.verdicts(BOOK) == {A: "keep", B: "allow"}


def test_a_new_order_has_seen_what_it_matches() -> None:
    book = Book({A: Hold("many", T0), C: Hold("many", T1)})
    assert with_order(Orders(), "allow", [A], book) == Orders(allow=(Order(A, T0),))
    assert with_order(Orders(), "allow", ["*"], book) == Orders(allow=(Order("*", T1),))


def test_the_newer_decision_wins_and_the_rest_of_the_older_one_stays() -> None:
    book = Book({key: Hold("many", T0) for key in (A, B, C)})
    orders = with_order(Orders(), "allow", ["shop/*"], book)
    orders = with_order(orders, "keep", [A], book)
    assert orders == Orders((Order(B, T0), Order(C, T0)), (Order(A, T0),))
    orders = with_order(orders, "allow", ["shop/configmap/*"], book)
    assert orders.keep == ()
    assert orders.verdicts(book) == dict.fromkeys((A, B, C), "allow")


def test_orders_with_nothing_left_to_do_are_left_out() -> None:
    orders = Orders((Order("gone/*", T0),), (Order("also/gone.yaml", T0),))
    assert with_order(orders, "allow", [A], BOOK) == Orders((Order(A, T0),))


async def test_the_record_is_written_only_over_the_version_that_was_read() -> None:
    store = MemoryStore()
    etag = await held.save(store, LAYOUT, BOOK, etag="", conditional=True, at=T0)
    assert (await held.load(store, LAYOUT)).book == BOOK
    with pytest.raises(PreconditionError):
        await held.save(store, LAYOUT, BOOK, etag="", conditional=True, at=T1)
    await held.save(store, LAYOUT, BOOK, etag=etag, conditional=True, at=T1)
    await held.save(store, LAYOUT, BOOK, etag="", conditional=False, at=T0)


async def test_a_start_without_files_finds_nothing_and_asks_for_none() -> None:
    store = MemoryStore()
    assert await held.load(store, LAYOUT) == held.Loaded()
    assert set(store.requests) == {("LIST", "example.com/east/_meta/deletes/")}


async def test_operators_who_decide_at_the_same_time_are_all_heard() -> None:
    store = MemoryStore(latency=0.001)

    async def allow(key: str) -> None:
        await held.change_orders(
            store, LAYOUT, lambda orders: with_order(orders, "allow", [key], BOOK)
        )

    await asyncio.gather(*map(allow, (A, B, C)))
    body = store.objects()["example.com/east/_meta/deletes/allow.json"]
    assert {line["pattern"] for line in orjson.loads(body)["allow"]} == {A, B, C}
