"""Shows once more, from a listing alone, what the last reconcile saw: the hash root.

Exists so that an auditor need not believe a report. Pure: a listing of today is put back to the
time of the report by the journal, whose first line on a key since then tells the ETag before it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from watcher.bucket.hashroot import hash_root, md5_of
from watcher.bucket.reports import Report
from watcher.verify.findings import Event, Proven, Unchecked, Unproven

_TOO_OLD = timedelta(days=30)  # the journal since then may have been removed


def impossible(report: Report, now: datetime, *, etag_is_md5: bool) -> str:
    """Why nothing can be shown; "": it can."""
    if report.hash_root is None:
        return "the report has none"
    if now - report.started_at > _TOO_OLD:
        return "the report is so old that the journal since may be gone"
    return "" if etag_is_md5 else "the ETags of this bucket are no MD5s"


def prove(report: Report, listing: Mapping[str, str], before: Mapping[str, str]) -> Event:
    """listing: key -> ETag of now. before: key -> ETag before the first change since the report
    began; "": there was no such key."""
    assert report.hash_root is not None
    left_out = set(report.moving)
    then = {**listing, **before}
    files = [(key, md5_of(etag)) for key, etag in then.items() if etag and key not in left_out]
    if not all(md5 for _, md5 in files):
        return unproven("some ETags of this bucket are no MD5s")
    if hash_root(files) != report.hash_root.bucket:
        return Unproven(report.hash_root.objects, len(files))
    return Proven(len(files))


def unproven(why: str) -> Unchecked:
    return Unchecked("the hash root of the last reconcile", why)
