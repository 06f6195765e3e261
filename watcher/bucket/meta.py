"""What all files in `_meta/` have in common (FORMAT.md section 5)."""

from watcher.bucket.store import Store
from watcher.errors import RefusedError

FORMAT = 1  # the newest that this program knows


def check_format(key: str, found: int) -> None:
    """Raises RefusedError for a newer format: we would destroy what we don't understand."""
    if found > FORMAT:
        raise RefusedError(
            f"{key} has format {found}, this program knows up to {FORMAT}",
            hint="use the newer program that wrote it",
        )


async def exists(store: Store, key: str) -> bool:
    """Asks a listing: to a HEAD or GET of a missing key, a least-rights policy answers 403."""
    return key in [listed.key async for page in store.list(key) for listed in page]
