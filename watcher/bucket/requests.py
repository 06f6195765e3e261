"""What an operator asks a running service to do: `_meta/requests/` (FORMAT.md section 5).

Exists so that `watcher reconcile` by hand works beside the one process that may write, with nothing
but the right to write a file in the bucket. The answer is written into the same file.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast

import orjson

from watcher.bucket.layout import Layout
from watcher.bucket.meta import FORMAT, check_format
from watcher.bucket.store import CREATE, Store
from watcher.errors import AbsentError, BucketError

FOLDER = "requests/"

State = Literal["asked", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Request:
    """key: of its file, below the cluster's prefix. report: name below `_meta/`, once done."""

    key: str
    asked_at: datetime
    by: str
    state: State = "asked"
    report: str = ""
    error: str = ""

    def encode(self) -> bytes:
        fields = {
            "format": FORMAT,
            "do": "reconcile",
            "asked_at": self.asked_at.astimezone(UTC).isoformat(),
            "by": self.by,
            "state": self.state,
            "report": self.report,
            "error": self.error,
        }
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def decode(cls, body: bytes, key: str) -> "Request":
        """Raises RefusedError for a newer format, BucketError where it is none."""
        try:
            found: dict[str, Any] = dict(orjson.loads(body))
            check_format(key, int(found["format"]))
            if found["do"] != "reconcile":
                raise ValueError("nothing else can be asked for")
            return cls(
                key,
                datetime.fromisoformat(found["asked_at"]),
                str(found["by"]),
                cast(State, found["state"]),
                str(found["report"]),
                str(found["error"]),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise BucketError(f"{key} is no request") from error


async def ask(store: Store, layout: Layout, *, by: str, at: datetime) -> Request:
    """Put down a new request. Raises BucketError."""
    name = f"{at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}.json"
    request = Request(layout.meta(FOLDER + name), at, by)
    key = layout.prefix + request.key
    await store.put(key, request.encode(), content_type="application/json", mode=CREATE)
    return request


async def answer(
    store: Store,
    layout: Layout,
    request: Request,
    state: State,
    *,
    report: str = "",
    error: str = "",
) -> None:
    """Raises BucketError."""
    body = replace(request, state=state, report=report, error=error).encode()
    await store.put(layout.prefix + request.key, body, content_type="application/json")


async def read(store: Store, layout: Layout, key: str) -> Request:
    """Raises AbsentError where it is gone, and as `Request.decode` does."""
    body, _ = await store.get(layout.prefix + key)
    return Request.decode(body, key)


async def keys(store: Store, layout: Layout) -> list[str]:
    """Of all requests, oldest first. Raises BucketError."""
    folder = layout.prefix + layout.meta(FOLDER)
    found = [listed.key async for page in store.list(folder) for listed in page]
    return [key.removeprefix(layout.prefix) for key in found]


async def open_requests(store: Store, layout: Layout, answered: set[str]) -> list[Request]:
    """Those that nobody has finished. answered: keys that need not be read (again); grows.

    Raises BucketError.
    """
    found = []
    for key in await keys(store, layout):
        if key not in answered:
            try:
                request = await read(store, layout, key)
            except AbsentError:
                continue
            except BucketError:
                answered.add(key)  # garbage stays garbage
                continue
            if request.state in ("asked", "running"):
                found.append(request)
            else:
                answered.add(key)
    return found
