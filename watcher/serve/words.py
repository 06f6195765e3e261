"""Values as people read them, in HTML: text, counts, durations, moments.

Exists so that there is one way into the page for text of others, and one way to say how long ago
something was. Promises: pure; what `text` returns is inert wherever a page may hold text or a
quoted attribute; times are UTC.
"""

import html
import math
from datetime import UTC, datetime


def text(words: str) -> str:
    """Anybody's text. What cannot be seen (control characters, marks that turn the direction of
    writing and could make a name read as another) becomes a visible replacement."""
    seen = (c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(words.split()))
    return html.escape("".join(seen))


def path(words: str) -> str:
    """A key or a kind, which a narrow place may break where its parts meet."""
    return text(words).replace("/", "/<wbr>").replace(".", "<wbr>.")


def count(number: int, one: str = "", many: str = "") -> str:
    """1,234; with words `1 file`, `1,234 files`."""
    noun = one if number == 1 else many or f"{one}s"
    return f"{number:,} {noun}" if one else f"{number:,}"


def duration(seconds: float | None) -> str:
    """Two digits or three tell enough: 0.4 s, 2.25 s, 42 s, 90 min, 36 h, 12 d."""
    if seconds is None:
        return "–"
    if math.isinf(seconds):
        return "over 1 h"
    for size, unit, until in ((1, "s", 120), (60, "min", 120), (3600, "h", 48)):
        if seconds / size < until:
            exact = f"{seconds:.2f}".rstrip("0").rstrip(".") if seconds < 10 else ""
            return f"{exact or f'{seconds / size:.0f}'} {unit}"
    return f"{seconds / 86400:.0f} d"


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago, as short as a table's cell; the moment itself is the cell's `title`."""
    if then is None:
        return "–"
    seconds = max(0.0, (now - then).total_seconds())
    return "now" if seconds < 1 else duration(math.floor(seconds))


def moment(then: datetime, now: datetime) -> str:
    """14:03:10 today, 17 Sep 14:03 on other days, and the whole of it for pointers and programs."""
    then, now = then.astimezone(UTC), now.astimezone(UTC)
    if then.date() == now.date():
        short = f"{then:%H:%M:%S}"
    else:
        year = "" if then.year == now.year else f" {then.year}"
        short = f"{then.day} {then:%b}{year} {then:%H:%M}"
    return f'<time datetime="{then:%Y-%m-%dT%H:%M:%SZ}" title="{full(then)}">{short}</time>'


def full(then: datetime) -> str:
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
