"""Which clusters a bucket holds.

Exists so that who looks after a whole bucket needs no list of clusters: a folder in a folder is
one, whether it says so (`_meta/owner.json`) or lost its claim. Found by delimiter listings: a
request a thousand folders, none an object.
"""

from watcher.bucket.layout import Layout
from watcher.bucket.store import Store
from watcher.settings.forms import DNS_NAME


async def clusters(store: Store, domain: str = "") -> list[Layout]:
    """Of one domain, or of the whole bucket. Raises BucketError."""
    domains = (domain,) if domain else await _names(store, "")
    return [
        Layout(folder, name) for folder in domains for name in await _names(store, f"{folder}/")
    ]


async def _names(store: Store, prefix: str) -> list[str]:
    return [name for name in await store.folders(prefix) if _is_dns_name(name)]


def _is_dns_name(text: str) -> bool:
    try:
        DNS_NAME.parse(text)
    except ValueError:
        return False
    return True
