"""Equality: `run --once` on a busy real cluster puts every object into its file, and nothing else.

One cluster of more than 10,000 objects besides Events, synced once for all tests of this file;
nothing changes there any more once it is filled, except what nodes and controllers do all the time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e import oracle, parsers
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import Expected
from tests.e2e.watcher_process import PREFIX, running

NAMESPACES = 165  # some 10,500 objects

pytestmark = pytest.mark.timeout(900)  # of the first test of this file: filling takes minutes


@dataclass(frozen=True, slots=True)
class Synced:
    """A cluster, and the bucket after one `run --once`."""

    plane: ControlPlane
    bucket: Bucket
    wanted: dict[str, Expected] = field(repr=False)
    exit_code: int
    log: str = field(repr=False)

    @property
    def files(self) -> dict[str, bytes]:
        return {key: one.file for key, one in self.wanted.items()}


@pytest.fixture(scope="module")
def synced(minio: Minio) -> Iterator[Synced]:
    with TemporaryDirectory(prefix="watcher-e2e-", ignore_cleanup_errors=True) as folder:
        plane = ControlPlane(Path(folder, "plane"), controllers=True)
        try:
            fill(plane, namespaces=NAMESPACES)
            bucket = minio.new_bucket()
            code, log = once(Path(folder, "first"), plane, bucket)
            yield Synced(plane, bucket, oracle.expected(plane.api()), code, log)
        finally:
            plane.close()


def once(folder: Path, plane: ControlPlane, bucket: Bucket) -> tuple[int, str]:
    """Exit code and log of `watcher run --once`."""
    with running(folder, plane.kubeconfig(), bucket, "run", "--once") as watcher:
        return watcher.wait(300), watcher.log


def last_line(log: str) -> tuple[int, ...]:
    """Written, unchanged, deleted, skipped."""
    told = r"(\d+) written, (\d+) unchanged, (\d+) deleted, (\d+) skipped in [0-9.]+ s"
    found = re.fullmatch(told, log.splitlines()[-1])
    assert found, log
    return tuple(int(number) for number in found.groups())


def test_every_object_is_in_its_file_and_nothing_else_is_there(synced: Synced) -> None:
    assert len(synced.wanted) >= 10_000
    found = oracle.differences(synced.plane.api(), synced.bucket)
    assert not found, oracle.report(found)
    everywhere = synced.bucket.keys()
    assert [key for key in everywhere if not key.startswith(PREFIX)] == []


def test_a_file_lacks_only_what_the_list_of_removals_names(synced: Synced) -> None:
    found = list(oracle.faults(synced.wanted))
    assert not found, oracle.report(found)


def test_three_parsers_read_the_same_object_from_every_file(synced: Synced) -> None:
    found = list(parsers.disagreements(synced.plane, synced.files))
    assert not found, oracle.report(found)


def test_the_last_line_counts_what_was_written(synced: Synced) -> None:
    assert synced.exit_code == 0
    written, unchanged, deleted, skipped = last_line(synced.log)
    assert (written, unchanged, deleted) == (len(synced.wanted), 0, 0)
    assert skipped > 0


def test_a_second_run_writes_nothing(synced: Synced, tmp_path: Path) -> None:
    before = synced.bucket.etags(PREFIX)
    code, log = once(tmp_path, synced.plane, synced.bucket)
    written, unchanged, deleted, _ = last_line(log)
    assert (code, written, unchanged, deleted) == (0, 0, len(synced.wanted), 0)
    after = synced.bucket.etags(PREFIX)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert all(key.startswith(f"{PREFIX}_meta/") for key in changed)
