"""Which of several replicas may write: a Lease of coordination.k8s.io, as client-go's elections
have it.

Exists because two writers of one prefix would fight, and a Lease is the one thing that a cluster
gives to one at a time. Promises, with `renew-deadline` < `lease-duration`: no two processes may
write at the same moment, whatever is paused, lost, late or away, and whatever their clocks show:

- The holder may write until `renew-deadline` after it *sent* its last renewal that succeeded.
- Nobody else takes the Lease before `lease-duration` after it *saw* that renewal. Both are seconds
  of one's own monotonic clock (a SIGSTOP does not stop it), the times in the Lease are for people.
- What lies between the two is there for requests that are under way, and for clocks that drift.
- Each renewal names the resourceVersion that it replaces: a late or a lost race is a 409.

A holder whose renewals fail stops writing, but has lost nothing: if the Lease still names it (no
other process ever writes that name), nobody wrote in between, and it goes on. Only where the Lease
names another, or is gone, is it lost: LeaseLostError ends the process, with all that it knows and
all that it has under way. An etcd that is put back forgets its last holder: who has seen that waits
a whole `lease-duration`; who starts just then cannot know (epochs are the second line of defence).
Rights: get, create, update of leases in our own namespace.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from watcher.cluster import client
from watcher.cluster.api import WritableAPI
from watcher.cluster.client import Item
from watcher.cluster.phases import is_older
from watcher.errors import ClusterError, ClusterUnreachableError, RefusedError, StatusError
from watcher.logs import Log, Outage

_JITTER = 0.2  # of the retry period
_TICK = 0.01  # seconds; timers may ring early by the clock's resolution
_RELEASE = 5.0  # seconds to give it up


class LeaseLostError(RefusedError):
    """Another process may write now."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds, by client-go's names."""

    lease_duration: float
    renew_deadline: float
    retry_period: float


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says. holder: "" where nobody has it. duration: seconds."""

    holder: str
    duration: float
    version: str  # resourceVersion
    acquired: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Sight:
    """A record, and since when (own monotonic clock) it has been seen to be like that."""

    record: Record
    since: float
    restored: bool = False  # it went back in time: etcd was put back, its holder may be forgotten

    def then(self, record: Record, now: float) -> "Sight":
        if record.version == self.record.version:
            return self
        return Sight(record, now, restored=is_older(record.version, self.record.version))

    def free_at(self, identity: str, terms: Terms) -> float:
        """From when on this process may take it."""
        if self.record.holder in ("", identity) and not self.restored:
            return -math.inf
        return self.since + max(self.record.duration, terms.lease_duration)


class Lease:
    """One candidate's view. `acquire`, then `keep` for as long as it is to be held, then
    `release`; `barred` is asked before each request that changes something."""

    def __init__(
        self,
        api: WritableAPI,
        namespace: str,
        name: str,
        identity: str,
        terms: Terms,
        *,
        random: Random,
        clock: Callable[[], datetime],
        log: Log,
    ) -> None:
        """identity: no other process may ever have the same, nor this one after a restart."""
        self.identity = identity
        self.terms = terms
        self._api = api
        self._namespace = namespace
        self._name = name
        self._random = random
        self._clock = clock
        self._log = log
        self._time = asyncio.get_running_loop().time
        self._outage = Outage(log, f"asking for the Lease {self}", self._time)
        self._sight: Sight | None = None  # None: there never was one, as far as we saw
        self._valid_until = -math.inf

    def __str__(self) -> str:
        return f"{self._namespace}/{self._name}"

    @property
    def holder(self) -> str:
        """Who has it, as far as we saw; "" where nobody has."""
        return self._sight.record.holder if self._sight else ""

    def barred(self) -> str | None:
        """Why nothing may be written at this moment; None: it may."""
        if self._time() < self._valid_until:
            return None
        return f"the Lease {self} is not ours, or was not renewed in time"

    async def acquire(self) -> None:
        """Wait until it is ours, however long that takes."""
        while not await self.try_acquire():
            pause = self._pause()
            if self._sight:
                left = self._sight.free_at(self.identity, self.terms) - self._time()
                pause = min(pause, left + _TICK) if left > 0 else pause
            await asyncio.sleep(pause)

    async def try_acquire(self) -> bool:
        """Whether it is ours now: it is taken where nobody has it, or the holder is overdue."""
        try:
            async with asyncio.timeout(self.terms.renew_deadline / 2):
                taken = await self._look_and_take()
        except (ClusterError, TimeoutError) as error:
            self._outage.began(_why(error))
            return False
        self._outage.ended()
        return taken

    async def keep(self) -> None:
        """Renew it again and again. Raises LeaseLostError once it is another's."""
        while True:
            await asyncio.sleep(self._pause())
            try:
                async with asyncio.timeout(self.terms.renew_deadline / 2):
                    await self._put_over_ours(holder=self.identity)
            except (ClusterError, TimeoutError) as error:
                self._outage.began(_why(error))
            else:
                self._outage.ended()

    async def release(self) -> None:
        """Nothing is written from here on, and nobody need wait for that to be certain."""
        self._valid_until = -math.inf
        if self._sight is None or self._sight.record.holder != self.identity:
            return
        try:
            async with asyncio.timeout(_RELEASE):
                await self._put_over_ours(holder="")
        except (ClusterError, LeaseLostError, TimeoutError) as error:
            self._log.warning("the Lease could not be given up", reason=_why(error))

    # One try

    async def _look_and_take(self) -> bool:
        record = await self._read()
        now = self._time()
        if record:
            self._sight = self._sight.then(record, now) if self._sight else Sight(record, now)
        # One that was removed may have a holder that does not know it yet.
        if self._sight and now < self._sight.free_at(self.identity, self.terms):
            return False
        try:
            await self._put(record, holder=self.identity)
        except StatusError as error:
            if error.status != 409:
                raise
            return False  # another candidate was quicker
        return True

    async def _put_over_ours(self, *, holder: str) -> None:
        assert self._sight is not None
        try:
            await self._put(self._sight.record, holder=holder)
        except StatusError as error:
            if error.status not in (404, 409):
                raise
            # Another has it; or we, and the answer was lost; or somebody put a label on it.
            record = await self._read()
            if record is None or record.holder != self.identity:
                self._valid_until = -math.inf
                who = record.holder if record else ""
                raise LeaseLostError(
                    f"the Lease {self} is lost to {who or 'nobody'}: this process stops",
                    hint="it was paused, or could not reach the API server; a new start waits",
                ) from None
            self._sight = Sight(record, self._time())
            await self._put(record, holder=holder)

    async def _read(self) -> Record | None:
        try:
            _, _, body = await client.read(self._api, f"{self._collection}/{self._name}")
        except StatusError as error:
            if error.status == 404:
                return None
            raise
        return _record(client.as_object(body))

    async def _put(self, over: Record | None, *, holder: str) -> None:
        """Write it. Where it is ours by that, it is so from the moment of sending on."""
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        moves = over is None or over.holder != holder
        metadata = {"name": self._name, "namespace": self._namespace}
        if over:
            metadata["resourceVersion"] = over.version
        content: Item = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": math.ceil(self.terms.lease_duration) if holder else 1,
                "acquireTime": now if moves or not over else over.acquired,
                "renewTime": now,
                "leaseTransitions": (over.transitions + bool(holder and moves)) if over else 0,
            },
        }
        sent = self._time()
        if over:
            path = f"{self._collection}/{self._name}"
            found = await client.send(self._api, "PUT", path, content)
        else:
            found = await client.send(self._api, "POST", self._collection, content)
        self._sight = Sight(_record(found), self._time())
        if holder:
            self._valid_until = sent + self.terms.renew_deadline

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"

    def _pause(self) -> float:
        return self.terms.retry_period * self._random.uniform(1.0, 1.0 + _JITTER)


def _record(item: Item) -> Record:
    """Raises ClusterError for what is no Lease."""
    spec, metadata = item.get("spec") or {}, item["metadata"]
    try:
        return Record(
            str(spec.get("holderIdentity") or ""),
            float(spec.get("leaseDurationSeconds") or 0),
            str(metadata.get("resourceVersion") or ""),
            str(spec.get("acquireTime") or ""),
            int(spec.get("leaseTransitions") or 0),
        )
    except (ValueError, TypeError, AttributeError):
        raise ClusterError("the API server's answer is no Lease") from None


def _why(error: Exception) -> str:
    return str(error) or str(ClusterUnreachableError("the API server did not answer in time"))
