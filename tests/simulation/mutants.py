"""Small bugs, to be put in on purpose: a simulation that finds none of them proves nothing.

Exists because a test that cannot fail looks like one that passes. Each is a few lines on the real
classes, a mistake that somebody could make tomorrow; test_mutants.py says how many seeds it takes.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from watcher.bucket import loading, owner, record
from watcher.bucket.compare import Differing
from watcher.bucket.fence import Fenced
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import Entry
from watcher.bucket.loading import Loaded
from watcher.bucket.store import Store
from watcher.capture import intake, roster, takeover
from watcher.capture.change import Change, Deleted
from watcher.capture.debounce import Pending
from watcher.capture.deletes.absence import Absence
from watcher.capture.intake import Intake
from watcher.capture.writer import Writer
from watcher.cluster import client, phases
from watcher.cluster.client import Event, PageEnd
from watcher.cluster.informer import Informer
from watcher.cluster.phases import Watched, Watching
from watcher.cluster.same import SameCluster
from watcher.errors import BucketUnreachableError
from watcher.objects.content import Content

Mutant = Callable[[], AbstractContextManager[object]]


def version_before_hand_over() -> AbstractContextManager[object]:
    """The resourceVersion moves on before the changes were taken over: a break loses them."""
    whole = Informer._watch

    class Lagging:
        def __init__(self, sink: Any) -> None:
            self._sink = sink
            self.broken = False

        def changed(self, events: list[Event]) -> None:
            asyncio.get_running_loop().call_later(0.5, self._hand_over, events)

        def _hand_over(self, events: list[Event]) -> None:
            if not self.broken:
                self._sink.changed(events)

    async def watch(self: Informer, phase: Watching) -> Watched:
        sink = self._sink
        lagging: Any = Lagging(sink)
        self._sink = lagging
        try:
            return await whole(self, phase)
        finally:
            self._sink, lagging.broken = sink, True

    return patch.object(Informer, "_watch", watch)


def partial_list_believed() -> AbstractContextManager[object]:
    """The first page counts as the whole list."""
    whole = client.list_page

    async def list_page(*args: Any) -> PageEnd:
        return (await whole(*args))._replace(continue_token="")

    return patch.object(client, "list_page", list_page)


def unknown_outcome_not_retried() -> AbstractContextManager[object]:
    """A write whose answer never came counts as done."""
    whole = Writer._store

    async def store(self: Writer, change: Change, content: Content) -> str | None:
        try:
            return await whole(self, change, content)
        except BucketUnreachableError:
            return "update"

    return patch.object(Writer, "_store", store)


def no_doubt_after_sending() -> AbstractContextManager[object]:
    """What the ledger said before a request still counts when nobody knows what that did."""
    return patch.object(Entry, "sent", lambda self: self)


def dropped_against_doubt() -> AbstractContextManager[object]:
    """A -> B -> A is dropped although B may have landed."""

    def holds(self: Entry, fingerprint: bytes | None) -> bool:
        return (self.stored.fingerprint if self.stored else None) == fingerprint

    return patch.object(Entry, "holds", holds)


def no_second_question() -> AbstractContextManager[object]:
    """What one list does not show is deleted."""

    async def look(self: Absence, *args: object) -> None:
        return None

    return patch.object(Absence, "_look", look)


def deleted_while_pending() -> AbstractContextManager[object]:
    """An end is not taken note of while an earlier state waits to be written."""
    whole = Intake._remove

    def remove(self: Intake, key: str, *args: Any, **more: Any) -> None:
        if key not in self._flow.pending:
            whole(self, key, *args, **more)

    return patch.object(Intake, "_remove", remove)


def retry_wins_over_newer() -> AbstractContextManager[object]:
    """What could not be written is tried again, and what came meanwhile is forgotten."""
    whole = Pending.retry

    def retry(self: Pending, change: Change, due: float) -> None:
        self._waiting.pop(change.key, None)
        whole(self, change, due)

    return patch.object(Pending, "retry", retry)


def checkpoint_believed() -> AbstractContextManager[object]:
    """What was known once counts, whatever the listing shows."""

    async def remember(store: Store, layout: Layout, loaded: Loaded) -> None:
        async for key, stored in record.read(store, layout):
            loaded.ledger.put(key, Entry(stored))

    return patch.object(loading, "_remember", remember)


def owner_not_compared() -> AbstractContextManager[object]:
    """Whoever answers at the address may write to the prefix."""
    return patch.object(owner, "_check_ours", lambda found, ours, key: None)


def another_cluster_believed() -> AbstractContextManager[object]:
    """Whoever answers later at the address is taken for who answered first."""

    async def confirm(self: SameCluster, since: float = 0.0) -> None: ...

    return patch.object(SameCluster, "confirm", confirm)


def terminating_written() -> AbstractContextManager[object]:
    """An object on its way out overwrites its last full state."""
    return patch.object(intake, "is_terminating", lambda item: False)


def held_forgotten() -> AbstractContextManager[object]:
    """What went with lost history is not remembered, and deleted after the next list."""

    def hold(self: Absence, keys: Iterable[str], why: str) -> None:
        for key in keys:
            self._suspects.pop(key, None)

    return patch.object(Absence, "hold", hold)


def older_list_trusted() -> AbstractContextManager[object]:
    """Nobody looks whether etcd went back in time."""
    return patch.object(phases, "is_older", lambda theirs, ours: False)


def stale_discovery_believed() -> AbstractContextManager[object]:
    """The kinds of a group that nobody answers for are taken for removed."""
    return patch.object(roster, "can_tell_about", lambda segment, discovery: True)


@contextmanager
def left_out_stays() -> Iterator[None]:
    """An object that leaves the selection by itself keeps its file."""
    whole = Intake._remove

    def remove(self: Intake, key: str, how: Deleted, *args: Any, **more: Any) -> None:
        if how.action == "delete":
            whole(self, key, how, *args, **more)

    with patch.object(Intake, "_remove", remove):
        yield


def written_without_the_lease() -> AbstractContextManager[object]:
    """Who writes is asked only when it begins to."""
    return patch.object(Fenced, "_ask", lambda self: None)


def record_believed_at_takeover() -> AbstractContextManager[object]:
    """What the one before recorded is taken for what it did."""

    async def nothing(*_: object) -> dict[str, Differing]:
        return {}

    return patch.object(takeover, "differing", nothing)


MUTANTS: dict[str, Mutant] = {
    mutant.__name__: mutant
    for mutant in (
        version_before_hand_over,
        partial_list_believed,
        unknown_outcome_not_retried,
        no_doubt_after_sending,
        dropped_against_doubt,
        no_second_question,
        deleted_while_pending,
        retry_wins_over_newer,
        checkpoint_believed,
        owner_not_compared,
        another_cluster_believed,
        terminating_written,
        held_forgotten,
        older_list_trusted,
        stale_discovery_believed,
        left_out_stays,
        written_without_the_lease,
        record_believed_at_takeover,
    )
}

# Where to begin, to save time: from seed 0 on it takes some minutes to catch them all. (`make e2e`
# does that; a change of the plans or of the program moves these seeds.)
LAST_CAUGHT_BY = {
    "version_before_hand_over": 601,
    "unknown_outcome_not_retried": 34,
    "no_doubt_after_sending": 59,
    "dropped_against_doubt": 59,
    "no_second_question": 11,
    "deleted_while_pending": 9,
    "retry_wins_over_newer": 305,
    "checkpoint_believed": 83,
    "owner_not_compared": 39,
    "another_cluster_believed": 97,
    "held_forgotten": 92,
    "older_list_trusted": 77,
    "stale_discovery_believed": 126,
    "left_out_stays": 21,
    "written_without_the_lease": 87,
    "record_believed_at_takeover": 87,
}
