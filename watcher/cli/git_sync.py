"""`watcher git-sync`: one git repository that mirrors the whole bucket."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.changes import Changes
from watcher.cli.options import EPILOG, SettingsCommand, load_settings
from watcher.cli.process import log_of, run_until_done, stop_by_signal, version_of_program
from watcher.errors import UsageError, WatcherError
from watcher.logs import Log, Threshold
from watcher.settings import Settings
from watcher.settings.git import GROUP

if TYPE_CHECKING:
    from watcher.fleet.lookout import Lookout
    from watcher.gitsync.mirror import Summary
    from watcher.gitsync.service import Rounds
    from watcher.metrics import FleetMetrics

_OPTIONAL = ("cluster-domain", "cluster-name")
_SHOWN = 20


@click.command(
    "git-sync",
    cls=SettingsCommand,
    groups=(
        *(GROUP, "The bucket", "How it is captured"),
        *("Running and observing", "Where settings come from"),
    ),
    without=(
        *("sse", "sse-kms-key-id", "fsync", "debounce", "max-delay", "memory-budget"),
        *("grace-period", "max-delete-ratio", "trash-days"),
    ),
    optional=_OPTIONAL,
    short_help="Mirror the bucket into a git repository.",
    epilog=EPILOG,
)
@click.option("--once", is_flag=True, help="Stop when the branch equals the bucket.")
def command(once: bool, **flags: Any) -> None:
    """Mirror the whole bucket, all of its clusters, into one branch of a git repository.

    Shows on http-port how all clusters are: a page for people, metrics for Prometheus.
    Needs to list and read the bucket (watcher policy s3 --role git-sync) and to push. Runs until
    SIGTERM or Ctrl-C; nothing is lost if it is killed.

    \b
    Example, with the keys in the environment (MINIO_ACCESS_KEY, MINIO_SECRET_KEY, GIT_SSH_KEY):
      watcher git-sync --minio-endpoint https://minio.example.com --minio-bucket cluster-backups \\
        --git-repository git@git.example.com:platform/clusters.git \\
        --git-known-hosts "$(cat known_hosts)"
    """
    settings = load_settings(flags, optional=_OPTIONAL)
    if not settings.git_repository:
        raise UsageError(
            "git-repository is missing: give it as flag --git-repository, environment variable"
            " GIT_REPOSITORY or key git-repository of the mounted Secret"
        )
    threshold = Threshold(settings.log_level)
    log = log_of(settings, level=threshold)
    summary = run_until_done(_run(settings, flags, threshold, log, once=once), log)
    if summary is not None:
        click.echo(_last_line(summary))
        _judge(summary)


async def _run(
    settings: Settings, flags: Mapping[str, Any], threshold: Threshold, log: Log, *, once: bool
) -> "Summary | None":
    from watcher.bucket.opening import open_store
    from watcher.fleet.lookout import Lookout
    from watcher.gitsync.service import Rounds, copy_of
    from watcher.metrics import FleetMetrics

    def now() -> datetime:
        return datetime.now(UTC)

    metrics = FleetMetrics(version_of_program())
    with copy_of(settings) as repository:
        async with open_store(settings, metrics.observe_request, now) as store:
            rounds = Rounds(store, repository, settings, metrics, log, now, Random())
            if once:
                return await rounds.once()
            stop = stop_by_signal()
            changes = Changes(settings, flags, threshold, stop, log, optional=_OPTIONAL)
            lookout = Lookout(store, metrics, log, now, settings.concurrency)
            serving = _serving(settings.http_port, rounds, lookout, metrics)
            async with changes.heeded(store), serving:
                await _work(rounds, lookout, metrics, stop)
    return None


def _serving(
    port: int, rounds: "Rounds", lookout: "Lookout", metrics: "FleetMetrics"
) -> AbstractAsyncContextManager[object]:
    """port: 0 serves nothing."""
    from watcher.serve.fleet import render
    from watcher.serve.http import serving

    def page(refresh: int | None) -> str:
        fleet, version = lookout.fleet, metrics.version
        return render(fleet, now=lookout.clock(), version=version, refresh=refresh)

    if not port:
        return nullcontext()
    return serving(
        port,
        live=lambda: None,
        ready=lambda: rounds.not_ready,
        pages={"/": page, "/fleet": page},
        metrics=metrics,
    )


async def _work(
    rounds: "Rounds", lookout: "Lookout", metrics: "FleetMetrics", stop: asyncio.Event
) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(rounds.run()),
            group.create_task(lookout.run()),
            group.create_task(metrics.observe_event_loop()),
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()


def _last_line(summary: "Summary") -> str:
    made = summary.made
    return (
        f"{_count(summary.clusters, 'cluster')}, {made['M']} changed, {made['A']} added,"
        f" {made['D']} deleted in {_count(summary.commits, 'commit')}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _judge(summary: "Summary") -> None:
    """Raises WatcherError where the branch does not equal the bucket."""
    problems = [f"{cluster}: {why}" for cluster, why in sorted(summary.behind.items())]
    kept_out = sorted((summary.left_out | summary.rejected).items())
    problems += [f"{path} is not mirrored: {why}" for path, why in kept_out]
    if len(problems) > _SHOWN:
        problems[_SHOWN:] = [f"and {len(problems) - _SHOWN} more"]
    if summary.unpublished:
        problems.append(summary.unpublished)
    if problems:
        raise WatcherError("\n".join(problems))
