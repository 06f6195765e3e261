"""When rounds are made, and what becomes of one that fails. What a round does is played here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from random import Random
from typing import cast

import pytest

from tests.memory_store import MemoryStore
from watcher.errors import BucketUnreachableError, RefusedError, UsageError
from watcher.gitsync.git import GitError
from watcher.gitsync.mirror import Mirror, Summary
from watcher.gitsync.remote import RemoteError
from watcher.gitsync.repository import Repository
from watcher.gitsync.service import Rounds, copy_of
from watcher.logs import open_log
from watcher.metrics import FleetMetrics
from watcher.settings import load

START = datetime(2026, 11, 26, 3, 30, tzinfo=UTC)
MINUTE, HOUR = 60.0, 3600.0

pytestmark = pytest.mark.looptime


class Copy:
    """Stands for the local copy."""

    def __init__(self) -> None:
        self.grown = False
        self.forgotten = 0

    async def has_grown(self) -> bool:
        return self.grown

    async def unpublished(self) -> int:
        return 0

    def forget(self) -> None:
        self.forgotten += 1
        self.grown = False


class Played(Rounds):
    """outcomes: of one round after the other; at the end of them all is well."""

    def __init__(self, *outcomes: Exception | Summary, **settings: str) -> None:
        self.outcomes = list(outcomes)
        self.made: list[tuple[float, bool]] = []  # when, and whether it was a full one
        self.copy = Copy()
        self.logged = StringIO()
        self.jump = timedelta()
        given = {"GIT_REPOSITORY": "/r", **{name.upper(): it for name, it in settings.items()}}
        super().__init__(
            MemoryStore(),
            cast(Repository, self.copy),
            load({"minio-bucket": "backups"}, given, optional=("cluster-domain", "cluster-name")),
            FleetMetrics("1"),
            open_log(self.logged, "logfmt", "info", self.now),
            self.now,
            Random(0),
        )

    def now(self) -> datetime:
        time = asyncio.get_running_loop().time()
        return START + timedelta(seconds=time) + self.jump

    async def mirror(self) -> Mirror:
        return cast(Mirror, self)

    async def round(self, *, full: bool) -> Summary:
        self.made.append((asyncio.get_running_loop().time(), full))
        outcome = self.outcomes.pop(0) if self.outcomes else Summary()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def metric(self, name: str) -> float:
        page, _ = self.metrics.render("")
        [line] = [it for it in page.decode().splitlines() if it.startswith(f"watcher_{name} ")]
        return float(line.split()[1])


@asynccontextmanager
async def running(rounds: Played) -> AsyncIterator[None]:
    task = asyncio.create_task(rounds.run())
    await asyncio.sleep(0.1)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_first_round_is_at_once_and_the_next_at_its_time() -> None:
    rounds = Played()  # at 4:00
    async with running(rounds):
        await asyncio.sleep(25 * HOUR)
    assert [full for _, full in rounds.made] == [True] * 3
    assert [round(time / MINUTE) for time, _ in rounds.made] == [0, 30, 30 + 24 * 60]


async def test_continuous_rounds_are_quick_but_for_one_a_day() -> None:
    rounds = Played(git_sync_schedule="continuous", git_sync_interval="1h")
    async with running(rounds):
        await asyncio.sleep(49 * HOUR - 1)
    assert [time // HOUR for time, full in rounds.made if full] == [0, 24, 48]
    assert len(rounds.made) == 49


async def test_a_clock_that_is_put_back_does_not_stop_the_rounds() -> None:
    rounds = Played()
    async with running(rounds):
        await asyncio.sleep(MINUTE)
        rounds.jump = timedelta(days=-300)
        await asyncio.sleep(MINUTE)
    assert len(rounds.made) == 2


async def test_it_is_ready_once_a_round_was_made_and_stays_so() -> None:
    rounds = Played(RemoteError("no route to host"), Summary(), BucketUnreachableError("no answer"))
    async with running(rounds):
        assert rounds.not_ready == "no route to host"
        await asyncio.sleep(MINUTE)
        assert rounds.not_ready is None
        await asyncio.sleep(HOUR)
        assert rounds.not_ready is None


@pytest.mark.parametrize(
    ("outcome", "said", "reason"),
    [
        (RemoteError("no route"), "pushing to the repository fails", "remote"),
        (BucketUnreachableError("no answer"), "reading the bucket fails", "bucket"),
        (RefusedError("holds no cluster"), "reading the bucket fails", "bucket"),
        (GitError("fsck", "fatal: bad object"), "working on the local copy fails", "copy"),
        (OSError(28, "No space left on device"), "working on the local copy fails", "copy"),
        (Summary(unpublished="no route"), "pushing to the repository fails", "remote"),
    ],
)
async def test_what_fails_is_said_once_tried_again_soon_and_its_end_is_told(
    outcome: Exception | Summary, said: str, reason: str
) -> None:
    rounds = Played(outcome, outcome, outcome)
    async with running(rounds):
        await asyncio.sleep(10 * MINUTE)
        counter = f'git_failures_total{{reason="{reason}"}}'
        assert rounds.metric(counter) == 3
    assert len(rounds.made) == 4
    assert rounds.logged.getvalue().count(said) == 1
    assert rounds.logged.getvalue().count(said.replace("fails", "works again")) == 1


async def test_a_copy_that_failed_is_made_anew() -> None:
    rounds = Played(GitError("fsck", "fatal: bad object"))
    async with running(rounds):
        await asyncio.sleep(MINUTE)
    assert rounds.copy.forgotten == 1


async def test_a_copy_that_has_grown_is_made_anew_once_all_is_pushed() -> None:
    rounds = Played(Summary(unpublished="no route"))
    rounds.copy.grown = True
    async with running(rounds):
        assert rounds.copy.forgotten == 0
        await asyncio.sleep(MINUTE)
        assert rounds.copy.forgotten == 1


async def test_clusters_that_are_behind_are_tried_again_by_quick_rounds() -> None:
    behind = Summary(behind={"example.com/east": "access denied"})
    rounds = Played(behind, behind)
    async with running(rounds):
        await asyncio.sleep(5 * MINUTE)
        assert [full for _, full in rounds.made] == [True, False, False]
    assert rounds.logged.getvalue().count("a cluster cannot be read") == 1
    assert rounds.logged.getvalue().count("a cluster can be read again") == 1


async def test_a_cluster_that_stays_behind_does_not_keep_the_others_from_full_rounds() -> None:
    behind = Summary(behind={"example.com/east": "it has a newer format"})
    rounds = Played(*[behind] * 10_000)
    async with running(rounds):
        await asyncio.sleep(72 * HOUR)
    assert sum(full for _, full in rounds.made) == 4


async def test_only_a_branch_that_equals_the_bucket_counts_as_success() -> None:
    rounds = Played(
        Summary(behind={"example.com/east": "access denied"}), Summary(unpublished="no route")
    )
    async with running(rounds):
        assert rounds.metric("git_last_success_timestamp_seconds") == 0
        await asyncio.sleep(5 * MINUTE)
        assert rounds.metric("git_last_success_timestamp_seconds") > START.timestamp()


async def test_files_that_are_kept_out_are_told_of_once_and_counted() -> None:
    kept_out = Summary(
        left_out={"a/b/c/secret/d.yaml": "plain-secret"}, rejected={"a/b/c/d/e.yaml": "too large"}
    )
    rounds = Played(*[kept_out] * 3, git_sync_schedule="continuous")
    async with running(rounds):
        await asyncio.sleep(12 * MINUTE)
        assert rounds.metric('git_refused_files{reason="plain-secret"}') == 1
        assert rounds.metric('git_refused_files{reason="rejected"}') == 1
    assert rounds.logged.getvalue().count("a file is not mirrored") == 2


def test_a_folder_serves_one_process_at_a_time(tmp_path: Path) -> None:
    settings = load(
        {"minio-bucket": "backups", "git-repository": "/r", "git-cache-dir": str(tmp_path)},
        {},
        optional=("cluster-domain", "cluster-name"),
    )
    held = copy_of(settings)
    with held, pytest.raises(UsageError, match="in use by another process"), copy_of(settings):
        pass
    with copy_of(settings):
        pass
