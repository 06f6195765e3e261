"""From settings to the store that they mean."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from watcher.bucket.directory import Directory
from watcher.bucket.store import Observe, Store
from watcher.settings import Settings


@asynccontextmanager
async def open_store(
    settings: Settings, observe: Observe, clock: Callable[[], datetime]
) -> AsyncIterator[Store]:
    """The bucket of the settings; nothing is asked of it yet."""
    store = _store(settings, observe, clock)
    try:
        yield store
    finally:
        await store.close()


def _store(settings: Settings, observe: Observe, clock: Callable[[], datetime]) -> Store:
    if settings.bucket_directory is not None:
        root = settings.bucket_directory
        return Directory(root, fsync=settings.fsync, clock=clock, observe=observe)
    from watcher.bucket.s3 import S3  # 15 MB that a directory does not need

    return S3(
        settings.minio_bucket,
        endpoint=settings.minio_endpoint,
        access_key=settings.minio_access_key.reveal(),
        secret_key=settings.minio_secret_key.reveal(),
        region=settings.minio_region,
        ca_file=settings.minio_ca_file,
        client_cert_file=settings.minio_client_cert_file,
        client_key_file=settings.minio_client_key_file,
        sse="" if settings.sse == "none" else settings.sse,
        sse_kms_key_id=settings.sse_kms_key_id,
        concurrency=settings.concurrency,
        observe=observe,
    )
