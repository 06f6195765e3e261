"""A real MinIO, and one bucket of it as a test needs it.

Exists so that the bucket's outages are real ones. Promises: address and data outlive `stop`,
`kill` and `freeze`. (Its own request counters are up to 10 s old: count at a proxy.Proxy.)
"""

import signal
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

from minio import Minio as Client
from minio import MinioAdmin
from minio.commonconfig import ENABLED
from minio.credentials.providers import StaticProvider
from minio.versioningconfig import VersioningConfig

from tests.e2e.parts.build import binary
from tests.e2e.process import Process, free_ports, until

ACCESS_KEY = "watcher-test"
SECRET_KEY = "watcher-test-secret"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a bucket is and how to open it."""

    endpoint: str  # http://127.0.0.1:PORT
    name: str
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)

    def at(self, endpoint: str) -> "Bucket":
        """The same bucket through a proxy."""
        return replace(self, endpoint=endpoint)

    def client(self) -> Client:
        scheme, _, address = self.endpoint.partition("://")
        return Client(
            address,
            access_key=self.access_key,
            secret_key=self.secret_key,
            region="us-east-1",
            secure=scheme == "https",
        )

    def keys(self, prefix: str = "") -> list[str]:
        return list(self.etags(prefix))

    def etags(self, prefix: str = "") -> dict[str, str]:
        """Key -> ETag without its quotes: of what one PUT wrote, the MD5."""
        listed = self.client().list_objects(self.name, prefix, recursive=True)
        return {str(entry.object_name): str(entry.etag).strip('"') for entry in listed}

    def deleted(self, prefix: str = "") -> set[str]:
        """Keys that were ever deleted, even if that was made good: of a versioned bucket, where a
        DELETE leaves its mark."""
        versions = self.client().list_objects(
            self.name, prefix, recursive=True, include_version=True
        )
        return {str(version.object_name) for version in versions if version.is_delete_marker}

    def read(self, key: str) -> bytes:
        """Raises minio.error.S3Error."""
        answer = self.client().get_object(self.name, key)
        try:
            return answer.read()
        finally:
            answer.close()
            answer.release_conn()

    def write(self, key: str, body: bytes) -> None:
        self.client().put_object(self.name, key, BytesIO(body), len(body))

    def remove(self, key: str) -> None:
        self.client().remove_object(self.name, key)


class Minio:
    """One server. Running from the start on. settings: of its own, besides keys and address."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder
        self._settings = settings
        (self._port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._buckets = self._users = 0
        self.start()

    @property
    def processes(self) -> list[Process]:
        return [self._process]

    def start(self) -> None:
        """(Again) on the same address and data; returns when it answers."""
        self._process = Process(
            "minio",
            [binary("minio"), "server", self._folder / "data", "--address", self._address],
            log=self._folder / "minio.log",
            env={
                "MINIO_ROOT_USER": ACCESS_KEY,
                "MINIO_ROOT_PASSWORD": SECRET_KEY,
                "MINIO_BROWSER": "off",
                "MINIO_UPDATE": "off",
                **self._settings,
            },
        )
        until(self.answers, "answer of MinIO", needs=self._process, poll=0.05)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def freeze(self) -> None:
        """Connections stay open and nothing answers, until `thaw`."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.signal(signal.SIGCONT)

    def new_bucket(self, *, versioned: bool = False) -> Bucket:
        self._buckets += 1
        bucket = Bucket(self.endpoint, f"backups-{self._buckets}")
        bucket.client().make_bucket(bucket.name)
        if versioned:
            bucket.client().set_bucket_versioning(bucket.name, VersioningConfig(ENABLED))
        return bucket

    def new_user(self, policy: str) -> dict[str, str]:
        """One who may do what this policy document allows: its keys, for `replace(bucket, **…)`."""
        self._users += 1
        name, secret = f"user-{self._users}", f"secret-of-user-{self._users}"
        document = self._folder / f"{name}.json"
        document.write_text(policy)
        admin = self._admin()
        admin.policy_add(name, str(document))
        admin.user_add(name, secret)
        admin.policy_set(name, user=name)
        return {"access_key": name, "secret_key": secret}

    def remove_user(self, access_key: str) -> None:
        self._admin().user_remove(access_key)

    def _admin(self) -> MinioAdmin:
        keys = StaticProvider(ACCESS_KEY, SECRET_KEY)
        return MinioAdmin(endpoint=self._address, credentials=keys, secure=False)

    def answers(self) -> bool:
        """Whether it answers right now."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/minio/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:  # URLError too
            return False

    @property
    def _address(self) -> str:
        return f"127.0.0.1:{self._port}"
