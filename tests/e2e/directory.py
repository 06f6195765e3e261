"""A directory as the bucket, read as `watcher` must read it, so that the oracle can judge it too.

Promises: shares no code with `watcher`; the names that it gives to files under way (`~tmp-…`) are
no keys.
"""

from hashlib import md5
from pathlib import Path

from tests.e2e.minio import Bucket


class Directory(Bucket):
    """`file:///…` where other tests have a bucket of MinIO. Has no `client`."""

    __slots__ = ()

    def __init__(self, folder: Path) -> None:
        """folder: an existing one."""
        super().__init__(endpoint="", name=folder.as_uri())

    @property
    def folder(self) -> Path:
        return Path(self.name.removeprefix("file://"))

    def etags(self, prefix: str = "") -> dict[str, str]:
        """Key -> MD5."""
        files = {
            path.relative_to(self.folder).as_posix(): path
            for path in self.folder.rglob("*")
            if path.is_file() and not path.name.startswith("~tmp-")
        }
        return {
            key: md5(path.read_bytes()).hexdigest()
            for key, path in files.items()
            if key.startswith(prefix)
        }

    def read(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def write(self, key: str, body: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def remove(self, key: str) -> None:
        (self.folder / key).unlink()
