"""Discovery documents: what the API server says it serves.

Promises: the aggregated document of v2 with an ETag, and the legacy ones, of the same kinds; a
group whose backend is down is `Stale` and has no resources in the first, 503 in the last. Pure.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson

from bench.cluster import Cluster
from bench.faults import Failure
from bench.kinds import VERBS, Kind

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

Document = dict[str, Any]


def aggregated(cluster: Cluster, *, core: bool) -> tuple[bytes, str]:
    """The document at /api (core) or /apis, and its ETag."""
    items = []
    for group, kinds in _groups(cluster).items():
        if (group == "") == core:
            metadata = {"name": group} if group else {}
            versions = [_version(cluster, group, version, kinds) for version in _versions(kinds)]
            items.append({"metadata": metadata, "versions": versions})
    body = orjson.dumps(
        {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }
    )
    return body, f'"{sha256(body).hexdigest().upper()}"'


def legacy(cluster: Cluster, path: str) -> Document:
    """The document at /api, /apis, /apis/g, /api/v1 or /apis/g/v. Raises Failure."""
    groups = _groups(cluster)
    match path.strip("/").split("/"):
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            found = [_group(group, kinds) for group, kinds in groups.items() if group]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}
        case ["apis", group] if group in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, groups[group])}
        case ["api", version] if version in _versions(groups[""]):
            return _resources("", version, groups[""])
        case ["apis", group, version] if version in _versions(groups.get(group, [])):
            if group in cluster.faults.stale_groups:
                raise Failure(503, "ServiceUnavailable", "service unavailable", plain=True)
            return _resources(group, version, groups[group])
    raise Failure(404, "NotFound", "404 page not found", plain=True)


def _groups(cluster: Cluster) -> Mapping[str, list[Kind]]:
    groups: dict[str, list[Kind]] = {}
    for kind in cluster.kinds():
        groups.setdefault(kind.resource.group, []).append(kind)
    return groups


def _versions(kinds: list[Kind]) -> list[str]:
    return list(dict.fromkeys(version for kind in kinds for version in kind.versions))


def _version(cluster: Cluster, group: str, version: str, kinds: list[Kind]) -> Document:
    if group in cluster.faults.stale_groups:
        return {"version": version, "freshness": "Stale"}
    resources = [_aggregated_resource(k, version) for k in kinds if version in k.versions]
    return {"version": version, "resources": resources, "freshness": "Current"}


def _aggregated_resource(kind: Kind, version: str) -> Document:
    resource = kind.resource
    # Built-in kinds leave group and version to the parent.
    parent = ("", "") if kind.built_in else (resource.group, version)
    response = {"group": parent[0], "version": parent[1], "kind": resource.kind}
    document: Document = {
        "resource": resource.resource,
        "responseKind": response,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        document["shortNames"] = list(resource.short_names)
    if kind.subresources:
        document["subresources"] = [
            {"subresource": name, "responseKind": response, "verbs": ["get"]}
            for name in kind.subresources
        ]
    return document


def _group(group: str, kinds: list[Kind]) -> Document:
    versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in _versions(kinds)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resources(group: str, version: str, kinds: list[Kind]) -> Document:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [r for k in kinds if version in k.versions for r in _legacy_resources(k)],
    }


def _legacy_resources(kind: Kind) -> Iterator[Document]:
    resource = kind.resource
    document: Document = {
        "name": resource.resource,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs & VERBS),
    }
    if resource.short_names:
        document["shortNames"] = list(resource.short_names)
    yield document
    for name in kind.subresources:
        yield {
            "name": f"{resource.resource}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": ["get"],
        }
