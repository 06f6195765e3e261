"""A big cluster: any number of believable objects that cost next to nothing to hold.

Exists because a benchmark of 300,000 objects must measure watcher, not the simulation. Promises:
the same for the same numbers; the usual mix of what applications consist of, and its usual sizes;
a body is printed from its kind's form when it is asked for.
"""

from functools import partial
from itertools import islice, zip_longest
from typing import NamedTuple
from uuid import UUID

import orjson

from bench import workloads
from bench.cluster import Cluster, Object
from bench.workloads import App

NAMESPACE_OF = 200  # objects
_AT = "2025-11-03T09:30:00Z"

# What stands for the fields of a form in the object that it is made from.
_NAMESPACE = "form-of-namespace"
_NAME = "form-of-name"
_UID = "form-of-uid"
_VERSION = "form-of-version"

# Of twenty objects.
_SHARES = {
    "pods": 5,
    "configmaps": 3,
    "secrets": 2,
    "replicasets.apps": 3,
    "deployments.apps": 2,
    "services": 1,
    "endpointslices.discovery.k8s.io": 1,
    "serviceaccounts": 2,
    "ingresses.networking.k8s.io": 1,
}


class Printed(NamedTuple):
    """A stored body that is made when asked for."""

    form: bytes
    namespace: int
    number: int
    version: int

    def __bytes__(self) -> bytes:
        fields = {
            b"namespace": b"team-%04d" % self.namespace,
            b"name": b"app-%06d" % self.number,
            b"uid": str(UUID(int=self.number, version=4)).encode(),
            b"version": b"%d" % self.version,
        }
        return self.form % fields


def fill(cluster: Cluster, objects: int, *, crds: int = 0) -> None:
    """Add `objects` objects, their namespaces included; each of `crds` more kinds has one object
    for every twenty others. Without history, as if they had always been there."""
    namespaces = -(-objects // NAMESPACE_OF)
    for index in range(namespaces):
        cluster.create(_namespace(index))
    for index in range(crds):
        cluster.create(custom_definition(index))
    forms = _forms(crds)
    mix = [label for label, share in _SHARES.items() for _ in range(share)]
    mix += [label for label in forms if label not in _SHARES]
    cluster.load(
        (
            mix[number % len(mix)],
            f"team-{number % namespaces:04d}/app-{number:06d}",
            partial(Printed, forms[mix[number % len(mix)]], number % namespaces, number),
        )
        for number in range(objects - namespaces)
    )


def mixed(cluster: Cluster, count: int) -> list[tuple[str, str, str]]:
    """(kind, namespace, name) of so many objects of the mix that are backed up, or all there are;
    the same as long as the cluster is the same."""
    labels = [label for label in _SHARES if label != "endpointslices.discovery.k8s.io"]
    rounds = zip_longest(*(cluster.table(label).keys for label in labels))
    found = (
        (label, *key.split("/", 1))
        for keys in rounds
        for label, key in zip(labels, keys, strict=True)
        if key
    )
    return [(label, namespace, name) for label, namespace, name in islice(found, count)]


def custom_definition(index: int, *, versions: tuple[str, ...] = ("v1",)) -> Object:
    """A CRD `widget{index}s.bench.example.com` with a namespaced kind `Widget{index}`."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": f"widget{index}s", "singular": f"widget{index}", "kind": f"Widget{index}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widget{index}s.bench.example.com"},
        "spec": {
            "group": "bench.example.com",
            "names": {**names, "listKind": f"Widget{index}List"},
            "scope": "Namespaced",
            "versions": [
                {"name": name, "served": True, "storage": place == 0, "schema": schema}
                for place, name in enumerate(versions)
            ],
        },
    }


def _namespace(index: int) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{index:04d}"}}


def _forms(crds: int) -> dict[str, bytes]:
    config = {"app.yaml": "".join(f"setting-{n}: value {n} of {_NAME}\n" for n in range(30))}
    app = App(_NAMESPACE, _NAME, f"registry.example.com/{_NAME}:1.4.2", config=config)
    deployed = _known(workloads.deployment(app, _AT))
    replicated = _known(workloads.replica_set(deployed, "7c9fd6b8d4", _AT))
    served = _known(workloads.service(app, "10.96.40.17", _AT))
    samples = {
        "pods": workloads.pod(replicated, "x7k2p", "node-1", "10.244.1.17", _AT),
        "configmaps": workloads.config_map(app, _AT),
        "secrets": workloads.secret(app, {"password": "correct horse", "user": "app"}, _AT),
        "replicasets.apps": replicated,
        "deployments.apps": deployed,
        "services": served,
        "endpointslices.discovery.k8s.io": workloads.endpoint_slice(served, ["10.244.1.17"], _AT),
        "serviceaccounts": workloads.service_account(app, _AT),
        "ingresses.networking.k8s.io": workloads.ingress(app, _AT),
    }
    for index in range(crds):
        samples[f"widget{index}s.bench.example.com"] = _custom_object(app, index)
    return {label: _form(sample) for label, sample in samples.items()}


def _custom_object(app: App, index: int) -> Object:
    return workloads.made(
        {
            "apiVersion": "bench.example.com/v1",
            "kind": f"Widget{index}",
            "metadata": {"name": app.name, "namespace": app.namespace, "labels": app.labels},
            "spec": {"size": 3, "ratio": 0.25, "rules": [{"on": app.name, "do": "nothing"}] * 5},
        },
        _AT,
        status={"conditions": [workloads.condition("Ready", _AT)]},
        status_by="widget-controller",
    )


def _known(content: Object) -> Object:
    content["metadata"]["uid"] = _UID
    return content


def _form(content: Object) -> bytes:
    metadata = {**content["metadata"], "name": _NAME, "uid": _UID, "resourceVersion": _VERSION}
    body = {k: v for k, v in content.items() if k not in ("apiVersion", "kind")}
    form = orjson.dumps({**body, "metadata": metadata}).replace(b"%", b"%%")
    for stand_in in (_NAMESPACE, _NAME, _UID, _VERSION):
        field = stand_in.removeprefix("form-of-")
        form = form.replace(stand_in.encode(), f"%({field})b".encode())
    return form
