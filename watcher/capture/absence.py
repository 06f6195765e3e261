"""Objects that a complete list did not show: may their files be deleted?

Exists because a list that came back whole can still be wrong: another cluster behind the same
address, an aggregated API that is warming up, an etcd put back in time. Promises: a file is
deleted by absence only after the cluster, whose kube-system UID is still the claim's, answered for
that very object that it is not there (an aggregated API twice, a minute apart), and only if no
state of the object arrived meanwhile. A question without an answer is asked again, for ever.
What is held is kept in the bucket until the object shows up again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random

from watcher.backoff import Backoff
from watcher.cluster import client, discovery
from watcher.cluster.api import API
from watcher.cluster.client import Item
from watcher.errors import BucketError, ClusterError
from watcher.logs import Log
from watcher.objects.ref import FROZEN_GROUPS, APIResource

_WARM_UP = 60.0  # seconds between two answers of an aggregated API
_QUESTIONS = 8  # at the same time
_TRIES = 3  # questions after which who waits for the answer goes on without it


@dataclass(slots=True)
class _Suspect:
    resource: APIResource
    kind_is_gone: bool  # there is nobody left to ask
    missing_since: float | None = None  # loop time of the first answer that it is not there
    unanswered: int = 0


class Absence:
    """All keys in question, of all kinds. `run()` never returns by itself; cancel it."""

    def __init__(
        self,
        api: API,
        cluster_uid: str,
        *,
        identify: Callable[[str], Awaitable[tuple[str, str]]],
        delete: Callable[[str, APIResource], None],
        found: Callable[[APIResource, Item], None],
        log: Log,
        random: Random,
    ) -> None:
        """identify: a key's namespace and name; may raise BucketError (a cut name is read from
        the file). delete: told of keys whose absence is proven. found: told of objects that are
        there, after all."""
        self._api = api
        self._cluster_uid = cluster_uid
        self._identify = identify
        self._delete = delete
        self._found = found
        self._log = log
        self._backoff = Backoff(random, first=1.0, longest=60.0)
        self._suspects: dict[str, _Suspect] = {}
        self._held: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def held(self) -> int:
        """Keys that are absent from the cluster, as far as we saw, and stay in the bucket."""
        return len(self._held)

    def holds(self, key: str) -> bool:
        """Whether this key is one of them."""
        return key in self._held

    def asks_about(self, key: str) -> bool:
        """Whether it is not known yet what becomes of this key."""
        return key in self._suspects

    @property
    def settled(self) -> bool:
        """Whether each question was answered, or asked in vain several times."""
        return all(suspect.unanswered >= _TRIES for suspect in self._suspects.values())

    @property
    def unanswered(self) -> int:
        """Questions that were asked in vain so far."""
        return sum(suspect.unanswered > 0 for suspect in self._suspects.values())

    def suspect(
        self, resource: APIResource, keys: Iterable[str], *, kind_is_gone: bool = False
    ) -> None:
        """These keys were not in a complete and trusted list."""
        for key in keys:
            if key not in self._held:
                self._suspects[key] = _Suspect(resource, kind_is_gone)
        self._changed.set()

    def hold(self, keys: Iterable[str]) -> None:
        """These keys were not in a list, but that proves nothing: keep them."""
        for key in keys:
            self._suspects.pop(key, None)
            self._held.add(key)

    def seen(self, key: str) -> None:
        """A state or an end of this object arrived: what we wondered about is answered."""
        self._suspects.pop(key, None)
        self._held.discard(key)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            due = [key for key, suspect in self._suspects.items() if _is_due(suspect, loop.time())]
            if due and not await self._ask_all(due):
                await asyncio.sleep(self._backoff.next())
                continue
            self._backoff.reset()
            try:
                async with asyncio.timeout(1.0 if self._suspects else None):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _ask_all(self, keys: list[str]) -> bool:
        """Whether every question was answered."""
        try:
            uid = await client.cluster_uid(self._api)
            patient = await self._aggregated_groups(keys)
        except ClusterError as error:
            self._log.debug("absent objects cannot be asked for", reason=str(error))
            self._count_unanswered(keys)
            return False
        if uid != self._cluster_uid:
            self._log.error(
                "another cluster answers at this address: nothing is deleted",
                expected=self._cluster_uid,
                found=uid,
            )
            self.hold(keys)
            return True
        queue = iter(keys)

        async def ask_in_turn() -> bool:
            return all([await self._ask(key, patient) for key in queue])

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask_in_turn()) for _ in range(_QUESTIONS)]
        return all(task.result() for task in asked)

    async def _ask(self, key: str, patient: frozenset[str]) -> bool:
        suspect = self._suspects.get(key)
        if suspect is None:
            return True
        try:
            item = None if suspect.kind_is_gone else await self._look(key, suspect)
        except (ClusterError, BucketError) as error:
            self._log.debug("an absent object cannot be asked for", key=key, reason=str(error))
            self._count_unanswered([key])
            return False
        if self._suspects.get(key) is not suspect:
            return True  # a state arrived while we asked
        now = asyncio.get_running_loop().time()
        if item is not None:
            del self._suspects[key]
            self._found(suspect.resource, item)
        elif suspect.resource.group in patient and suspect.missing_since is None:
            suspect.missing_since = now
        else:
            del self._suspects[key]
            self._delete(key, suspect.resource)
        return True

    async def _look(self, key: str, suspect: _Suspect) -> Item | None:
        namespace, name = await self._identify(key)
        return await client.find_one(self._api, suspect.resource, namespace, name)

    async def _aggregated_groups(self, keys: list[str]) -> frozenset[str]:
        groups = {self._suspects[key].resource.group for key in keys if key in self._suspects}
        return (
            await discovery.aggregated_groups(self._api) if groups - FROZEN_GROUPS else frozenset()
        )

    def _count_unanswered(self, keys: list[str]) -> None:
        for key in keys:
            if suspect := self._suspects.get(key):
                suspect.unanswered += 1


def _is_due(suspect: _Suspect, now: float) -> bool:
    return suspect.missing_since is None or now >= suspect.missing_since + _WARM_UP
