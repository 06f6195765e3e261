"""The requests about one object: get, create, update, patch and delete.

Exists so that people can play with kubectl against the demo; watcher itself never asks for these.
Promises: merge patches (RFC 7386), which is also how strategic and apply patches are taken; JSON
only (kubectl's `create -f`, `apply --server-side --validate=false`, `edit`). Pure.
"""

from typing import Any

import orjson

from bench.cluster import Cluster, Object
from bench.faults import Failure


def write(
    cluster: Cluster, verb: str, label: str, namespace: str, name: str, content: bytes
) -> tuple[int, Object]:
    """The status and the object of the answer. Raises Failure."""
    match verb:
        case "get":
            return 200, cluster.get(label, namespace, name)
        case "delete":
            return 200, cluster.delete(label, namespace, name)
        case "create":
            return 201, cluster.create(_placed(content, namespace))
        case "update":
            return 200, cluster.update(_placed(content, namespace))
        case "patch":
            return _patched(cluster, label, namespace, name, _parsed(content))
    raise Failure(405, "MethodNotAllowed", "the server does not allow this method on the resource")


def _patched(
    cluster: Cluster, label: str, namespace: str, name: str, patch: Object
) -> tuple[int, Object]:
    try:
        current = cluster.get(label, namespace, name)
    except Failure:
        if "kind" not in patch:
            raise
        return 201, cluster.create(patch)  # an apply
    return 200, cluster.update(_merged(current, patch))


def _parsed(content: bytes) -> Object:
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise Failure(415, "UnsupportedMediaType", "the body is not a JSON object")
    return parsed


def _placed(content: bytes, namespace: str) -> Object:
    parsed = _parsed(content)
    if namespace:
        parsed.setdefault("metadata", {}).setdefault("namespace", namespace)
    return parsed


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) else {}
    merged = {key: value for key, value in base.items() if patch.get(key, ...) is not None}
    for key, value in patch.items():
        if value is not None:
            merged[key] = _merged(base.get(key), value)
    return merged
