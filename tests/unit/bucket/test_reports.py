"""A report says afterwards, and to whoever reads it, exactly what a reconcile found."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from tests.memory_store import MemoryStore
from watcher.bucket import reports
from watcher.bucket.layout import Layout
from watcher.bucket.reports import ReadBack, Report, Root, Tally
from watcher.errors import BucketError, RefusedError

LAYOUT = Layout("example.com", "east")
FOLDER = "example.com/east/_meta/reports/"
NOW = datetime(2026, 7, 1, 2, 13, 5, 250_000, tzinfo=UTC)
PLAIN = Report(started_at=NOW, finished_at=NOW, trigger="schedule", writer="pod-1/7")
FULL = Report(
    started_at=NOW,
    finished_at=NOW + timedelta(seconds=12),
    trigger="request",
    writer="pod-1/7",
    dry_run=True,
    resources={
        "pods": Tally(120, 119, {"mirror-pod": 3}),
        "widgets.example.com": Tally(0, 4, unread="403 Forbidden"),
    },
    missing=("shop/pod/a.yaml",),
    changed=("shop/pod/b.yaml", "shop/pod/c.yaml"),
    orphaned=("shop/pod/d.yaml",),
    repaired=3,
    held=1,
    foreign=2,
    size=240_000,
    read_back=ReadBack("7/30", 333, ("shop/pod/c.yaml",)),
    hash_root=Root("a" * 64, "b" * 64, 119),
    moving=("shop/pod/d.yaml",),
    seconds=12.0,
    requests={"LIST": 11, "GET": 333},
)


@pytest.mark.parametrize("report", [PLAIN, FULL])
def test_what_was_encoded_is_decoded_as_it_was(report: Report) -> None:
    assert Report.decode(report.encode(), "key") == report


def test_a_report_of_a_program_that_did_not_add_up_sizes_tells_none() -> None:
    older = orjson.loads(FULL.encode())
    del older["size"]
    assert Report.decode(orjson.dumps(older), "key") == replace(FULL, size=None)


def test_the_file_has_the_form_of_the_format() -> None:
    assert orjson.loads(FULL.encode()) == {
        "format": 1,
        "started_at": "2026-07-01T02:13:05.250Z",
        "finished_at": "2026-07-01T02:13:17.250Z",
        "trigger": "request",
        "dry_run": True,
        "writer": "pod-1/7",
        "resources": {
            "pods": {"cluster": 120, "bucket": 119, "left_out": {"mirror-pod": 3}},
            "widgets.example.com": {
                "cluster": 0,
                "bucket": 4,
                "left_out": {},
                "unread": "403 Forbidden",
            },
        },
        "drift": {
            "missing": ["shop/pod/a.yaml"],
            "changed": ["shop/pod/b.yaml", "shop/pod/c.yaml"],
            "orphaned": ["shop/pod/d.yaml"],
        },
        "repaired": 3,
        "held": 1,
        "foreign": 2,
        "size": 240_000,
        "read_back": {"slice": "7/30", "files": 333, "differing": ["shop/pod/c.yaml"]},
        "hash_root": {"cluster": "a" * 64, "bucket": "b" * 64, "objects": 119},
        "moving": ["shop/pod/d.yaml"],
        "seconds": 12.0,
        "requests": {"LIST": 11, "GET": 333},
    }


def test_it_counts_differences_and_names_kinds_that_prove_nothing() -> None:
    assert (PLAIN.drift, PLAIN.unread) == (0, {})
    assert (FULL.drift, FULL.unread) == (4, {"widgets.example.com": "403 Forbidden"})


async def test_the_newest_report_is_found() -> None:
    store = MemoryStore()
    assert await reports.newest(store, LAYOUT) is None
    later = replace(FULL, started_at=NOW + timedelta(days=1))
    east_of_us = replace(PLAIN, started_at=NOW.astimezone(timezone(timedelta(hours=9))))
    assert await reports.save(store, LAYOUT, later) == "reports/reconcile-20260702T021305Z.json"
    assert (
        await reports.save(store, LAYOUT, east_of_us) == "reports/reconcile-20260701T021305Z.json"
    )
    store.written_by_a_stranger(FOLDER + "zzz.txt", b"not ours")
    assert await reports.newest(store, LAYOUT) == later


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"[]", b'{"format": 1}', PLAIN.encode().replace(b"05.250Z", b"05.250")],
)
async def test_what_is_no_report_is_named(body: bytes) -> None:
    store = MemoryStore()
    key = FOLDER + "reconcile-20260701T021305Z.json"
    store.written_by_a_stranger(key, body)
    with pytest.raises(BucketError, match=re.escape(f"{key} is no report")):
        await reports.newest(store, LAYOUT)


async def test_a_report_of_a_newer_format_is_refused() -> None:
    store = MemoryStore()
    store.written_by_a_stranger(FOLDER + "reconcile-20260701T021305Z.json", b'{"format": 2}')
    with pytest.raises(RefusedError, match="format 2"):
        await reports.newest(store, LAYOUT)
