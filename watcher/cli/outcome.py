"""What `watcher verify` says of clusters: a table for people, a document for machines.

Exists so that who looks (verify/verify.py) need not know who reads it. Promises: every finding is
in the document; the table shows so many of a cluster and says how many more there are.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from watcher.cli.bucket import rfc3339
from watcher.verify.findings import (
    Event,
    Finding,
    Heard,
    Listed,
    Note,
    Proven,
    Read,
    Reconciled,
    Unchecked,
    Unproven,
    Waiting,
    short_age,
)

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 20  # details of a cluster
_OF_FILES = {"missing", "changed", "unknown", "damaged"}


@dataclass(slots=True)
class Outcome:
    """All that was told of one cluster."""

    cluster: str  # domain/name
    findings: list[Finding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)
    files: int = 0
    read: int = 0
    heard: Heard | None = None
    reconciled: Reconciled | None = None
    proven: bool = False
    waiting: bool = False

    @property
    def ok(self) -> bool:
        return not self.findings

    def take(self, event: Event) -> None:
        self.waiting = False
        match event:
            case Finding():
                self.findings.append(event)
            case Note():
                self.notes.append(event)
            case Unchecked():
                self.unchecked.append(event)
            case Listed():
                self.files = event.files
            case Read():
                self.read += event.files
            case Heard():
                self.heard = event
            case Reconciled():
                self.reconciled = event
            case Proven():
                self.proven = True
            case Waiting():
                self.waiting = True

    @property
    def hash_root(self) -> str:
        """proven, unproven, or unchecked."""
        if self.proven:
            return "proven"
        wrong = any(isinstance(it, Unproven) for it in self.findings)
        return "unproven" if wrong else "unchecked"


def as_json(outcomes: Sequence[Outcome], *, bucket: str, subset: str, at: datetime) -> str:
    document = {
        "format": 1,
        "bucket": bucket,
        "at": _json(at),
        "read_data_subset": subset,
        "ok": all(it.ok for it in outcomes),
        "clusters": [
            {
                "cluster": it.cluster,
                "ok": it.ok,
                "files": it.files,
                "read": it.read,
                "heartbeat": it.heard and _json(it.heard.at),
                "released": it.heard and it.heard.released,
                "reconciled": it.reconciled and _json(it.reconciled.at),
                "hash_root": it.hash_root,
                "findings": [_finding(finding) for finding in it.findings],
                "notes": [note.text for note in it.notes],
                "unchecked": [{"what": left.what, "why": left.why} for left in it.unchecked],
            }
            for it in outcomes
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def print_table(outcomes: Sequence[Outcome], console: "Console", *, at: datetime) -> None:
    """A line a cluster, then what is to be said of each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("CLUSTER", "FILES", "READ", "HEARTBEAT", "RECONCILED", "HASH ROOT", "RESULT"):
        table.add_column(name, justify="right" if name in ("FILES", "READ") else "left")
    for it in outcomes:
        table.add_row(
            Text(it.cluster),
            f"{it.files:,}",
            f"{it.read:,}",
            _ago(it.heard, at),
            _ago(it.reconciled, at),
            it.hash_root,
            Text(_result(it), style="green" if it.ok else "bold red"),
        )
    console.print(table)
    for it in outcomes:
        if details := list(_details(it)):
            console.print(Text(f"\n{it.cluster}", style="bold"))
            for detail in details:
                console.print(Text(f"  {detail}"), soft_wrap=True)


def progress(outcomes: Sequence[Outcome], done: int) -> str:
    """For the last line of a terminal."""
    files, read = sum(it.files for it in outcomes), sum(it.read for it in outcomes)
    waiting = sum(it.waiting for it in outcomes)
    return (
        f"{done}/{len(outcomes)} clusters, {files:,} files listed, {read:,} read"
        f"{f', {waiting} waiting for what a writer has yet to journal' if waiting else ''}"
    )


def _details(it: Outcome) -> Iterator[str]:
    yield from map(str, it.findings[:_SHOWN])
    if (more := len(it.findings) - _SHOWN) > 0:
        yield f"and {more:,} more: --output json has them all"
    yield from (f"note: {note}" for note in it.notes)
    yield from (f"not looked at: {left}" for left in it.unchecked)


def _result(it: Outcome) -> str:
    counts = Counter(_type(finding) for finding in it.findings)
    told = (f"{count:,} {name}" if name in _OF_FILES else name for name, count in counts.items())
    return ", ".join(told) or "ok"


def _finding(finding: Finding) -> dict[str, Any]:
    told = {it.name: _json(getattr(finding, it.name)) for it in fields(finding)}
    return {"type": _type(finding), **told, "text": str(finding)}


def _type(finding: Finding) -> str:
    return type(finding).__name__.lower()


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return round(value.total_seconds()) if isinstance(value, timedelta) else value


def _ago(last: Heard | Reconciled | None, now: datetime) -> str:
    return short_age(last.at, now) if last else "never"
