"""The command line: from words to settings, from errors to one line and an exit code.

Exists so that nothing below prints, exits or reads `sys`. Promises (DESIGN.md section 10): exit 0
done, 1 failed or something is wrong with the backup, 2 bad usage or settings, 3 refused for
safety; an error is a line a problem on stderr, never a traceback (and nothing where nobody reads
stdout any more); `--help` is made from the settings' table. A command has a module; it imports what
it runs when it runs it: `--help` loads no client library.
"""

import os
import sys
from collections.abc import Iterator, Sequence

import click

from watcher.cli import (
    audit,
    bucket_init,
    claim,
    clusters,
    deletes,
    git_sync,
    policy,
    reconcile,
    run,
    settings,
    trash,
    verify,
)
from watcher.cli.options import EXIT_CODES
from watcher.cli.process import heed_sigterm, version_of_program
from watcher.errors import WatcherError


@click.group(epilog=EXIT_CODES, context_settings={"max_content_width": 100})
def cli() -> None:
    """Keeps a continuous, cleaned YAML backup of every object of a Kubernetes cluster in a bucket.

    \b
    Try it with the current context of your kubeconfig and a folder as the bucket:
      watcher run --cluster-domain example.com --cluster-name east --minio-bucket file:///tmp/backup
    """


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"watcher {version_of_program()}")


for command in (
    run.command,
    reconcile.command,
    verify.command,
    deletes.command,
    trash.command,
    claim.command,
    clusters.command,
    audit.command,
    git_sync.command,
    policy.command,
    bucket_init.group,
    settings.command,
    version,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. The exit code; whatever went wrong was said on stderr."""
    heed_sigterm()
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
        if any(isinstance(each, BrokenPipeError) for each in errors):
            return _nobody_reads()
        said = (str(e) if isinstance(e, WatcherError) else f"a bug: {e!r}" for e in errors)
        for line in dict.fromkeys(said):
            _complain(line)
        return max(each.exit_code if isinstance(each, WatcherError) else 1 for each in errors)
    return 0


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _nobody_reads() -> int:
    """After `| head`. Python would complain when it flushes stdout at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _complain(message: str) -> None:
    for line in message.splitlines():
        click.echo(f"watcher: {line}", err=True)
