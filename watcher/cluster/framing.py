"""Bytes in, JSON texts out: the lines of a watch, the items of a list.

Exists because both must be cut while they stream: a list page can be hundreds of megabytes, a
watch never ends, and decoding a page in one piece costs ten times its size in memory. Promises:
the result is the same wherever the bytes were cut; each byte is decoded once (a cut that turns
out wrong is not tried again before twice as much is there); nothing here waits or does I/O.
"""

from typing import Any

import orjson

from watcher.errors import ClusterError

MAX_LINE = 32 * 1024 * 1024  # bytes; etcd's limit is 1.5 MiB an object, aggregated APIs have none
# Bytes that are decoded at once: some 0.15 ms. Whatever had come (some 400 KB), from eight lists in
# one round of the event loop, held it up for 100 to 200 ms; so it is 20 to 40.
BATCH = 32 * 1024


class Lines:
    """Newline-separated texts, as a watch sends them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # no newline before this offset, so a long line is scanned once

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes, without their newlines. Raises ClusterError for a
        line over MAX_LINE."""
        self._buffer += chunk
        end = self._buffer.rfind(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > MAX_LINE:
                raise ClusterError(f"a watch line is longer than {MAX_LINE} bytes")
            return []
        lines = bytes(self._buffer[:end]).split(b"\n")
        del self._buffer[: end + 1]
        self._searched = len(self._buffer)
        return [line for line in lines if line.strip()]


class Items:
    """The items of one list page, and what stands around them.

    A list is `{…,"items":[{"metadata":…},{"metadata":…}],…}`. Items of one list begin alike, so
    `},` followed by the first key of the first item is almost always the seam between two items.
    Whether it is one is not guessed: what stands between two seams must decode as whole JSON.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._before: bytes | None = None  # all before the first item; None: not seen yet
        self._seam = b""
        self._wanted = BATCH

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The items that can be told apart by now, in order."""
        self._buffer += chunk
        if len(self._buffer) < self._wanted or not self._find_items():
            return []
        cut = self._buffer.rfind(self._seam)
        if cut < 0:
            return []
        try:
            items = orjson.loads(b"[" + self._buffer[: cut + 1] + b"]")
        except orjson.JSONDecodeError:  # a seam inside an item
            self._wanted = 2 * len(self._buffer)
            return []
        del self._buffer[: cut + 2]
        self._wanted = BATCH
        return items  # type: ignore[no-any-return]

    def finish(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rest of the items and the list's own fields (`metadata`, …) without items.

        Raises ClusterError if the page is not whole or no list."""
        self._find_items()
        try:
            page = orjson.loads((self._before or b"") + self._buffer)
        except orjson.JSONDecodeError as error:
            raise ClusterError(f"a list page is not whole JSON: {error}") from None
        if not isinstance(page, dict) or not isinstance(page.get("metadata"), dict):
            raise ClusterError("the answer to a list is not a list")
        items = page.pop("items", None) or []
        if not isinstance(items, list):
            raise ClusterError("the answer to a list has no list of items")
        return items, page

    def _find_items(self) -> bool:
        if self._before is not None:
            return True
        start = self._buffer.find(b'"items":[{')
        if start < 0:
            return False
        start += len(b'"items":[')
        colon = self._buffer.find(b":", start)
        if colon < 0:
            return False
        self._seam = b"}," + bytes(self._buffer[start : colon + 1])
        self._before = bytes(self._buffer[:start])
        del self._buffer[:start]
        return True
