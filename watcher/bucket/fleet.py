"""Which clusters a bucket holds, and what the claim of each says.

Exists so that who looks after a whole bucket needs no list of clusters: a folder in a folder is
one, whether it says so (`_meta/owner.json`) or lost its claim. Found by delimiter listings: a
request a thousand folders, none an object. Nothing is written.
"""

from dataclasses import dataclass
from datetime import datetime

import orjson

from watcher.bucket import owner
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import etag_of
from watcher.bucket.meta import check_format, exists
from watcher.bucket.store import Store
from watcher.errors import AbsentError, BucketError
from watcher.settings.forms import DNS_NAME


@dataclass(frozen=True, slots=True)
class Owner:
    """A claim. etag_is_md5: whether the bucket's ETags are MD5s, judged by this file's."""

    domain: str
    name: str
    claimed_at: datetime
    epoch: int
    etag_is_md5: bool


async def clusters(store: Store, domain: str = "") -> list[Layout]:
    """Of one domain, or of the whole bucket. Raises BucketError."""
    domains = (domain,) if domain else await _names(store, "")
    return [
        Layout(folder, name) for folder in domains for name in await _names(store, f"{folder}/")
    ]


async def owner_of(store: Store, layout: Layout) -> Owner | None:
    """The claim; None: there is none. Raises RefusedError for a newer format, and BucketError."""
    key = layout.prefix + layout.meta(owner.FILE)
    if not await exists(store, key):
        return None
    try:
        body, head = await store.get(key)
        found = dict(orjson.loads(body))
        check_format(key, int(found["format"]))
        claimed_at = datetime.fromisoformat(found["claimed_at"])
        if claimed_at.tzinfo is None:
            raise ValueError("no time zone")
        return Owner(
            str(found["domain"]),
            str(found["name"]),
            claimed_at,
            int(found["epoch"]),
            head.etag == etag_of(body),
        )
    except AbsentError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise BucketError(f"{key} is unreadable") from error


async def _names(store: Store, prefix: str) -> list[str]:
    return [name for name in await store.folders(prefix) if _is_dns_name(name)]


def _is_dns_name(text: str) -> bool:
    try:
        DNS_NAME.parse(text)
    except ValueError:
        return False
    return True
