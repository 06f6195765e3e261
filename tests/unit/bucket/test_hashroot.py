"""The hash root is one number for all files, and anybody can compute it."""

from hashlib import blake2b

import pytest

from watcher.bucket.hashroot import hash_root, md5_of
from watcher.bucket.ledger import etag_of

A, B = "a" * 32, "b" * 32


def test_it_is_the_digest_of_the_sorted_lines() -> None:
    lines = f"ns/pod/a.yaml\0{A}\nns/pod/b.yaml\0{B}\n".encode()
    expected = blake2b(lines, digest_size=32).hexdigest()
    assert hash_root([("ns/pod/b.yaml", B), ("ns/pod/a.yaml", A)]) == expected
    assert hash_root([]) == blake2b(digest_size=32).hexdigest()


def test_keys_are_sorted_by_their_bytes() -> None:
    high, higher = "\uffee", "\U0001f600"  # in UTF-16 the other way round
    expected = blake2b(f"{high}\0{A}\n{higher}\0{A}\n".encode(), digest_size=32).hexdigest()
    assert hash_root([(higher, A), (high, A)]) == expected


@pytest.mark.parametrize(
    "other",
    [
        [],
        [("a", B)],
        [("b", A)],
        [("a", A), ("b", B)],
    ],
)
def test_every_difference_changes_it(other: list[tuple[str, str]]) -> None:
    assert hash_root(other) != hash_root([("a", A)])


def test_an_etag_is_an_md5_only_if_it_looks_like_one() -> None:
    assert md5_of(etag_of(b"")) == "d41d8cd98f00b204e9800998ecf8427e"
    assert md5_of("d41d8cd98f00b204e9800998ecf8427e") == "d41d8cd98f00b204e9800998ecf8427e"
    for other in ("", '""', f'"{A}-3"', f'"{A}ff"', '"D41D8CD98F00B204E9800998ECF8427E"'):
        assert md5_of(other) == ""
