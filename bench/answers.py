"""What the API server answers: a request in, a status, headers and a stream of bytes out.

Exists so that the in-memory front and the HTTP front cannot differ: both only carry what `answer`
says. Promises: paths, statuses, Status bodies, paging and watches as the real API server has them
(REAL_PARTS.md); waits only through the event loop, so it runs in virtual time too.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import unquote

import orjson

from bench import discovery
from bench.cluster import Cluster
from bench.faults import ConnectionLost, Failure, NoAnswer
from bench.kinds import Kind
from bench.selectors import Selection, SelectorError, parse
from bench.table import TooOld
from bench.watch import Ending, Watch
from bench.writes import write

BOOKMARK_EVERY = 60.0  # seconds
LAST_BOOKMARK = 2.0  # seconds before the end of a watch
_TICK = 0.001  # seconds; timers may ring early by the clock's resolution
WATCH_FOR = 1800.0  # seconds, where timeoutSeconds is not given

_JSON = {"Content-Type": "application/json"}
_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: AsyncGenerator[bytes, None]  # raises ConnectionLost where it breaks off


class Target(NamedTuple):
    """What a path means: a collection, or an object where there is a name."""

    kind: Kind
    version: str
    namespace: str
    name: str


async def answer(
    cluster: Cluster,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    content: bytes = b"",
) -> Answer:
    """headers: with case-insensitive names. Raises ConnectionLost; may never return (faults)."""
    try:
        return _answer(cluster, method, path, query, headers, content)
    except Failure as failure:
        return _refusal(failure)
    except SelectorError as error:
        return _refusal(Failure(400, "BadRequest", str(error)))
    except NoAnswer:
        await asyncio.Event().wait()
        raise


def _answer(
    cluster: Cluster,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    content: bytes,
) -> Answer:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    depth = {"api": 2, "apis": 3}.get(parts[0], 0)
    if len(parts) <= depth or not depth:
        cluster.requests["get", path] += 1
        cluster.faults.admit()
        return _document(cluster, path, headers)
    group = parts[1] if depth == 3 else ""
    label, namespace, name = _split(parts[depth:])
    label = f"{label}.{group}" if group else label
    verb = _verb(method, query, name)
    cluster.requests[verb, label] += 1
    cluster.faults.admit(label, group)
    kind = cluster.kind(label)
    target = Target(kind, parts[depth - 1], namespace, name)
    if target.version not in kind.versions or (namespace and not kind.resource.namespaced):
        raise Failure(404, "NotFound", "404 page not found", plain=True)
    if label in cluster.faults.forbidden:
        raise _forbidden(target, verb)
    if verb not in kind.resource.verbs:
        raise Failure(
            405, "MethodNotAllowed", "the server does not allow this method on the resource"
        )
    if verb == "watch":
        return _watch(cluster, target, query)
    if verb == "list":
        return _list(cluster, target, query)
    status, body = write(cluster, verb, kind.label, namespace, name, content)
    return Answer(status, _JSON, _once(orjson.dumps(body) + b"\n"))


def _split(parts: list[str]) -> tuple[str, str, str]:
    """(resource, namespace, name) of a path below its version."""
    match parts:
        case ["namespaces", name, *below] if not below or below[0] in ("status", "finalize"):
            return "namespaces", "", name
        case ["namespaces", namespace, resource, *name]:
            return resource, namespace, name[0] if name else ""
        case [resource, *name]:
            return resource, "", name[0] if name else ""
    raise Failure(404, "NotFound", "404 page not found", plain=True)


def _verb(method: str, query: Mapping[str, str], name: str) -> str:
    if method == "GET" and not name:
        return "watch" if query.get("watch") in ("1", "true") else "list"
    verbs = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    return verbs.get(method, method.lower())


def _document(cluster: Cluster, path: str, headers: Mapping[str, str]) -> Answer:
    path = "/" + path.strip("/")
    if path == "/version":
        version = {"major": "1", "minor": "36", "gitVersion": "v1.36.3", "platform": "linux/amd64"}
        return Answer(200, _JSON, _once(orjson.dumps(version)))
    wanted = "as=APIGroupDiscoveryList" in headers.get("Accept", "")
    if path in ("/api", "/apis") and wanted and cluster.aggregated_discovery:
        body, etag = discovery.aggregated(cluster, core=path == "/api")
        if headers.get("If-None-Match") == etag:
            return Answer(304, {"ETag": etag}, _once(b""))
        return Answer(200, {"Content-Type": discovery.AGGREGATED, "ETag": etag}, _once(body))
    return Answer(200, _JSON, _once(orjson.dumps(discovery.legacy(cluster, path)) + b"\n"))


def _selection(target: Target, query: Mapping[str, str]) -> Selection:
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    return parse(target.namespace, labels, fields)


def _list(cluster: Cluster, target: Target, query: Mapping[str, str]) -> Answer:
    selection = _selection(target, query)
    asked = int(query.get("resourceVersion") or 0)
    if asked > cluster.version:
        raise _too_large(asked, cluster.version)
    # The real one serves resourceVersion=0 from its cache, which knows no pages.
    limit = 0 if query.get("resourceVersion") == "0" else int(query.get("limit") or 0)
    version, start = cluster.version, ""
    if query.get("continue"):
        version, start = _continued(cluster, query["continue"])
    try:
        page = cluster.table(target.kind.label).page(version, start, limit, selection)
    except TooOld:
        raise _expired(start) from None
    alone = bool(selection.fields)
    items = [] if cluster.faults.hides(target.kind.label, alone=alone) else page.items
    metadata: dict[str, object] = {"resourceVersion": str(version)}
    if page.next:
        metadata["continue"] = _token(version, page.next)
        if not (selection.labels or selection.fields):
            metadata["remainingItemCount"] = page.remaining
    body = _list_body(target, items, metadata)
    if not page.next and cluster.faults.cuts_list():
        return Answer(200, _JSON, _broken(body[: len(body) // 2]))
    return Answer(200, _JSON, _once(body))


def _list_body(target: Target, items: list[bytes], metadata: dict[str, object]) -> bytes:
    kind = target.kind.resource.kind.encode()
    name = target.kind.api_version(target.version).encode()
    meta = orjson.dumps(metadata)
    if target.kind.built_in:
        head = b'{"kind":"%bList","apiVersion":"%b","metadata":%b,"items":[' % (kind, name, meta)
        return b"".join((head, b",".join(items), b"]}\n"))
    whole = b",".join(target.kind.named(item, target.version) for item in items)
    tail = b'],"kind":"%bList","metadata":%b}\n' % (kind, meta)
    return b"".join((b'{"apiVersion":"%b","items":[' % name, whole, tail))


def _token(version: int, start: str) -> str:
    content = {"v": "meta.k8s.io/v1", "rv": version, "start": start}
    return urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


def _continued(cluster: Cluster, token: str) -> tuple[int, str]:
    """The version and first key that a continue token stands for; -1 means: whatever is now."""
    try:
        content = orjson.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, start = int(content["rv"]), str(content["start"])
    except (ValueError, KeyError, TypeError):
        raise Failure(400, "BadRequest", "continue key is not valid") from None
    if version == -1:
        return cluster.version, start
    if cluster.faults.expires_token() or not cluster.floor <= version <= cluster.version:
        raise _expired(start)
    return version, start


def _watch(cluster: Cluster, target: Target, query: Mapping[str, str]) -> Answer:
    asked = int(query.get("resourceVersion") or 0)
    after = asked or cluster.version
    try:
        watch = cluster.watch(
            target.kind.label, target.version, _selection(target, query), after, initial=not asked
        )
    except Failure as failure:  # too old: the stream is opened and says so
        line = orjson.dumps({"type": "ERROR", "object": _status(failure)}) + b"\n"
        return Answer(200, _JSON, _once(line))
    timeout = float(query.get("timeoutSeconds") or WATCH_FOR)
    wanted = query.get("allowWatchBookmarks") in ("1", "true")
    bookmarks = wanted and target.kind.resource.resource != "events"
    return Answer(200, _JSON, _stream(cluster, watch, timeout, bookmarks=bookmarks))


async def _stream(
    cluster: Cluster, watch: Watch, timeout: float, *, bookmarks: bool
) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    due = _bookmark_times(loop.time(), end) if bookmarks else []
    ready = asyncio.Event()
    cluster.faults.watches[watch] = None
    try:
        with watch.listening(ready.set):
            while True:
                ready.clear()
                if lines := watch.take():
                    yield lines
                if watch.ending is Ending.BROKEN:
                    raise ConnectionLost
                now = loop.time() + _TICK
                if watch.ending is Ending.CLEAN or (now >= end and not watch.silent):
                    return
                if due and now >= due[0]:
                    del due[0]
                    if line := watch.bookmark(cluster.version):
                        yield line
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(None if watch.silent else min([end, *due[:1]])):
                        await ready.wait()
    finally:
        del cluster.faults.watches[watch]


def _bookmark_times(start: float, end: float) -> list[float]:
    last = end - LAST_BOOKMARK
    every = int((last - start) // BOOKMARK_EVERY)
    return [start + BOOKMARK_EVERY * n for n in range(1, every + 1)] + [max(last, start)]


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    if body:
        yield body


async def _broken(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
    raise ConnectionLost


def _refusal(failure: Failure) -> Answer:
    headers = _PLAIN if failure.plain else _JSON
    if failure.retry_after is not None:
        headers = {**headers, "Retry-After": str(failure.retry_after)}
    body = failure.message.encode() if failure.plain else orjson.dumps(_status(failure))
    return Answer(failure.status, headers, _once(body + b"\n"))


def _status(failure: Failure) -> dict[str, object]:
    status: dict[str, object] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {"continue": failure.continue_token} if failure.continue_token else {},
        "status": "Failure",
        "message": failure.message,
        "reason": failure.reason,
        "code": failure.status,
    }
    if failure.details:
        status["details"] = failure.details
    return status


def _forbidden(target: Target, verb: str) -> Failure:
    resource = target.kind.resource
    message = (
        f'{target.kind.label} is forbidden: User "watcher" cannot {verb} resource '
        f'"{resource.resource}" in API group "{resource.group}" at the cluster scope'
    )
    details = {"group": resource.group, "kind": resource.resource}
    return Failure(403, "Forbidden", message, details=details)


def _too_large(asked: int, current: int) -> Failure:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return Failure(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        retry_after=1,
    )


def _expired(start: str) -> Failure:
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results, which will be inconsistent."
    )
    return Failure(410, "Expired", message, continue_token=_token(-1, start))
