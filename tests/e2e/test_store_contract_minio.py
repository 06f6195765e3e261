"""The contract suite over real S3 servers: MinIO, and versitygw, which shares no code with it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.minio import ACCESS_KEY, SECRET_KEY, Bucket, Minio
from tests.e2e.parts.build import binary
from tests.e2e.process import Process, free_ports, until
from tests.store_contract import *  # noqa: F403
from watcher.bucket.layout import Layout
from watcher.bucket.owner import Claim, claim
from watcher.bucket.s3 import S3
from watcher.bucket.store import Store
from watcher.errors import RejectedError


@pytest.fixture(scope="module")
def versitygw(scratch: Path) -> Iterator[str]:
    """Its URL."""
    folder, (port,) = scratch / "versitygw", free_ports(1)
    folder.mkdir()
    address = f"127.0.0.1:{port}"
    keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
    process = Process(
        "versitygw",
        [binary("versitygw"), *keys, "--port", address, "posix", folder],
        log=scratch / "versitygw.log",
    )
    endpoint = f"http://{address}"
    until(lambda: _answers(endpoint), "answer of versitygw", needs=process)
    yield endpoint
    process.kill()


def _answers(endpoint: str) -> bool:
    try:
        Bucket(endpoint, "any").client().list_buckets()
    except OSError:
        return False
    except Exception as error:  # urllib3's, which the client lets through
        if type(error).__module__.startswith("urllib3"):
            return False
        raise
    return True


@pytest.fixture(params=["minio", "minio, versioned", "versitygw"])
def place(request: pytest.FixtureRequest, minio: Minio, versitygw: str) -> Bucket:
    """An empty bucket."""
    if request.param != "versitygw":
        return minio.new_bucket(versioned="versioned" in request.param)
    bucket = Bucket(versitygw, f"backups-{uuid4().hex}")
    bucket.client().make_bucket(bucket.name)
    return bucket


def opened(bucket: Bucket, *, region: str = "us-east-1") -> S3:
    return S3(
        bucket.name,
        endpoint=bucket.endpoint,
        access_key=bucket.access_key,
        secret_key=bucket.secret_key,
        region=region,
        concurrency=16,
        observe=lambda *request: None,
    )


@pytest.fixture
async def store(place: Bucket) -> AsyncIterator[Store]:
    s3 = opened(place)
    yield s3
    await s3.close()


@pytest.fixture
def versioned(request: pytest.FixtureRequest) -> bool:
    return "minio, versioned" in request.node.name


async def test_the_probes_of_a_claim_find_out_what_the_server_can(
    store: Store, versioned: bool
) -> None:
    at = datetime.now(UTC)
    for epoch in (1, 2):
        found = await claim(store, Layout("example.com", "east"), cluster_uid="uid", at=at)
        assert found == Claim(epoch, conditional=True, etag_is_md5=True, versioned=versioned)


async def test_versions_and_delete_marks_have_the_ids_that_the_server_lists(
    store: Store, place: Bucket, versioned: bool
) -> None:
    _, version = await store.put("cl1/ns/pod/a.yaml", b"")
    mark = await store.delete("cl1/ns/pod/a.yaml")
    listed = place.client().list_objects(place.name, "cl1/", recursive=True, include_version=True)
    assert {it.version_id for it in listed} == ({version, mark} if versioned else set())
    assert bool(version) == bool(mark) == versioned


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"name": "no-such-bucket"}, "minio-bucket"),
        ({"access_key": "nobody"}, "minio-access-key"),
        ({"secret_key": "not-the-secret"}, "minio-secret-key"),
    ],
)
async def test_a_wrong_setting_is_named_in_one_line(
    minio: Minio, wrong: dict[str, str], setting: str
) -> None:
    s3 = opened(replace(minio.new_bucket(), **wrong))
    try:
        for request in (s3.check("cl1/"), s3.put("cl1/ns/pod/a.yaml", b"")):
            with pytest.raises(RejectedError) as rejected:
                await request
            assert f"(setting {setting})" in str(rejected.value)
            assert "\n" not in str(rejected.value)
    finally:
        await s3.close()
