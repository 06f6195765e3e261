"""What goes wrong between `watcher` and a real server: an HTTP proxy that breaks on demand.

Exists because a real MinIO or API server can't be asked for a 503, a lost answer or a silent
stream. Promises: without a fault every byte, the Host header and the path's encoding pass as
they are (so S3 signatures hold); each request is noted; faults are chosen by the test, from any
thread, and end with `clear`. The proxy runs in a thread of its own, so blocking tests may use it.
"""

import asyncio
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

_PER_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "expect"}
_LONG = 1 << 17  # bytes of a request line or header


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer this; the server is not asked."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lose:
    """Drop the connection instead of answering, after the server did what was `asked`."""

    asked: bool = True


@dataclass(frozen=True, slots=True)
class Stall:
    """Never answer, after the server did what was `asked`; `clear` drops the connection."""

    asked: bool = True


@dataclass(frozen=True, slots=True)
class Alter:
    """Pass on another body than the server's, of an answer 200."""

    body: Callable[[bytes], bytes]  # of the body, not compressed


Fault = Answer | Lose | Stall | Alter


def s3_error(status: int, code: str) -> Answer:
    """503 SlowDown, 429 TooManyRequests, 500 InternalError, …, as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>test</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


def status_error(status: int, reason: str, *, retry_after: int | None = None) -> Answer:
    """429 TooManyRequests, 410 Expired, 503 ServiceUnavailable, …, as an API server words it."""
    told = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "injected by a test",
        "reason": reason,
        "code": status,
    }
    wait = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(status, json.dumps(told).encode(), {"Content-Type": "application/json", **wait})


@dataclass(frozen=True, slots=True)
class Seen:
    """One request. Status 0: the server was not asked, or gave no answer."""

    method: str
    path: str  # decoded, with the query
    status: int


@dataclass(slots=True)
class _Rule:
    fault: Fault
    method: str
    path: re.Pattern[str]
    left: int  # further uses; below 0: no end


@dataclass(eq=False, slots=True)
class _Stream:
    """An answer under way."""

    path: str
    silent: bool = False
    cut: bool = False


class Proxy:
    """Listens on 127.0.0.1 at `url`, in front of the server at `upstream`."""

    def __init__(self, upstream: str, *, certificate: Path | None = None) -> None:
        """certificate: a PEM file, its key beside it as `.key`: serves TLS with it, and trusts it
        upstream too. So an API server's own makes this proxy pass for that server."""
        self._upstream = upstream
        self._certificate = certificate
        self._rules: list[_Rule] = []
        self._streams: set[_Stream] = set()
        self._cleared = asyncio.Event()
        self._seen: list[Seen] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        self.url = self._do(self._open())

    def close(self) -> None:
        """Drop every connection and stop listening."""
        self.clear()
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # What was asked

    @property
    def requests(self) -> list[Seen]:
        """Every request that has been answered or broken, oldest first."""
        return list(self._seen)

    def count(self, method: str = "", path: str = "") -> int:
        """Requests with this method whose path and query contain the regular expression."""
        return sum(_matches(seen.method, seen.path, method, path) for seen in self.requests)

    def methods(self) -> Counter[str]:
        return Counter(seen.method for seen in self.requests)

    def forget(self) -> None:
        """Count from here on."""
        self._seen = []

    # What goes wrong

    def inject(self, fault: Fault, method: str = "", path: str = "", *, times: int = -1) -> None:
        """Do this to requests with the method whose path and query contain the expression.

        times: to how many of them; else to all until `clear`. The oldest fault that fits wins.
        """
        rule = _Rule(fault, method, re.compile(path), times)
        self._in_loop(lambda: self._rules.append(rule))

    def silence(self, path: str = "") -> int:
        """Answers under way pass nothing on any more, but stay open; how many that are."""
        return self._break(path, "silent")

    def cut(self, path: str = "") -> int:
        """Answers under way end in the middle of the next line; how many that are."""
        return self._break(path, "cut")

    def clear(self) -> None:
        """No more faults; stalled and silent connections drop."""
        self._in_loop(self._clear)

    # In the proxy's thread

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _in_loop(self, work: Callable[[], object]) -> Any:
        async def run() -> object:
            return work()

        return self._do(run())

    def _break(self, path: str, how: str) -> int:
        def mark() -> int:
            hit = [stream for stream in self._streams if re.search(path, stream.path)]
            for stream in hit:
                setattr(stream, how, True)
            return len(hit)

        count: int = self._in_loop(mark)
        return count

    def _clear(self) -> None:
        self._rules.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def _open(self) -> str:
        served = trusted = None
        if self._certificate:
            served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            served.load_cert_chain(self._certificate, self._certificate.with_suffix(".key"))
            trusted = ssl.create_default_context(cafile=str(self._certificate))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=trusted or True),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=_LONG,
            max_field_size=_LONG,
        )
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            max_line_size=_LONG,
            max_field_size=_LONG,
            shutdown_timeout=0,
            auto_decompress=False,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=served).start()
        scheme = "https" if served else "http"
        return f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(0.05)  # TLS transports say good-bye in a later turn of the loop

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.raw_path)
        fault = self._choose(request.method, path)
        body = await request.read()
        if isinstance(fault, Answer):
            self._note(request.method, path, 0)
            return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
        if isinstance(fault, Lose | Stall) and not fault.asked:
            self._note(request.method, path, 0)
            return await self._no_answer(request, fault)
        status = 0
        try:
            plain = isinstance(fault, Alter)
            async with self._ask(request, body, plain=plain) as answer:
                status = answer.status
                self._note(request.method, path, status)
                if isinstance(fault, Lose | Stall):
                    await answer.read()
                    return await self._no_answer(request, fault)
                if isinstance(fault, Alter) and status == 200:
                    return await _altered(answer, fault)
                return await self._pass_on(request, answer, _Stream(path))
        except aiohttp.ClientError:  # the server's end broke, or our client's
            if not status:
                self._note(request.method, path, status)
            return _drop(request)

    def _choose(self, method: str, path: str) -> Fault | None:
        for rule in self._rules:
            if rule.left and _matches(method, path, rule.method, rule.path):
                rule.left -= 1
                return rule.fault
        return None

    def _note(self, method: str, path: str, status: int) -> None:
        self._seen.append(Seen(method, path, status))

    def _ask(self, request: web.Request, body: bytes, *, plain: bool) -> Any:
        """plain: ask for an answer that is not compressed."""
        dropped = _PER_CONNECTION | ({"accept-encoding"} if plain else set())
        return self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            data=body or None,
            headers=[(n, v) for n, v in request.headers.items() if n.lower() not in dropped],
            allow_redirects=False,
        )

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse, stream: _Stream
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _PER_CONNECTION:
                response.headers.add(name, value)
        await response.prepare(request)
        self._streams.add(stream)
        try:
            async for chunk in answer.content.iter_any():
                if stream.cut:
                    await response.write(half_a_line(chunk))
                    return _drop(request)
                if not stream.silent:
                    await response.write(chunk)
            if stream.silent:
                return await self._no_answer(request, Stall())
        finally:
            self._streams.discard(stream)
        await response.write_eof()
        return response

    async def _no_answer(self, request: web.Request, fault: Lose | Stall) -> web.StreamResponse:
        if isinstance(fault, Stall):
            await self._cleared.wait()
        return _drop(request)


def half_a_line(chunk: bytes) -> bytes:
    """Of the first one: events of a watch may come together."""
    line, _, _ = chunk.partition(b"\n")
    return line[: len(line) // 2]


async def _altered(answer: aiohttp.ClientResponse, fault: Alter) -> web.Response:
    body = fault.body(await answer.read())
    kept = {n: v for n, v in answer.headers.items() if n.lower() == "content-type"}
    return web.Response(status=answer.status, body=body, headers=kept)


def _drop(request: web.Request) -> web.StreamResponse:
    """Break the connection. What is returned goes nowhere."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def _matches(method: str, path: str, wanted: str, pattern: re.Pattern[str] | str) -> bool:
    return wanted in ("", method) and re.search(pattern, path) is not None
