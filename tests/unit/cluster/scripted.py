"""An API server that answers what a test wrote down.

Exists for answers that no API server gives on purpose: garbage, odd headers, half documents.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
from multidict import CIMultiDict

from watcher.cluster.api import Response


@dataclass(frozen=True, slots=True)
class Reply:
    """`pause`: seconds before each chunk; 0: all has come already."""

    status: int = 200
    body: Sequence[bytes] = ()
    headers: Mapping[str, str] = field(default_factory=CIMultiDict)
    pause: float = 0.0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for chunk in self.body:
            if self.pause:
                await asyncio.sleep(self.pause)
            yield chunk


def json_reply(content: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, [orjson.dumps(content)], CIMultiDict(named))


class Asked(NamedTuple):
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Script:
    """An API of replies by path: a list is used up to its last, a function is asked each time."""

    def __init__(self, replies: Mapping[str, list[Reply] | Callable[[Asked], Reply]]) -> None:
        self.replies = dict(replies)
        self.asked: list[Asked] = []

    @asynccontextmanager
    async def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Response]:
        asked = Asked(path, query or {}, CIMultiDict(headers or {}))
        self.asked.append(asked)
        replies = self.replies.get(path, [Reply(404, [b"404 page not found\n"])])
        if callable(replies):
            yield replies(asked)
        else:
            yield replies.pop(0) if len(replies) > 1 else replies[0]
