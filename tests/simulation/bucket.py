"""The bucket in memory, and who asks it for what.

Exists to put every request before the judge: when it leaves, when it takes place, when its answer
comes. Promises: a request outlives whoever sent it, as on a network: that of a killed process may
still land. Who asks is known by the context in which it asks (`WHO`), which tasks inherit.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from random import Random
from typing import Any, TypeVar

from tests.memory_store import MemoryStore
from tests.simulation.invariants import Found, Judge, Life
from watcher.bucket.held import HELD, read_book
from watcher.errors import BucketError, BucketUnreachableError

_T = TypeVar("_T")

WHO: ContextVar[Life] = ContextVar("who")
PREFIX = "example.com/east/"
_PATIENCE = 30.0  # seconds: what the real store waits for an answer


class Bucket(MemoryStore):
    """told: of each request and what became of it, for the trace. on_ask: called as one leaves."""

    def __init__(
        self,
        judge: Judge,
        random: Random,
        told: Callable[[str], None],
        *,
        page: int,
        versioned: bool,
    ) -> None:
        super().__init__(page=page, versioned=versioned)
        self.slowest = 0.05  # seconds an answer takes at most
        self.on_ask: Callable[[Life], None] = lambda life: None
        self._judge = judge
        self._random = random
        self._told = told
        self._under_way: set[asyncio.Task[Any]] = set()

    def found(self, key: str) -> Found | None:
        there = self._objects.get(key)
        return Found(there.body, there.metadata) if there else None

    def files(self) -> dict[str, bytes]:
        """Stored objects by relative key."""
        return {
            key.removeprefix(PREFIX): found.body
            for key, found in self._objects.items()
            if not key.startswith(PREFIX + "_meta/")
        }

    def held(self) -> Mapping[str, str]:
        """Keys that are on record as held, and why."""
        there = self._objects.get(PREFIX + "_meta/" + HELD)
        return {key: hold.why for key, hold in read_book(there.body).held.items()} if there else {}

    async def _request(self, operation: str, key: str, act: Callable[[], _T]) -> _T:
        life = WHO.get()
        if life.dead:
            await asyncio.Event().wait()
        name = _relative(key)
        if name:
            self._judge.asked(life, operation, name, self.found(key), self.held)
        sure = False
        given_up = asyncio.Event()

        def observed() -> _T:
            before = self.found(key)
            result = act()
            self._told(f"{life} {operation} {key} lands")
            if name:
                after = self.found(key)
                same = before and after and before.metadata is after.metadata
                after = before if same else after
                late = given_up.is_set()
                self._judge.landed(life, operation, name, before, after, late=late)
            return result

        self._told(f"{life} {operation} {key}")
        sent = asyncio.get_running_loop().create_task(self._deliver(operation, key, observed))
        self._under_way.add(sent)
        sent.add_done_callback(self._let_go)
        self.on_ask(life)
        try:
            async with asyncio.timeout(_PATIENCE):
                result = await asyncio.shield(sent)
            sure = True
        except TimeoutError:
            raise BucketUnreachableError("no answer for a long time") from None
        except BucketError as error:
            sure = not isinstance(error, BucketUnreachableError) and operation == "HEAD"
            self._told(f"{life} {operation} {key}: {error}")
            raise
        finally:
            given_up.set()
            if not sent.done() and self._random.random() < 0.5:
                sent.cancel()  # it never reached the bucket
            if name:
                self._judge.answered(life, operation, name, sure=sure)
        return result

    async def _deliver(self, operation: str, key: str, act: Callable[[], _T]) -> _T:
        await asyncio.sleep(self._random.uniform(0.001, self.slowest))
        return await super()._request(operation, key, act)

    def _let_go(self, sent: asyncio.Task[Any]) -> None:
        self._under_way.discard(sent)
        if not sent.cancelled():
            sent.exception()  # perhaps nobody waits for it any more, so nobody must be told


def _relative(key: str) -> str:
    """The key of an object's file below the prefix; "" for our own files."""
    name = key.removeprefix(PREFIX)
    return "" if name.startswith("_meta/") or name == key or not name else name
