"""An informer with somebody who writes down all that it says.

Exists so that the contract suite and the informer's own tests look at it from the outside alone:
what reaches its sink, which requests it begins and how long it stays away. Works in virtual and
in real time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from watcher.cluster.api import API, Response
from watcher.cluster.client import Event, Item
from watcher.cluster.informer import Informer
from watcher.cluster.phases import Phase, Step, Watching
from watcher.errors import ClusterError
from watcher.objects.ref import APIResource

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pausing:
    """It begins again after `seconds`, for this reason."""

    why: str
    seconds: float
    error: ClusterError | None


@dataclass(slots=True)
class Follower:
    """Sink and observer. `state` is what somebody who believes all that was said holds."""

    of: Callable[[Item], bool] = lambda item: True  # which objects are written down at all
    begun: int = 0  # lists
    listed_items: list[Item] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    completed: list[bool] = field(default_factory=list)  # each list that was whole: was it trusted
    phases: list[Phase] = field(default_factory=list)
    pauses: list[Pausing] = field(default_factory=list)
    rediscoveries: int = 0
    state: dict[tuple[str, str], Item] = field(default_factory=dict)
    _shown: set[tuple[str, str]] = field(default_factory=set)

    def begin(self) -> None:
        self.begun += 1
        self._shown.clear()

    def listed(self, items: list[Item]) -> None:
        for item in filter(self.of, items):
            self.listed_items.append(item)
            self._shown.add(key(item))
            self.state[key(item)] = item

    def changed(self, events: list[Event]) -> None:
        for event in events:
            if self.of(event.object):
                self.events.append(event)
                self.state.pop(key(event.object), None)
                if event.type != "DELETED":
                    self.state[key(event.object)] = event.object

    def complete(self, *, trusted: bool) -> None:
        self.completed.append(trusted)
        self.state = {k: item for k, item in self.state.items() if k in self._shown}

    async def room(self) -> None:
        pass

    def entered(self, resource: APIResource, phase: Phase) -> None:
        self.phases.append(phase)

    def active(self, resource: APIResource) -> None:
        pass

    def paused(
        self, resource: APIResource, taken: Step, seconds: float, error: ClusterError | None
    ) -> None:
        self.pauses.append(Pausing(taken.restart, seconds, error))

    def rediscover(self) -> None:
        self.rediscoveries += 1

    @property
    def restarts(self) -> list[str]:
        return [pausing.why for pausing in self.pauses]

    @property
    def versions(self) -> list[str]:
        """Where its watches began, in order."""
        return [phase.resource_version for phase in self.phases if isinstance(phase, Watching)]

    @property
    def told(self) -> list[tuple[str, str]]:
        """(type, name) of all events."""
        return [(event.type, event.object["metadata"]["name"]) for event in self.events]

    @property
    def names(self) -> set[str]:
        return {name for _, name in self.state}


async def nobody_doubts(since: float) -> None:
    """There is one cluster only."""


@asynccontextmanager
async def following(
    api: API, resource: APIResource, *, selector: str = "", follower: Follower | None = None
) -> AsyncIterator[Follower]:
    """An informer that runs until the end of the context, from before its first request on."""
    seen = follower or Follower()
    informer = Informer(
        api,
        resource,
        seen,
        observer=seen,
        random=Random(1),
        lists=asyncio.Semaphore(8),
        confirm=nobody_doubts,
        selector=selector,
        rediscover=seen.rediscover,
    )
    running = asyncio.create_task(informer.run())
    try:
        yield seen
    finally:
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
    if not isinstance(ended, asyncio.CancelledError):
        raise AssertionError("the informer ended by itself") from ended


async def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for what the world or an informer has yet to do. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(seconds / 1500)  # hours of virtual time in few steps


async def until_watching(*seen: Follower) -> None:
    """Wait until the lists are over."""
    await until(lambda: all(follower.versions for follower in seen))


@dataclass(frozen=True, slots=True)
class Hurried:
    """An API whose watches are asked to end after so many seconds: what else takes minutes."""

    api: API
    seconds: int

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Response]:
        if query and "timeoutSeconds" in query:
            query = {**query, "timeoutSeconds": str(self.seconds)}
        return self.api.get(path, query, headers)


def key(item: Item) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
