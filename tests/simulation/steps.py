"""What a step does: the work of people and controllers, and the faults.

Exists so that a plan is data: it names the methods of `Steps`. Promises: a step that cannot be
done now (the object is not there, the process has ended) does nothing, so that plans stay valid
when steps are left out; a fault with a duration ends by itself, or with all others in `calm`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bench.faults import Failure
from tests.memory_store import Fault
from tests.simulation.plan import Step

if TYPE_CHECKING:
    from tests.simulation.world import World

Object = dict[str, Any]

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
PROBES = "probes.metrics.example.com"
_FINALIZER = "example.com/keep"
_LEFT_OUT = "velero.io/exclude-from-backup"
_API = {
    "configmaps": ("v1", "ConfigMap"),
    "secrets": ("v1", "Secret"),
    "pods": ("v1", "Pod"),
    "deployments.apps": ("apps/v1", "Deployment"),
    "jobs.batch": ("batch/v1", "Job"),
    "clusterroles.rbac.authorization.k8s.io": ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    "widgets.example.com": ("example.com/v1", "Widget"),
    PROBES: ("metrics.example.com/v1", "Probe"),
}
_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
}


def _body(label: str, namespace: str, name: str, value: str) -> Object:
    api_version, kind = _API[label]
    metadata: Object = {"name": name, "labels": {"value": value}}
    if namespace:
        metadata["namespace"] = namespace
    content: Object = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    if label == "secrets":
        content["data"] = {"password": "aHVudGVyMg=="}
    elif label not in ("configmaps", "clusterroles.rbac.authorization.k8s.io"):
        content["spec"] = {"replicas": 1}
    return content


class Steps:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._cluster = world.cluster
        self._churned = 0
        self._snapshot = world.cluster.snapshot()

    def do(self, step: Step) -> None:
        with suppress(Failure, KeyError):  # no such object, or kind, at present
            getattr(self, step.what)(*step.args)

    # The work of people and controllers

    def set(self, label: str, namespace: str, name: str, value: str) -> None:
        try:
            self._cluster.create(_body(label, namespace, name, value))
        except Failure:
            self._label(label, namespace, name, "value", value)

    def delete(self, label: str, namespace: str, name: str) -> None:
        self._cluster.delete(label, namespace, name)

    def recreate(self, label: str, namespace: str, name: str, value: str) -> None:
        self.delete(label, namespace, name)
        self.set(label, namespace, name, value)

    def there_and_back(self, label: str, namespace: str, name: str, value: str) -> None:
        before = self._cluster.get(label, namespace, name)["metadata"]["labels"]["value"]
        self._label(label, namespace, name, "value", value)
        self._label(label, namespace, name, "value", before)

    def flap(self, label: str, namespace: str, name: str, value: str, seconds: float) -> None:
        """Changed, and soon back."""
        before = self._cluster.get(label, namespace, name)["metadata"]["labels"]["value"]
        self._label(label, namespace, name, "value", value)
        back = Step(0.0, "set", (label, namespace, name, before))
        self._later(seconds, lambda: self.do(back))

    def churn(self, label: str, namespace: str, name: str) -> None:
        """What controllers write all day, and nobody wants in a backup."""
        self._churned += 1
        seen = self._churned
        self._edit(label, namespace, name, lambda it: it.setdefault("status", {}).update(seen=seen))

    def finish(self, label: str, namespace: str, name: str) -> None:
        status: Object = {"phase": "Succeeded"}
        if label == "jobs.batch":
            status = {"conditions": [{"type": "Complete", "status": "True"}]}
        self._edit(label, namespace, name, lambda it: it.update(status=status))

    def own(self, label: str, namespace: str, name: str) -> None:
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "n0", "uid": "1-2-3"}
        self._edit(
            label, namespace, name, lambda it: it["metadata"].update(ownerReferences=[owner])
        )

    def leave_out(self, label: str, namespace: str, name: str) -> None:
        self._label(label, namespace, name, _LEFT_OUT, "true")

    def take_in(self, label: str, namespace: str, name: str) -> None:
        self._edit(label, namespace, name, lambda it: it["metadata"]["labels"].pop(_LEFT_OUT, None))

    def protect(self, label: str, namespace: str, name: str) -> None:
        """Somebody wants to do something before the object may go."""

        def change(content: Object) -> None:
            if "deletionTimestamp" not in content["metadata"]:
                content["metadata"]["finalizers"] = [_FINALIZER]

        self._edit(label, namespace, name, change)

    def end_slowly(self, label: str, namespace: str, name: str, value: str) -> None:
        """Deleted, but not gone, and changed meanwhile."""
        self.protect(label, namespace, name)
        self.delete(label, namespace, name)
        self.set(label, namespace, name, value)

    def release(self, label: str, namespace: str, name: str) -> None:
        self._edit(label, namespace, name, lambda it: it["metadata"].pop("finalizers", None))

    def add_namespace(self, name: str) -> None:
        metadata = {"name": name}
        self._cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def delete_namespace(self, name: str) -> None:
        self._cluster.delete("namespaces", "", name)

    def install_crd(self) -> None:
        self._cluster.create(_CRD)

    def remove_crd(self) -> None:
        self._cluster.delete(CRDS, "", "widgets.example.com")

    def _label(self, label: str, namespace: str, name: str, key: str, value: str) -> None:
        def change(content: Object) -> None:
            content["metadata"].setdefault("labels", {})[key] = value

        self._edit(label, namespace, name, change)

    def _edit(
        self, label: str, namespace: str, name: str, change: Callable[[Object], object]
    ) -> None:
        self._cluster.edit(label, namespace, name, change)

    # Faults of the API server

    def drop_watches(self, label: str) -> None:
        self._cluster.faults.drop_watches(label)

    def end_watches(self, label: str) -> None:
        self._cluster.faults.end_watches(label)

    def silence_watches(self, label: str) -> None:
        self._cluster.faults.silence_watches(label)

    def cut_mid_line(self, label: str) -> None:
        self._cluster.faults.cut_mid_line(label)

    def cut_lists(self, n: int) -> None:
        self._cluster.faults.cut_lists(n)

    def expire_tokens(self, n: int) -> None:
        self._cluster.faults.expire_tokens(n)

    def compact(self, label: str) -> None:
        """History is gone, and those who watch must list again."""
        self._cluster.compact()
        self._cluster.faults.drop_watches(label)

    def hide(self, label: str, seconds: float) -> None:
        """A kind's list is empty for a while; who asks for one object is told the truth."""
        self._empty(label or "configmaps", seconds, alone=False)

    def warm_up(self, seconds: float) -> None:
        """An aggregated API starts, and for less than a minute it knows nothing."""
        self._empty(PROBES, seconds, alone=True)

    def _empty(self, label: str, seconds: float, *, alone: bool) -> None:
        self._world.was_deceived = True
        faults = self._cluster.faults
        faults.empty_list(label, alone=alone)
        self.compact(label)
        self._later(seconds, lambda: faults.fill_list(label))

    def forbid(self, label: str, seconds: float) -> None:
        label = label or "secrets"
        self._cluster.faults.forbid(label)
        self._cluster.faults.drop_watches(label)
        self._later(seconds, lambda: self._cluster.faults.allow(label))

    def throttle(self, n: int, label: str) -> None:
        self._cluster.faults.throttle(n, label=label)

    def unavailable(self, n: int, label: str) -> None:
        self._cluster.faults.unavailable(n, label=label)

    def unauthorized(self, n: int, label: str) -> None:
        self._cluster.faults.unauthorized(n, label=label)

    def unreachable(self, n: int, label: str) -> None:
        self._cluster.faults.unreachable(n, label=label)

    def no_answer(self, n: int, label: str) -> None:
        self._cluster.faults.no_answer(n, label=label)

    def away(self, seconds: float) -> None:
        self._cluster.faults.stop()
        self._later(seconds, self._cluster.faults.start)

    def stale_group(self, group: str, seconds: float) -> None:
        self._cluster.faults.stale_group(group)
        self._later(seconds, lambda: self._cluster.faults.fresh_group(group))

    def snapshot(self) -> None:
        self._snapshot = self._cluster.snapshot()

    def restore(self) -> None:
        self._world.restore(self._snapshot)

    def elsewhere(self, seconds: float) -> None:
        """Another cluster answers at this address for a while."""
        self._world.answer_elsewhere()
        self._later(seconds, self._world.answer_at_home)

    # Faults of the bucket

    def next_requests(self, fault: Fault, n: int) -> None:
        self._world.bucket.fail_next(*[fault] * n)

    refuse_requests = next_requests

    def flaky(self, fault: Fault, share: float, seconds: float) -> None:
        """Of the requests of the next seconds so many fail."""
        self._world.fail(fault, share, seconds)

    def outage(self, fault: Fault, seconds: float) -> None:
        self._world.fail(fault, 1.0, seconds)

    def remember(self) -> None:
        self._world.bucket.remember()

    def lying_list(self, n: int) -> None:
        """The next pages of listings show what was there some time ago."""
        self._world.lie(n)

    # Faults of processes

    def kill(self, instance: str, seconds: float) -> None:
        self._world.processes.kill(instance)
        self._later(seconds, lambda: self._world.start(instance))

    def kill_in_flight(self, instance: str, n: int, seconds: float) -> None:
        """At its n-th next request, in the middle of it."""
        self._world.processes.kill_at_request(instance, n)
        self._later(seconds + 60, lambda: self._world.start(instance))

    def stop(self, instance: str, seconds: float) -> None:
        self._world.processes.stop(instance)
        self._later(seconds, lambda: self._world.start(instance))

    def wrong_address(self, instance: str, seconds: float) -> None:
        """Somebody points it at another cluster, and starts it anew."""
        self._world.processes.kill(instance)
        self.elsewhere(seconds)
        self._later(1.0, lambda: self._world.start(instance))
        self._later(seconds + 10, lambda: self._world.start(instance))

    def cut_off(self, instance: str, seconds: float) -> None:
        """It cannot reach the API server; what it has open stays open."""
        self._world.cut_off(instance, seconds)

    def jump(self, seconds: float) -> None:
        """The wall clock shows so much more, or less, than it should."""
        self._world.jump(seconds)

    def _later(self, seconds: float, do: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, do)
