"""Which kinds of objects the cluster serves.

Exists because "every object" begins with every kind, and kinds come and go while we run. Promises:
one request when nothing changed (the aggregated document has an ETag; servers before 1.27 are
asked group by group); a group that could not be read, or that the server itself calls stale, is
named in `stale` and says nothing about its kinds: what is missing from it is unknown, not gone.

The document's form: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from watcher.cluster import client
from watcher.cluster.api import API
from watcher.errors import ClusterError, StatusError
from watcher.objects.ref import APIResource, canonical_group

_AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json"
)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one look at the cluster showed."""

    resources: tuple[APIResource, ...] = ()  # each object once: aliases and old versions left out
    stale: frozenset[str] = frozenset()  # groups that could not be looked into
    etags: tuple[str, ...] = ()  # of /api and /apis, "" where there is none

    def can_tell_about(self, group: str) -> bool:
        """Whether a kind of this group that is not in `resources` is really not served."""
        return group not in self.stale


async def discover(api: API, last: Discovery | None = None) -> Discovery:
    """Look once; `last` saves decoding what did not change. Raises ClusterError."""
    found: list[APIResource] = []
    stale: set[str] = set()
    answers = []
    for number, path in enumerate(("/api", "/apis")):
        etag = last.etags[number] if last and last.etags else ""
        answers.append((path, *await _document(api, path, etag)))
    etags = tuple(etag for _, etag, _ in answers)
    if last is not None and all(document is None for _, _, document in answers):
        return last
    for path, _, document in answers:
        if document is None:  # only the other one changed: rare, so read this one again whole
            _, document = await _document(api, path, "")
        try:
            match document:
                case {"kind": "APIGroupDiscoveryList", "items": groups}:
                    _read_aggregated(groups or [], found, stale)
                case {"kind": "APIVersions", "versions": versions}:
                    await _read_legacy(api, "", versions or [], found, stale)
                case {"kind": "APIGroupList", "groups": groups}:
                    for group in groups or []:
                        await _read_legacy(api, group["name"], _versions(group), found, stale)
                case _:  # never: a cluster without kinds
                    raise ClusterError(f"the discovery document {path} is none")
        except (KeyError, TypeError, AttributeError):
            raise ClusterError(f"the discovery document {path} cannot be read") from None
    return Discovery(tuple(_each_once(found)), frozenset(stale), etags)


async def aggregated_groups(api: API) -> frozenset[str]:
    """Groups that another server answers for: it may be empty while it warms up, and its replicas
    may differ. Raises ClusterError."""
    return frozenset(group for group in (await api_services(api)).values() if group)


async def api_services(api: API) -> dict[str, str | None]:
    """Name of each APIService -> the group that another server answers for there; None: this
    server does itself. Raises ClusterError."""
    found: dict[str, str | None] = {}

    def read(item: client.Item) -> None:
        spec = item["spec"]
        found[item["metadata"]["name"]] = spec["group"] if spec.get("service") else None

    await _read_each(api, "/apis/apiregistration.k8s.io/v1/apiservices", read)
    return found


async def custom_kinds(api: API) -> dict[str, tuple[str, str]]:
    """Name of each CRD -> group and kind that it defines. Raises ClusterError."""
    found: dict[str, tuple[str, str]] = {}

    def read(item: client.Item) -> None:
        spec = item["spec"]
        found[item["metadata"]["name"]] = (spec["group"], spec["names"]["kind"])

    await _read_each(api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", read)
    return found


async def _read_each(api: API, path: str, read: Callable[[client.Item], None]) -> None:
    """A whole list, of which little is kept: CRDs are large."""

    def take(items: list[client.Item]) -> None:
        try:
            for item in items:
                read(item)
        except (KeyError, TypeError, AttributeError):
            raise ClusterError(f"an item of {path} cannot be read") from None

    query = {"limit": str(client.PAGE_SIZE)}
    while token := (await client.list_page(api, path, query, take)).continue_token:
        query["continue"] = token


async def _document(api: API, path: str, etag: str) -> tuple[str, dict[str, Any] | None]:
    """The ETag and the document; None: it did not change since that ETag."""
    headers = {"Accept": _AGGREGATED} | ({"If-None-Match": etag} if etag else {})
    status, answered, body = await client.read(api, path, headers=headers)
    if status == 304:
        return etag, None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ClusterError(f"the discovery document {path} is not JSON") from None
    return answered.get("ETag") or "", document


def _read_aggregated(
    groups: list[dict[str, Any]], found: list[APIResource], stale: set[str]
) -> None:
    for group in groups:
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or []:
            if version.get("freshness") == "Stale":
                stale.add(name)
            for resource in version.get("resources") or []:
                kind = resource.get("responseKind") or {}
                found.append(
                    APIResource(
                        name,
                        version["version"],
                        resource["resource"],
                        kind.get("kind") or "",
                        resource.get("scope") == "Namespaced",
                        frozenset(resource.get("verbs") or ()),
                        resource.get("singularResource") or "",
                        tuple(resource.get("shortNames") or ()),
                    )
                )


def _versions(group: dict[str, Any]) -> list[str]:
    """A legacy group's versions, the preferred one first."""
    preferred = (group.get("preferredVersion") or {}).get("version")
    versions = [version["version"] for version in group.get("versions") or []]
    return sorted(versions, key=lambda version: version != preferred)


async def _read_legacy(
    api: API, group: str, versions: list[str], found: list[APIResource], stale: set[str]
) -> None:
    for version in versions:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            _, _, body = await client.read(api, path)
            found += [
                APIResource(
                    group,
                    version,
                    resource["name"],
                    resource["kind"],
                    bool(resource.get("namespaced")),
                    frozenset(resource.get("verbs") or ()),
                    resource.get("singularName") or "",
                    tuple(resource.get("shortNames") or ()),
                )
                for resource in orjson.loads(body)["resources"] or []
                if "/" not in resource["name"]
            ]
        except (StatusError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            stale.add(group)


def _each_once(found: Iterable[APIResource]) -> Iterator[APIResource]:
    """Of every kind its preferred version (they come first), and of objects that several groups
    serve (FORMAT.md section 1) the group that they are stored under, where it is served."""
    best: dict[tuple[str, str], APIResource] = {}
    for resource in found:
        home = canonical_group(resource.group, resource.resource)
        known = best.setdefault((home, resource.resource), resource)
        if known.group != home and resource.group == home:
            best[home, resource.resource] = resource
    yield from best.values()
