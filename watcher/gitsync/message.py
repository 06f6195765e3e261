"""The message of a commit: what changed, where, by whom.

Exists so that `git log` answers before anybody looks at a diff. Pure. Promises: counts are those of
the commit itself, taken from its two trees; a name of somebody else's cannot end up as a trailer.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

from watcher.gitsync.position import Mark
from watcher.gitsync.repository import Change

_ROWS = 100  # of the table
_MANAGERS = 20
_NAMED = 20  # files that are not mirrored
_WIDTH = 78  # of a line of prose
_WORDS = {"M": "changed", "A": "added", "D": "deleted"}
_HEADINGS = ("cluster", "kind", *_WORDS.values())


def message(
    changes: Sequence[Change],
    *,
    prefix: str,
    managers: Mapping[str, str],
    left_out: Mapping[str, str],
    mark: Mark,
) -> str:
    """changes: of the whole commit. prefix: of the mirror's paths. managers: path -> who changed
    it. left_out: path -> why it is not mirrored, of files that were to be."""
    files = of_clusters(changes, prefix)
    parts = [summary(files, prefix) or "Update README.md"]
    if files:
        parts.append(_table(files, prefix))
        parts.append(_changed_by(files, managers))
    if left_out:
        parts.append(_not_mirrored(left_out))
    return "\n\n".join([*filter(None, parts), mark.trailers()]) + "\n"


def of_clusters(changes: Iterable[Change], prefix: str) -> list[Change]:
    """Without those of the generated files."""
    return [it for it in changes if it.path.removeprefix(prefix).count("/") > 1]


def summary(files: Iterable[Change], prefix: str) -> str:
    """`3 clusters, 41 changed, 2 added, 1 deleted`; "" where nothing did."""
    files = list(files)
    if not files:
        return ""
    clusters = {_place(it.path, prefix)[0] for it in files}
    actions = Counter(it.action for it in files)
    counts = [f"{actions[each]:,} {word}" for each, word in _WORDS.items() if actions[each]]
    if len(clusters) == 1:
        return ", ".join([*clusters, *counts])
    return ", ".join([f"{len(clusters):,} clusters", *counts])


def _table(files: Iterable[Change], prefix: str) -> str:
    counts: Counter[tuple[str, str, str]] = Counter()
    for it in files:
        counts[(*_place(it.path, prefix), it.action)] += 1
    places = sorted({(cluster, kind) for cluster, kind, _ in counts})
    rows = [_HEADINGS]
    for cluster, kind in places[:_ROWS]:
        numbers = (counts[cluster, kind, action] for action in _WORDS)
        rows.append((cluster, kind, *(f"{it:,}" if it else "" for it in numbers)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if len(places) > _ROWS:
        lines.append(f"and {len(places) - _ROWS:,} more")
    return "\n".join(lines)


def _changed_by(files: Iterable[Change], managers: Mapping[str, str]) -> str:
    counts = Counter(managers.get(it.path, "") for it in files)
    unknown = counts.pop("", 0)
    named = [f"{_plain(name)} {count:,}" for name, count in counts.most_common(_MANAGERS)]
    others = sum(counts.values()) - sum(count for _, count in counts.most_common(_MANAGERS))
    if not named:
        return ""
    if others or unknown:
        named.append(f"others or not known {others + unknown:,}")
    text = f"Changed by {', '.join(named)}."
    return fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _not_mirrored(left_out: Mapping[str, str]) -> str:
    lines = [f"{path} ({why})" for path, why in sorted(left_out.items())[:_NAMED]]
    if len(left_out) > _NAMED:
        lines.append(f"and {len(left_out) - _NAMED:,} more")
    return "\n".join(["Not mirrored:", *lines])


def _place(path: str, prefix: str) -> tuple[str, str]:
    """Cluster and kind."""
    parts = path.removeprefix(prefix).split("/")
    return "/".join(parts[:2]), parts[3] if len(parts) == 5 else "(not an object)"


def _plain(name: str) -> str:
    """A field manager may call itself anything."""
    return "".join(char if char.isprintable() else "?" for char in name)[:60]
