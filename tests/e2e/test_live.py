"""What happens in a cluster is in the bucket seconds later, and what changes nothing costs nothing.

One `watcher` with default settings follows the shared control plane through all of these tests,
another one a quiet cluster in which nothing happens by itself, so that requests can be counted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.api import API, Object
from tests.e2e.changes import Request, collection, config_map, path, send
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import create, fill
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import expected, wait_until_equal
from tests.e2e.parsers import yaml_1_1
from tests.e2e.process import Process, until
from tests.e2e.proxy import Lose, Proxy, Stall
from tests.e2e.watcher_process import PREFIX, Watcher, running

CALM = 3.0  # seconds without a change after which there will be none
PROMISED = 15 + 2  # seconds: the default max-delay, and a PUT; 2 or 3 of them are the usual


@dataclass(frozen=True, slots=True)
class Followed:
    """A cluster, the `watcher` that follows it, and the proxy on its way to the bucket."""

    plane: ControlPlane
    bucket: Bucket
    proxy: Proxy
    watcher: Watcher

    @property
    def processes(self) -> list[Process]:
        return [*self.plane.processes, *self.watcher.processes]

    @property
    def api(self) -> API:
        return self.plane.api()

    def is_up_to_date(self) -> None:
        """Fails unless the bucket equals the cluster within the promised time."""
        left = _calm_since(self.api) + PROMISED - time.monotonic()
        wait_until_equal(self.api, self.bucket, timeout=max(left, 0))

    def is_told_of_all(self, space: str = "default") -> None:
        """Returns when a ConfigMap that changes now is stored: so the ConfigMaps of before are
        stored too, or dropped, or still held up by the bucket."""
        marker = config_map(space, f"marker-{uuid4().hex}")
        self.api.create(collection(marker), marker)
        until(lambda: self.puts(marker) == 1, "stored marker")

    def puts(self, item: Object) -> int:
        """How many PUTs of this ConfigMap were seen."""
        space, name = item["metadata"]["namespace"], item["metadata"]["name"]
        return self.proxy.count("PUT", f"/{space}/configmap/{name}.yaml$")

    def object_requests(self) -> list[str]:
        """All that was asked of the bucket about objects, in any way but a listing."""
        objects = f"/{self.bucket.name}/{PREFIX}"
        return [
            f"{seen.method} {seen.path}"
            for seen in self.proxy.requests
            if seen.path.startswith(objects) and not seen.path.startswith(f"{objects}_meta/")
        ]

    def stored(self, key: str) -> Any:
        return yaml_1_1(self.bucket.read(PREFIX + key))

    def keys(self, folder: str) -> list[str]:
        return self.bucket.keys(f"{PREFIX}{folder}/")


def _calm_since(api: API) -> float:
    """When the last change of anything that has to be stored was over, controllers' too: the time
    at the end of the first of several lists of the whole cluster that are the same for a while.
    (Controllers take a second between two steps, and discovery follows CRDs as late.)"""

    def look() -> tuple[dict[str, bytes], float]:
        return {key: one.file for key, one in expected(api).items()}, time.monotonic()

    before, since = look()
    while True:
        now, ended = look()
        if now != before:
            before, since = now, ended
        elif ended - since >= CALM:
            return since
        time.sleep(0.1)


@contextmanager
def _followed(plane: ControlPlane, minio: Minio, folder: Path) -> Iterator[Followed]:
    bucket, proxy = minio.new_bucket(), Proxy(minio.endpoint)
    try:
        with running(folder, plane.kubeconfig(), bucket.at(proxy.url)) as watcher:
            watcher.wait_ready()
            yield Followed(plane, bucket, proxy, watcher)
    finally:
        proxy.close()


@pytest.fixture(scope="module")
def live(
    control_plane: ControlPlane, minio: Minio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Followed]:
    with _followed(control_plane, minio, tmp_path_factory.mktemp("live")) as followed:
        yield followed


@pytest.fixture(scope="module")
def quiet(
    minio: Minio, scratch: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Followed]:
    plane = ControlPlane(scratch / "quiet")
    try:
        fill(plane, namespaces=1)
        with _followed(plane, minio, tmp_path_factory.mktemp("quiet")) as followed:
            yield followed
    finally:
        plane.close()


@pytest.fixture
def space(live: Followed) -> Iterator[str]:
    """A namespace of this test alone, ready for Pods."""
    name = f"live-{uuid4().hex[:8]}"
    live.plane.kubectl("create", "namespace", name)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until(lambda: live.api.answers(account), "default service account")
    yield name
    live.plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


# What happens


def _deploy(live: Followed, space: str, name: str = "web") -> None:
    live.plane.kubectl("create", "deployment", name, "--image=web:1", "--replicas=2", "-n", space)
    _roll_out(live, space, name)


def _roll_out(live: Followed, space: str, name: str = "web") -> None:
    live.plane.kubectl("rollout", "status", f"deployment/{name}", "-n", space, "--timeout=60s")


def test_every_step_of_a_workloads_life_is_in_the_bucket_seconds_later(
    live: Followed, space: str
) -> None:
    kubectl, key = live.plane.kubectl, f"{space}/deployment/web.yaml"
    _deploy(live, space)
    live.is_up_to_date()
    assert len(live.keys(f"{space}/pod")) == 2

    kubectl("set", "image", "deployment/web", "web=web:2", "-n", space)
    _roll_out(live, space)
    live.is_up_to_date()
    assert live.stored(key)["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"

    kubectl("scale", "deployment/web", "--replicas=5", "-n", space)
    _roll_out(live, space)
    live.is_up_to_date()
    assert live.stored(key)["spec"]["replicas"] == 5
    assert len(live.keys(f"{space}/pod")) == 5

    kubectl("label", "deployment/web", "tier=front", "-n", space)
    live.is_up_to_date()
    assert live.stored(key)["metadata"]["labels"]["tier"] == "front"

    kubectl("rollout", "restart", "deployment/web", "-n", space)
    _roll_out(live, space)
    live.is_up_to_date()
    annotations = live.stored(key)["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations

    kubectl("delete", "deployment", "web", "-n", space, "--cascade=foreground")
    live.is_up_to_date()
    assert not live.keys(f"{space}/deployment")
    assert not live.keys(f"{space}/pod")


def test_what_is_deleted_and_made_anew_within_a_second_is_stored_as_it_is_now(
    live: Followed, space: str
) -> None:
    same, other = config_map(space, "same", a="1"), config_map(space, "other", a="1")
    create(live.api, [same, other])
    live.is_up_to_date()
    other["data"] = {"a": "2"}
    for item in (same, other):
        live.api.delete(path(item))
        live.api.create(collection(item), item)
    live.is_up_to_date()
    assert live.stored(f"{space}/configmap/same.yaml")["data"] == {"a": "1"}
    assert live.stored(f"{space}/configmap/other.yaml")["data"] == {"a": "2"}


def test_a_deleted_namespace_is_gone_with_all_that_controllers_ran_in_it(
    live: Followed, space: str
) -> None:
    _deploy(live, space)
    _deploy(live, space, "worker")
    live.plane.kubectl("expose", "deployment", "web", "--port=80", "-n", space)
    live.is_up_to_date()
    assert len(live.keys(f"{space}/pod")) == 4

    live.plane.kubectl("delete", "namespace", space, "--timeout=60s")
    live.is_up_to_date()
    assert not live.keys(space)
    assert not live.keys(f"_cluster/namespace/{space}")


def _crd(group: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [version],
        },
    }


def test_a_kind_is_followed_from_its_installation_to_its_removal_and_again(
    live: Followed, space: str
) -> None:
    group = f"{space}.example.com"
    definition, folder = _crd(group), f"{space}/widget.{group}"

    def widgets(count: int) -> list[Object]:
        kind = {"apiVersion": f"{group}/v1", "kind": "Widget"}
        names = (f"w{number}" for number in range(count))
        return [
            {**kind, "metadata": {"name": name, "namespace": space}, "spec": {"size": count}}
            for name in names
        ]

    def install() -> None:
        live.api.create(collection(definition), definition)
        until(lambda: live.api.answers(f"/apis/{group}/v1/widgets"), "served kind")

    install()
    create(live.api, widgets(20))
    live.is_up_to_date()
    assert len(live.keys(folder)) == 20

    live.plane.kubectl("delete", "crd", definition["metadata"]["name"], "--timeout=60s")
    live.is_up_to_date()
    assert not live.keys(folder)

    install()
    create(live.api, widgets(5))
    live.is_up_to_date()
    assert len(live.keys(folder)) == 5
    live.plane.kubectl("delete", "crd", definition["metadata"]["name"], "--timeout=60s")


def test_bursts_of_500_changes_as_a_package_manager_makes_them_are_followed(
    live: Followed, space: str
) -> None:
    installed = _package(space)
    assert len(installed) == 500
    create(live.api, installed)
    live.is_up_to_date()

    upgrade = {"metadata": {"labels": {"app.kubernetes.io/version": "2"}}}
    send(live.api, [("PATCH", path(item), upgrade) for item in installed])
    live.is_up_to_date()
    labels = live.stored(f"{space}/role/part-0.yaml")["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/version": "2"}

    send(live.api, [("DELETE", path(item), None) for item in installed])
    live.is_up_to_date()
    assert not live.keys(f"{space}/role")


def _package(space: str) -> list[Object]:
    rbac = "rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    kinds: list[tuple[int, Object]] = [
        (200, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}),
        (150, {"apiVersion": "v1", "kind": "Secret", "stringData": {"password": "a"}}),
        (100, {"apiVersion": "v1", "kind": "ServiceAccount"}),
        (50, {"apiVersion": rbac, "kind": "Role", "rules": [rule]}),
    ]
    return [
        {**item, "metadata": {"name": f"part-{number}", "namespace": space}}
        for count, item in kinds
        for number in range(count)
    ]


# What changes nothing

_NODES, _PODS, _DEPLOYMENTS, _CUSTOM, _MINUTES = 20, 60, 10, 10, 10


def test_ten_minutes_of_status_churn_ask_nothing_of_the_bucket(quiet: Followed) -> None:
    """In fast motion: each minute a node reports 6 leases and a status, conditions of a Pod and
    counts of a Deployment change, as does a custom resource's status; and there are Events."""
    api = quiet.api
    nodes = [_node(number) for number in range(_NODES)]
    leases = [_lease(node) for node in nodes]
    pods = [_pod(number, nodes[number % _NODES]) for number in range(_PODS)]
    deployments = [_deployment(number) for number in range(_DEPLOYMENTS)]
    custom = [_certificate(number) for number in range(_CUSTOM)]
    create(api, [*nodes, *leases, *pods, *deployments, *custom])
    quiet.is_up_to_date()
    quiet.proxy.forget()
    dropped = quiet.watcher.metric("watcher_changes_dropped_total", reason="unchanged")

    told = 0  # changes that `watcher` hears of; nobody asked it to follow Leases and Events
    for minute in range(_MINUTES):
        statuses: list[Request] = [
            *(("PATCH", f"{path(node)}/status", _heartbeat(minute)) for node in nodes),
            *(("PATCH", f"{path(pod)}/status", _conditions(minute)) for pod in pods),
            *(("PATCH", f"{path(one)}/status", _counts(minute)) for one in deployments),
            # has no status subresource: it is changed like anything else
            *(("PATCH", path(one), {"status": {"seen": minute}}) for one in custom),
        ]
        renewals: Iterator[Request] = (
            (
                "PATCH",
                path(lease),
                {"spec": {"renewTime": f"2026-01-01T00:{minute:02}:{tick}0.000000Z"}},
            )
            for tick in range(6)
            for lease in leases
        )
        events = [_event(pod, minute) for pod in pods]
        send(api, chain(statuses, renewals, (("POST", collection(one), one) for one in events)))
        told += len(statuses)

    until(
        lambda: (
            quiet.watcher.metric("watcher_changes_dropped_total", reason="unchanged")
            >= dropped + told
        ),
        "end of the churn in watcher's own count",
    )
    quiet.is_told_of_all()  # nothing of before waits for its debounce any more
    assert [asked for asked in quiet.object_requests() if "/marker-" not in asked] == []
    quiet.is_up_to_date()


def _node(number: int) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}"}}


def _heartbeat(minute: int) -> Object:
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": _at(minute)}
    image = {"names": [f"registry.example.com/image:{minute}"], "sizeBytes": minute}
    return {"status": {"conditions": [condition], "images": [image]}}


def _lease(node: Object) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node["metadata"]["name"], "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": node["metadata"]["name"], "leaseDurationSeconds": 40},
    }


def _pod(number: int, node: Object) -> Object:
    container = {"name": "main", "image": "web:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"web-{number}", "namespace": "default"},
        "spec": {"nodeName": node["metadata"]["name"], "containers": [container]},
    }


def _conditions(minute: int) -> Object:
    ready = {"type": "Ready", "status": "False" if minute % 2 else "True"}
    container: Object = {"name": "main", "image": "web:1", "imageID": "web:1", "ready": True}
    return {
        "status": {
            "phase": "Running",
            "conditions": [{**ready, "lastTransitionTime": _at(minute)}],
            "containerStatuses": [{**container, "restartCount": minute}],
        }
    }


def _deployment(number: int) -> Object:
    labels = {"app": f"web-{number}"}
    pod = {"containers": [{"name": "main", "image": "web:1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"web-{number}", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _counts(minute: int) -> Object:
    return {"status": {"replicas": 10, "readyReplicas": minute % 10, "observedGeneration": minute}}


def _certificate(number: int) -> Object:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": f"churn-{number}", "namespace": "default"},
        "spec": {"dnsNames": ["www.example.com"]},
        "status": {},
    }


def _event(pod: Object, minute: int) -> Object:
    name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{minute}", "namespace": space},
        "involvedObject": {"kind": "Pod", "name": name, "namespace": space},
        "reason": "Unhealthy",
        "message": "probe failed",
        "type": "Warning",
        "lastTimestamp": _at(minute),
    }


def _at(minute: int) -> str:
    return f"2026-01-01T00:{minute:02}:00Z"


def test_a_change_that_is_taken_back_at_once_is_not_written(quiet: Followed) -> None:
    item = config_map("default", "back-at-once", is_="A")
    quiet.api.create(collection(item), item)
    quiet.is_up_to_date()
    assert quiet.puts(item) == 1
    for state in "BA":
        quiet.api.merge(path(item), {"data": {"is_": state}})
    quiet.is_told_of_all()
    assert quiet.puts(item) == 1
    quiet.is_up_to_date()


@pytest.mark.parametrize(
    ("fault", "times"),
    [(Stall(), 1), (Stall(asked=False), 1), (Lose(), -1), (Lose(asked=False), -1)],
    ids=["in flight", "stuck on its way", "landed, unanswered", "lost on its way"],
)
def test_a_change_that_is_taken_back_while_it_is_written_ends_as_it_began(
    quiet: Followed, fault: Stall | Lose, times: int
) -> None:
    item = config_map("default", f"in-flight-{uuid4().hex}", is_="A")
    key = f"{PREFIX}default/configmap/{item['metadata']['name']}.yaml"
    quiet.api.create(collection(item), item)
    quiet.is_up_to_date()
    before = quiet.bucket.read(key)

    quiet.proxy.inject(fault, "PUT", key, times=times)
    quiet.api.merge(path(item), {"data": {"is_": "B"}})
    until(lambda: quiet.puts(item) >= 2, "PUT of B", timeout=PROMISED)
    assert (quiet.bucket.read(key) != before) is fault.asked
    quiet.api.merge(path(item), {"data": {"is_": "A"}})
    quiet.is_told_of_all()  # of the second A too, which must not count as stored already
    quiet.proxy.clear()
    quiet.is_up_to_date()
    assert quiet.bucket.read(key) == before


def test_the_lag_of_a_change_is_measured_and_nothing_is_left_pending(quiet: Followed) -> None:
    def metric(name: str, **labels: str) -> float:
        return quiet.watcher.metric(f"watcher_{name}", **labels)

    quiet.is_up_to_date()
    count, seconds = metric("capture_lag_seconds_count"), metric("capture_lag_seconds_sum")
    quiet.is_told_of_all()
    until(lambda: metric("capture_lag_seconds_count") == count + 1, "measured lag")
    lag = metric("capture_lag_seconds_sum") - seconds
    assert 2 <= lag <= PROMISED  # it waited for its debounce
    assert metric("pending_objects") == 0
    assert metric("oldest_pending_seconds") == 0
    assert metric("changes_total", resource="configmaps", action="create") > 0
