"""Deletions that wait for an operator: `_meta/deletes/` (FORMAT.md section 5).

Exists so that who may delete in the bucket may allow a deletion, by a file and nothing else, and
so that what is held stays held whoever restarts. `held.json` is the service's: what is held and
why, and what it was told to keep for good. `allow.json` is the operators': patterns, each with the
newest `since` that they were shown. Promises: an order decides over nothing that was held after
it; a damaged file is one DamagedError and orders nothing; a newer format is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import orjson

from watcher.bucket.layout import Layout
from watcher.bucket.meta import FORMAT, check_format
from watcher.bucket.patterns import compiled
from watcher.bucket.store import CREATE, OVERWRITE, Store, Update
from watcher.errors import BucketUnreachableError, PreconditionError, WatcherError

HELD = "deletes/held.json"
ORDERS = "deletes/allow.json"

# Why a file is held.
MANY = "many"  # too many at once (capture/deletes/breaker.py)
HISTORY_LOST = "history-lost"  # etcd went back in time, its objects with it
SETTINGS = "settings"  # the object may well be there: settings leave it out now
ADOPTED = "adopted"  # it was in the prefix before we were
TAKE_OVER = "take-over"  # it was in the prefix before this cluster was
UNKNOWN = "unknown"  # held.json was damaged: what it held is not known

_RACES = 10  # lost races before we believe that the store refuses every condition

_T = TypeVar("_T")


class DamagedError(WatcherError):
    """A file that is not what it should be."""


class Hold(NamedTuple):
    why: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Book:
    """`held.json`. Keys are relative to the cluster's prefix."""

    held: Mapping[str, Hold] = field(default_factory=dict)
    kept: Mapping[str, Hold] = field(default_factory=dict)  # for good, an operator said
    epoch: int = 0  # of who wrote it

    def __bool__(self) -> bool:
        return bool(self.held or self.kept)

    def matching(self, patterns: Iterable[str]) -> dict[str, Hold]:
        """What an operator may decide over, by key: what is held, and what is kept where its very
        key was given. A `*` never undoes that something is kept."""
        patterns = set(patterns)
        wanted = [compiled(pattern) for pattern in patterns]
        held = {k: hold for k, hold in self.held.items() if any(w.fullmatch(k) for w in wanted)}
        kept = {k: hold for k, hold in self.kept.items() if k in patterns}
        return dict(sorted({**held, **kept}.items()))

    def decided(self, order: "Order") -> set[str]:
        """The keys that an order is about."""
        return {k for k, hold in self.matching([order.pattern]).items() if hold.since <= order.seen}


class Order(NamedTuple):
    """pattern: a key, in which `*` stands for any text."""

    pattern: str
    seen: datetime


@dataclass(frozen=True, slots=True)
class Orders:
    """`allow.json`: what may be deleted and what is to be kept."""

    allow: tuple[Order, ...] = ()
    keep: tuple[Order, ...] = ()

    @property
    def newest(self) -> datetime | None:
        return max((order.seen for order in (*self.allow, *self.keep)), default=None)

    def verdicts(self, book: Book) -> dict[str, str]:
        """Key -> "allow" or "keep", of those that somebody decided over. Whoever wrote both by
        hand keeps."""
        allowed = {key: "allow" for order in self.allow for key in book.decided(order)}
        return allowed | {key: "keep" for order in self.keep for key in book.decided(order)}


def with_order(orders: Orders, verb: str, patterns: Iterable[str], book: Book) -> Orders:
    """The orders after one more, "allow" or "keep", over what is in the book.

    The newer decision wins: of an older one that says otherwise, what it has yet to do elsewhere
    stays. Orders that have nothing to do any more are left out.
    """
    patterns = list(dict.fromkeys(patterns))
    chosen = book.matching(patterns)
    seen = max(hold.since for hold in chosen.values())
    other = "keep" if verb == "allow" else "allow"
    same = [order for order in getattr(orders, verb) if book.decided(order) - chosen.keys()]
    opposite: list[Order] = []
    for order in getattr(orders, other):
        keys = book.decided(order)
        if keys & chosen.keys():
            opposite += [Order(key, order.seen) for key in sorted(keys - chosen.keys())]
        elif keys:
            opposite.append(order)
    new = [Order(pattern, seen) for pattern in patterns]
    return Orders(**{verb: (*same, *new), other: tuple(opposite)})


# -- the two files


def write_book(book: Book, at: datetime) -> bytes:
    def lines(holds: Mapping[str, Hold]) -> list[dict[str, str]]:
        return [
            {"key": key, "why": holds[key].why, "since": holds[key].since.isoformat()}
            for key in sorted(holds)
        ]

    content = {
        "format": FORMAT,
        "at": at.isoformat(timespec="seconds"),
        "epoch": book.epoch,
        "held": lines(book.held),
        "kept": lines(book.kept),
    }
    return _json(content)


def read_book(body: bytes, name: str = HELD) -> Book:
    """name: for messages. Raises DamagedError, and RefusedError for a newer format."""

    def parse(content: dict[str, Any]) -> Book:
        def holds(lines: Any) -> dict[str, Hold]:
            return {
                _text(line["key"]): Hold(_text(line["why"]), _time(line["since"])) for line in lines
            }

        return Book(holds(content["held"]), holds(content["kept"]), int(content["epoch"]))

    return _read(body, name, parse)


def write_orders(orders: Orders) -> bytes:
    def lines(these: Iterable[Order]) -> list[dict[str, str]]:
        return [{"pattern": each.pattern, "seen": each.seen.isoformat()} for each in these]

    return _json({"format": FORMAT, "allow": lines(orders.allow), "keep": lines(orders.keep)})


def read_orders(body: bytes, name: str = ORDERS) -> Orders:
    """name: for messages. Raises DamagedError, and RefusedError for a newer format."""

    def parse(content: dict[str, Any]) -> Orders:
        def orders(lines: Any) -> tuple[Order, ...]:
            return tuple(Order(_text(line["pattern"]), _time(line["seen"])) for line in lines)

        if unknown := content.keys() - {"format", "allow", "keep"}:
            raise ValueError(f"{min(unknown)!r} means nothing in it")
        return Orders(orders(content.get("allow", [])), orders(content.get("keep", [])))

    return _read(body, name, parse)


def _read(body: bytes, name: str, parse: Callable[[dict[str, Any]], _T]) -> _T:
    try:
        content = orjson.loads(body)
        check_format(name, int(content["format"]))
        return parse(content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DamagedError(f"{name} is damaged: {reason}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no text")
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return time


def _json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# -- in the bucket


class Found(NamedTuple):
    """A file as the bucket has it. etag: "" where there is none."""

    body: bytes = b""
    etag: str = ""


async def etags(store: Store, layout: Layout) -> dict[str, str]:
    """What is under `_meta/deletes/`, in one listing: name (as HELD, ORDERS) -> ETag."""
    prefix = layout.prefix + layout.meta("")
    pages = store.list(prefix + "deletes/")
    return {each.key.removeprefix(prefix): each.etag async for page in pages for each in page}


class Loaded(NamedTuple):
    """What a start finds. damaged: why `held.json` or `allow.json` cannot be read; "": it can."""

    book: Book = Book()
    etag: str = ""
    damaged: str = ""
    orders: Orders = Orders()
    orders_etag: str = ""
    damaged_orders: str = ""


async def load(store: Store, layout: Layout) -> Loaded:
    """Raises RefusedError for a newer format, and BucketError."""
    here = layout.prefix + layout.meta("")
    there = await etags(store, layout)
    loaded = Loaded()
    if HELD in there:
        body, head = await store.get(here + HELD)
        try:
            loaded = loaded._replace(etag=head.etag, book=read_book(body, here + HELD))
        except DamagedError as error:
            loaded = loaded._replace(etag=head.etag, damaged=str(error))
    if ORDERS in there:
        body, head = await store.get(here + ORDERS)
        loaded = loaded._replace(orders_etag=head.etag)
        try:
            loaded = loaded._replace(orders=read_orders(body, here + ORDERS))
        except DamagedError as error:
            loaded = loaded._replace(damaged_orders=str(error))
    return loaded


async def fetch(store: Store, layout: Layout, name: str) -> Found:
    """Raises BucketError."""
    if name not in await etags(store, layout):
        return Found()
    body, head = await store.get(layout.prefix + layout.meta(name))
    return Found(body, head.etag)


async def save(
    store: Store, layout: Layout, book: Book, *, etag: str, conditional: bool, at: datetime
) -> str:
    """Write `held.json` over the version with this ETag ("": there is none); the new one's.
    Raises PreconditionError where the bucket has another, and other BucketErrors."""
    mode = (Update(etag) if etag else CREATE) if conditional else OVERWRITE
    key = layout.prefix + layout.meta(HELD)
    body = write_book(book, at)
    written = await store.put(key, body, content_type="application/json", mode=mode)
    return written.etag


async def change_orders(store: Store, layout: Layout, change: Callable[[Orders], Orders]) -> None:
    """Read `allow.json`, change it, write it, until nobody else wrote meanwhile. Raises
    DamagedError, RefusedError and BucketError."""
    key = layout.prefix + layout.meta(ORDERS)
    for _ in range(_RACES):
        found = await fetch(store, layout, ORDERS)
        orders = read_orders(found.body, key) if found.etag else Orders()
        body = write_orders(change(orders))
        mode = Update(found.etag) if found.etag else CREATE
        try:
            await store.put(key, body, content_type="application/json", mode=mode)
        except PreconditionError:
            continue
        return
    raise BucketUnreachableError(f"{key}: somebody else kept changing it ({_RACES} times)")
