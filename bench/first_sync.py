"""First sync and restart: what they take, beside raw PUTs of the same bytes in the same run.

Exists because a time alone says more about the machine than about `watcher`. Promises: the whole
program is measured, from its start to its end; the yardstick is another client (obstore, as many
PUTs at a time) that writes the same keys and bytes to the same server right after. Nothing is
left on the machine. `best_of` is what to call; printing is its caller's.
"""

import asyncio
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import obstore
from obstore.store import S3Store

from tests.e2e.minio import Bucket, Minio
from tests.e2e.process import Process, Usage, until
from tests.e2e.proxy import Proxy
from tests.e2e.watcher_process import PREFIX, running

_AT_ONCE = 32  # PUTs: watcher's default too
_LONGEST = 1800.0  # seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one round. Times are wall seconds of a whole process, raw_puts those of the PUTs alone."""

    objects: int
    stored_bytes: int
    first_sync: float
    cpu: float  # seconds of the first sync, user and system
    peak_rss: int  # bytes, of the first sync
    raw_puts: float
    restart: float  # with nothing changed since
    restart_requests: int  # to the bucket


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float
    usage: Usage
    written: int


def best_of(rounds: int, kubeconfig: Path) -> Figures:
    """The round with the shortest first sync: noise only ever adds.

    Raises RuntimeError if `watcher` fails.
    """
    with TemporaryDirectory(prefix="watcher-bench-", ignore_cleanup_errors=True) as scratch:
        server = Minio(Path(scratch, "minio"))
        try:
            measured = [
                _round(server, Path(scratch, str(number)), kubeconfig) for number in range(rounds)
            ]
        finally:
            server.kill()
    return min(measured, key=lambda figures: figures.first_sync)


@contextmanager
def simulated(objects: int, *, changes: float = 0.0) -> Iterator[Path]:
    """The kubeconfig of a simulated cluster of so many objects, in a process of its own.

    changes: a second.
    """
    with TemporaryDirectory(prefix="watcher-bench-") as scratch:
        kubeconfig, log = Path(scratch, "kubeconfig"), Path(scratch, "server.log")
        size = ("--objects", str(objects), "--changes", str(changes))
        server = Process(
            "simulated API server",
            [sys.executable, "-m", "bench.server", *size, "--kubeconfig", kubeconfig],
            log=log,
        )
        try:
            until(lambda: "http" in log.read_text(), "simulated cluster", needs=server)
            yield kubeconfig
        finally:
            server.stop()


def _round(server: Minio, folder: Path, kubeconfig: Path) -> Figures:
    bucket = server.new_bucket()
    first = _once(folder / "first", kubeconfig, bucket)
    files = {key: bucket.read(key) for key in bucket.keys(PREFIX) if f"{PREFIX}_meta/" not in key}
    raw_puts = asyncio.run(_put_all(server.new_bucket(), files))
    proxy = Proxy(server.endpoint)
    try:
        restart = _once(folder / "restart", kubeconfig, bucket.at(proxy.url))
        requests = len(proxy.requests)
    finally:
        proxy.close()
    return Figures(
        objects=first.written,
        stored_bytes=sum(map(len, files.values())),
        first_sync=first.seconds,
        cpu=first.usage.cpu,
        peak_rss=first.usage.peak_rss,
        raw_puts=raw_puts,
        restart=restart.seconds,
        restart_requests=requests,
    )


def _once(folder: Path, kubeconfig: Path, bucket: Bucket) -> _Run:
    """`watcher run --once` as its users start it."""
    began = time.monotonic()
    with running(folder, kubeconfig, bucket, "run", "--once") as watcher:
        code = watcher.wait(_LONGEST)
        seconds = time.monotonic() - began
        told = re.search(r"^(\d+) written", watcher.log, re.MULTILINE)
    if code or not told:
        raise RuntimeError(f"watcher ended with {code}:\n{watcher.log[-2000:]}")
    return _Run(seconds, watcher.usage(), int(told[1]))


async def _put_all(bucket: Bucket, files: Mapping[str, bytes]) -> float:
    """Seconds."""
    store = S3Store(
        bucket.name,
        endpoint=bucket.endpoint,
        access_key_id=bucket.access_key,
        secret_access_key=bucket.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    waiting = iter(files.items())

    async def put() -> None:
        for key, body in waiting:
            await obstore.put_async(store, key, body)

    began = time.monotonic()
    async with asyncio.TaskGroup() as putting:
        for _ in range(_AT_ONCE):
            putting.create_task(put())
    return time.monotonic() - began
