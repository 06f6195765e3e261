"""Objects that a complete list did not show: may their files be deleted?

Exists because a list that came back whole can still be wrong: another cluster behind the same
address, an aggregated API that is warming up, an etcd put back in time. Promises: a file is deleted
by absence only after the cluster, whose kube-system UID is still the claim's, answered for that
very object that it is not there (an aggregated API twice, a minute apart; of a kind that is not
served: that no CRD and no APIService stands for it), not from an older past than what we were told
before, and only if no state of the object arrived meanwhile. A question without an answer is asked
again, for ever. Nothing is asked before each kind was listed; then all answers are judged together,
so that many at once are noticed (judge.py). What is held stays in the bucket until the object shows
up again or an operator decides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random

from watcher.backoff import Backoff
from watcher.bucket.held import HISTORY_LOST, MANY, SETTINGS, Book, Orders
from watcher.bucket.layout import kind_of
from watcher.capture.change import Deleted
from watcher.capture.deletes.holds import Holds
from watcher.capture.deletes.judge import Judge
from watcher.cluster import client, discovery
from watcher.cluster.api import API
from watcher.cluster.client import Item
from watcher.cluster.phases import is_older
from watcher.cluster.same import SameCluster
from watcher.errors import BucketError, ClusterError
from watcher.logs import Log
from watcher.objects.ref import FROZEN_GROUPS, APIResource

_WARM_UP = 60.0  # seconds between two answers of an aggregated API
_QUESTIONS = 8  # at the same time
_TRIES = 3  # questions after which who waits for the answer goes on without it
_PATIENCE = 120.0  # seconds for a decision about the Namespace or definition that is gone too


@dataclass(slots=True)
class _Suspect:
    resource: APIResource
    kind_is_gone: bool  # there is nobody left to ask
    allowed: bool = False  # an operator said so: it need not be judged
    missing_since: float | None = None  # loop time of the first answer that it is not there
    absent: bool = False  # all was asked that can be
    waits_since: float | None = None  # for a decision about its container
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class _Kinds:
    """What the cluster says of kinds that are not its own."""

    aggregated: frozenset[str] = frozenset()  # groups
    defined: frozenset[str] = frozenset()  # kind segments of CRDs; asked only if a kind is gone

    def stand_for(self, segment: str) -> bool:
        return segment in self.defined or segment.partition(".")[2] in self.aggregated


class Absence:
    """All keys in question, of all kinds. `run()` never returns by itself; cancel it. It raises
    RefusedError where another cluster answers."""

    def __init__(
        self,
        api: API,
        same: SameCluster,
        holds: Holds,
        judge: Judge,
        *,
        resource_of: Callable[[str], APIResource | None],
        told: Callable[[APIResource], str],
        identify: Callable[[str], Awaitable[tuple[str, str]]],
        delete: Callable[[str, APIResource, Deleted], None],
        found: Callable[[str, APIResource, Item], None],
        log: Log,
        random: Random,
    ) -> None:
        """resource_of: the kind that a kind segment stands for; None: it is not served. told: up
        to which resourceVersion we were told of a kind: an older answer shows that etcd lost
        history. identify: a key's namespace and name; may raise BucketError (a cut name is read
        from the file). delete: told of keys whose absence is proven or whose deletion was allowed.
        found: told of objects that are there, after all."""
        self._api = api
        self._same = same
        self._holds = holds
        self._judge = judge
        self._resource_of = resource_of
        self._told = told
        self._identify = identify
        self._delete = delete
        self._found = found
        self._log = log
        self._backoff = Backoff(random, first=1.0, longest=60.0)
        self._time = asyncio.get_running_loop().time
        self._suspects: dict[str, _Suspect] = {}
        self._distrusted: dict[str, str] = {}  # key -> why it is held if it is found absent
        self._orders = Orders()
        self._changed = asyncio.Event()

    def asks_about(self, key: str) -> bool:
        """Whether it is not known yet what becomes of this key."""
        return key in self._suspects

    @property
    def settled(self) -> bool:
        """Whether each question was answered, or asked in vain several times."""
        asked = all(suspect.unanswered >= _TRIES for suspect in self._suspects.values())
        return asked and not self._orders.allow

    @property
    def unanswered(self) -> int:
        """Questions that were asked in vain so far."""
        return sum(suspect.unanswered > 0 for suspect in self._suspects.values())

    def suspect(
        self, resource: APIResource, keys: Iterable[str], *, kind_is_gone: bool = False
    ) -> None:
        """These keys were not in a complete and trusted list."""
        for key in keys:
            known = self._suspects.get(key)
            if known and (known.resource, known.kind_is_gone) == (resource, kind_is_gone):
                continue
            if why := self._distrusted.get(key):
                self.hold([key], why)
            elif self._holds.why(key) == SETTINGS and not kind_is_gone:
                self._holds.release(key)  # settings want it again, and it is not there
            if not self._holds.stays(key):
                self._suspects[key] = _Suspect(resource, kind_is_gone)
        self._changed.set()

    def hold(self, keys: Iterable[str], why: str) -> None:
        """These keys were not in a list, but that proves nothing: keep them."""
        keys = list(keys)
        for key in keys:
            self._suspects.pop(key, None)
        self._holds.hold(keys, why)

    def adopt(self, book: Book) -> set[str]:
        """Another process kept this record, up to now; the keys that only it knew to be held, or
        kept."""
        for key in (*book.held, *book.kept):
            self._suspects.pop(key, None)
        return self._holds.adopt(book)

    @property
    def refused(self) -> int:
        """Files that are held because too many were to go at once."""
        return sum(hold.why == MANY for hold in self._holds.book().held.values())

    def holds(self, key: str) -> str | None:
        """Why this key is held; None: it is not."""
        return self._holds.why(key)

    def stays(self, key: str) -> bool:
        """Whether this key is held, or kept because an operator said so."""
        return self._holds.stays(key)

    def distrust(self, keys: Iterable[str], why: str) -> None:
        """What of these turns out to be absent is held, for this reason."""
        self._distrusted.update((key, why) for key in keys if not self._holds.stays(key))

    def trust(self) -> None:
        """The first sync is over: what of the distrusted has not shown up is held."""
        for key, why in self._distrusted.items():
            self.hold([key], why)
        self._distrusted.clear()

    def seen(self, key: str) -> None:
        """A state or an end of this object arrived: what we wondered about is answered."""
        self._suspects.pop(key, None)
        self._distrusted.pop(key, None)
        self._holds.release(key)

    def left_out(self, key: str) -> None:
        """A state arrived of an object that settings leave out."""
        self._suspects.pop(key, None)
        self._distrusted.pop(key, None)
        self._holds.left_out(key)

    def obey(self, orders: Orders) -> None:
        """What operators decided. Files are deleted only once each kind was listed."""
        for key, verdict in orders.verdicts(self._holds.book()).items():
            if verdict == "keep":
                self._suspects.pop(key, None)
                self._holds.keep(key)
        self._orders = orders
        self._changed.set()

    async def run(self, may_judge: Callable[[], bool]) -> None:
        """may_judge: whether each kind is listed, or cannot be."""
        while True:
            self._changed.clear()
            if may_judge():
                self._carry_out()
                due = [k for k, suspect in self._suspects.items() if self._is_due(suspect)]
                answered = not due or await self._ask_all(due)
                decided = await self._decide()
                if not (answered and decided):
                    await asyncio.sleep(self._backoff.next())
                    continue
                self._backoff.reset()
            try:
                async with asyncio.timeout(1.0 if self._suspects or self._orders.allow else None):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _carry_out(self) -> None:
        """Begin what operators allowed, once."""
        orders, self._orders = self._orders, Orders()
        if not orders.allow:
            return
        book = self._holds.book()
        holds = {**book.held, **book.kept}
        for key, verdict in orders.verdicts(book).items():
            begun = self._suspects.get(key)
            if verdict != "allow" or (begun and begun.allowed):
                continue
            resource = self._resource_of(kind_of(key))
            if holds[key].why == SETTINGS:
                self._holds.let_go(key)
                self._delete(key, resource or _unserved(key), Deleted("left-out"))
            else:
                gone = resource is None
                self._suspects[key] = _Suspect(resource or _unserved(key), gone, allowed=True)

    async def _ask_all(self, keys: list[str]) -> bool:
        """Whether every question was answered."""
        try:
            await self._same.confirm()
            kinds = await self._kinds(keys)
        except ClusterError as error:
            self._log.debug("absent objects cannot be asked for", reason=str(error))
            self._count_unanswered(keys)
            return False
        queue = iter(keys)

        async def ask_in_turn() -> bool:
            return all([await self._ask(key, kinds) for key in queue])

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask_in_turn()) for _ in range(_QUESTIONS)]
        return all(task.result() for task in asked)

    async def _ask(self, key: str, kinds: _Kinds) -> bool:
        suspect = self._suspects.get(key)
        if suspect is None:
            return True
        try:
            item = await self._look(key, suspect, kinds)
        except (ClusterError, BucketError) as error:
            self._log.debug("an absent object cannot be asked for", key=key, reason=str(error))
            self._count_unanswered([key])
            return False
        if self._suspects.get(key) is not suspect:
            return True  # a state arrived while we asked, or it is held
        if item is not None:
            del self._suspects[key]
            self._found(key, suspect.resource, item)
        elif suspect.resource.group in kinds.aggregated and suspect.missing_since is None:
            suspect.missing_since = self._time()
        else:
            suspect.absent = True
        return True

    async def _look(self, key: str, suspect: _Suspect, kinds: _Kinds) -> Item | None:
        if suspect.kind_is_gone:
            if kinds.stand_for(kind_of(key)):
                raise ClusterError("its kind is not served, though something stands for it")
            return None
        namespace, name = await self._identify(key)
        told = self._told(suspect.resource)  # before we ask: events overtake answers
        item, version = await client.look_for(self._api, suspect.resource, namespace, name)
        if item is None and is_older(version, told):
            self.hold([key], HISTORY_LOST)
        return item

    async def _kinds(self, keys: list[str]) -> _Kinds:
        suspects = [self._suspects[key] for key in keys if key in self._suspects]
        if not {suspect.resource.group for suspect in suspects} - FROZEN_GROUPS:
            return _Kinds()
        aggregated = await discovery.aggregated_groups(self._api)
        if not any(suspect.kind_is_gone for suspect in suspects):
            return _Kinds(aggregated)
        kinds = (await discovery.custom_kinds(self._api)).values()
        return _Kinds(aggregated, frozenset(f"{kind.lower()}.{group}" for group, kind in kinds))

    async def _decide(self) -> bool:
        """Judge what is absent; whether that was possible."""
        absent = {key: suspect for key, suspect in self._suspects.items() if suspect.absent}
        if not absent or any(map(_is_open, self._suspects.values())):
            return True
        judged = {k: suspect.kind_is_gone for k, suspect in absent.items() if not suspect.allowed}
        tired = [k for k, suspect in absent.items() if self._is_tired(suspect)]
        try:
            verdict = await self._judge.judge(judged, tired_of_waiting=tired)
        except ClusterError as error:
            self._log.debug("absent objects cannot be judged", reason=str(error))
            self._count_unanswered(judged)
            return False
        for key, suspect in absent.items():
            if self._suspects.get(key) is not suspect:
                continue  # a state arrived meanwhile
            if key in verdict.waiting:
                if suspect.waits_since is None:
                    suspect.waits_since = self._time()
            elif key in verdict.held:
                self.hold([key], MANY)
            else:
                del self._suspects[key]
                self._holds.let_go(key)
                self._delete(key, suspect.resource, Deleted())
        return True

    def _count_unanswered(self, keys: Iterable[str]) -> None:
        for key in keys:
            if suspect := self._suspects.get(key):
                suspect.unanswered += 1

    def _is_due(self, suspect: _Suspect) -> bool:
        warm = suspect.missing_since is None or self._time() >= suspect.missing_since + _WARM_UP
        return warm and not suspect.absent

    def _is_tired(self, suspect: _Suspect) -> bool:
        since = suspect.waits_since
        return since is not None and self._time() >= since + _PATIENCE


def _is_open(suspect: _Suspect) -> bool:
    """Whether it has yet to be asked for; in vain, or warming up, it holds up nobody."""
    asked = suspect.absent or suspect.missing_since is not None
    return not asked and suspect.unanswered < _TRIES


def _unserved(key: str) -> APIResource:
    """What can be said of a kind that is not served any more."""
    name, _, group = kind_of(key).partition(".")
    return APIResource(group, "", name, name, True)
