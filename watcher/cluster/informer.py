"""Follows one kind of object: the list, then every change, for as long as it runs.

Exists because "every change" takes a list and a watch that know of each other, and every way in
which they break. The rules are in phases.py; here is the doing: requests, waiting, backoff.
Promises: never ends by a fault of the server, only (RefusedError) if another cluster's has taken
its place; each state reaches the sink in the order in which the server tells them, and counts as
seen only once the sink returned; a stream that died silently is left after 90 seconds (only streams
that are known to send bookmarks can be judged by that).
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Protocol

from watcher.backoff import Backoff
from watcher.cluster import client
from watcher.cluster.api import API
from watcher.cluster.client import Item
from watcher.cluster.phases import (
    FIRST,
    Failed,
    Listing,
    Page,
    Pause,
    Phase,
    Step,
    Watched,
    Watching,
    anew,
    step,
)
from watcher.errors import ClusterError, StatusError
from watcher.objects.ref import APIResource

SILENCE = 90.0  # seconds without a byte, where bookmarks come each minute
PARKED = (120.0, 300.0)  # seconds between two tries of what a missing right forbids
_DOUBTED = 4  # refusals in a row that are not taken at their word where it went well before: an API
# server that starts refuses everybody for some seconds, because it does not know its roles yet
_HEALTHY = 120.0  # seconds after which earlier failures are forgotten
_BELIEVED = 1.0  # seconds: many kinds are listed one after another when all begins
_WATCH_LENGTH = (300.0, 600.0)  # seconds, random so that not all watches end together


class Sink(Protocol):
    """Who takes what an informer sees of its kind."""

    def begin(self) -> None:
        """A complete list begins."""

    def listed(self, items: list[Item]) -> None:
        """States from a list; each is true, whether or not the list comes to its end."""

    def changed(self, events: list[client.Event]) -> None:
        """Changes, bookmarks left out."""

    def complete(self, *, trusted: bool) -> None:
        """The list since `begin` is whole: what it did not show is absent. Not `trusted`: the
        server lost history, so absence does not mean that somebody deleted anything."""

    async def room(self) -> None:
        """Wait here while too much is waiting to be written."""


class Observer(Protocol):
    """Who wants to know how an informer fares."""

    def entered(self, resource: APIResource, phase: Phase) -> None:
        """It begins a request."""

    def active(self, resource: APIResource) -> None:
        """The server said something."""

    def paused(
        self, resource: APIResource, taken: Step, seconds: float, error: ClusterError | None
    ) -> None:
        """It begins again (`taken.restart` says why) after this many seconds."""


class Informer:
    """One kind. `run()` never returns by itself; cancel it."""

    def __init__(
        self,
        api: API,
        resource: APIResource,
        sink: Sink,
        *,
        observer: Observer,
        random: Random,
        lists: asyncio.Semaphore,
        confirm: Callable[[float], Awaitable[None]],
        selector: str = "",
        rediscover: Callable[[], None] = lambda: None,
        begin: Listing = FIRST,
    ) -> None:
        """lists: how many kinds may be listed at once. confirm: see same.py; asked before each
        list and after each fault, before whatever answers now is believed. selector: a label
        selector. begin: where the one that this one follows on left off."""
        self._api = api
        self._resource = resource
        self._sink = sink
        self._observer = observer
        self._random = random
        self._lists = lists
        self._confirm = confirm
        self._rediscover = rediscover
        self._phase: Phase = begin
        self._query: Mapping[str, str] = {"labelSelector": selector} if selector else {}

    @property
    def anew(self) -> Listing:
        """Where one that takes this one's place begins: it knows what this one was told."""
        return anew(self._phase)

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        backoff = Backoff(self._random, first=0.8, longest=30.0)
        doubts = 0
        while True:
            began = clock()
            taken, error = await self._take_step(self._phase)
            if error is None:
                doubts = _DOUBTED
            elif taken.pause is Pause.PARK and doubts:
                doubts -= 1
                taken = replace(taken, pause=Pause.BACKOFF)
            if clock() - began >= _HEALTHY:
                backoff.reset()
            if taken.rediscover:
                self._rediscover()
            seconds = max(taken.at_least, self._seconds(taken.pause, backoff))
            if taken.restart:
                self._observer.paused(self._resource, taken, seconds, error)
            broke = clock()
            if seconds:
                await asyncio.sleep(seconds)
            if error:
                await self._recognise(broke)
            self._phase = taken.phase

    async def _recognise(self, since: float) -> None:
        """Wait until our cluster answers again; raises RefusedError if it is another one."""
        backoff = Backoff(self._random, first=0.8, longest=30.0)
        while True:
            try:
                await self._confirm(since)
            except StatusError:
                return  # it does not tell: what we ask for ourselves must show whether it works
            except ClusterError:
                await asyncio.sleep(backoff.next())
            else:
                return

    async def _take_step(self, phase: Phase) -> tuple[Step, ClusterError | None]:
        if isinstance(phase, Listing):
            return await self._list(phase)
        self._observer.entered(self._resource, phase)
        outcome = await (self._watch(phase) if isinstance(phase, Watching) else self._probe())
        return step(phase, outcome), None if isinstance(outcome, Page) else outcome.error

    async def _list(self, phase: Listing) -> tuple[Step, ClusterError | None]:
        """The whole chain of pages, in one of the few places for lists; ends early on a fault."""
        async with self._lists:
            await self._recognise(asyncio.get_running_loop().time() - _BELIEVED)
            self._observer.entered(self._resource, phase)
            if not phase.token:
                self._sink.begin()
            while True:
                outcome = await self._page(phase)
                taken = step(phase, outcome)
                if isinstance(outcome, Failed):
                    return taken, outcome.error
                if taken.complete:
                    self._sink.complete(trusted=taken.trusted)
                if not isinstance(taken.phase, Listing):
                    return taken, None
                phase = taken.phase
                await self._sink.room()

    async def _page(self, phase: Listing) -> Page | Failed:
        query = {**self._query, **client.paging(token=phase.token, paged=phase.paged)}
        try:
            end = await client.list_page(self._api, self._resource.path, query, self._sink.listed)
        except ClusterError as error:
            return Failed(error)
        self._observer.active(self._resource)
        return Page(*end)

    async def _probe(self) -> Page | Failed:
        try:
            end = await client.list_page(
                self._api, self._resource.path, {"limit": "1"}, lambda items: None
            )
        except ClusterError as error:
            return Failed(error)
        self._observer.active(self._resource)
        return Page(end.resource_version, "")

    async def _watch(self, phase: Watching) -> Watched:
        clock = asyncio.get_running_loop().time
        began, version, events, bookmarks = clock(), phase.resource_version, 0, 0
        length = self._random.uniform(*_WATCH_LENGTH)
        query = {
            **self._query,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(math.ceil(length)),
        }

        def silence() -> float:
            return SILENCE if bookmarks >= 2 else began + length + client.IDLE - clock()

        error: ClusterError | None = None
        stream = client.watch(self._api, self._resource.path, query, silence)
        try:
            async with aclosing(stream):
                async for batch in stream:
                    changes = [event for event in batch if event.type != "BOOKMARK"]
                    reached = str(batch[-1].object["metadata"].get("resourceVersion") or version)
                    if changes:
                        self._sink.changed(changes)  # which consumes the objects
                    version = reached
                    self._phase = Watching(version)  # in case that another takes over
                    events += len(changes)
                    bookmarks += len(batch) - len(changes)
                    self._observer.active(self._resource)
        except ClusterError as caught:
            error = caught
        return Watched(version, events, clock() - began, error, bookmarks)

    def _seconds(self, pause: Pause, backoff: Backoff) -> float:
        if pause is Pause.BACKOFF:
            return backoff.next()
        if pause is Pause.PARK:
            return self._random.uniform(*PARKED)
        return 0.0
