"""Encryption at rest on a real MinIO with a key: asked for, given, and no start is the dearer."""

import os
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.minio import ACCESS_KEY, SECRET_KEY, Bucket, Minio
from tests.e2e.oracle import expected
from tests.e2e.proxy import Proxy
from tests.e2e.watcher_process import PREFIX, command

KEY = "backup-key"
ADMIN = {"admin_access_key": ACCESS_KEY, "admin_secret_key": SECRET_KEY}


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    """Some 250 objects, and no controller that changes them."""
    started = ControlPlane(scratch / "encryption")
    try:
        fill(started, namespaces=1)
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def minio_with_key() -> Iterator[Minio]:
    key = f"{KEY}:{b64encode(os.urandom(32)).decode()}"
    with TemporaryDirectory(prefix="watcher-e2e-") as folder:
        server = Minio(Path(folder), MINIO_KMS_SECRET_KEY=key)
        yield server
        server.kill()


def changed(bucket: Bucket, *arguments: str, **settings: str) -> list[str]:
    """What `bucket init` changes, by its own words."""
    done = command(None, bucket, "bucket", "init", *arguments, **ADMIN, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line[2:].partition(":")[0] for line in done.stdout.splitlines() if line[0] == "~"]


def test_bucket_init_makes_a_bucket_once_and_changes_nothing_the_second_time(
    minio: Minio,
) -> None:
    bucket = Bucket(minio.endpoint, "made-by-init", "nobody", "knows-the-writer")
    assert changed(bucket, "--dry-run")[:2] == ["bucket", "versioning"]
    assert changed(bucket) == ["bucket", "versioning", "old versions"]
    assert changed(bucket) == []
    done = command(None, bucket, "bucket", "init", **ADMIN)
    assert "! public access: not supported by this store (" in done.stdout
    assert "! unfinished uploads: not supported by this store (" in done.stdout
    root = replace(bucket, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    assert root.client().get_bucket_versioning(bucket.name).status == "Enabled"
    lifecycle: Any = root.client().get_bucket_lifecycle(bucket.name)
    (rule,) = lifecycle.rules
    assert rule.noncurrent_version_expiration.noncurrent_days == 90
    assert rule.expiration.days is None
    assert rule.expiration.expired_object_delete_marker


def test_encryption_that_a_store_without_a_key_cannot_give_is_a_failure(minio: Minio) -> None:
    bucket = Bucket(minio.endpoint, "made-without-a-key")
    done = command(None, bucket, "bucket", "init", **ADMIN, sse="AES256")
    assert done.returncode == 1
    assert "sse AES256" in done.stderr


def test_keys_of_no_administrator_are_told_so_by_their_own_names(minio: Minio) -> None:
    wrong = {"admin_access_key": ACCESS_KEY, "admin_secret_key": "not-the-secret"}
    done = command(None, Bucket(minio.endpoint, "never-made"), "bucket", "init", **wrong)
    assert done.returncode == 1
    assert "admin" in done.stderr
    assert "minio-secret-key" not in done.stderr


@pytest.mark.parametrize(
    "settings",
    [{"sse": "AES256"}, {"sse": "aws:kms", "sse_kms_key_id": KEY}],
    ids=["SSE-S3", "SSE-KMS"],
)
def test_what_is_stored_is_encrypted_and_a_restart_writes_and_reads_no_object(
    plane: ControlPlane, minio_with_key: Minio, settings: dict[str, str]
) -> None:
    bucket = Bucket(minio_with_key.endpoint, f"encrypted-{len(settings)}")
    assert "default encryption" in changed(bucket, **settings)
    assert changed(bucket, **settings) == []
    proxy = Proxy(minio_with_key.endpoint)
    asked = []  # for objects, by each of two runs
    try:
        for _ in range(2):
            proxy.forget()
            watched = bucket.at(proxy.url)
            done = command(plane.kubeconfig(), watched, "run", "--once", **settings)
            assert done.returncode == 0, done.stderr
            asked.append(proxy.count(path=rf"{PREFIX}.*\.yaml"))
    finally:
        proxy.close()
    wanted, etags = expected(plane.api()), bucket.etags(PREFIX)
    assert asked == [len(wanted), 0]
    assert {key for key in etags if "/_meta/" not in key} == wanted.keys()
    for key, one in list(wanted.items())[:20]:
        assert bucket.read(key) == one.file
        head = bucket.client().stat_object(bucket.name, key)
        assert head.metadata is not None
        assert head.metadata["x-amz-server-side-encryption"] == settings["sse"]
        is_md5 = etags[key] == md5(one.file).hexdigest()
        assert is_md5 == (settings["sse"] == "AES256"), "else nothing was learned here"
