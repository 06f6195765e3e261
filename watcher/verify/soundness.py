"""Whether one stored file is what it should be, by its bytes and by what is known of it.

Exists so that "damaged" means one thing. Pure. Promises: no text holds anything of an object's
values. What is asked: the bytes are those of the ETag (where that is an MD5); they are a file as
watcher writes it; the content is what the record and the version's own metadata say was written;
the path is that of the object inside; a Secret that was to be redacted has no value.
"""

from datetime import UTC, datetime

from watcher.bucket import metadata
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import UNKNOWN, Stored, etag_of
from watcher.bucket.store import Head
from watcher.objects.stored import File, read


def fault(
    key: str, body: bytes, head: Head, recorded: Stored | None, *, etag_is_md5: bool
) -> str | None:
    """What is wrong with the file, to follow its key; None: nothing.

    key: relative to the cluster's prefix. recorded: the version that the record knows.
    """
    if etag_is_md5 and head.etag != etag_of(body):
        return "has bytes that are not those of its ETag"
    try:
        file = read(body)
    except ValueError as error:
        return str(error)
    known = {metadata.stored(head).fingerprint}
    if recorded is not None and recorded.etag == head.etag:
        known.add(recorded.fingerprint)
    if known - {UNKNOWN, file.content.fingerprint}:
        return "has not the content that was written"
    if (right := Layout.key(file.ref)) != key:
        return f"holds an object whose place is {right}"
    if _tells_values(file, head):
        return "is a Secret with values, though it was to be stored without"
    return None


def stored_at(head: Head) -> datetime | None:
    """When watcher stored the version, by its own word; None: it does not say."""
    if metadata.written_by(head.metadata) is None:
        return None
    try:
        at = datetime.fromisoformat(head.metadata.get("watcher-captured-at", ""))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _tells_values(file: File, head: Head) -> bool:
    """Without a word of the version itself, one redacted value says that all should be."""
    mode = head.metadata.get("watcher-secrets", "redact" if file.redacted else "plain")
    return mode != "plain" and file.redacted < len(file.values)
