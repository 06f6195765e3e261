"""`watcher clusters`: are all clusters of the bucket backed up, and which are no more?

Exists so that one command answers for a thousand clusters, from the bucket alone. Promises: looking
writes nothing and lists no object; `retire` writes one mark, and never while somebody writes there.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.bucket import check_there, in_store, still_alive
from watcher.cli.options import (
    EPILOG,
    SettingsCommand,
    SettingsGroup,
    given,
    load_settings,
    output_option,
)
from watcher.errors import PreconditionError, UsageError, WatcherError

if TYPE_CHECKING:
    from watcher.bucket.layout import Layout
    from watcher.bucket.store import Store
    from watcher.fleet.clusters import Fleet

_GROUPS = ("The bucket", "Where settings come from")
_ALL = "watcher clusters prints all that there are"
_OPTIONAL = ("cluster-domain", "cluster-name")


@click.group(
    "clusters",
    cls=SettingsGroup,
    groups=_GROUPS,
    without=("sse", "sse-kms-key-id", "fsync"),
    optional=_OPTIONAL,
    invoke_without_command=True,
    short_help="Are all clusters of the bucket backed up?",
    epilog=EPILOG,
)
@click.option(
    "--cluster",
    "patterns",
    metavar="DOMAIN/NAME",
    multiple=True,
    help="Only these. * matches any text; may be repeated.",
)
@output_option()
@click.pass_context
def command(ctx: click.Context, /, patterns: tuple[str, ...], output: str, **flags: Any) -> None:
    """Print every cluster of the bucket, those with which something is wrong first.

    Reads what each writes about itself (heartbeat, last reconcile, held deletes), and no object:
    whether the files themselves are sound, `watcher verify` tells. Needs no cluster, and of the
    bucket no more than the right to list and read. Exits 1 if anything is wrong.

    \b
    Example:
      watcher clusters --minio-endpoint https://minio.example.com --minio-bucket cluster-backups
    """
    if ctx.invoked_subcommand:
        if patterns or given(flags):
            raise UsageError(
                f"clusters {ctx.invoked_subcommand}: give flags behind {ctx.invoked_subcommand}"
            )
        return
    settings = load_settings(flags, optional=_OPTIONAL)

    async def look(store: "Store") -> "Fleet":
        from watcher.fleet.clusters import look_at_all

        found = await look_at_all(store, _now, at_once=settings.concurrency, patterns=patterns)
        if not found.clusters:
            matches = f" that matches {', '.join(patterns)}" if patterns else ""
            raise WatcherError(f"there is no cluster in {store.name}{matches}")
        return found

    fleet = in_store(settings, look)
    from watcher.cli import fleet as view

    if output == "json":
        click.echo(view.as_json(fleet))
    else:
        from rich.console import Console

        view.print_table(fleet, Console(width=240, highlight=False))
    if wrong := len(fleet.wrong):
        total = len(fleet.clusters)
        raise WatcherError(
            f"something is wrong with {wrong:,} of {total:,} cluster{'' if total == 1 else 's'}"
        )


@command.command(
    cls=SettingsCommand,
    groups=_GROUPS,
    optional=_OPTIONAL,
    short_help="Mark a cluster that is no more.",
    epilog=EPILOG,
)
@click.argument("cluster", metavar="DOMAIN/NAME")
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads it later.")
def retire(cluster: str, reason: str, **flags: Any) -> None:
    """Mark a cluster that is no more: from now on its backup may be old.

    `watcher clusters`, the page, the alerts and `watcher verify` find nothing wrong with it any
    more. Its files stay. Refused while somebody writes there.
    """
    layout = _layout(cluster)

    async def mark(store: "Store") -> str:
        from watcher.bucket import heartbeat, retired

        await check_there(store, layout, hint=_ALL)
        last = await heartbeat.newest(store, layout)
        now = _now()
        if last is not None and last.is_alive(now):
            raise still_alive(layout.prefix, f"{last.writer} writes")
        try:
            await retired.mark(store, layout, retired.Retired(now, reason))
        except PreconditionError:
            return f"{cluster} was retired already"
        return f"{cluster} is retired"

    click.echo(in_store(load_settings(flags, optional=_OPTIONAL), mark))


@command.command(
    cls=SettingsCommand,
    groups=_GROUPS,
    optional=_OPTIONAL,
    short_help="Take that mark back.",
    epilog=EPILOG,
)
@click.argument("cluster", metavar="DOMAIN/NAME")
def unretire(cluster: str, **flags: Any) -> None:
    """Take the mark of a retired cluster back: it is expected to be backed up again."""
    layout = _layout(cluster)

    async def unmark(store: "Store") -> str:
        from watcher.bucket import retired

        await check_there(store, layout, hint=_ALL)
        await retired.unmark(store, layout)
        return f"{cluster} is not retired"

    click.echo(in_store(load_settings(flags, optional=_OPTIONAL), unmark))


def _layout(cluster: str) -> "Layout":
    from watcher.bucket.fleet import named

    layout = named(cluster)
    if layout is None:
        raise UsageError(f"{cluster!r}: expected a cluster as cluster-domain/cluster-name")
    return layout


def _now() -> datetime:
    return datetime.now(UTC)
