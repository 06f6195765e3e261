"""`watcher run`: follow the cluster, or with `--once` make the bucket equal to it."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.changes import Changes
from watcher.cli.options import CAPTURE, EPILOG, SettingsCommand, load_settings
from watcher.cli.process import log_of, run_until_done, stop_by_signal, version_of_program
from watcher.errors import RefusedError, WatcherError
from watcher.logs import Threshold
from watcher.settings import Settings

if TYPE_CHECKING:
    from watcher.capture.service import Progress, Summary
    from watcher.metrics import Metrics
    from watcher.serve.http import Check
    from watcher.status import Status

_FAILURES_SHOWN = 20


@click.command(
    "run", cls=SettingsCommand, groups=CAPTURE, short_help="Follow the cluster.", epilog=EPILOG
)
@click.option("--once", is_flag=True, help="Stop when the bucket equals the cluster.")
@click.option(
    "--takeover",
    is_flag=True,
    help="Write although another instance seems to be alive (its heartbeat is fresh).",
)
def command(once: bool, takeover: bool, **flags: Any) -> None:
    """Follow the cluster: every object, every change, in the bucket seconds later.

    Runs until SIGTERM or Ctrl-C, then writes what is pending; a second one stops at once.

    \b
    Example, with the keys in the environment (MINIO_ACCESS_KEY, MINIO_SECRET_KEY):
      watcher run --cluster-domain example.com --cluster-name east \\
        --minio-endpoint https://minio.example.com --minio-bucket cluster-backups
    """
    summary = _run(flags, once=once, takeover=takeover)
    if once:
        click.echo(_last_line(summary))
    if summary.failed:
        more = len(summary.failed) - _FAILURES_SHOWN
        also = [f"and {more} more"] if more > 0 else []
        raise WatcherError("\n".join([*summary.failed[:_FAILURES_SHOWN], *also]))
    if once and summary.held:
        raise RefusedError(
            f"{summary.held} files are kept though their objects are gone: too many at once",
            hint="look at watcher deletes list",
        )


def _run(flags: Mapping[str, Any], *, once: bool, takeover: bool) -> "Summary":
    from watcher.capture import service
    from watcher.metrics import Metrics

    settings = load_settings(flags)
    with _progress(settings) as progress:
        # Opened in here: on a terminal stderr is now the one above the line of progress.
        threshold = Threshold(settings.log_level)
        log = log_of(settings, level=threshold)
        metrics = Metrics(version_of_program())
        listen = settings.http_port and not once
        serve = partial(_serving, settings.http_port, metrics=metrics) if listen else None

        async def follow() -> "Summary":
            stop = stop_by_signal()
            changes = Changes(settings, flags, threshold, stop, log)
            return await service.run(
                settings,
                once=once,
                takeover=takeover,
                stop=stop,
                metrics=metrics,
                serve=serve,
                log=log,
                progress=progress,
                beside=nullcontext if once else changes.heeded,
            )

        return run_until_done(follow(), log)


def _serving(
    port: int,
    *,
    live: "Check",
    ready: "Check",
    status: "Callable[[], Status]",
    metrics: "Metrics",
) -> AbstractAsyncContextManager[int]:
    from watcher.serve.http import serving
    from watcher.serve.status import render

    def page(refresh: int | None) -> str:
        return render(status(), refresh=refresh)

    return serving(port, live=live, ready=ready, pages={"/": page}, metrics=metrics)


@contextmanager
def _progress(settings: Settings) -> Iterator[Callable[["Progress"], None] | None]:
    """On a terminal, a last line that is kept up to date; elsewhere the log tells enough."""
    if not sys.stderr.isatty() or settings.log_format != "auto":
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("connecting") as status:
        yield lambda progress: status.update(_progress_line(progress))


def _progress_line(progress: "Progress") -> str:
    return (
        f"{progress.kinds_listed}/{progress.kinds} kinds listed, {progress.objects} objects,"
        f" {progress.written} written, {progress.pending} pending"
    )


def _last_line(summary: "Summary") -> str:
    return (
        f"{summary.written} written, {summary.unchanged} unchanged, {summary.deleted} deleted,"
        f" {summary.skipped} skipped in {summary.seconds:.1f} s"
    )
