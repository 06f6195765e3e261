"""`watcher git-sync` between a bucket and a git host, and whether the two are equal.

Exists so that a test of the mirror says only what happens to it. Promises: a file is compared byte
for byte, by git's own hash of what the bucket holds; the words of a commit are worked out a second
time, from `git diff`.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path

from tests.e2e.git_host import BRANCH, GitHost, Key
from tests.e2e.minio import Bucket
from tests.e2e.process import Process, until
from tests.e2e.watcher_process import Watcher, command, running

GENERATED = {"README.md", ".gitattributes"}
_WORDS = {"M": "changed", "A": "added", "D": "deleted"}


class Mirror:
    """One bucket, one host, and a key that may push."""

    def __init__(self, bucket: Bucket, host: GitHost) -> None:
        self.bucket = bucket
        self.host = host
        self.key: Key = host.new_key()
        self._lines = 0  # of journals
        self._hashes: dict[str, str] = {}  # ETag -> git's hash

    @property
    def processes(self) -> list[Process]:
        return self.host.processes

    @property
    def settings(self) -> dict[str, str]:
        return {
            "git_repository": self.host.address,
            "git_ssh_key": self.key.private,
            "git_known_hosts": self.host.known_hosts,
        }

    def sync(self, **settings: str) -> str:
        """`git-sync --once`, which succeeds; what it printed and logged."""
        return self._once(0, settings)

    def sync_fails(self, **settings: str) -> str:
        """The same, with exit code 1."""
        return self._once(1, settings)

    def _once(self, code: int, settings: Mapping[str, str]) -> str:
        done = self.run(**settings)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def run(self, **settings: str) -> "subprocess.CompletedProcess[str]":
        return command(None, self.bucket, "git-sync", "--once", **self.settings | settings)

    @contextmanager
    def service(self, folder: Path, **settings: str) -> Iterator[Watcher]:
        """Within the context it runs, a round each second unless the settings say otherwise."""
        given = {"git_sync_schedule": "continuous", "git_sync_interval": "1s", **settings}
        wanted = self.settings | given
        with running(folder, None, self.bucket, "git-sync", settings=wanted) as service:
            yield service

    def put(self, path: str, text: str | None) -> None:
        """Into the bucket, as a watcher does: with a line in the journal. None: removed."""
        cluster, key = "/".join(path.split("/")[:2]), "/".join(path.split("/")[2:])
        if text is None:
            self.bucket.remove(path)
        else:
            self.bucket.write(path, text.encode())
        self._lines += 1
        now = datetime.now(UTC)
        line = {"at": now.isoformat(), "key": key, "action": "update" if text else "delete"}
        name = f"{now:%Y/%m/%d/%H%M%S}-1-{self._lines}.ndjson"
        self.bucket.write(f"{cluster}/_meta/journal/{name}", f"{json.dumps(line)}\n".encode())

    # The truth

    def expected(self) -> dict[str, str]:
        """Path -> git's hash of what the bucket has."""
        found = {}
        for key, etag in self.bucket.etags().items():
            if "/_meta/" in key:
                continue
            if etag not in self._hashes:
                body = self.bucket.read(key)
                self._hashes[etag] = sha1(b"blob %d\0%s" % (len(body), body)).hexdigest()
            found[key] = self._hashes[etag]
        return found

    def differences(self, *, without: Collection[str] = (), beside: Collection[str] = ()) -> str:
        """Between the bucket and the host's branch; "": they are equal. without: paths that must
        not be mirrored. beside: paths of somebody else's files, that must be there."""
        wanted = {path: blob for path, blob in self.expected().items() if path not in without}
        blobs = self.host.blobs() if self.host.commits() else {}
        found = {path: blob for path, blob in blobs.items() if path not in {*GENERATED, *beside}}
        other = {path for path in wanted.keys() & found.keys() if wanted[path] != found[path]}
        lines = [
            *(f"missing: {path}" for path in sorted(wanted.keys() - found.keys())),
            *(f"left over: {path}" for path in sorted(found.keys() - wanted.keys())),
            *(f"other bytes: {path}" for path in sorted(other)),
            *(f"lost: {path}" for path in sorted(set(beside) - blobs.keys())),
        ]
        return "\n".join(lines[:20])

    def wait_until_equal(
        self, timeout: float = 90, *, needs: Process | None = None, beside: Collection[str] = ()
    ) -> None:
        until(
            lambda: not self.differences(beside=beside),
            "mirror that equals the bucket",
            timeout=timeout,
            poll=0.5,
            needs=needs,
        )

    def is_sound(self) -> bool:
        """Fails where the host's history has a fault."""
        faults = self.host.faults()
        assert not faults, faults
        return True

    def true_subject(self, commit: str = BRANCH) -> str:
        """What the first line of a commit's message has to be, by `git diff`."""
        parent = self.host.git("log", "-1", "--format=%P", commit).split()
        changed = (
            ["diff", "--no-renames", "--name-status", parent[0], commit]
            if parent
            else ["diff-tree", "--root", "-r", "--no-commit-id", "--name-status", commit]
        )
        pairs = [line.split("\t") for line in self.host.git(*changed).splitlines()]
        files = [(action, path) for action, path in pairs if path not in GENERATED]
        clusters = {"/".join(path.split("/")[:2]) for _, path in files}
        counts = Counter(action for action, _ in files)
        where = clusters.pop() if len(clusters) == 1 else f"{len(clusters)} clusters"
        told = [f"{counts[it]:,} {word}" for it, word in _WORDS.items() if counts[it]]
        return ", ".join([where, *told])
