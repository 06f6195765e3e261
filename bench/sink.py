"""A do-nothing S3 server: what `watcher` costs when the bucket costs nothing.

Exists because beside MinIO on the same cores one measures MinIO. Promises: a PUT is answered with
the MD5 of its body as ETag, as MinIO does, and forgotten; only what lies under `/_meta/` is kept,
and held to its conditions (If-Match, If-None-Match), so that a start finds what it wrote. A raw
asyncio protocol: no signature is checked, no body but an object's own is parsed.

    python -m bench.sink [--port 9000]

prints its URL and serves until it is killed. `GET /-` tells what it was asked, as JSON.
"""

import argparse
import asyncio
import gc
import hashlib
from collections import Counter
from datetime import UTC, datetime
from email.utils import formatdate
from typing import cast
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

import orjson
import uvloop

_COUNTS = "/-"
_META = "/_meta/"
_END = b"\r\n\r\n"
_EMPTY_LIST = '<?xml version="1.0"?><ListBucketResult>{}<IsTruncated>false</IsTruncated>'


class Kept:
    """What all connections share: the files of `_meta/`, and what was asked so far."""

    def __init__(self) -> None:
        # body, ETag, metadata lines, when (as listings write it)
        self.files: dict[str, tuple[bytes, str, list[bytes], str]] = {}
        self.asked: Counter[str] = Counter()
        self.bytes = 0  # of bodies


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._buffer = bytearray()
        self._head: bytes | None = None  # of the request whose body is being read
        self._length = 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own are no subclass

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        answers = []
        while True:
            if self._head is None:
                end = buffer.find(_END)
                if end < 0:
                    break
                self._head = bytes(buffer[:end])
                del buffer[: end + len(_END)]
                self._length = _content_length(self._head)
                if self._length > len(buffer) and b"100-continue" in self._head:
                    answers.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(buffer) < self._length:
                break
            body = bytes(buffer[: self._length])
            del buffer[: self._length]
            answers.append(self._answer(self._head, body))
            self._head = None
        if answers and self._transport:
            self._transport.write(b"".join(answers))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        method, target, _ = head[: head.index(b"\r\n")].decode().split(" ", 2)
        path, _, query = target.partition("?")
        kept = self._kept
        if path == _COUNTS:
            return _http(200, orjson.dumps({**kept.asked, "bytes": kept.bytes}))
        kept.asked["LIST" if "list-type=" in query else method] += 1
        kept.bytes += len(body)
        if method == "PUT":
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            if _META in path:
                return self._keep(path, head, body, etag)
            return _http(200, b"", f"ETag: {etag}")
        if "list-type=" in query:
            return _http(200, self._list(path, dict(parse_qsl(query))))
        if method == "DELETE":
            kept.files.pop(path, None)
            return _http(204, b"")
        if method not in ("GET", "HEAD"):
            return _http(501, b"")
        if path not in kept.files:
            missing = b"<Error><Code>NoSuchKey</Code><Message>not kept</Message></Error>"
            return _http(404, b"" if method == "HEAD" else missing)
        content, etag, metadata, _ = kept.files[path]
        modified = f"Last-Modified: {formatdate(usegmt=True)}"
        return _http(
            200,
            content,
            f"ETag: {etag}",
            modified,
            *(line.decode() for line in metadata),
            bodiless=method == "HEAD",
        )

    def _keep(self, path: str, head: bytes, body: bytes, etag: str) -> bytes:
        lines = head.split(b"\r\n")[1:]
        named = {
            name.lower(): value.strip() for name, _, value in (it.partition(b":") for it in lines)
        }
        there = self._kept.files.get(path)
        wanted = named.get(b"if-match", b"").decode()
        if (wanted and (there is None or there[1] != wanted)) or (
            b"if-none-match" in named and there is not None
        ):
            refusal = b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
            return _http(412, refusal)
        metadata = [line for line in lines if line.lower().startswith(b"x-amz-meta-")]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._kept.files[path] = (body, etag, metadata, now)
        return _http(200, b"", f"ETag: {etag}")

    def _list(self, path: str, query: dict[str, str]) -> bytes:
        """In one page: nobody keeps thousands of files of `_meta/` here."""
        bucket = path.strip("/")
        prefix, after = query.get("prefix", ""), query.get("start-after", "")
        entries = []
        for place, (body, etag, _, written) in sorted(self._kept.files.items()):
            key = unquote(place.removeprefix(f"/{bucket}/"))
            if key.startswith(prefix) and key > after:
                entries.append(
                    f"<Contents><Key>{escape(key)}</Key><ETag>{escape(etag)}</ETag>"
                    f"<Size>{len(body)}</Size><LastModified>{written}</LastModified></Contents>"
                )
        page = f"{_EMPTY_LIST.format(''.join(entries))}</ListBucketResult>"
        return page.encode()


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


def _http(status: int, body: bytes, *headers: str, bodiless: bool = False) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *headers]
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "\r\n")).encode() + (b"" if bodiless else body)


async def _serve(port: int) -> None:
    kept = Kept()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(kept), "127.0.0.1", port)
    gc.freeze()
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="An S3 server that does nothing.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
