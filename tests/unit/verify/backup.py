"""Buckets that a real run filled from a model cluster, and what `verify` says of them."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

from tests.unit.capture.rig import PREFIX, Rig, config_map
from watcher.bucket import heartbeat, reports
from watcher.bucket.hashroot import hash_root, md5_of
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.layout import Layout
from watcher.bucket.loading import objects
from watcher.bucket.metadata import Writer
from watcher.bucket.reports import Report, Root
from watcher.verify.findings import (
    Event,
    Finding,
)
from watcher.verify.verify import Demands, verify

LAYOUT = Layout("example.com", "east")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
A, B, C = (f"default/configmap/{name}.yaml" for name in "abc")
SECRET = "default/secret/keys.yaml"


def put(rig: Rig, name: str, value: str = "1") -> None:
    item = config_map(name, value)
    there = any(it["metadata"]["name"] == name for it in rig.cluster.objects("configmaps"))
    (rig.cluster.update if there else rig.cluster.create)(item)


def rig_with_objects(**settings: str) -> Rig:
    rig = Rig(**settings)
    for name in "abc":
        put(rig, name)
    rig.cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "keys", "namespace": "default"},
            "data": {"password": "aHVzaA=="},
        },
    )
    return rig


async def beat(rig: Rig, ago: timedelta = timedelta(0), **fields: object) -> None:
    """As a writer would have written it some time ago."""
    at = rig.clock() - ago
    told = replace(Heartbeat(at, Writer("test", 1), last_healthy=at), **fields)  # type: ignore[arg-type]
    day = f"{heartbeat.FOLDER}{at:%Y-%m-%d}.json"
    await rig.store.put(PREFIX + Layout.meta(day), told.encode())


async def report(rig: Rig, ago: timedelta = timedelta(0), **fields: object) -> Report:
    """As a reconcile would write it that ran just now, apart from its time."""
    files = [
        (listed.key.removeprefix(PREFIX), md5_of(listed.etag))
        async for page in objects(rig.store, PREFIX)
        for listed in page
    ]
    root = hash_root(files)
    at = rig.clock() - ago
    made = Report(
        started_at=at,
        finished_at=at,
        trigger="schedule",
        writer="test/1",
        hash_root=Root(root, root, len(files)),
    )
    made = replace(made, **fields)  # type: ignore[arg-type]
    await reports.save(rig.store, LAYOUT, made)
    return made


async def backed_up(**settings: str) -> Rig:
    """A bucket in which nothing is wrong, and nobody who writes."""
    rig = rig_with_objects(**settings)
    await rig.once()
    await asyncio.sleep(1)
    await report(rig)
    await beat(rig, released=True)
    return rig


async def events_of(rig: Rig, demands: Demands = Demands(), layout: Layout = LAYOUT) -> list[Event]:  # noqa: B008
    turns, clusters = asyncio.Semaphore(8), asyncio.Semaphore(1)
    run = verify(rig.store, layout, demands, turns=turns, clusters=clusters, clock=rig.clock)
    async with aclosing(run) as events:
        return [event async for event in events]


async def findings_of(rig: Rig, demands: Demands = Demands()) -> list[Finding]:  # noqa: B008
    return [event for event in await events_of(rig, demands) if isinstance(event, Finding)]


def spoil(rig: Rig, key: str, change: Callable[[bytes], bytes]) -> None:
    rig.store.written_by_a_stranger(PREFIX + key, change(rig.store.objects()[PREFIX + key]))
