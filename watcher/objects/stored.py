"""Reads stored files back: what object is in a file, and is it exactly as we would write it.

Exists because a backup is worth what can be read from it. Promises: `read` gives an object only
where writing it again gives the same bytes; so what the reader made of them is beyond doubt, and
PyYAML's quick one will do (libyaml: 0.3 ms a file of 1 KB, ruamel.yaml 4.5). What that reader
can't read, ruamel.yaml is asked as well: it knows all of YAML.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from watcher.objects.content import Content, canonical_json, comment_json, fingerprint
from watcher.objects.ref import ObjectRef, canonical_group
from watcher.objects.secrets import REDACTED_ALREADY
from watcher.objects.yaml import emit

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HEADER_LINE = re.compile(r"(#[^\n]*)\n")
_OWNERS = "# ownerReferences: "
_FINISHED = {"# finished: Complete", "# finished: Failed", "# finished: Succeeded"}


class File(NamedTuple):
    """What a file holds."""

    ref: ObjectRef
    content: Content
    values: tuple[object, ...]  # of a Secret's data; () for every other kind

    @property
    def redacted(self) -> int:
        """How many of the values stand for one that is not stored."""
        return sum(isinstance(v, str) and _is_redacted(v) for v in self.values)


def name_of(body: bytes) -> str:
    """The name of the object in a file. Raises ValueError where there is none."""
    try:
        return str(YAML(typ="safe", pure=True).load(body)["metadata"]["name"])
    except (YAMLError, KeyError, TypeError) as error:
        raise ValueError("not the file of an object") from error


def read(body: bytes) -> File:
    """Raises ValueError, whose text says what the file is not."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    header = tuple(_header(text))
    document = _load(body)
    ref = _ref(document)
    try:
        canonical = canonical_json(document)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("holds what is no JSON") from None
    content = Content(header, canonical, fingerprint(header, canonical))
    _check_header(header)
    if emit(content) != body:
        raise ValueError("is not written as watcher writes it")
    secret = (ref.group, ref.kind) == ("", "Secret")
    return File(ref, content, tuple(_values(document)) if secret else ())


def _header(text: str) -> Iterator[str]:
    """The comment lines at its beginning."""
    start = 0
    while match := _HEADER_LINE.match(text, start):
        yield match[1]
        start = match.end()


def _load(body: bytes) -> Any:
    try:
        return yaml.load(body, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError):
        pass
    try:
        return YAML(typ="safe", pure=True).load(body)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"is not YAML{where}") from None  # the reader's words quote the line


def _ref(document: Any) -> ObjectRef:
    try:
        api_version, kind = document["apiVersion"], document["kind"]
        metadata = document["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace", "")
    except (KeyError, TypeError, AttributeError):
        raise ValueError("is not the file of an object") from None
    if not all(isinstance(it, str) for it in (api_version, kind, name, namespace)):
        raise ValueError("is not the file of an object")
    return ObjectRef(_group(api_version.rpartition("/")[0], kind), kind, namespace, name)


def _group(group: str, kind: str) -> str:
    """Under which its kind is stored. Only discovery tells a plural, so all usual ones are tried:
    the groups with aliases have no unusual ones."""
    word = kind.lower()
    for plural in (f"{word}s", f"{word}es", f"{word[:-1]}ies"):
        if (canonical := canonical_group(group, plural)) != group:
            return canonical
    return group


def _check_header(header: tuple[str, ...]) -> None:
    """Raises ValueError for lines that FORMAT.md section 2 does not know."""
    rest = list(header)
    if rest and rest[0].startswith(_OWNERS):
        text = rest.pop(0).removeprefix(_OWNERS)
        try:
            owners = json.loads(text)
            sound = owners and all(isinstance(it, dict) and "uid" not in it for it in owners)
        except (ValueError, TypeError, RecursionError):
            sound = False
        if not sound or comment_json(owners) != text:
            raise ValueError("has a malformed header line ownerReferences")
    if rest and rest[0] in _FINISHED:
        del rest[0]
    if rest:
        raise ValueError("has header lines that are not ours")


def _values(secret: dict[str, Any]) -> list[object]:
    fields = (secret.get(name) for name in ("data", "stringData"))
    return [value for field in fields if isinstance(field, dict) for value in field.values()]


def _is_redacted(value: str) -> bool:
    return REDACTED_ALREADY.fullmatch(value) is not None
