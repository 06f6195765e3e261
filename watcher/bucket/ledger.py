"""What the bucket holds as far as we know: an entry for each key, and all entries together.

Exists because a request that timed out may have landed: neither the state before it nor the one
it carried may then serve to drop a change (DESIGN.md section 5). Promises: `Entry.holds` is true
only for what an answer of the bucket vouched for; doubt ends by an answer alone, never by time.
Pure. Requests that land after their answer was given up and another one settled the key are left
to the next reconcile.

The whole life of a key:

    settled --sent()--> in doubt --2xx, or HEAD / 404--> settled (a new Entry)
                           |--timeout, 5xx, cancelled--> in doubt (sent() again)
                           `--412, then HEAD-----------> after_conflict
"""

from hashlib import md5
from typing import NamedTuple

from watcher.bucket.layout import kind_of
from watcher.bucket.store import CREATE, Create, Update

FINGERPRINT_SIZE = 16  # bytes
UNKNOWN = b""  # a fingerprint that no listing tells


class Stored(NamedTuple):
    """One version of a key that the bucket vouched for."""

    etag: str  # as the store sent it, quotes included
    fingerprint: bytes  # 16 bytes (FORMAT.md section 4), or UNKNOWN

    def recognised(self, body: bytes, fingerprint: bytes) -> "Stored":
        """Known to have this fingerprint if the ETag is the MD5 of `body`, else as it was.

        Only for stores whose ETags are MD5s (probed by owner.py). How a file that was only listed
        is recognised without reading it: `body` is what we would write.
        """
        same = self.etag == etag_of(body)
        return self._replace(fingerprint=fingerprint) if same else self


class Entry(NamedTuple):
    """What is known of one key. An answer (2xx, HEAD) makes a new one; nothing else settles it."""

    stored: Stored | None = None  # None: no such key
    in_doubt: bool = False

    def holds(self, fingerprint: bytes | None) -> bool:
        """Whether a change to this content (None: a deletion) may be dropped."""
        known = self.stored.fingerprint if self.stored else None
        return not self.in_doubt and known == fingerprint != UNKNOWN

    def sent(self) -> "Entry":
        """To be recorded before a PUT or DELETE leaves, so that changes meanwhile meet the doubt.

        At most one request a key may be under way.
        """
        return Entry(self.stored, in_doubt=True)

    def precondition(self) -> Create | Update:
        """What the next PUT may assume; in doubt too: had the lost one landed, a 412 would tell."""
        return Update(self.stored.etag) if self.stored else CREATE


def after_conflict(found: Stored | None, *, ours: bool) -> Entry | None:
    """The entry to go on from after a 412 and the HEAD that followed; None: a stranger wrote.

    found: what the HEAD saw, None where it saw no such key. ours: whether `watcher-writer` (or,
    without metadata, the ETag) says that this process wrote it.
    """
    return Entry(found) if found is None or ours else None


def etag_of(body: bytes) -> str:
    """The ETag of a body in stores whose ETags are MD5s."""
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


class Ledger:
    """Relative key (`myapp/deployment/app.yaml`) -> Entry, grouped by the key's kind segment.

    Keys have the shape of FORMAT.md section 1. Entries are kept packed: measured 232 bytes a key of
    61 characters, itself included (as objects: 376), and none of them visible to the garbage
    collector, whose pauses would grow with the cluster.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, bytes]] = {}

    def get(self, key: str) -> Entry:
        packed = self._kinds.get(kind_of(key), _NONE).get(key)
        return _unpack(packed) if packed else _NOWHERE

    def put(self, key: str, entry: Entry) -> None:
        """Record what is now known. An entry that says "settled, no such key" takes no room."""
        kind = kind_of(key)
        if entry == _NOWHERE:
            keys = self._kinds.get(kind, {})
            keys.pop(key, None)
            if not keys:
                self._kinds.pop(kind, None)
        else:
            self._kinds.setdefault(kind, {})[key] = _pack(entry)

    def kinds(self) -> list[str]:
        """Kind segments with any key, as they are now."""
        return list(self._kinds)

    def keys_of(self, kind: str) -> list[str]:
        """Keys of a kind segment that are, or may be, in the bucket, as they are now."""
        return list(self._kinds.get(kind, ()))

    def count(self, kind: str) -> int:
        """How many keys `keys_of` has."""
        return len(self._kinds.get(kind, ()))

    def __len__(self) -> int:
        """How many keys are, or may be, in the bucket."""
        return sum(map(len, self._kinds.values()))


_NOWHERE = Entry()
_NONE: dict[str, bytes] = {}
_DOUBT, _KNOWN = 1, 2  # flags in the first byte; then the fingerprint if known, then the ETag


def _pack(entry: Entry) -> bytes:
    fingerprint = entry.stored.fingerprint if entry.stored else UNKNOWN
    etag = entry.stored.etag.encode() if entry.stored else b""
    flags = (_DOUBT if entry.in_doubt else 0) | (_KNOWN if fingerprint else 0)
    return bytes((flags,)) + fingerprint + etag


def _unpack(packed: bytes) -> Entry:
    flags = packed[0]
    start = 1 + FINGERPRINT_SIZE if flags & _KNOWN else 1
    etag = packed[start:].decode()
    stored = Stored(etag, packed[1:start]) if etag else None
    return Entry(stored, bool(flags & _DOUBT))
