"""How the value of a setting is written: its form, and the typed value that comes of it.

Exists so that a duration or a name is read, and refused, in the same words wherever it stands.
Promises: parsing is pure (a FILE is looked for, not read); a `Secret` shows itself to nobody who
does not call `reveal`.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from watcher.schedule import Schedule


class Secret:
    """Text that no log line, traceback or table shows. False where it is empty."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***" if self._text else "(none)"


@dataclass(frozen=True, slots=True)
class Form:
    """metavar: for usage lines. expected: ends "expected …". parse: raises ValueError."""

    metavar: str
    expected: str
    parse: Callable[[str], object]


def matching(pattern: str) -> Callable[[str], str]:
    """A parser of text that the whole pattern matches."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return text

    return parse


def several(pattern: str) -> Callable[[str], tuple[str, ...]]:
    """A parser of a comma-separated list; spaces around a comma and empty items don't count."""
    item = matching(pattern)

    def parse(text: str) -> tuple[str, ...]:
        return tuple(item(part.strip()) for part in text.split(",") if part.strip())

    return parse


def choice(*words: str) -> Form:
    return Form("|".join(words), f"one of {', '.join(words)}", matching("|".join(words)))


def whole_number(least: int, most: int) -> Form:
    def parse(text: str) -> int:
        number = int(matching("[0-9]{1,9}")(text))
        if not least <= number <= most:
            raise ValueError
        return number

    return Form("NUMBER", f"a whole number from {least} to {most}", parse)


_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"


def duration(text: str) -> float:
    """Seconds. Prometheus's and Go's way: the largest unit first, each unit once."""
    parse = matching("".join(f"(?:{_NUMBER}{unit})?" for unit in _SECONDS))
    parts = re.findall(f"({_NUMBER})(ms|[dhms])", parse(text))
    if not parts:
        raise ValueError
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _ratio(text: str) -> float:
    """From 0 to 1."""
    number = float(matching(_NUMBER)(text.removesuffix("%")))
    ratio = number / 100 if text.endswith("%") else number
    if ratio > 1:
        raise ValueError
    return ratio


_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _size(text: str) -> int:
    """Bytes."""
    found = re.fullmatch(r"([0-9]{1,15})(?:([KMG])i)?B?", text)
    if not found:
        raise ValueError
    return int(found[1]) * _BYTES[found[2] or ""]


def _truth(text: str) -> bool:
    return matching("true|false")(text) == "true"


def at_home(text: str) -> Path:
    """With `~` for the user's home; of a user who has none it is a folder's name like any other."""
    return Path(os.path.expanduser(text))


def _file(text: str) -> Path | None:
    path = at_home(text)
    if text and not path.is_file():
        raise ValueError
    return path if text else None


_DNS_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*"

# kubectl's selectors: k8s.io/apimachinery/pkg/labels.
_WORD = "[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = f"(?:{_DNS_NAME}/)?{_WORD}"
_VALUE = f"(?:{_WORD})?"
_REQUIREMENT = (
    rf" *(?:! *{_KEY}"
    rf"|{_KEY} +(?:in|notin) *\( *{_VALUE} *(?:, *{_VALUE} *)*\)"
    rf"|{_KEY} *(?:==?|!=) *{_VALUE}"
    rf"|{_KEY} *[<>] *[0-9]+"
    rf"|{_KEY}) *"
)

CRON = Form(
    "CRON",
    "a cron expression, with a time zone if it is not UTC: CRON_TZ=Europe/Berlin 0 2 * * *",
    Schedule.parse,
)
CRON_OR_CONTINUOUS = Form(
    "CRON|continuous",
    f"continuous, or {CRON.expected}",
    lambda text: None if text == "continuous" else Schedule.parse(text),
)
TEXT = Form("TEXT", "text", str)
SECRET = Form("SECRET", "text", Secret)
KEY_ID = Form("KEY", "a key's id or ARN: printable ASCII without spaces", matching("[!-~]*"))
PATH = Form("PATH", "a path", at_home)
OPTIONAL_PATH = Form("PATH", "a path", lambda text: at_home(text) if text else None)
FILE = Form("FILE", "the path of a file that exists", _file)
FLAG = Form("true|false", "true or false", _truth)
DURATION = Form("DURATION", "a duration such as 500ms, 2s or 1m30s", duration)
SIZE = Form("SIZE", "a size such as 64MiB", _size)
RATIO = Form("RATIO", "a percentage up to 100%, or a ratio up to 1: 50%, 0.5", _ratio)
PORT = whole_number(0, 65535)
# FORMAT.md section 1.
DNS_NAME = Form(
    "NAME",
    "a DNS name: lower-case letters, digits and '-', parts joined by '.', no '/' or '_'",
    matching(_DNS_NAME),
)
BUCKET = Form(
    "BUCKET",
    "a bucket's name (3 to 63 letters, digits, '.' and '-') or file:///path",
    matching(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]|file:///.*"),
)
ENDPOINT = Form(
    "URL",
    "http://host[:port] or https://host[:port]",
    matching(r"(?:https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?)?"),
)
KINDS = Form(
    "KIND,…",
    "kinds as kubectl names them, joined by commas: pods,deploy,*.example.com",
    several(r"[A-Za-z0-9*][A-Za-z0-9*.-]*"),
)
NAMESPACES = Form(
    "NAMESPACE,…",
    "namespaces joined by commas, * for any text: team-*,shop",
    several("[a-z0-9*-]+"),
)
LABEL_SELECTOR = Form(
    "SELECTOR",
    "a label selector as kubectl takes it: app=web,tier!=test,env in (a,b),!old",
    matching(f"(?:{_REQUIREMENT}(?:,{_REQUIREMENT})*)?"),
)
# `git help fetch`, "Git URLs", but for `ext::`, which runs a command.
REPOSITORY = Form(
    "REPOSITORY",
    "git@host:org/repo.git, ssh://…, https://…, or the path of a repository",
    matching(
        r"(?:[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s:-][^\s]*|(?:ssh|https?)://[^\s/-][^\s]*"
        r"|(?:file://)?/[^\n]+)?"
    ),
)
# The rules of `git check-ref-format`, and a bit less.
BRANCH = Form(
    "BRANCH",
    "a branch's name: letters, digits, '.', '_', '-' and '/'",
    matching(r"(?!.*(?:\.\.|\.lock(?:/|$)|//|/\.|\./|[./]$))[A-Za-z0-9_][A-Za-z0-9._/-]*"),
)
AUTHOR = Form(
    "NAME <EMAIL>",
    "a name and an address: Backup <backup@example.com>",
    matching(r"[^<>\n]*[^<>\s] <[^<>\s]+>"),
)
FOLDER = Form(
    "FOLDER",
    "a folder's path with '/' between its parts, none of them beginning with '.': backup/clusters",
    matching(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?)?"),
)
CLUSTERS = Form(
    "DOMAIN/NAME,…",
    "clusters as domain/name joined by commas, * for any text: production.*/east-*",
    several("[a-z0-9*.-]+/[a-z0-9*.-]+"),
)
KIND_FOLDERS = Form(
    "KIND,…",
    "kinds as the bucket's folders name them joined by commas: deployment,*.cert-manager.io",
    several(r"[a-z0-9*][a-z0-9*.-]*"),
)
