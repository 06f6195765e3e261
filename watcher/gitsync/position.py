"""How far a commit of ours goes: the trailers at the end of its message.

Exists so that the repository itself tells what of the bucket it holds: no note, no file beside it
that could be lost. Promises: what was written is read; text of others never is a position. A
position is a time of the bucket's own clock: what was written before it is in the commit. One time
stands for all clusters, those that were behind (unreadable, or not reached yet) have their own.

    Bucket-Position: 2026-11-26T03:58:01Z
    Bucket-Position: production.company.com/east 2026-11-25T03:58:01Z
    Bucket-Position: production.company.com/west never
    Bucket-Selection: 1f3a5c7e9b2d4f60
    Bucket-Tree: 4b825dc642cb6eb9a060e54bf8d69288fbee4904
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_POSITION = re.compile(r"Bucket-Position: (?:(?P<cluster>\S+/\S+) )?(?P<time>\S+)")
_SELECTION = re.compile(r"Bucket-Selection: ([0-9a-f]+)")
_TREE = re.compile(r"Bucket-Tree: ([0-9a-f]{40,64})")
_NEVER = "never"


@dataclass(frozen=True, slots=True)
class Position:
    """time: of all clusters but those that `clusters` names. None: nothing is mirrored yet."""

    time: datetime | None = None
    clusters: Mapping[str, datetime | None] = field(default_factory=dict)

    def of(self, cluster: str) -> datetime | None:
        return self.clusters.get(cluster, self.time)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a commit says of itself. selection: what was left out of it (selection.py)."""

    position: Position
    selection: str
    tree: str

    def trailers(self) -> str:
        clusters = sorted(self.position.clusters.items())
        return "\n".join(
            [
                f"Bucket-Position: {_text(self.position.time)}",
                *(f"Bucket-Position: {cluster} {_text(time)}" for cluster, time in clusters),
                f"Bucket-Selection: {self.selection}",
                f"Bucket-Tree: {self.tree}",
            ]
        )


def read(message: str, tree: str) -> Mark | None:
    """Of the commit with this message and tree; None: it is none of ours, or was changed."""
    paragraph = message.rstrip("\n").rpartition("\n\n")[2]
    time: datetime | None = None
    clusters: dict[str, datetime | None] = {}
    selection = said = ""
    found = False
    for line in paragraph.splitlines():
        if match := _POSITION.fullmatch(line):
            try:
                at = _time(match["time"])
            except ValueError:
                return None
            if match["cluster"]:
                clusters[match["cluster"]] = at
            else:
                time, found = at, True
        elif match := _SELECTION.fullmatch(line):
            selection = match[1]
        elif match := _TREE.fullmatch(line):
            said = match[1]
    if not found or said != tree:
        return None
    return Mark(Position(time, clusters), selection, tree)


def _text(time: datetime | None) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else _NEVER


def _time(text: str) -> datetime | None:
    if text == _NEVER:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("no time zone")
    return time
