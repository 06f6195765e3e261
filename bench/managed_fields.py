"""Who set which field: `metadata.managedFields` as an API server keeps it.

Exists because cleaning and the stored metadata read it. Promises: an entry names every field that
its manager set or changed, items of keyed lists (containers, ports, …) one by one; a change of the
status is an entry of its own. Pure.
"""

from typing import Any

import orjson

Object = dict[str, Any]

_IDENTITY = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"}
_UNOWNED = {"apiVersion", "kind"}

# Lists whose items are fields of their own, and what tells these apart.
_KEYS = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}


def managed(before: Object | None, after: Object, *, manager: str, now: str) -> list[Object]:
    """The entries of `after`, once `manager` has made it out of `before` (None: created it).

    now: RFC 3339.
    """
    fields = _changed("", _owned(before) if before else None, _owned(after))
    fields.pop(".", None)
    status = fields.pop("f:status", None) if before else None
    entries: list[Object] = list((before or after)["metadata"].get("managedFields") or [])
    for subresource, part in (("", fields), ("status", {"f:status": status} if status else {})):
        if part:
            entries = _entered(entries, part, manager, subresource, after["apiVersion"], now)
    return entries


def _entered(
    entries: list[Object], fields: Object, manager: str, subresource: str, version: str, now: str
) -> list[Object]:
    mine = (manager, subresource)
    others = [e for e in entries if (e["manager"], e.get("subresource", "")) != mine]
    known = [e["fieldsV1"] for e in entries if e not in others]
    entry: Object = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": _merged(known[0], fields) if known else fields,
    }
    return [*others, entry | ({"subresource": subresource} if subresource else {})]


def _owned(content: Object) -> Object:
    owned = {key: value for key, value in content.items() if key not in _UNOWNED}
    unowned = _IDENTITY | {"managedFields"}
    owned["metadata"] = {k: v for k, v in content["metadata"].items() if k not in unowned}
    return {key: value for key, value in owned.items() if value != {}}


def _changed(name: str, before: Any, after: Any) -> Object:
    parts = _parts(name, after)
    if not parts:
        return {}
    old = _parts(name, before)
    fields: Object = {} if old else {".": {}}
    for key, value in parts.items():
        if key not in old or old[key] != value:
            fields[key] = _changed(key.removeprefix("f:"), old.get(key), value)
    return fields


def _parts(name: str, value: Any) -> Object:
    """What a value consists of, as far as that is owned part by part."""
    if isinstance(value, dict):
        return {f"f:{key}": part for key, part in value.items()}
    if isinstance(value, list) and name in _KEYS:
        return {_key(item, _KEYS[name]): item for item in value if isinstance(item, dict)}
    return {}


def _key(item: Object, names: tuple[str, ...]) -> str:
    return "k:" + orjson.dumps({name: item[name] for name in names if name in item}).decode()


def _merged(one: Object, other: Object) -> Object:
    return {key: _merged(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}
