"""What all pages have in common: the document around them, the verdict on top, sections, the foot.

Exists so that each page says only what is its own, and all look alike. Promises: the document needs
no other file and no JavaScript; in colour or without, a verdict says by a mark how things are.
"""

from datetime import datetime
from importlib.resources import files

from watcher.serve.words import moment, text

MARKS = {"good": "✓", "bad": "!", "wait": "?"}

_CSS = files("watcher.serve").joinpath("status.css").read_text()


def document(title: str, body: str, *, tone: str, refresh: int | None) -> str:
    """title: anybody's text; body: HTML. refresh: seconds after which the browser asks again; None:
    it does not."""
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">{again}'
        f"<title>{MARKS[tone]} {text(title)}</title>"
        f"<style>{_CSS}</style></head><body>{body}</body></html>\n"
    )


def facts(shown: dict[str, str]) -> str:
    """Names and HTML, beside the heading."""
    return _named("facts", shown)


def verdict(
    tone: str, headline: str, more: str, *, at: datetime, refresh: int | None, below: str = ""
) -> str:
    """headline, more: anybody's text; below: HTML. at: when it was so."""
    look = f"as of {moment(at, at)} UTC · "
    look += (
        f'again every {refresh} s · <a href="?still">pause</a>'
        if refresh
        else 'paused · <a href="?">go on</a>'
    )
    return (
        f'<section class="verdict {tone}"><i aria-hidden="true">{MARKS[tone]}</i>'
        f"<div><h2>{text(headline)}</h2><p>{text(more)}</p>{below}</div>"
        f'<p class="look">{look}</p></section>'
    )


def tiles(shown: dict[str, str]) -> str:
    """Names and HTML, one below the other."""
    return _named("tiles", shown)


def section(title: str, content: str, place: str = "", note: str = "") -> str:
    """place: its class, which gives the order on a narrow screen."""
    beside = f"<small>{note}</small>" if note else ""
    return f'<section class="{place}"><h2>{title}{beside}</h2>{content}</section>'


def footer(ready: str) -> str:
    """ready: what /readyz tells here."""
    return (
        f'<footer><p><a href="readyz">readyz</a> {ready}</p>'
        '<p><a href="livez">livez</a> is the process alive</p>'
        '<p><a href="metrics">metrics</a> for Prometheus</p>'
        "<p>Times are UTC. This page changes nothing.</p></footer>"
    )


def _named(kind: str, shown: dict[str, str]) -> str:
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in shown.items())
    return f'<dl class="{kind}">{rows}</dl>'
