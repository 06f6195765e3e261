"""Our own signed PUT alone: ready bytes, no cluster, no YAML, into the sink.

Exists because it is the part of a first sync that cannot be saved by doing less. Promises: the
program's own S3 store on the program's own event loop, as many at a time as by default, with a
version's metadata as it usually is.
"""

from collections.abc import Mapping

import uvloop

from bench.measure.figures import Figures
from bench.measure.yardsticks.puts import AT_ONCE, timed
from tests.e2e.minio import Bucket
from watcher.bucket.s3 import S3
from watcher.bucket.store import CREATE

_METADATA = {
    "watcher-format": "1",
    "watcher-fingerprint": 32 * "0",
    "watcher-writer": "a-pod-of-some-length/1",
    "watcher-captured-at": "2026-01-01T00:00:00Z",
    "watcher-uid": "00000000-0000-4000-8000-000000000000",
    "watcher-resource-version": "1234567",
    "watcher-manager": "kube-controller-manager",
    "watcher-operation": "Update",
    "watcher-changed-at": "2026-01-01T00:00:00Z",
}


def measure(bucket: Bucket, files: Mapping[str, bytes]) -> Figures:
    seconds, cpu = uvloop.run(_put_all(bucket, files))
    return {
        "signed-puts.per_second": len(files) / seconds,
        "signed-puts.cpu_us": 1e6 * cpu / len(files),
    }


async def _put_all(bucket: Bucket, files: Mapping[str, bytes]) -> tuple[float, float]:
    """Seconds of wall and of CPU."""
    store = S3(
        bucket.name,
        endpoint=bucket.endpoint,
        access_key=bucket.access_key,
        secret_key=bucket.secret_key,
        region="us-east-1",
        concurrency=AT_ONCE,
        observe=lambda operation, code, seconds: None,
    )
    try:
        await store.check()  # connects
        return await timed(
            files, lambda key, body: store.put(key, body, metadata=_METADATA, mode=CREATE)
        )
    finally:
        await store.close()
