"""What of the bucket is mirrored, and what may not be.

Exists so that the question has one place. Pure. Promises: only keys of our own shape are mirrored,
so no key can become a path that means something to git; the value of a Secret is never mirrored
unless somebody allowed it, whatever the metadata of its file says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from watcher.bucket.layout import Layout, parse
from watcher.bucket.patterns import matches
from watcher.objects import stored
from watcher.settings import Settings

PLAIN_SECRET = "plain-secret"
UNREADABLE = "unreadable"

_SECRET = "secret"  # its folder
_OWNED = b"# ownerReferences:"  # how the file of an object with owners begins


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns as in the settings. bucket: its name; another bucket has another clock."""

    bucket: str
    prefix: str  # of paths in the repository: "" or a folder with its slash
    include_clusters: tuple[str, ...] = ()
    exclude_clusters: tuple[str, ...] = ()
    include_kinds: tuple[str, ...] = ()
    exclude_kinds: tuple[str, ...] = ()
    exclude_owned: bool = False
    plain_secrets: bool = False

    @classmethod
    def of(cls, settings: Settings, bucket: str) -> "Selection":
        folder = settings.git_path_prefix.rstrip("/")
        return cls(
            bucket,
            f"{folder}/" if folder else "",
            settings.git_include_clusters,
            settings.git_exclude_clusters,
            settings.git_include_kinds,
            settings.git_exclude_kinds,
            settings.git_exclude_owned,
            settings.git_allow_plain_secrets,
        )

    @property
    def digest(self) -> str:
        """Another one where something else is mirrored: then a position means nothing."""
        return blake2b(repr(self).encode(), digest_size=8).hexdigest()

    def has_cluster(self, layout: Layout) -> bool:
        return _selected(layout.name, self.include_clusters, self.exclude_clusters)

    def has_key(self, key: str) -> bool:
        """key: relative to the cluster's prefix."""
        place = parse(key)
        return place is not None and _selected(place.kind, self.include_kinds, self.exclude_kinds)

    def is_expected(self, key: str) -> bool:
        """Whether a file that the mirror lacks has to be looked at. Where owned objects are left
        out many are missing, and rightly; but a Secret may be missing for another reason."""
        place = parse(key)
        return not self.exclude_owned or (place is not None and place.kind == _SECRET)

    def has_body(self, body: bytes) -> bool:
        return not (self.exclude_owned and body.startswith(_OWNED))

    def objection(self, key: str, body: bytes) -> str:
        """Why a file must not be mirrored; "": it may."""
        place = parse(key)
        if self.plain_secrets or place is None or place.kind != _SECRET:
            return ""
        try:
            file = stored.read(body)
        except ValueError:
            return UNREADABLE  # it may hold anything
        return "" if file.redacted == len(file.values) else PLAIN_SECRET


def _selected(name: str, include: Iterable[str], exclude: Iterable[str]) -> bool:
    return (not include or matches(name, include)) and not matches(name, exclude)
