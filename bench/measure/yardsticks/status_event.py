"""One event that changes nothing but a status, against the least that it can cost: decoding it.

Promises: lines of a watch as the cluster sends them, through the program's own splitting, decoding,
cleaning and comparison with a ledger that holds the object as it is; nothing is written. In us of
CPU an event, the best of some rounds.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from random import Random

import orjson

from bench.cluster import Cluster
from bench.measure.figures import Figures
from bench.memory_api import MemoryAPI
from watcher.bucket import held
from watcher.bucket.directory import Directory
from watcher.bucket.ledger import Entry, Ledger, Stored
from watcher.capture.context import Context, about_of, cleaner_of
from watcher.capture.inflow import Inflow
from watcher.capture.intake import Intake
from watcher.capture.served import Kinds
from watcher.cluster import client
from watcher.cluster.framing import BATCH
from watcher.logs import open_log
from watcher.metrics import Metrics
from watcher.objects.content import Content
from watcher.objects.ref import APIResource
from watcher.settings import load

_LABELS = ("pods", "deployments.apps")  # whose statuses change all the time
_EVENTS = 2000
_ROUNDS = 5


class _Lines:
    """An API whose every answer is these lines."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    @asynccontextmanager
    async def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator["_Lines"]:
        yield self

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(self._lines), BATCH):
            yield self._lines[start : start + BATCH]


def measure(folder: Path, items: Sequence[tuple[APIResource, bytes]]) -> Figures:
    """{} where there is no object of such a kind."""
    kinds: dict[APIResource, list[bytes]] = {}
    for resource, item in items:
        if resource.label in _LABELS and len(kinds.setdefault(resource, [])) < _EVENTS:
            kinds[resource].append(_line(resource, item))
    if not kinds:
        return {}
    events = sum(map(len, kinds.values()))
    loads = min(_loads(kinds) for _ in range(_ROUNDS))
    whole = asyncio.run(_taken(folder, kinds))
    return {
        "status-event.loads_us": 1e6 * loads / events,
        "status-event.cpu_us": 1e6 * whole / events,
    }


def _line(resource: APIResource, item: bytes) -> bytes:
    named = {"apiVersion": resource.api_version, "kind": resource.kind, **orjson.loads(item)}
    return orjson.dumps({"type": "MODIFIED", "object": named}) + b"\n"


def _loads(kinds: Mapping[APIResource, Sequence[bytes]]) -> float:
    began = time.process_time()
    for lines in kinds.values():
        for line in lines:
            orjson.loads(line)
    return time.process_time() - began


async def _taken(folder: Path, kinds: Mapping[APIResource, Sequence[bytes]]) -> float:
    inflow = _inflow(folder)
    rounds = []
    for number in range(_ROUNDS + 1):
        spent = 0.0
        for resource, lines in kinds.items():
            intake = Intake(inflow.flow, resource, named=False)
            if not number:
                _know(inflow.ledger, intake, lines)
            api = _Lines(b"".join(lines))
            began = time.process_time()
            async for events in client.watch(api, resource.path, {}, lambda: 60.0):
                intake.changed(events)
            spent += time.process_time() - began
        rounds.append(spent)
    if len(inflow.pending):
        raise RuntimeError("a status event was taken for a change")
    return min(rounds[1:])


def _know(ledger: Ledger, intake: Intake, lines: Sequence[bytes]) -> None:
    """As if a first sync had stored them."""
    for line in lines:
        seen = intake.look(orjson.loads(line)["object"])
        if isinstance(seen.state, Content):
            ledger.put(seen.key, Entry(Stored('"0"', seen.state.fingerprint)))


def _inflow(folder: Path) -> Inflow:
    """The program's own, with nothing at either end."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "cluster-domain": "example.com",
        "cluster-name": "bench",
        "minio-bucket": folder.as_uri(),
    }
    settings = load(given, {})
    metrics = Metrics("bench")
    now = datetime.now(UTC)
    store = Directory(folder, fsync=False, clock=lambda: now, observe=metrics.observe_request)
    context = Context(
        MemoryAPI(Cluster(lambda: now)),
        store,
        settings,
        cleaner_of(settings),
        about_of(settings, store, metrics, "bench", now),
        metrics,
        open_log(StringIO(), "logfmt", "warning", lambda: now),
        Random(0),
        lambda: now,
    )

    def no_kinds() -> Kinds:
        raise AssertionError("nobody asks")

    return Inflow(context, "", Ledger(), held.Loaded(), kinds=no_kinds)
