"""Writes the file of an object: header lines and one YAML document.

Exists because a general YAML emitter takes a hundred times longer for plain JSON data than this
one (DESIGN.md section 8), and because the bytes are a contract. Promises (FORMAT.md section 2):
PyYAML (YAML 1.1), ruamel.yaml (1.2) and kubectl read exactly the object that went in, types
included; equal content gives equal bytes; the file ends with exactly one newline.
"""

import re
from collections.abc import Callable
from typing import Any

import orjson

from watcher.objects.content import Content

# A plain scalar: printable ASCII that begins unsuspiciously and does not end as a key does. Nor may
# it contain what begins a mapping's value or a comment, or be what _NOT_A_STRING matches.
_PLAIN = re.compile(r"(?:[A-Za-z0-9_/.$]|--?(?=[A-Za-z]))[ -~]*(?<![: ])")

# Whatever some reader of YAML 1.1 or 1.2 takes for a boolean, null, number, time or merge key. It
# matches too much rather than too little.
_NOT_A_STRING = re.compile(
    r"""
      (?: y | n | yes | no | true | false | on | off | null | \.inf | \.nan )
    | (?! \d+ (?: \.\d+ ){2,9} \Z )         # versions and addresses: 1.36.3, 10.0.0.1
      [0-9_.]+ (?: e [-+]? [0-9_]* )?
    | 0 (?: x [0-9a-f_]* | o [0-9_]* | b [0-9_]* )
    | \d [\d_]* (?: : [\d_.]* )+            # base 60: 12:30:45
    | \d+ - \d+ - \d+ .*                    # dates and times
    """,
    re.VERBOSE | re.IGNORECASE,
)

# In double quotes: JSON's escapes, and those for characters that no reader takes as they are.
_ESCAPES = {
    **{
        code: f"\\u{code:04x}"
        for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)
    },
    **{ord(char): f"\\{name}" for char, name in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)},
}

# What a literal block holds as it is: printable text. Not if it is of newlines only, begins with a
# tab, or with empty lines before a space or tab: some reader could not tell the indentation.
_LITERAL = re.compile(
    r"(?!\t|\n+[ \t]|\n+\Z)"
    r"[\t\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)
_LINE_START = re.compile(r"\n(?=[^\n])")
_KEPT = re.compile(r"\|2?\+\n")  # the first line of a block that keeps its last empty lines

_LONGEST_SIMPLE_KEY = 1000  # characters; YAML ends at 1024, after which a key needs its `?`

# Rendered one-line strings and keys: few make up most of a cluster.
_CACHED_LENGTH = 100
_CACHED_COUNT = 20_000
_scalars: dict[str, str] = {}
_keys: dict[str, str] = {}


def emit(content: Content) -> bytes:
    """The bytes of the file."""
    parts = [f"{line}\n" for line in content.header]
    document = orjson.loads(content.body)
    if document:
        _write_mapping(document, "", "", parts.append)
    else:
        parts.append("{}\n")
    if parts[-1].endswith("\n\n"):
        # A literal block that keeps empty lines would give the file more than one newline.
        parts[-1] = _ending_quoted(parts[-1], document)
    return "".join(parts).encode()


Write = Callable[[str], None]


def _write_mapping(mapping: dict[str, Any], first: str, indent: str, write: Write) -> None:
    """Lines of a non-empty mapping. first: what stands before its first key instead of indent."""
    deeper = indent + "  "
    for key, value in mapping.items():
        start = first + (_keys.get(key) or _key(key, indent))
        first = indent
        if type(value) is str:
            write(f"{start} {_scalars.get(value) or _string(value, deeper)}\n")
        elif type(value) is dict and value:
            write(start + "\n")
            _write_mapping(value, deeper, deeper, write)
        elif type(value) is list and value:
            write(start + "\n")
            _write_sequence(value, indent, indent, write)
        else:
            write(f"{start} {_other(value)}\n")


def _write_sequence(sequence: list[Any], first: str, indent: str, write: Write) -> None:
    """Lines of a non-empty list. first: what stands before its first dash instead of indent."""
    deeper = indent + "  "
    for value in sequence:
        start = first + "- "
        first = indent
        if type(value) is str:
            write(f"{start}{_scalars.get(value) or _string(value, deeper)}\n")
        elif type(value) is dict and value:
            _write_mapping(value, start, deeper, write)
        elif type(value) is list and value:
            _write_sequence(value, start, deeper, write)
        else:
            write(f"{start}{_other(value)}\n")


def _other(value: object) -> str:
    """Whatever is neither a string nor a collection with something in it."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, float):
        return _float(value)
    return str(value)  # an integer, {} or []


def _float(value: float) -> str:
    mantissa, e, exponent = orjson.dumps(value).decode().partition("e")
    if not e:
        return mantissa
    # YAML 1.1 wants a dot and a sign, 1.2 takes them.
    dot = "" if "." in mantissa else ".0"
    sign = "" if exponent[0] in "+-" else "+"
    return f"{mantissa}{dot}e{sign}{exponent}"


def _key(key: str, indent: str) -> str:
    """A key and its colon."""
    text = _one_line(key)
    if len(text) > _LONGEST_SIMPLE_KEY:
        return f"? {text}\n{indent}:"
    return _remember(_keys, key, f"{text}:")


def _string(value: str, indent: str) -> str:
    """A string as a value, without its last newline; indent is for the lines after the first."""
    if "\n" in value and _LITERAL.fullmatch(value):
        return _literal(value, indent)
    return _remember(_scalars, value, _one_line(value))


def _literal(value: str, indent: str) -> str:
    indicator = "2" if value[0] == " " else ""
    if not value.endswith("\n"):
        chomping = "-"
    else:
        chomping = "+" if value.endswith("\n\n") else ""
        value = value[:-1]
    return f"|{indicator}{chomping}" + _LINE_START.sub("\n" + indent, "\n" + value)


def _one_line(value: str) -> str:
    if (
        _PLAIN.fullmatch(value)
        and ": " not in value
        and " #" not in value
        and not _NOT_A_STRING.fullmatch(value)
    ):
        return value
    return f'"{value.translate(_ESCAPES)}"'


def _remember(cache: dict[str, str], value: str, text: str) -> str:
    if len(value) <= _CACHED_LENGTH:
        if len(cache) >= _CACHED_COUNT:
            cache.clear()
        cache[value] = text
    return text


def _ending_quoted(last: str, document: Any) -> str:
    """The last part of a document again, its string in quotes."""
    while isinstance(document, dict | list):
        document = list(document.values())[-1] if isinstance(document, dict) else document[-1]
    start = _KEPT.split(last, maxsplit=1)[0]
    return f"{start}{_one_line(document)}\n"
