"""What `watcher clusters` says: a table for people, a document for machines.

Exists so that who looks (fleet/) need not know who reads it. Promises: every finding is in both,
and what could not be read is never shown as none.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watcher.bucket.meta import FORMAT
from watcher.bucket.retired import Retired
from watcher.cli.bucket import rfc3339
from watcher.fleet.clusters import Cluster, Fleet
from watcher.fleet.look import Unread
from watcher.verify.findings import short_age

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = (
    *("CLUSTER", "HEARTBEAT", "OBJECTS", "SIZE", "CHANGED", "RECONCILED", "PROOF", "DRIFT"),
    *("HELD", "READ BACK", "WATCHER", "KUBERNETES", "FORMAT", "RESULT"),
)
_NUMBERS = ("OBJECTS", "SIZE", "DRIFT", "HELD")
_HIDDEN = "?"  # it is there, and could not be read
_NONE = "-"


def print_table(fleet: Fleet, console: "Console") -> None:
    """A line a cluster, then what is wrong with whom."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for it in fleet.clusters:
        style = "bold red" if not it.ok else "dim" if it.retired else "green"
        table.add_row(*map(Text, _cells(it, fleet.at)), Text(_result(it), style=style))
    console.print(table)
    for it in fleet.wrong:
        console.print(Text(f"\n{it.name}", style="bold"))
        for trouble in it.troubles:
            since = trouble.untold_since
            when = f" (since {since:%F %T} UTC)" if since else ""
            console.print(Text(f"  {trouble.severity}: {trouble}{when}"), soft_wrap=True)


def _cells(it: Cluster, now: datetime) -> Iterator[str]:
    last, report = it.heartbeat, it.report
    hidden = _HIDDEN if isinstance(it.seen.heartbeat, Unread) else _NONE
    unproven = _HIDDEN if isinstance(it.seen.report, Unread) else _NONE
    yield it.name
    yield f"{short_age(last.at, now)}{' stopped' if last.released else ''}" if last else hidden
    yield f"{last.objects:,}" if last else hidden
    yield _size(report.size) if report and report.size is not None else unproven
    yield short_age(last.last_change, now) if last and last.last_change else hidden
    yield short_age(report.finished_at, now) if report else unproven
    yield {"same": "same", "differs": "DIFFERS"}.get(_proof(it) or "", unproven)
    yield f"{report.drift:,}" if report else unproven
    yield _HIDDEN if it.held is None else f"{it.held:,}"
    yield _read_back(it) or unproven
    yield (last.watcher_version if last else "") or hidden
    yield (last.kubernetes_version if last else "") or hidden
    yield "newer" if _is_newer(it) else f"{FORMAT}"


def _result(it: Cluster) -> str:
    if it.retired:
        return "retired"
    return ", ".join(dict.fromkeys(trouble.kind for trouble in it.troubles)) or "ok"


def _proof(it: Cluster) -> str | None:
    """Whether the hash roots of cluster and bucket were the same; None: there are none."""
    if it.report is None or it.report.hash_root is None:
        return None
    return "same" if it.report.hash_root.same else "differs"


def _read_back(it: Cluster) -> str:
    read = it.report.read_back if it.report else None
    if read is None:
        return ""
    return f"{len(read.differing):,} DIFFER" if read.differing else f"{read.files:,} ok"


def _is_newer(it: Cluster) -> bool:
    return any(unread.newer for unread in it.seen.unread)


def _size(size: float) -> str:
    """`812 B`, `28.0 MB`"""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def as_json(fleet: Fleet) -> str:
    document = {
        "format": 1,
        "bucket": fleet.bucket,
        "at": _time(fleet.at),
        "ok": not fleet.wrong,
        "clusters": [_object(it) for it in fleet.clusters],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _object(it: Cluster) -> dict[str, Any]:
    last, mark = it.heartbeat, it.seen.retired
    return {
        "cluster": it.name,
        "ok": it.ok,
        "retired": it.retired,
        "retired_since": _time(mark.at) if isinstance(mark, Retired) else None,
        "retired_reason": mark.reason if isinstance(mark, Retired) else None,
        "format": None if _is_newer(it) else FORMAT,
        "heartbeat": last
        and {
            "at": _time(last.at),
            "writer": str(last.writer),
            "healthy": last.healthy,
            "last_healthy": _time(last.last_healthy),
            "released": last.released,
        },
        "objects": last and last.objects,
        "last_change": last and _time(last.last_change),
        "versions": last
        and {"watcher": last.watcher_version, "kubernetes": last.kubernetes_version},
        "reconcile": _reconcile(it),
        "deletes_held": it.held,
        "findings": [
            {
                "type": trouble.kind,
                "severity": str(trouble.severity),
                "since": _time(trouble.since),
                "text": str(trouble),
            }
            for trouble in it.troubles
        ],
    }


def _reconcile(it: Cluster) -> dict[str, Any] | None:
    report = it.report
    if report is None:
        return None
    read = report.read_back
    return {
        "finished_at": _time(report.finished_at),
        "objects": {label: tally.bucket for label, tally in sorted(report.resources.items())},
        "size": report.size,
        "hash_root": _proof(it),
        "drift": {
            "missing": len(report.missing),
            "changed": len(report.changed),
            "orphaned": len(report.orphaned),
        },
        "repaired": report.repaired,
        "unread": report.unread,
        "read_back": read
        and {"slice": read.slice, "files": read.files, "differing": len(read.differing)},
    }


def _time(at: datetime | None) -> str | None:
    return rfc3339(at) if at else None
