"""What a list or a watch asks for: a namespace, a label selector, a field selector.

Promises: label selectors as the API server reads them (equality, `!=`, `in`, `notin`, existence);
field selectors on `metadata.name` and `metadata.namespace`, the two that every kind has. Pure;
a body is parsed only where labels are asked for.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]

_KEY = r"[A-Za-z0-9][A-Za-z0-9./_-]*"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*([A-Za-z0-9._-]*)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")

# In field selectors a backslash makes `,`, `=` and itself part of a value.
_TERM = re.compile(r"(?:\\.|[^\\,])*", re.DOTALL)
_FIELD = re.compile(r"([^=!]*)(==|=|!=)((?:\\[\\,=]|[^\\,=])*)", re.DOTALL)


class SelectorError(ValueError):
    """Not a selector that the API server takes."""


@dataclass(frozen=True, slots=True)
class Selection:
    namespace: str = ""  # "": all
    labels: Test | None = None
    fields: tuple[tuple[str, bool, str], ...] = ()  # (field, wanted to be equal, value)

    def holds(self, key: str, body: bytes) -> bool:
        """Whether the object at `namespace/name` (or `name`) with this JSON is asked for."""
        namespace, _, name = key.rpartition("/")
        if self.namespace and namespace != self.namespace:
            return False
        for field, equal, value in self.fields:
            if ((name if field == "metadata.name" else namespace) == value) != equal:
                return False
        if self.labels is None:
            return True
        return self.labels(orjson.loads(body)["metadata"].get("labels") or {})


def parse(namespace: str, labels: str, fields: str) -> Selection:
    """Raises SelectorError."""
    return Selection(namespace, _labels(labels) if labels else None, tuple(_fields(fields)))


def _labels(text: str) -> Test:
    tests = [_requirement(part.strip()) for part in re.split(r",(?![^()]*\))", text)]
    return lambda labels: all(test(labels) for test in tests)


def _requirement(text: str) -> Test:
    if found := _SET.fullmatch(text):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.fullmatch(text):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.fullmatch(text):
        absent, key = found.groups()
        return lambda labels: (key in labels) != bool(absent)
    raise SelectorError(f"unable to parse requirement: {text!r}")


def _fields(text: str) -> list[tuple[str, bool, str]]:
    terms = []
    for part in filter(None, _TERM.findall(text)):
        if not (found := _FIELD.fullmatch(part)):
            raise SelectorError(f"invalid field selector: {part!r}")
        field, operator, value = found.groups()
        if field not in ("metadata.name", "metadata.namespace"):
            raise SelectorError(f"field label not supported: {field}")
        terms.append((field, operator != "!=", re.sub(r"\\(.)", r"\1", value)))
    return terms
