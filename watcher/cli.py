"""The command line: from words to settings, from errors to one line and an exit code.

Exists so that nothing below prints, exits or reads `sys`. Promises (DESIGN.md section 10): exit 0
done, 1 failed or something is wrong with the backup, 2 bad usage or settings, 3 refused for
safety; an error is a line a problem on stderr, never a traceback; `--help` is made from the
settings' table. Commands import what they run when they run it: `--help` loads no client library.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from watcher.errors import WatcherError
from watcher.settings import SETTINGS, Setting, Settings, gather, load, parse, show

if TYPE_CHECKING:
    from watcher.capture.service import Progress, Summary

_EXIT_CODES = """\b
Exit codes:
  0  done
  1  failed, or something is wrong with the backup
  2  bad usage or settings
  3  refused for safety: the prefix in the bucket is another cluster's"""

_PRECEDENCE = """\b
Every setting has one name everywhere; whoever comes first here wins:
  flag                 --max-delay 30s
  environment          MAX_DELAY=30s
  mounted Secret       a file max-delay in the folder of --secret-dir
  config file          max-delay: 30s in the file of --config
Put keys into the environment or the Secret: everybody on a machine sees flags."""


_FAILURES_SHOWN = 20


class _SettingOption(click.Option):
    def __init__(self, setting: Setting) -> None:
        flag = f"--{setting.name}"
        default = "required" if setting.default is None else setting.default
        super().__init__(
            [f"{flag}/--no-{setting.name}" if setting.switch else flag],
            default=None,
            metavar=setting.form.metavar,
            help=f"{setting.help}  [{default}]" if default else setting.help,
        )
        self.setting = setting

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record and self.setting.switch:
            return f"--[no-]{self.setting.name}", record[1]
        return record


class _SettingsCommand(click.Command):
    """A command that takes every setting as a flag, and shows them by group."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_SettingOption(setting) for setting in SETTINGS)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                group = param.setting.group if isinstance(param, _SettingOption) else "Options"
                groups.setdefault(group, []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records, col_max=30)


@click.group(epilog=_EXIT_CODES, context_settings={"max_content_width": 100})
def cli() -> None:
    """Keeps a continuous, cleaned YAML backup of every object of a Kubernetes cluster in a bucket.

    \b
    Try it with the current context of your kubeconfig and a folder as the bucket:
      watcher run --cluster-domain example.com --cluster-name east --minio-bucket file:///tmp/backup
    """


@cli.command(
    cls=_SettingsCommand, short_help="Follow the cluster.", epilog=f"{_PRECEDENCE}\n\n{_EXIT_CODES}"
)
@click.option("--once", is_flag=True, help="Stop when the bucket equals the cluster.")
def run(once: bool, **flags: Any) -> None:
    """Follow the cluster: every object, every change, in the bucket seconds later.

    Runs until SIGTERM or Ctrl-C, then writes what is pending; a second one stops at once.

    \b
    Example, with the keys in the environment (MINIO_ACCESS_KEY, MINIO_SECRET_KEY):
      watcher run --cluster-domain example.com --cluster-name east \\
        --minio-endpoint https://minio.example.com --minio-bucket cluster-backups
    """
    settings = load(_given(flags), os.environ)
    summary = _run(settings, once=once)
    if once:
        click.echo(_last_line(summary))
    if summary.failed:
        more = len(summary.failed) - _FAILURES_SHOWN
        also = [f"and {more} more"] if more > 0 else []
        raise WatcherError("\n".join([*summary.failed[:_FAILURES_SHOWN], *also]))


@cli.command(
    "settings",
    cls=_SettingsCommand,
    short_help="Print every setting and where it comes from.",
    epilog=_PRECEDENCE,
)
@click.option(
    "--output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    metavar="table|json",
    help="How to print them.  [table]",
)
def settings_(output: str, **flags: Any) -> None:
    """Print every setting, its value and where it comes from; secrets are masked.

    Then say what is wrong with them, if anything is.
    """
    if output == "markdown":
        click.echo(show.as_markdown(), nl=False)
        return
    gathered = gather(_given(flags), os.environ)
    click.echo(show.as_json(gathered) if output == "json" else show.as_table(gathered))
    for warning in gathered.warnings:
        click.echo(f"watcher: {warning}", err=True)
    parse(gathered)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"watcher {_version()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. The exit code; whatever went wrong was said on stderr."""
    try:
        cli.main(arguments, prog_name="watcher", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("stopped before it was done")
        return 1
    except Exception as error:
        # Concurrent tasks fail together: each error is said, the gravest decides.
        errors = list(_leaves(error))
        for each in errors:
            _complain(str(each) if isinstance(each, WatcherError) else f"a bug: {each!r}")
        return max(each.exit_code if isinstance(each, WatcherError) else 1 for each in errors)
    return 0


def _given(flags: Mapping[str, Any]) -> dict[str, str]:
    """The settings among a command's parameters that the user wrote, as text."""
    given = {name.replace("_", "-"): value for name, value in flags.items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in given.items()
    }


def _run(settings: Settings, *, once: bool) -> "Summary":
    import uvloop

    from watcher.capture import service
    from watcher.logs import open_log, take_over_library_logs
    from watcher.metrics import Metrics
    from watcher.serve.http import serving

    with _progress(settings) as progress:
        # Opened in here: on a terminal stderr is now the one above the line of progress.
        log = open_log(
            sys.stderr, settings.log_format, settings.log_level, lambda: datetime.now(UTC)
        )
        take_over_library_logs(log)
        for warning in settings.warnings:
            log.warning(warning)
        metrics = Metrics(_version())
        listen = settings.http_port and not once
        serve = partial(serving, settings.http_port, metrics=metrics) if listen else None

        async def follow() -> "Summary":
            return await service.run(
                settings,
                once=once,
                stop=_stop_by_signal(),
                metrics=metrics,
                serve=serve,
                log=log,
                progress=progress,
            )

        # Pages of lists are thousands of objects that no collection frees: looking at them at the
        # default of 700 took a fifth of a first sync's CPU, and memory is the same without.
        gc.set_threshold(10_000)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(follow())
        except Exception:
            log.debug("stopped by an error", exc_info=True)
            raise


def _stop_by_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second one ends the process as it always does."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def request_stop() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop)
    return stop


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


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _complain(message: str) -> None:
    for line in message.splitlines():
        click.echo(f"watcher: {line}", err=True)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("watcher")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0"


if __name__ == "__main__":
    sys.exit(main())
