"""Puts the population into a real cluster, fast, and waits until the cluster has settled.

Exists because 10,000 objects through kubectl take many minutes. Promises: `fill` returns when
every object is there and, with controllers, everything runs that is to run.
"""

import json
from collections.abc import Iterable
from itertools import chain

from tests.e2e.api import API, Object
from tests.e2e.changes import collection, send
from tests.e2e.control_plane import ControlPlane
from tests.e2e.population import cluster_wide, namespace
from tests.e2e.process import until

# At these `kubectl get -o yaml` ends with an error, and prints nothing at all.
_CONTROL = dict.fromkeys(map(ord, "\x7f\ufeff"), "?")


def fill(plane: ControlPlane, *, namespaces: int, seed: int = 0, for_kubectl: bool = False) -> None:
    """Some 55 objects a namespace where controllers run, and 150 of the cluster's own.

    for_kubectl: without the few characters that it can't print.
    """
    wide = list(cluster_wide(seed))
    kinds = [item for item in wide if item["kind"] == "CustomResourceDefinition"]
    others = [item for item in wide if item["kind"] != "CustomResourceDefinition"]
    spaces = [
        list(namespace(seed, number, workloads=plane.has_controllers))
        for number in range(namespaces)
    ]
    if for_kubectl:
        others, *spaces = ([_printable(item) for item in items] for items in (others, *spaces))
    create(plane.api(), kinds)
    until(lambda: _established(plane.api()), "established CRDs")
    create(plane.api(), [space[0] for space in spaces])
    if plane.has_controllers:
        until(lambda: _accounts(plane.api()) >= namespaces, "default service accounts")
    create(plane.api(), chain(others, *(space[1:] for space in spaces)))
    if plane.has_controllers:
        until(lambda: not _unfinished(plane.api()), "running workloads", timeout=180, poll=1)


def create(api: API, objects: Iterable[Object]) -> None:
    """Create objects whose kinds are served, many at a time, in no certain order.

    Raises an ExceptionGroup of APIErrors: the first refusals.
    """
    send(api, [("POST", collection(item), item) for item in objects])


def _printable(item: Object) -> Object:
    plain: Object = json.loads(json.dumps(item, ensure_ascii=False).translate(_CONTROL))
    return plain


def _established(api: API) -> bool:
    return all(
        api.answers(f"/apis/{path}?limit=1")
        for path in (
            "cert-manager.io/v1/certificates",
            "certificates.example.com/v1/certificates",
            "fleet.example.com/v1/fleets",
        )
    )


def _accounts(api: API) -> int:
    path = "/api/v1/serviceaccounts?fieldSelector=metadata.name=default"
    return len(api.get(path)["items"])


def _unfinished(api: API) -> list[str]:
    """Workloads that the controllers are not done with."""
    counts = {
        "/apis/apps/v1/deployments": ("replicas", "availableReplicas"),
        "/apis/apps/v1/statefulsets": ("replicas", "availableReplicas"),
        "/apis/batch/v1/jobs": ("completions", "succeeded"),
    }
    return [
        f"{path} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for path, (wanted, done) in counts.items()
        for item in api.get(path)["items"]
        if item["spec"].get(wanted, 1) != item["status"].get(done, 0)
    ]
