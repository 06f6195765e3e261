"""`watcher audit`: who changed what, anywhere?

Exists so that one command answers for all clusters, from their journals. Promises: prints while it
reads, and keeps nothing; a cluster that cannot be read is named at the end and hides no other.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
import orjson

from watcher.cli.bucket import in_store, rfc3339
from watcher.cli.options import EPILOG, SettingsCommand, load_settings, output_option
from watcher.errors import UsageError, WatcherError
from watcher.settings.forms import duration

if TYPE_CHECKING:
    from watcher.bucket.audit import Entry
    from watcher.bucket.journal import Line
    from watcher.bucket.layout import Layout
    from watcher.bucket.store import Store

_OPTIONAL = ("cluster-domain", "cluster-name")
_ACTIONS = ("create", "update", "delete", "left-out", "repair")
_SHOWN = 20
_HEAD = ("TIME", "CLUSTER", "ACTION", "OBJECT", "BY", "VERSION", "NOTE")
_WIDTHS = (20, 7, 8, 48, 24, 7, 0)  # to begin with: a column grows with what comes


def _patterns(flag: str, metavar: str, said: str) -> Callable[..., Any]:
    return click.option(
        f"--{flag}", metavar=metavar, multiple=True, help=f"{said} * is any text; may be repeated."
    )


@click.command(
    "audit",
    cls=SettingsCommand,
    groups=("The bucket", "Where settings come from"),
    without=("sse", "sse-kms-key-id", "fsync"),
    optional=_OPTIONAL,
    short_help="Who changed what, in all clusters?",
    epilog=EPILOG,
)
@click.option("--since", default="24h", metavar="TIME", help="From when on.  [24h]")
@click.option("--until", metavar="TIME", help="Up to when.  [now]")
@_patterns("cluster", "DOMAIN/NAME", "Only these.")
@_patterns("kind", "KIND", "Only these, as the bucket's folders name them: deployment.")
@_patterns("namespace", "NAMESPACE", "Only of these; _cluster: of none.")
@_patterns("by", "MANAGER", "Only changes by these, as managedFields names them.")
@click.option(
    "--action", type=click.Choice(_ACTIONS), multiple=True, help="Only these; may be repeated."
)
@output_option("How to print it: json is an object a line.")
def command(
    since: str,
    until: str | None,
    cluster: tuple[str, ...],
    kind: tuple[str, ...],
    namespace: tuple[str, ...],
    by: tuple[str, ...],
    action: tuple[str, ...],
    output: str,
    **flags: Any,
) -> None:
    """Print what was stored of all clusters in the bucket, in the order of time.

    A TIME is an age (90m, 7d), a date or a time of RFC 3339 (UTC if it names no zone). Needs no
    cluster, and of the bucket no more than the right to list and read. The journals are a minute
    late. Exits 1 if one of them cannot be read; the others are printed all the same.

    \b
    Example, what people changed by hand since a night:
      watcher audit --since 2026-01-31T18:00:00Z --by 'kubectl*' --cluster 'production.*/*'
    """
    settings = load_settings(flags, optional=_OPTIONAL)
    now = datetime.now(UTC)
    begin, end = (
        _time("--since", since, now),
        None if until is None else _time("--until", until, now),
    )
    if end is not None and begin >= end:
        raise UsageError(f"--since {since!r}: expected a time before --until {until!r}")
    table = output == "table"

    async def tell(store: "Store") -> tuple[int, dict[str, str]]:
        from watcher.bucket import audit

        layouts = await _chosen(store, cluster)
        kinds = tuple(it.lower() for it in kind)  # as folders are
        wanted = audit.Wanted(begin, end, kinds, namespace, by, action)
        printed = _Table([it.name for it in layouts]) if table else _Lines()
        faults = await audit.tell(store, layouts, wanted, printed, at_once=settings.concurrency)
        return printed.count, faults

    count, faults = in_store(settings, tell)
    sys.stdout.flush()
    if table and not count:
        click.echo(f"watcher: nothing of this was stored since {rfc3339(begin)}", err=True)
    if faults:
        lines = [f"{name} is not told in full: {why}" for name, why in faults.items()]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [f"and {len(lines) - _SHOWN:,} more"]
        raise WatcherError("\n".join(lines))


async def _chosen(store: "Store", patterns: Sequence[str]) -> "list[Layout]":
    from watcher.bucket import fleet
    from watcher.bucket.patterns import matches

    found = await fleet.matching(store, patterns)
    missing = [it for it in patterns if not any(matches(each.name, [it]) for each in found)]
    if missing or not found:
        meant = f" that matches {', '.join(missing)}" if missing else ""
        raise WatcherError(f"there is no cluster in {store.name}{meant}")
    return found


def _time(flag: str, text: str, now: datetime) -> datetime:
    try:
        with suppress(ValueError):
            return _dated(now - timedelta(seconds=duration(text)))
        return _dated(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise UsageError(
            f"{flag} {text!r}: expected an age such as 90m or 7d, a date, or a time such as"
            " 2026-01-31T18:00:00Z"
        ) from None


def _dated(at: datetime) -> datetime:
    if not 1970 <= at.year < 9999:
        raise ValueError("no journal is from then")
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


class _Lines:
    """A JSON object a line."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, entry: "Entry") -> None:
        self.count += 1
        place = entry.place
        where = dict(zip(("namespace", "kind", "name"), place or (None, None, None), strict=True))
        line = orjson.dumps({"cluster": entry.cluster, **where, **entry.line._asdict()})
        sys.stdout.write(f"{line.decode()}\n")


class _Table:
    """Aligned, though nobody knows what is to come."""

    def __init__(self, clusters: Sequence[str]) -> None:
        self.count = 0
        self._widths = [*_WIDTHS]
        self._widths[1] = max(map(len, clusters))

    def __call__(self, entry: "Entry") -> None:
        if not self.count:
            self._write(_HEAD)
        self.count += 1
        line = entry.line
        namespace, _, rest = line.key.removesuffix(".yaml").partition("/")
        kind, _, name = rest.partition("/")
        self._write(
            (
                rfc3339(entry.at.astimezone(UTC)),
                entry.cluster,
                line.action,
                f"{kind}/{name}" if namespace == "_cluster" else f"{kind}/{namespace}/{name}",
                entry.by or "-",
                line.version_id or "-",
                _note(line),
            )
        )

    def _write(self, cells: Sequence[str]) -> None:
        self._widths = [max(len(cell), w) for cell, w in zip(cells, self._widths, strict=True)]
        row = "  ".join(f"{cell:{w}}" for cell, w in zip(cells, self._widths, strict=True))
        # A manager names itself as it likes: nothing of it may mean something to a terminal.
        shown = row if row.isprintable() else "".join(c if c.isprintable() else "?" for c in row)
        sys.stdout.write(f"{shown.rstrip()}\n")


def _note(line: "Line") -> str:
    """Of what a killed writer stored and did not tell: then the time is that of the next start."""
    if not line.recovered:
        return ""
    return f"found at a start, changed {line.changed_at}" if line.changed_at else "found at a start"
