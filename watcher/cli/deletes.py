"""`watcher deletes`: which files are held though their objects seem to be gone, and what to do.

Exists so that an operator decides by a file under `_meta` and nothing else: who may delete in the
bucket may allow a deletion, and no HTTP endpoint changes anything.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click
import orjson

from watcher.cli.bucket import columns, in_bucket, rfc3339
from watcher.cli.options import BUCKET_ONLY, EPILOG, SettingsCommand, output_option
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.bucket.held import Book, Hold, Orders
    from watcher.bucket.layout import Layout
    from watcher.bucket.store import Store

_SHOWN = 10  # keys


@click.group("deletes", short_help="Decide on deletions that are held.")
def command() -> None:
    """Decide on deletions that are held, because too much went at once or for another doubt.

    \b
    Why a file is held:
      many             too many objects of a kind, or of all, went at once
      history-lost     the cluster's etcd went back in time
      settings         the settings leave its object out now
      adopted          it was in the prefix before the first run
      take-over        it was in the prefix before `watcher claim --take-over`
      unknown          the record of what was held was damaged

    A file is released by itself when its object shows up again.
    """


@command.command("list", cls=SettingsCommand, groups=BUCKET_ONLY, epilog=EPILOG)
@click.option("--kept", is_flag=True, help="Show what is kept for good instead.")
@output_option()
def list_(kept: bool, output: str, **flags: Any) -> None:
    """Print what is held, why, since when, and what was decided and is yet to be done."""
    book, orders = in_bucket(flags, _read)
    shown = book.kept if kept else book.held
    verdicts = orders.verdicts(book)
    lines = [_line(key, hold, verdicts.get(key, "")) for key, hold in sorted(shown.items())]
    if output == "json":
        click.echo(orjson.dumps({"kept" if kept else "held": lines}, option=orjson.OPT_INDENT_2))
        return
    if lines:
        rows = [list(line.values()) for line in lines]
        click.echo(columns([["KEY", "WHY", "SINCE", "DECIDED"], *rows]))
    else:
        click.echo("Nothing is kept." if kept else "Nothing is held.")
    if book.kept and not kept:
        click.echo(f"watcher: {len(book.kept)} files are kept for good: see --kept", err=True)


@command.command(cls=SettingsCommand, groups=BUCKET_ONLY, epilog=EPILOG)
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN…")
@click.option("--yes", is_flag=True, help="Don't ask.")
@output_option()
def allow(patterns: tuple[str, ...], yes: bool, output: str, **flags: Any) -> None:
    """Delete these files, once the cluster was asked for their objects one more time.

    A PATTERN is a key as `list` prints it, in which * stands for any text. The running service, or
    the next one, does it within some two minutes. Nothing that is held later is deleted; what is
    kept for good only if its whole key is given.

    \b
    Example, with the settings in the environment:
      watcher deletes allow 'shop/*' '*/configmap/*'
    """
    _decide("allow", patterns, flags, ask=not yes and output == "table", output=output)


@command.command(cls=SettingsCommand, groups=BUCKET_ONLY, epilog=EPILOG)
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN…")
@output_option()
def keep(patterns: tuple[str, ...], output: str, **flags: Any) -> None:
    """Keep these files for good: they count as held no more, until their objects come back.

    A PATTERN is a key as `list` prints it, in which * stands for any text.
    """
    _decide("keep", patterns, flags, ask=False, output=output)


def _decide(
    verb: str, patterns: tuple[str, ...], flags: dict[str, Any], *, ask: bool, output: str
) -> None:
    async def decide(store: "Store", layout: "Layout") -> "Mapping[str, Hold]":
        from watcher.bucket import held

        book, _ = await _read(store, layout)
        for pattern in patterns:
            if not book.matching([pattern]):
                raise UsageError(f"nothing that is held matches {pattern!r}")
        chosen = book.matching(patterns)
        if output == "table":
            what = "to be deleted" if verb == "allow" else "to be kept for good"
            click.echo(f"{len(chosen)} files {what}:\n{_first(chosen)}")
        if ask and sys.stdin.isatty():
            click.confirm("Delete them?", abort=True, err=True)
        await held.change_orders(
            store, layout, lambda orders: held.with_order(orders, verb, patterns, book)
        )
        return chosen

    chosen = in_bucket(flags, decide)
    if output == "json":
        click.echo(orjson.dumps({verb: sorted(chosen)}, option=orjson.OPT_INDENT_2))


async def _read(store: "Store", layout: "Layout") -> "tuple[Book, Orders]":
    """What is held, and the orders about it. Raises WatcherError."""
    from watcher.bucket import held

    here = layout.prefix + layout.meta("")
    record = await held.fetch(store, layout, held.HELD)
    orders = await held.fetch(store, layout, held.ORDERS)
    return (
        held.read_book(record.body, here + held.HELD) if record.etag else held.Book(),
        held.read_orders(orders.body, here + held.ORDERS) if orders.etag else held.Orders(),
    )


def _line(key: str, hold: "Hold", decided: str) -> dict[str, str]:
    since = rfc3339(hold.since)
    return {"key": key, "why": hold.why, "since": since, "decided": decided}


def _first(keys: Iterable[str]) -> str:
    keys = list(keys)
    more = len(keys) - _SHOWN
    return "\n".join([f"  {key}" for key in keys[:_SHOWN]] + [f"  and {more} more"] * (more > 0))
