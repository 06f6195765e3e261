"""`watcher claim`: whose prefix it is, and giving it to a cluster that was built anew."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import orjson

from watcher.cli.bucket import in_bucket, still_alive
from watcher.cli.options import BUCKET_ONLY, EPILOG, SettingsCommand, load_settings, output_option
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.bucket.heartbeat import Heartbeat
    from watcher.bucket.layout import Layout
    from watcher.bucket.owner import Owner
    from watcher.bucket.store import Store

_KUBERNETES = "Connection to Kubernetes"


class Seen(NamedTuple):
    """uid: of the cluster that the settings lead to; "" if nobody asked it."""

    bucket: str
    prefix: str
    owner: "Owner"
    heartbeat: "Heartbeat | None"
    uid: str = ""

    def alive(self, now: datetime) -> bool:
        return self.heartbeat is not None and self.heartbeat.is_alive(now)


@click.command(
    "claim",
    cls=SettingsCommand,
    groups=(*BUCKET_ONLY, _KUBERNETES),
    short_help="Print whose prefix it is, or take it over.",
    epilog=EPILOG,
)
@click.option(
    "--take-over", is_flag=True, help="Give the prefix to the cluster of the current context."
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@output_option()
def command(take_over: bool, yes: bool, output: str, **flags: Any) -> None:
    """Print which cluster owns the prefix in the bucket, and whether somebody writes to it.

    A cluster that was built anew under its old name has another UID: `watcher run` refuses to
    write over the old one's backup. If the old one is gone for good, --take-over gives the prefix
    to the new one. What the new cluster does not have stays in the bucket until an operator allows
    its deletion (watcher deletes).
    """
    settings = load_settings(flags)

    async def look(store: "Store", layout: "Layout") -> Seen:
        from watcher.bucket import heartbeat, owner

        found = await owner.read(store, layout)
        assert found is not None  # else in_bucket says so
        uid = ""
        if take_over:
            from watcher.cluster import client
            from watcher.cluster.connection import connect

            async with connect(settings.kubeconfig, settings.context) as api:
                uid = await client.cluster_uid(api)
        last = await heartbeat.newest(store, layout)
        return Seen(store.name, layout.prefix, found, last, uid)

    seen = in_bucket(flags, look)
    if not take_over:
        click.echo(_as_json(seen) if output == "json" else _as_table(seen))
    elif seen.owner.cluster_uid == seen.uid:
        click.echo(f"{seen.prefix} is this cluster's already (UID {seen.uid})")
    else:
        _make_sure(seen, ask=not yes)
        _take_over(flags, seen)
        click.echo(
            f"{seen.prefix} is now the cluster's with UID {seen.uid}; watcher run there goes on"
        )


def _make_sure(seen: Seen, *, ask: bool) -> None:
    """Raises RefusedError while somebody writes, UsageError where nobody can be asked."""
    now = _now()
    if seen.alive(now):
        raise still_alive(seen.prefix, _writer(seen, now))
    question = (
        f"{seen.prefix} in {seen.bucket} is the backup of the cluster with UID"
        f" {seen.owner.cluster_uid}; {_writer(seen, now)}.\n"
        f"Give it to the cluster with UID {seen.uid}?"
    )
    if not ask:
        return
    if not sys.stdin.isatty():
        raise UsageError("claim --take-over: there is nobody to ask", hint="--yes")
    click.confirm(question, abort=True, err=True)


def _take_over(flags: dict[str, Any], seen: Seen) -> None:
    async def write(store: "Store", layout: "Layout") -> None:
        from watcher.bucket import owner

        await owner.take_over(store, layout, seen.owner, cluster_uid=seen.uid, at=_now())

    in_bucket(flags, write)


def _as_table(seen: Seen) -> str:
    rows = [
        ("bucket", seen.bucket),
        ("prefix", seen.prefix),
        ("cluster UID", seen.owner.cluster_uid),
        ("claimed at", seen.owner.claimed_at),
        ("epoch", str(seen.owner.epoch)),
        ("writer", _writer(seen, _now())),
    ]
    if seen.owner.hold_orphans:
        rows.append(("orphans", f"held at the next first sync ({seen.owner.hold_orphans})"))
    return "\n".join(f"{name:13}{value}" for name, value in rows)


def _as_json(seen: Seen) -> bytes:
    last, owner = seen.heartbeat, seen.owner
    return orjson.dumps(
        {
            "bucket": seen.bucket,
            "prefix": seen.prefix,
            "cluster_uid": owner.cluster_uid,
            "domain": owner.domain,
            "name": owner.name,
            "claimed_at": owner.claimed_at,
            "epoch": owner.epoch,
            "hold_orphans": owner.hold_orphans or None,
            "alive": seen.alive(_now()),
            "heartbeat": last
            and {
                "at": last.at,
                "writer": str(last.writer),
                "healthy": last.healthy,
                "released": last.released,
            },
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z,
    )


def _writer(seen: Seen, now: datetime) -> str:
    last = seen.heartbeat
    if last is None:
        return "nobody ever wrote a heartbeat"
    minutes = round((now - last.at).total_seconds() / 60)
    when = f"{minutes} minutes ago" if abs(minutes) < 120 else f"at {last.at:%Y-%m-%d %H:%M} UTC"
    if seen.alive(now):
        return f"{last.writer} writes, its last heartbeat was {when}"
    ended = "it ended in order" if last.released else "it did not say good-bye"
    return f"nobody writes; the last was {last.writer}, heard of {when}, {ended}"


def _now() -> datetime:
    return datetime.now(UTC)
