"""What goes on in a cluster: churn that a backup must not notice, and changes that it must.

Exists so that the demo lives and benchmarks can say how much of which they bore. Promises: `churn`
touches statuses and heartbeats only; each of `edits` and `turns` changes what is stored; no change
leaves the cluster inconsistent, and it does not grow. Waits through the event loop; chance comes
from the given Random.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import cycle
from random import Random

from bench.cluster import Cluster, Object

_BURSTS = 0.05  # seconds: higher rates than 20 a second come in bursts


async def churn(cluster: Cluster, rate: float, random: Random) -> None:
    """`rate` changes a second, of statuses only, until cancelled."""
    await _repeat(lambda: beat(cluster, random), rate)


async def edits(cluster: Cluster, rate: float, random: Random) -> None:
    """`rate` changes a second that count, until cancelled."""
    await _repeat(lambda: edit(cluster, random), rate)


async def turns(cluster: Cluster, rate: float, objects: Sequence[tuple[str, str, str]]) -> None:
    """`rate` changes a second that count, until cancelled, of one object (kind, namespace, name)
    after the other: none changes again before all the others have."""
    order = cycle(objects)
    await _repeat(lambda: mark(cluster, *next(order), f"at-{cluster.version}"), rate)


def mark(cluster: Cluster, label: str, namespace: str, name: str, value: str) -> None:
    """One change that counts, of whatever kind the object is."""

    def change(content: Object) -> None:
        content["metadata"].setdefault("labels", {})["marked"] = value

    cluster.edit(label, namespace, name, change)


def beat(cluster: Cluster, random: Random) -> None:
    """One Pod or Deployment reports its state once more."""
    label = random.choice(["pods", "pods", "deployments.apps"])
    found = _any(cluster, label, random)
    if not found:
        return
    stamp = f"seen {cluster.version}"

    def report(content: Object) -> None:
        conditions = content.setdefault("status", {}).setdefault("conditions", [])
        if not conditions:
            conditions.append({"type": "Ready", "status": "True"})
        conditions[0]["message"] = stamp

    cluster.edit(label, *found, report, manager="kubelet")


def edit(cluster: Cluster, random: Random) -> str:
    """One change; returns it in words."""
    return random.choice([_configure, _configure, _scale, _upgrade, _add, _drop])(cluster, random)


def _configure(cluster: Cluster, random: Random) -> str:
    found = _any(cluster, "configmaps", random)
    if not found:
        return _add(cluster, random)
    value = f"{random.randint(1, 900)}s"
    cluster.edit("configmaps", *found, lambda c: c.setdefault("data", {}).update(timeout=value))
    return f"configmap {found[1]}: timeout {value}"


def _scale(cluster: Cluster, random: Random) -> str:
    found = _any(cluster, "deployments.apps", random)
    if not found:
        return _add(cluster, random)
    before = cluster.get("deployments.apps", *found)["spec"]["replicas"]
    replicas = random.choice([n for n in range(1, 7) if n != before])
    cluster.edit("deployments.apps", *found, lambda d: d["spec"].update(replicas=replicas))
    return f"deployment {found[1]}: {replicas} replicas"


def _upgrade(cluster: Cluster, random: Random) -> str:
    found = _any(cluster, "deployments.apps", random)
    if not found:
        return _add(cluster, random)
    tag = f"{random.randint(1, 9)}.{random.randint(0, 30)}.{cluster.version}"

    def change(deployment: Object) -> None:
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"{container['image'].rpartition(':')[0]}:{tag}"

    cluster.edit("deployments.apps", *found, change, manager="deploy-bot")
    return f"deployment {found[1]}: version {tag}"


def _add(cluster: Cluster, random: Random) -> str:
    namespace = random.choice(cluster.table("namespaces").keys)
    name = f"feature-{cluster.version}"
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": {"enabled": "yes", "ratio": f"{random.random():.2f}"},
        }
    )
    return f"configmap {name}: created"


def _drop(cluster: Cluster, random: Random) -> str:
    """Deletes only what `_add` has made, wherever it is: a load that goes on must not fill the
    cluster."""
    keys = cluster.table("configmaps").keys
    namespaces = cluster.table("namespaces").keys
    for namespace in random.sample(namespaces, len(namespaces)):
        first = bisect_left(keys, f"{namespace}/feature-")
        last = bisect_left(keys, f"{namespace}/feature.")  # the character after "-"
        if first < last:
            name = keys[random.randrange(first, last)].rpartition("/")[2]
            cluster.delete("configmaps", namespace, name)
            return f"configmap {name}: deleted"
    return _add(cluster, random)


def _any(cluster: Cluster, label: str, random: Random) -> tuple[str, str] | None:
    """(namespace, name) of an object; None if there is none of the kind."""
    keys = cluster.table(label).keys
    if not keys:
        return None
    namespace, _, name = random.choice(keys).rpartition("/")
    return namespace, name


async def _repeat(step: Callable[[], object], rate: float) -> None:
    """`rate` steps a second by the loop's clock; where it falls behind, it catches up."""
    loop = asyncio.get_running_loop()
    start, done = loop.time(), 0
    while True:
        await asyncio.sleep(max(1 / rate, _BURSTS))
        due = int((loop.time() - start) * rate + 1e-6)
        for _ in range(due - done):
            step()
        done = due
