"""What may be missing from a stored file, written down by hand from FORMAT.md section 3.

Exists because a cleaner that loses `spec` must not pass: `watcher`'s own rules can't judge
themselves. Promises: every difference between a live object and its file that is not on these
lists is named; so is all that should be gone and is not. Shares nothing with `watcher`.
"""

import json
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]  # keys; "[]" stands for the items of a list

_EVERYWHERE = {
    ("status",),
    *(
        ("metadata", field)
        for field in (
            "managedFields",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "ownerReferences",
            "generateName",
        )
    ),
    *(
        ("metadata", "annotations", annotation)
        for annotation in (
            "kubectl.kubernetes.io/last-applied-configuration",
            "deployment.kubernetes.io/revision",
            "deployment.kubernetes.io/desired-replicas",
            "deployment.kubernetes.io/max-replicas",
            "deployment.kubernetes.io/revision-history",
            "control-plane.alpha.kubernetes.io/leader",
            "autoscaling.alpha.kubernetes.io/conditions",
            "autoscaling.alpha.kubernetes.io/current-metrics",
            "pv.kubernetes.io/bind-completed",
            "pv.kubernetes.io/bound-by-controller",
            "pv.kubernetes.io/provisioned-by",
            "volume.kubernetes.io/selected-node",
            "volume.beta.kubernetes.io/selected-node",
            "volume.alpha.kubernetes.io/selected-node",
            "volume.kubernetes.io/storage-provisioner",
            "volume.beta.kubernetes.io/storage-provisioner",
            "endpoints.kubernetes.io/last-change-trigger-time",
            "kubernetes.io/config.seen",
            "kubernetes.io/config.source",
            "kubernetes.io/config.hash",
        )
    ),
}
_OF_KIND: dict[tuple[str, str], set[Path]] = {
    ("v1", "Namespace"): {("spec", "finalizers")},
    ("v1", "PersistentVolume"): {
        ("spec", "claimRef", "uid"),
        ("spec", "claimRef", "resourceVersion"),
    },
    ("v1", "Pod"): {("spec", "nodeName"), ("spec", "ephemeralContainers")},
    ("apps/v1", "StatefulSet"): {("spec", "volumeClaimTemplates", "[]", "status")},
    ("v1", "Service"): {
        ("spec", "clusterIP"),
        ("spec", "clusterIPs"),
        ("spec", "healthCheckNodePort"),
        ("spec", "ports", "[]", "nodePort"),
    },
    ("batch/v1", "Job"): {
        ("spec", "selector"),
        *(
            (*labels, label)
            for labels in (("metadata", "labels"), ("spec", "template", "metadata", "labels"))
            for label in (
                "controller-uid",
                "job-name",
                "batch.kubernetes.io/controller-uid",
                "batch.kubernetes.io/job-name",
            )
        ),
    },
}
_FINALIZERS = {
    "foregroundDeletion",
    "orphan",
    "kubernetes.io/pvc-protection",
    "kubernetes.io/pv-protection",
    "service.kubernetes.io/load-balancer-cleanup",
    "batch.kubernetes.io/job-tracking",
    "customresourcecleanup.apiextensions.k8s.io",
}


def complaints(live: Object, stored: Object) -> Iterator[str]:
    """What is wrong with the stored (and parsed) file of a live object; nothing if it is right."""
    for path, was, now in _changes((), live, stored):
        if now is not _GONE:
            if not _is_redaction(live, path, now):
                yield f"{'.'.join(path)}: {was!r:.80} became {now!r:.80}"
        elif not _may_go(live, path, was):
            yield f"{'.'.join(path)}: {was!r:.80} is missing"
    for path in _EVERYWHERE | _OF_KIND.get(_kind(live), set()):
        for value in _at(stored, path):
            if _must_go(live, path, value):
                yield f"{'.'.join(path)}: {value!r:.80} should be gone"
    if live["kind"] == "Secret" and live["apiVersion"] == "v1":
        for key, value in stored.get("data", {}).items():
            if value != "<redacted>":
                yield f"data.{key}: not redacted"


_GONE = object()


def _changes(path: Path, was: Any, now: Any) -> Iterator[tuple[Path, Any, Any]]:
    """Leaves that differ, with what they were and are. A map or list that is gone as a whole is
    the loss of each of its leaves, an empty one's of itself."""
    if type(was) is dict and type(now) is dict:
        for key in was.keys() | now.keys():
            yield from _changes((*path, key), was.get(key, _GONE), now.get(key, _GONE))
    elif type(was) is list and type(now) is list:
        if len(was) == len(now):
            for before, after in zip(was, now, strict=True):
                yield from _changes((*path, "[]"), before, after)
        else:
            yield from _lost_items(path, was, now)
    elif now is _GONE and type(was) is dict and was:
        if path in {("metadata", "managedFields"), ("status",)}:
            return
        for key, value in was.items():
            yield from _changes((*path, key), value, _GONE)
    elif was != now or not (type(was) is type(now) or _same_number(was, now)):
        yield path, was, now


def _lost_items(path: Path, was: list[Any], now: list[Any]) -> Iterator[tuple[Path, Any, Any]]:
    """Each item of the shorter list has to be one of the longer, in order."""
    left = list(now)
    for before in was:
        if left and _is_cleaned(path, before, left[0]):
            left.pop(0)
        else:
            yield (*path, "[]"), before, _GONE
    for after in left:
        yield (*path, "[]"), _GONE, after


def _is_cleaned(path: Path, before: Any, after: Any) -> bool:
    return not list(_changes((*path, "[]"), before, after))


def _may_go(live: Object, path: Path, value: Any) -> bool:
    if value is _GONE:
        return False
    allowed = _EVERYWHERE | _OF_KIND.get(_kind(live), set())
    known = next((path[:n] for n in range(1, len(path) + 1) if path[:n] in allowed), None)
    if known:
        return _must_go(live, known, value)
    if path[-2:] == ("metadata", "creationTimestamp"):
        return value in (None, "")
    if path[:2] == ("metadata", "finalizers"):
        values = value if isinstance(value, list) else [value]
        return set(values) <= _FINALIZERS
    return _kind(live) == ("v1", "Pod") and _injected(path, value)


def _must_go(live: Object, path: Path, value: Any) -> bool:
    """Whether what an allowed path leads to has to go: some stay if a client set them."""
    if _kind(live) == ("batch/v1", "Job") and live["spec"].get("manualSelector"):
        return path in _EVERYWHERE
    if _kind(live) != ("v1", "Service") or path in _EVERYWHERE:
        return True
    if (live["metadata"].get("namespace"), live["metadata"]["name"]) == ("default", "kubernetes"):
        return True
    if value in ("None", ["None"]):
        return False
    return f'"f:{path[-1]}"' not in json.dumps(live["metadata"]["managedFields"])


def _injected(path: Path, value: Any) -> bool:
    """Into a Pod: the token's volume, its mounts, the two default tolerations."""
    for list_, items in ((path, value), (path[:-1], [value])):
        if not isinstance(items, list):
            continue
        if list_ == ("spec", "tolerations"):
            keys = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
            return all(
                item["key"] in keys
                and item["tolerationSeconds"] == 300
                and item["effect"] == "NoExecute"
                for item in items
            )
        if list_ == ("spec", "volumes") or list_[-1:] == ("volumeMounts",):
            return all(item["name"].startswith("kube-api-access-") for item in items)
    return False


def _is_redaction(live: Object, path: Path, now: Any) -> bool:
    return _kind(live) == ("v1", "Secret") and path[0] == "data" and now == "<redacted>"


def _same_number(was: Any, now: Any) -> bool:
    return {type(was), type(now)} == {int, float} and was == now


def _kind(item: Object) -> tuple[str, str]:
    return item["apiVersion"], item["kind"]


def _at(node: Any, path: Path) -> Iterator[Any]:
    if not path:
        yield node
    elif path[0] == "[]":
        for item in node if isinstance(node, list) else ():
            yield from _at(item, path[1:])
    elif isinstance(node, dict) and path[0] in node:
        yield from _at(node[path[0]], path[1:])
