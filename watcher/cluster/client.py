"""Questions to an API server: list, watch, read one object; and, of a Lease alone, writing it.

Exists so that informers and discovery speak of items and events, not of HTTP. Promises: every
wait has an end (`idle` seconds without a byte); an error is always a ClusterError with one line
(`status_error` is the one place that turns a status into one); a list page is handed on in
batches while it streams. Only `list` and `watch` are used: the right to `get` everything would
include `pods/exec` and `nodes/proxy`, so a single object is read by a list that names it. (The
Lease, see lease.py, is another matter: its rights are for that one object.)
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Literal, NamedTuple

import orjson

from watcher.cluster.api import API, Response, WritableAPI
from watcher.cluster.framing import Items, Lines
from watcher.errors import ClusterError, ClusterUnreachableError, StatusError
from watcher.objects.ref import APIResource

PAGE_SIZE = 250  # half of what kubectl asks: what a page brings waits in memory
IDLE = 60.0  # seconds without a byte after which an answer counts as lost
_MAX_STATUS = 64 * 1024  # bytes read of an error's body

Item = dict[str, Any]


class PageEnd(NamedTuple):
    resource_version: str
    continue_token: str  # "" on the last page


class Event(NamedTuple):
    type: str  # ADDED, MODIFIED, DELETED, BOOKMARK
    object: Item


def status_error(status: int, headers: Mapping[str, str], body: bytes) -> StatusError:
    """The one place where an HTTP status (or a watch's ERROR event) becomes an error.

    Bodies that are no `Status` are dropped: they may hold anything, secrets too.
    """
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or answer.get("kind") != "Status":
        answer = {}
    details = _dict(answer.get("details"))
    told = str(headers.get("Retry-After") or details.get("retryAfterSeconds") or "")
    code = answer.get("code")
    status = code if isinstance(code, int) and code else status
    message = " ".join(str(answer.get("message") or "no reason given").split())
    return StatusError(
        status,
        f"the API server answered {status}: {message}",
        reason=_reason(answer, details),
        retry_after=float(told) if told.isdecimal() and told.isascii() else None,
    )


def _reason(answer: Item, details: Item) -> str:
    causes = details.get("causes")
    for cause in causes if isinstance(causes, list) else ():
        if _dict(cause).get("reason") == "ResourceVersionTooLarge":
            return "ResourceVersionTooLarge"
    return str(answer.get("reason") or "")


async def read(
    api: API,
    path: str,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """A whole answer of status 200 or 304: status, headers, body. Raises ClusterError."""
    async with _open(api.get(path, query, headers), path) as response:
        if response.status == 304:
            return 304, response.headers, b""
        return response.status, response.headers, await _whole(response)


async def send(api: WritableAPI, method: Literal["POST", "PUT"], path: str, content: Item) -> Item:
    """Create or replace one object; what the server made of it. Raises ClusterError: where it is
    no StatusError, it may have taken place."""
    async with _open(api.send(method, path, orjson.dumps(content)), path) as response:
        return as_object(await _whole(response))


def as_object(body: bytes) -> Item:
    """Raises ClusterError where it is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not _is_object(found):
        raise ClusterError("the API server's answer is not an object")
    return _dict(found)


def paging(*, token: str, paged: bool) -> dict[str, str]:
    """What asks for one page of a list: the first one, that of a continue token, or the whole."""
    query = {"limit": str(PAGE_SIZE)} if paged else {}
    return {**query, "continue": token} if token else query


async def list_page(
    api: API,
    path: str,
    query: Mapping[str, str],
    take: Callable[[list[Item]], None],
) -> PageEnd:
    """One page of a list; items reach `take` in batches as they arrive. Raises ClusterError."""
    items = Items()
    async with _open(api.get(path, query), path) as response:
        await _expect_ok(response)
        async with _within(IDLE, response) as chunks:
            async for chunk in chunks:
                if found := items.feed(chunk):
                    take(_objects(found))
                    await asyncio.sleep(0)
    rest, envelope = items.finish()
    metadata = envelope["metadata"]
    if rest:
        take(_objects(rest))
    return PageEnd(str(metadata.get("resourceVersion") or ""), str(metadata.get("continue") or ""))


async def watch(
    api: API, path: str, query: Mapping[str, str], idle: Callable[[], float]
) -> AsyncGenerator[list[Event], None]:
    """The events of one watch until it ends by itself, those that came together in one list.

    `idle()`: seconds of silence that are too many, asked anew for each wait. Raises ClusterError,
    StatusError for an ERROR event too.
    """
    lines = Lines()
    async with _open(api.get(path, {**query, "watch": "1"}), path) as response:
        await _expect_ok(response)
        async with _within(idle, response) as chunks:
            async for chunk in chunks:
                events, error = _decode(lines.feed(chunk))
                if events:
                    yield events
                    await asyncio.sleep(0)  # more may have come already, and others wait
                if error:
                    raise error


async def find_one(api: API, resource: APIResource, namespace: str, name: str) -> Item | None:
    """The object of this name; None: the API server has none. Raises ClusterError."""
    item, _ = await look_for(api, resource, namespace, name)
    return item


async def look_for(
    api: API, resource: APIResource, namespace: str, name: str
) -> tuple[Item | None, str]:
    """The same, and the resourceVersion at which that was so. Raises ClusterError.

    Servers that ignore field selectors (some aggregated APIs do) answer with more items: only one
    of the very name counts.
    """
    escaped = name.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    path = collection_path(resource, namespace)
    _, _, body = await read(api, path, {"fieldSelector": f"metadata.name={escaped}"})
    try:
        answer = orjson.loads(body)
        items = answer["items"] or []
        matching = [item for item in items if item["metadata"]["name"] == name]
        version = str((answer.get("metadata") or {}).get("resourceVersion") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ClusterError(f"the answer to a list of {resource.label} is not a list") from None
    return matching[0] if matching else None, version


async def cluster_uid(api: API) -> str:
    """What tells this cluster from every other: the uid of its namespace kube-system."""
    namespaces = APIResource("", "v1", "namespaces", "Namespace", False)
    item = await find_one(api, namespaces, "", "kube-system")
    if item is None:
        raise ClusterError("the cluster has no namespace kube-system, so it cannot be told apart")
    return str(item["metadata"]["uid"])


async def server_version(api: API) -> str:
    """As the API server calls itself, `v1.36.3`; "" where it does not tell us. Raises ClusterError
    where it cannot be reached."""
    try:
        _, _, body = await read(api, "/version")
        return str(orjson.loads(body)["gitVersion"])
    except (StatusError, orjson.JSONDecodeError, KeyError, TypeError):
        return ""


def collection_path(resource: APIResource, namespace: str = "") -> str:
    """Where a kind is listed: in all namespaces, or in one."""
    if not namespace:
        return resource.path
    root, _, plural = resource.path.rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}"


def _decode(lines: list[bytes]) -> tuple[list[Event], ClusterError | None]:
    events: list[Event] = []
    for line in lines:
        try:
            event = orjson.loads(line)
            kind, content = event["type"], event["object"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return events, ClusterError("a watch line is not an event")
        if kind == "ERROR":
            return events, status_error(200, {}, orjson.dumps(content))
        if not _is_object(content):
            return events, ClusterError("a watch line holds no object")
        events.append(Event(kind, content))
    return events, None


def _objects(items: list[Item]) -> list[Item]:
    """The same, if everyone above can rely on their metadata. Raises ClusterError."""
    if not all(map(_is_object, items)):
        raise ClusterError("an item of a list is not an object")
    return items


def _is_object(content: object) -> bool:
    return isinstance(content, dict) and isinstance(content.get("metadata"), dict)


def _dict(value: object) -> Item:
    return value if isinstance(value, dict) else {}


async def _whole(response: Response) -> bytes:
    await _expect_ok(response)
    async with _within(IDLE, response) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def _expect_ok(response: Response) -> None:
    if response.status in (200, 201):
        return
    body = b""
    async with _within(IDLE, response) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > _MAX_STATUS:
                break
    raise status_error(response.status, response.headers, body)


@asynccontextmanager
async def _open(
    request: AbstractAsyncContextManager[Response], path: str
) -> AsyncIterator[Response]:
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(IDLE):
                response = await stack.enter_async_context(request)
        except TimeoutError:
            raise ClusterUnreachableError(
                f"the API server did not begin to answer {path} within {IDLE:.0f} s"
            ) from None
        yield response


@asynccontextmanager
async def _within(
    seconds: float | Callable[[], float], response: Response
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body, each wait for its next bytes with an end. What is not read is given up."""
    async with aclosing(response.chunks()) as chunks, aclosing(_timed(seconds, chunks)) as timed:
        yield timed


async def _timed(
    seconds: float | Callable[[], float], chunks: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    while True:
        limit = seconds() if callable(seconds) else seconds
        try:
            async with asyncio.timeout(limit):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ClusterUnreachableError(f"nothing came for {limit:.0f} s") from None
        yield chunk
