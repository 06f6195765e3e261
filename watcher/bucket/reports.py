"""What a reconcile found and proved: `_meta/reports/reconcile-{time}.json` (FORMAT.md section 5).

Exists so that who was not there, and has no cluster to ask, can tell whether anything is missing
from the backup, and check it. Promises: a report that was encoded is decoded as it was; times keep
their milliseconds, for a listing is rolled back to `started_at`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast

import orjson

from watcher.bucket.journal import stamp
from watcher.bucket.layout import Layout
from watcher.bucket.meta import FORMAT, check_format
from watcher.bucket.store import Store
from watcher.errors import AbsentError, BucketError

FOLDER = "reports/"
_PREFIX = "reconcile-"

Trigger = Literal["schedule", "request", "command"]


@dataclass(frozen=True, slots=True)
class Tally:
    """One kind of object. left_out: why -> how many. unread: why it could not be counted, or ""."""

    cluster: int
    bucket: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    unread: str = ""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Files that were read and compared byte for byte. slice: "7/30"; differing: keys."""

    slice: str
    files: int
    differing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Root:
    """Hash roots of both sides: the cluster's by the files that should be, the bucket's by its
    listing before any repair; over `objects` keys of the bucket, without those in `moving`."""

    cluster: str
    bucket: str
    objects: int

    @property
    def same(self) -> bool:
        return self.cluster == self.bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One reconcile that ran to its end. Keys are relative to the cluster's prefix.

    repaired: how many of missing, changed and orphaned were made good. held: files whose deletion
    waits for an operator. foreign: keys that are not ours. size: bytes of the files,
    before any repair; None: an older program did not tell. hash_root: None where ETags are no MD5s.
    moving: keys that the roots leave out, because they changed during the run or are held.
    """

    started_at: datetime
    finished_at: datetime
    trigger: Trigger
    writer: str  # `instance/epoch`
    dry_run: bool = False
    resources: Mapping[str, Tally] = field(default_factory=dict)
    missing: Sequence[str] = ()
    changed: Sequence[str] = ()
    orphaned: Sequence[str] = ()
    repaired: int = 0
    held: int = 0
    foreign: int = 0
    size: int | None = None
    read_back: ReadBack | None = None
    hash_root: Root | None = None
    moving: Sequence[str] = ()
    seconds: float = 0.0
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def drift(self) -> int:
        """Differences that were found."""
        return len(self.missing) + len(self.changed) + len(self.orphaned)

    @property
    def unread(self) -> dict[str, str]:
        """Kinds of which nothing is proven -> why."""
        return {label: it.unread for label, it in self.resources.items() if it.unread}

    def encode(self) -> bytes:
        fields: dict[str, Any] = {
            "format": FORMAT,
            "started_at": stamp(self.started_at),
            "finished_at": stamp(self.finished_at),
            "trigger": self.trigger,
            "dry_run": self.dry_run,
            "writer": self.writer,
            "resources": {label: _tally(it) for label, it in sorted(self.resources.items())},
            "drift": {
                "missing": list(self.missing),
                "changed": list(self.changed),
                "orphaned": list(self.orphaned),
            },
            "repaired": self.repaired,
            "held": self.held,
            "foreign": self.foreign,
            "size": self.size,
            "read_back": _read_back(self.read_back) if self.read_back else None,
            "hash_root": _root(self.hash_root) if self.hash_root else None,
            "moving": list(self.moving),
            "seconds": self.seconds,
            "requests": dict(self.requests),
        }
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def decode(cls, body: bytes, key: str) -> "Report":
        """Raises RefusedError for a newer format, BucketError where it is none."""
        try:
            found: dict[str, Any] = dict(orjson.loads(body))
            check_format(key, int(found["format"]))
            drift, read_back, root = found["drift"], found["read_back"], found["hash_root"]
            return cls(
                started_at=_time(found["started_at"]),
                finished_at=_time(found["finished_at"]),
                trigger=cast(Trigger, str(found["trigger"])),
                writer=str(found["writer"]),
                dry_run=bool(found["dry_run"]),
                resources={
                    str(label): Tally(
                        int(it["cluster"]), int(it["bucket"]), it["left_out"], it.get("unread", "")
                    )
                    for label, it in found["resources"].items()
                },
                missing=tuple(drift["missing"]),
                changed=tuple(drift["changed"]),
                orphaned=tuple(drift["orphaned"]),
                repaired=int(found["repaired"]),
                held=int(found["held"]),
                foreign=int(found["foreign"]),
                size=_size(found.get("size")),
                read_back=read_back
                and ReadBack(
                    str(read_back["slice"]), int(read_back["files"]), tuple(read_back["differing"])
                ),
                hash_root=root
                and Root(str(root["cluster"]), str(root["bucket"]), int(root["objects"])),
                moving=tuple(found["moving"]),
                seconds=float(found["seconds"]),
                requests=found["requests"],
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BucketError(f"{key} is no report of a reconcile") from error


def name_of(report: Report) -> str:
    """Below `_meta/`, after the time at which it began."""
    return f"{FOLDER}{_PREFIX}{report.started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}.json"


async def save(store: Store, layout: Layout, report: Report) -> str:
    """Its name. Raises BucketError."""
    name = name_of(report)
    key = layout.prefix + layout.meta(name)
    await store.put(key, report.encode(), content_type="application/json")
    return name


async def read(store: Store, layout: Layout, name: str) -> Report:
    """The one of this name. Raises RefusedError for a newer format, and BucketError."""
    key = layout.prefix + layout.meta(name)
    body, _ = await store.get(key)
    return Report.decode(body, key)


async def newest(store: Store, layout: Layout) -> Report | None:
    """Of the reconcile that began last; None: there was none.

    Raises RefusedError for a newer format, and BucketError.
    """
    folder = layout.prefix + layout.meta(FOLDER + _PREFIX)
    keys = [listed.key async for page in store.list(folder) for listed in page]
    for key in reversed(keys):
        try:
            body, _ = await store.get(key)
        except AbsentError:
            continue
        return Report.decode(body, key)
    return None


def _tally(tally: Tally) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "cluster": tally.cluster,
        "bucket": tally.bucket,
        "left_out": dict(tally.left_out),
    }
    return {**fields, "unread": tally.unread} if tally.unread else fields


def _read_back(read_back: ReadBack) -> dict[str, Any]:
    return {
        "slice": read_back.slice,
        "files": read_back.files,
        "differing": list(read_back.differing),
    }


def _root(root: Root) -> dict[str, Any]:
    return {"cluster": root.cluster, "bucket": root.bucket, "objects": root.objects}


def _size(found: Any) -> int | None:
    return None if found is None else int(found)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at
