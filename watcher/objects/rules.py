"""The cleaning rules: what is noise in which kind, as data.

Exists so that a rule is a line in `clean-rules.yaml`, and a user's file of the same form adds
more. Promises: a malformed file is refused with one line that names file, rule and what is
expected; no rule can remove what makes an object itself (apiVersion, kind, name, namespace).
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from watcher.errors import UsageError
from watcher.objects.prune import EACH, FieldPath, Step

_STEP = re.compile(r'(?:^|\.)(?P<key>[A-Za-z0-9_$/-]+)|(?P<each>\[\])|\["(?P<quoted>[^"]+)"\]')
_IDENTITY: frozenset[FieldPath] = frozenset(
    (
        ("apiVersion",),
        ("kind",),
        ("metadata",),
        ("metadata", "name"),
        ("metadata", "namespace"),
    )
)
_LISTS = ("fields", "annotations", "labels", "finalizers")


@dataclass(frozen=True, slots=True)
class Rule:
    """What to remove from objects of some kinds."""

    kinds: tuple[str, ...]  # patterns for `Kind.group`, or `Kind` alone in the core group
    fields: tuple[FieldPath, ...] = ()
    annotations: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    finalizers: tuple[str, ...] = ()

    def applies_to(self, group: str, kind: str) -> bool:
        name = f"{kind}.{group}" if group else kind
        return any(fnmatchcase(name, pattern) for pattern in self.kinds)


Rules = tuple[Rule, ...]


def load_rules(extra: Path | None = None) -> Rules:
    """The packaged rules and those of a user's file. Raises UsageError."""
    packaged = files("watcher.objects").joinpath("clean-rules.yaml").read_text("utf-8")
    rules = parse_rules(packaged, "clean-rules.yaml")
    if extra is None:
        return rules
    try:
        text = extra.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"clean-rules: {extra}: cannot be read: {reason}") from error
    return rules + parse_rules(text, str(extra))


def parse_rules(text: str, file: str) -> Rules:
    """The rules in a YAML text. file: for messages. Raises UsageError."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" (line {line + 1})"
        raise UsageError(f"clean-rules: {file}: not a YAML file{where}") from error
    if document is None:
        return ()
    if not isinstance(document, list):
        raise UsageError(f"clean-rules: {file}: expected a list of rules")
    return tuple(
        _rule(entry, f"clean-rules: {file}: rule {number}")
        for number, entry in enumerate(document, start=1)
    )


def _rule(entry: object, where: str) -> Rule:
    allowed = ("kinds", *_LISTS)
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: expected a map with {', '.join(allowed)}")
    for key in entry:
        if key not in allowed:
            raise UsageError(f"{where}: {key}: unknown, expected {', '.join(allowed)}")
    if "kinds" not in entry or len(entry) == 1:
        raise UsageError(f"{where}: expected kinds and at least one of {', '.join(_LISTS)}")
    lists = {key: _strings(value, f"{where}: {key}") for key, value in entry.items()}
    fields = lists.pop("fields", ())
    return Rule(
        fields=tuple(_path(field, f"{where}: fields: {field}") for field in fields), **lists
    )


def _strings(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    raise UsageError(f"{where}: expected a list of strings")


def _path(text: str, where: str) -> FieldPath:
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None or text.startswith(".") or (not steps and match["each"]):
            raise UsageError(f'{where}: expected a path like spec.ports[].nodePort or a["b.c/d"]')
        steps.append(EACH if match["each"] else match["key"] or match["quoted"])
        position = match.end()
    if not steps or steps[-1] is EACH or tuple(steps) in _IDENTITY:
        what = "a field besides apiVersion, kind, metadata, name and namespace"
        raise UsageError(f"{where}: expected the path of {what}")
    return tuple(steps)
