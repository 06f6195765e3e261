"""Which clusters a bucket holds.

Exists so that who looks after a whole bucket needs no list of clusters: a folder in a folder is
one, whether it says so (`_meta/owner.json`) or lost its claim. Found by delimiter listings: a
request a thousand folders, none an object. Who may list no more than one cluster's prefix finds
that one by its name.
"""

from collections.abc import Sequence

from watcher.bucket.layout import Layout
from watcher.bucket.meta import together
from watcher.bucket.patterns import matches
from watcher.bucket.store import Store, holds_files
from watcher.settings.forms import DNS_NAME


async def clusters(store: Store, domain: str = "") -> list[Layout]:
    """Of one domain, or of the whole bucket. Raises BucketError."""
    domains = (domain,) if domain else await _names(store, "")
    return [
        Layout(folder, name) for folder in domains for name in await _names(store, f"{folder}/")
    ]


async def matching(store: Store, patterns: Sequence[str]) -> list[Layout]:
    """Those that one of the patterns of `domain/name` means, `*` being any text; (): all.

    Where none has a `*`, nothing is listed but the folders of each. Raises BucketError.
    """
    if patterns and not any("*" in pattern for pattern in patterns):
        meant = [it for pattern in sorted(set(patterns)) if (it := named(pattern))]
        return [it for it in meant if await store.folders(it.prefix)]
    return [it for it in await clusters(store) if not patterns or matches(it.name, patterns)]


async def not_emptied(store: Store, layouts: Sequence[Layout]) -> list[Layout]:
    """Those with a file in them: MinIO goes on listing the folder of files that have all been
    deleted, while it keeps old versions. Raises BucketError."""
    there = await together(holds_files(store, it.prefix) for it in layouts)
    return [it for it, holds in zip(layouts, there, strict=True) if holds]


def named(text: str) -> Layout | None:
    """The cluster `domain/name`, whether there is one or not; None: no cluster has such a name."""
    domain, _, name = text.partition("/")
    return Layout(domain, name) if _is_dns_name(domain) and _is_dns_name(name) else None


async def _names(store: Store, prefix: str) -> list[str]:
    return [name for name in await store.folders(prefix) if _is_dns_name(name)]


def _is_dns_name(text: str) -> bool:
    try:
        DNS_NAME.parse(text)
    except ValueError:
        return False
    return True
