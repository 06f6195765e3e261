"""What a directory promises beyond the contract of all stores."""

import asyncio
import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watcher.bucket.directory import Directory
from watcher.bucket.store import CREATE
from watcher.errors import AbsentError, BucketUnreachableError, PreconditionError, RejectedError

KEY = "cl1/ns/pod/a.yaml"
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Requests(list[tuple[str, str]]):
    """Operation and code of each request so far."""

    def observe(self, operation: str, code: str, seconds: float) -> None:
        self.append((operation, code))


def opened(root: Path, *, fsync: bool = False, requests: Requests | None = None) -> Directory:
    observe = (Requests() if requests is None else requests).observe
    return Directory(root, fsync=fsync, clock=lambda: datetime.now(UTC), observe=observe)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


async def listed(store: Directory) -> list[str]:
    return [it.key async for page in store.list("") for it in page]


async def test_a_key_is_the_path_of_a_plain_file(tmp_path: Path) -> None:
    await opened(tmp_path).put(KEY, b"kind: Pod\n")
    assert (tmp_path / KEY).read_bytes() == b"kind: Pod\n"
    assert opened(tmp_path).name == f"file://{tmp_path}"


async def test_a_delete_removes_folders_that_it_empties_and_never_the_root(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put(KEY, b"")
    await store.put("cl1/ns/job/a.yaml", b"")
    await store.delete(KEY)
    assert files(tmp_path) == ["cl1", "cl1/ns", "cl1/ns/job", "cl1/ns/job/a.yaml"]
    await store.delete("cl1/ns/job/a.yaml")
    assert files(tmp_path) == []
    assert tmp_path.is_dir()


async def test_puts_and_deletes_in_one_folder_never_trip_over_each_other(tmp_path: Path) -> None:
    store = opened(tmp_path)

    async def come_and_go(name: int) -> None:
        for _ in range(20):
            await store.put(f"cl1/ns/pod/{name}.yaml", b"")
            await store.delete(f"cl1/ns/pod/{name}.yaml")

    await asyncio.gather(*(come_and_go(name) for name in range(4)))
    assert files(tmp_path) == []


@pytest.mark.parametrize("fsync", [False, True])
async def test_a_put_leaves_nothing_but_its_file(tmp_path: Path, fsync: bool) -> None:
    await opened(tmp_path, fsync=fsync).put("a.yaml", b"")
    assert files(tmp_path) == ["a.yaml"]


async def test_with_fsync_file_and_folders_are_synced_before_the_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append("file" if path.is_file() else str(path.relative_to(tmp_path)))

    monkeypatch.setattr(os, "fsync", record)
    await opened(tmp_path, fsync=True).put("cl1/ns/a.yaml", b"")
    assert synced == [".", "cl1", "file", "cl1/ns"]


async def test_a_full_disk_may_pass_and_leaves_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(descriptor: int) -> None:
        raise FULL

    await opened(tmp_path).put("a.yaml", b"before")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(BucketUnreachableError, match="no space left"):
        await opened(tmp_path, fsync=True).put("a.yaml", b"after")
    assert files(tmp_path) == ["a.yaml"]
    assert (tmp_path / "a.yaml").read_bytes() == b"before"


async def test_leftovers_of_a_killed_writer_are_invisible_and_go_after_an_hour(
    tmp_path: Path,
) -> None:
    fresh, old = tmp_path / "cl1/~tmp-1", tmp_path / "cl1/~tmp-2"
    fresh.parent.mkdir()
    for leftover, age in ((fresh, timedelta(minutes=59)), (old, timedelta(minutes=61))):
        leftover.write_bytes(b"half a fi")
        written = (datetime.now(UTC) - age).timestamp()
        os.utime(leftover, (written, written))
    assert await listed(opened(tmp_path)) == []
    assert files(tmp_path) == ["cl1", "cl1/~tmp-1"]


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "a/", "../a", "a/./b", "a/~tmp-1", "a\0b", "a" * 256, "é" * 128]
)
async def test_a_key_that_no_file_can_have_is_rejected(tmp_path: Path, key: str) -> None:
    for request in (opened(tmp_path).put(key, b""), opened(tmp_path).delete(key)):
        with pytest.raises(RejectedError):
            await request
    assert files(tmp_path) == []


async def test_a_missing_directory_is_rejected_and_never_made(tmp_path: Path) -> None:
    root = tmp_path / "not-mounted"
    store = opened(root)
    for request in (
        store.check(),
        store.put(KEY, b""),
        store.put("a.yaml", b""),
        store.get(KEY),
        store.delete(KEY),
        listed(store),
    ):
        with pytest.raises(RejectedError, match=f"minio-bucket: {root} must be") as rejected:
            await request
        assert "\n" not in str(rejected.value)
    assert not root.exists()


async def test_a_file_in_the_place_of_the_directory_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for request in (
        opened(tmp_path / "file").check(),
        opened(tmp_path / "file").put(KEY, b""),
        opened(tmp_path / "file").get(KEY),
    ):
        with pytest.raises(RejectedError, match="minio-bucket"):
            await request


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_directory_without_write_permission_is_rejected(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    for request in (opened(tmp_path).check(), opened(tmp_path).put(KEY, b"")):
        with pytest.raises(RejectedError, match="minio-bucket"):
            await request


async def test_a_directory_that_says_it_is_read_only_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(self: Path, *, exist_ok: bool) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(RejectedError, match="read-only"):
        await opened(tmp_path).check()


async def test_a_folder_is_no_object(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put(KEY, b"")
    await store.delete("cl1/ns")
    with pytest.raises(AbsentError):
        await store.get("cl1/ns")
    with pytest.raises(AbsentError):
        await store.get(f"{KEY}/below")
    assert await listed(store) == [KEY]


async def test_a_key_in_the_way_of_another_is_rejected(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put(KEY, b"")
    for blocked in (f"{KEY}/below", "cl1/ns"):
        with pytest.raises(RejectedError):
            await store.put(blocked, b"")


async def test_files_whose_names_are_no_text_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()
    assert await listed(opened(tmp_path)) == []


async def test_every_request_is_observed_with_what_s3_would_have_answered(tmp_path: Path) -> None:
    requests = Requests()
    store = opened(tmp_path, requests=requests)
    await store.check()
    await store.put(KEY, b"", mode=CREATE)
    with pytest.raises(PreconditionError):
        await store.put(KEY, b"", mode=CREATE)
    with pytest.raises(AbsentError):
        await store.get("other")
    with pytest.raises(RejectedError):
        await store.put("..", b"")
    await store.delete(KEY)
    assert requests == [
        ("HEAD", "200"),
        ("PUT", "200"),
        ("PUT", "412"),
        ("GET", "404"),
        ("PUT", "403"),
        ("DELETE", "200"),
    ]
