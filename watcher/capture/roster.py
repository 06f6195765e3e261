"""One informer for every kind that is wanted, while kinds come and go.

Exists because "every object" includes kinds that are installed next year. Promises: a new kind is
followed seconds after its CRD is established; a kind ends when a document that can tell does not
name it and its CRD was deleted, or when two of them, a minute apart, do not name it; files of
kinds that settings leave out are held, never deleted.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from watcher.backoff import Backoff
from watcher.bucket.held import SETTINGS
from watcher.bucket.layout import Layout, kind_segment
from watcher.capture.deletes import excuses
from watcher.capture.intake import Flow, Intake
from watcher.capture.served import can_tell_about, resource_of
from watcher.capture.watchfulness import Watchfulness
from watcher.cluster.api import API
from watcher.cluster.client import Event, Item
from watcher.cluster.discovery import Discovery, discover
from watcher.cluster.informer import Informer, Sink
from watcher.cluster.kinds import KindFilter, identity
from watcher.cluster.phases import FIRST
from watcher.cluster.same import SameCluster
from watcher.errors import ClusterError
from watcher.logs import Log, Outage
from watcher.metrics import Metrics
from watcher.objects.ref import APIResource, ObjectRef

_COLD_LISTS = 8  # kinds listed at the same time
_INTERVAL = 300.0  # seconds between two looks when nothing rings
_LOOKS = (1.0, 3.0, 10.0)  # seconds after a ring: discovery lags behind its CRDs
_GONE_AFTER = 60.0  # seconds that a kind must be missing
_RELIST_CHECK = 3.0  # seconds

# Kinds whose changes mean that other kinds come or go.
_BELLS = frozenset(
    {
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
    }
)


@dataclass(slots=True)
class _Followed:
    resource: APIResource
    intake: Intake | None  # None: not wanted, but its changes ring
    informer: Informer
    task: asyncio.Task[None]
    defined: bool  # by a CRD that we know


class Roster:
    """`run()` never returns by itself; cancelling it ends all informers. It raises RefusedError
    where another cluster answers."""

    def __init__(
        self,
        api: API,
        flow: Flow,
        kinds: KindFilter,
        *,
        selector: str,
        same: SameCluster,
        watchfulness: Watchfulness,
        metrics: Metrics,
        log: Log,
        random: Random,
    ) -> None:
        self._api = api
        self._flow = flow
        self._kinds = kinds
        self._selector = selector
        self._same = same
        self._watchfulness = watchfulness
        self._metrics = metrics
        self._log = log
        self._random = random
        self._time = asyncio.get_running_loop().time
        self._outage = Outage(log, "discovery of kinds", self._time)
        self._backoff = Backoff(random, first=1.0, longest=30.0)
        self._lists = asyncio.Semaphore(_COLD_LISTS)
        self._discovery: Discovery | None = None
        self._followed: dict[tuple[str, str], _Followed] = {}  # (group, kind) -> …
        self._missing: dict[str, float] = {}  # kind segment -> loop time of the first document
        self._ended: set[str] = set()  # kind segments with files that are not served any more
        self._rung = asyncio.Event()
        self._warned: set[str] = set()

    @property
    def intakes(self) -> list[Intake]:
        """The kinds that are followed and stored."""
        return [f.intake for f in self._followed.values() if f.intake]

    @property
    def looked(self) -> bool:
        """Whether it is known which kinds there are."""
        return self._discovery is not None

    @property
    def failing(self) -> str | None:
        """Why it is not known, of all groups or of some, which kinds there are; None: it is."""
        return self._outage.reason

    def ring(self) -> None:
        """Kinds may have come or gone: look soon."""
        self._rung.set()

    def serves(self, segment: str) -> bool:
        """Whether the cluster serves this kind segment, or may."""
        if self._discovery is None or not can_tell_about(segment, self._discovery):
            return True
        return self.resource_of(segment) is not None

    def resource_of(self, segment: str) -> APIResource | None:
        """The kind that a kind segment stands for; None: it is not served, as far as we know."""
        return resource_of(segment, self._discovery) if self._discovery else None

    def intake_of(self, resource: APIResource) -> Intake | None:
        followed = self._followed.get(identity(resource))
        return followed.intake if followed else None

    def told(self, resource: APIResource) -> str:
        followed = self._followed.get(identity(resource))
        return followed.informer.anew.known if followed else ""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._list_again_what_overflowed(group))
            group.create_task(self._same.watch())
            looks: list[float] = []
            while True:
                wait = await self._look(group)
                if looks:
                    await asyncio.sleep(looks.pop(0))
                    continue
                try:
                    async with asyncio.timeout(wait):
                        await self._rung.wait()
                except TimeoutError:
                    continue
                self._rung.clear()
                looks = list(_LOOKS[1:])
                await asyncio.sleep(_LOOKS[0])

    async def _look(self, group: asyncio.TaskGroup) -> float:
        """Look once and act on it; seconds until the next look at the latest."""
        try:
            self._discovery = discovery = await discover(self._api, self._discovery)
        except ClusterError as error:
            self._metrics.discovery_failures.inc()
            self._outage.began(str(error))
            return self._backoff.next()
        self._backoff.reset()
        if discovery.stale:
            self._metrics.discovery_failures.inc()
            self._outage.began(f"no answer about {', '.join(sorted(discovery.stale))}")
        else:
            self._outage.ended()
        self._warn_of_unmatched(discovery)
        self._follow(discovery, group)
        self._hold_unwanted(discovery)
        self._end_missing(discovery)
        return _GONE_AFTER if self._missing or discovery.stale else _INTERVAL

    def _follow(self, discovery: Discovery, group: asyncio.TaskGroup) -> None:
        taken: set[str] = set()
        for resource in discovery.resources:
            wanted = self._kinds.wants(resource)
            if not wanted and identity(resource) not in _BELLS:
                continue
            segment = kind_segment(*identity(resource))
            if segment in taken:  # two resources of one kind: their files could not be told apart
                continue
            taken.add(segment)
            followed = self._followed.get(identity(resource))
            if followed is None:
                self._log.debug("following a kind", resource=resource.label)
            elif resource.group in discovery.stale or (
                followed.resource == resource and segment not in self._missing
            ):
                continue
            else:  # another version is preferred now, it has other names, or it is back
                followed.task.cancel()
            intake = self._intake(resource) if wanted else None
            self._start(resource, intake, group)

    def _intake(self, resource: APIResource) -> Intake:
        return Intake(self._flow, resource, named=self._kinds.names(resource))

    def _start(
        self, resource: APIResource, intake: Intake | None, group: asyncio.TaskGroup
    ) -> None:
        sink: Sink = intake or _Silent()
        if identity(resource) in _BELLS:
            sink = _Ringing(sink, self.ring)
        last = self._followed.get(identity(resource))
        informer = Informer(
            self._api,
            resource,
            sink,
            observer=self._watchfulness,
            random=self._random,
            lists=self._lists,
            confirm=self._same.confirm,
            selector=self._selector if intake else "",
            rediscover=self.ring,
            begin=last.informer.anew if last else FIRST,
        )
        task = group.create_task(informer.run(), name=f"informer {resource.label}")
        defined = self._flow.keeps(_definition(resource))
        self._followed[identity(resource)] = _Followed(resource, intake, informer, task, defined)

    def _hold_unwanted(self, discovery: Discovery) -> None:
        """Files of kinds that are there but not wanted: a matter of settings, so they stay."""
        wanted: dict[str, bool] = {}  # kind segment -> whether any resource of it is
        for resource in discovery.resources:
            segment = kind_segment(*identity(resource))
            wanted[segment] = wanted.get(segment, False) or self._kinds.wants(resource)
        for segment in (segment for segment, any_is in wanted.items() if not any_is):
            self._flow.absence.hold(self._flow.ledger.keys_of(segment), SETTINGS)

    def _end_missing(self, discovery: Discovery) -> None:
        served = {kind_segment(*identity(resource)) for resource in discovery.resources}
        self._ended -= served
        ours = {kind_segment(*kind): kind for kind in self._followed}
        now = self._time()
        missing = {
            segment
            for segment in {*self._flow.ledger.kinds(), *ours} - served - self._ended
            if can_tell_about(segment, discovery)
        }
        self._missing = {segment: self._missing.get(segment, now) for segment in missing}
        for segment, since in list(self._missing.items()):
            if now - since >= _GONE_AFTER or self._is_gone_by_name(ours.get(segment)):
                self._end(segment, ours.get(segment))

    def _is_gone_by_name(self, kind: tuple[str, str] | None) -> bool:
        """Whether the CRD of a followed kind was deleted: the API server may have closed the watch
        before it told the end of each object."""
        followed = self._followed.get(kind) if kind else None
        if followed is None or not followed.defined:
            return False
        return not self._flow.keeps(_definition(followed.resource))

    def _end(self, segment: str, kind: tuple[str, str] | None) -> None:
        followed = self._followed.pop(kind, None) if kind else None
        if followed:
            followed.task.cancel()
            self._watchfulness.forget(followed.resource)
        flow, keys = self._flow, self._flow.ledger.keys_of(segment)
        name, _, group = segment.partition(".")
        resource = followed.resource if followed else APIResource(group, "", name, name, True)
        self._log.info("a kind is gone", resource=resource.label, files=len(keys))
        # What defined the kind may be held itself: history was lost, and the kind with it.
        definitions = excuses.definitions(flow.ledger, group)
        if followed:
            definitions = {_definition(resource)}
        if why := next(filter(None, map(flow.absence.holds, definitions)), None):
            flow.absence.hold(keys, why)
        else:
            flow.absence.suspect(resource, keys, kind_is_gone=True)
        del self._missing[segment]
        self._ended.add(segment)

    async def _list_again_what_overflowed(self, group: asyncio.TaskGroup) -> None:
        """Kinds of which changes were let go for want of memory, once there is some again."""
        pending = self._flow.pending
        while True:
            await asyncio.sleep(_RELIST_CHECK)
            if pending.stalled or pending.bytes > pending.budget / 2:
                continue
            for resource in list(pending.overflowed):
                pending.overflowed.discard(resource)
                followed = self._followed.get(identity(resource))
                if followed and followed.intake:
                    followed.task.cancel()
                    followed.intake.synced = False
                    self._start(followed.resource, followed.intake, group)

    def _warn_of_unmatched(self, discovery: Discovery) -> None:
        words: Iterable[str] = self._kinds.unmatched(discovery.resources)
        for word in sorted(set(words) - self._warned):
            self._warned.add(word)
            self._log.warning("include-kinds or exclude-kinds names an unknown kind", kind=word)


def _definition(resource: APIResource) -> str:
    """Where the CRD of a kind is stored, if it has one."""
    name = f"{resource.resource}.{resource.group}"
    return Layout.key(ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", name))


class _Silent:
    """Takes what nobody stores."""

    def begin(self) -> None: ...

    def listed(self, items: list[Item]) -> None: ...

    def changed(self, events: list[Event]) -> None: ...

    def complete(self, *, trusted: bool) -> None: ...

    async def room(self) -> None: ...


class _Ringing:
    """Hands everything on, and rings at each change."""

    def __init__(self, sink: Sink, ring: Callable[[], None]) -> None:
        self._sink = sink
        self._ring = ring
        self.begin, self.listed = sink.begin, sink.listed
        self.complete, self.room = sink.complete, sink.room

    def changed(self, events: list[Event]) -> None:
        self._sink.changed(events)
        self._ring()
