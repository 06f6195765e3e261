"""What an operator types, and sees in the bucket.

Exists so that tests of doubts read as what happens. Each call is one process of its own.
"""

import json
from typing import Any

from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket
from tests.e2e.watcher_process import PREFIX, command


def sync(plane: ControlPlane, bucket: Bucket, *, code: int = 0) -> str:
    """`watcher run --once`, which ends with this code; what it logged. 3: too many deletions."""
    done = command(plane.kubeconfig(), bucket, "run", "--once")
    assert done.returncode == code, done.stderr
    return done.stderr


def reconcile(plane: ControlPlane, bucket: Bucket, *, user: str = "admin", code: int = 0) -> Any:
    """The report of one by hand."""
    done = command(plane.kubeconfig(user), bucket, "reconcile", "--output=json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def held(bucket: Bucket) -> dict[str, str]:
    """Key -> why it is held, as an operator is told."""
    done = command(None, bucket, "deletes", "list", "--output=json")
    assert done.returncode == 0, done.stderr
    return {PREFIX + line["key"]: line["why"] for line in json.loads(done.stdout)["held"]}


def objects(bucket: Bucket) -> dict[str, str]:
    """Key -> ETag of all that is not in `_meta`."""
    etags = bucket.etags(PREFIX)
    return {key: etag for key, etag in etags.items() if not key.startswith(f"{PREFIX}_meta/")}
