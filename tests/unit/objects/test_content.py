"""Equal content has equal bytes and an equal fingerprint, for ever (FORMAT.md section 4)."""

from hashlib import blake2b
from typing import Any

import orjson
from hypothesis import given

from tests.unit.objects.json_data import OBJECTS
from watcher.objects.content import canonical_json, comment_json, fingerprint


def test_a_fingerprint_covers_format_header_and_body_in_this_layout() -> None:
    header, body = ("# finished: Complete",), b'{"kind":"Job"}'
    expected = blake2b(b'1\n# finished: Complete\n{"kind":"Job"}', digest_size=16).digest()
    assert fingerprint(header, body) == expected


def test_a_fingerprint_never_changes() -> None:
    assert fingerprint((), b"{}").hex() == "fb5e7b3533a12bbf4513b4a3f4df6f1b"
    assert (
        fingerprint(("# finished: Failed",), b'{"a":1}').hex() == "04f52d9df4be61256a45c51297fd3ca8"
    )


def test_another_header_is_another_fingerprint() -> None:
    prints = {fingerprint(header, b"{}") for header in ((), ("# a",), ("# a", "# b"), ("# a# b",))}
    assert len(prints) == 4


def test_canonical_json_is_sorted_by_code_point_and_without_spaces() -> None:
    document = {"b": [1, 1.0, None], "B": {"ö": "ü", "_": True}, "\uffff": 1, "😀": 2}
    expected = '{"B":{"_":true,"ö":"ü"},"b":[1,1.0,null],"\uffff":1,"😀":2}'
    assert canonical_json(document) == expected.encode()


@given(OBJECTS)
def test_canonical_json_is_read_as_the_same_object(document: dict[str, Any]) -> None:
    assert canonical_json(orjson.loads(canonical_json(document))) == canonical_json(document)


def test_canonical_json_knows_no_depth() -> None:
    document: dict[str, Any] = {"z": "ü", "a": 1}
    for _ in range(300):
        document = {"a": document}
    text = canonical_json(document)
    assert text == b'{"a":' * 300 + '{"a":1,"z":"ü"}'.encode() + b"}" * 300


def test_json_for_comments_is_printable_ascii_on_one_line() -> None:
    assert comment_json([{"b": "ä\n\x7f\u2028😀", "a": 1}]) == (
        '[{"a":1,"b":"\\u00e4\\n\\u007f\\u2028\\ud83d\\ude00"}]'
    )
