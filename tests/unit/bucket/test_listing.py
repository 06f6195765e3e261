"""Pages of a listing as S3 servers write them, and as they never should."""

from datetime import UTC, datetime

import pytest

from watcher.bucket.listing import Page, query, read
from watcher.bucket.store import Listed

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def page(inside: str, namespace: str = NAMESPACE) -> bytes:
    return (
        f'<?xml version="1.0"?>\n<ListBucketResult{namespace}>{inside}</ListBucketResult>'.encode()
    )


def entry(key: str) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-27T10:00:00.500Z</LastModified>"
        "<ETag>&quot;e&quot;</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


LAST = "<IsTruncated>false</IsTruncated>"
ENCODED = "<EncodingType>url</EncodingType>"


@pytest.mark.parametrize("namespace", [NAMESPACE, ""])
def test_a_page_tells_each_object(namespace: str) -> None:
    at = datetime(2026, 11, 27, 10, 0, 0, 500_000, UTC)
    (told,) = read(page(LAST + entry("a/b"), namespace)).objects
    assert (told, told.modified) == (Listed("a/b", '"e"', 0), at)


@pytest.mark.parametrize(
    ("written", "key"),
    [("a%253Ab", "a%3Ab"), ("a+b%2Bc", "a b+c"), ("%01%C3%A9", "\x01é"), ("a%2Fb", "a/b")],
)
def test_an_encoded_key_is_what_was_stored(written: str, key: str) -> None:
    (told,) = read(page(LAST + ENCODED + entry(written))).objects
    assert told.key == key


def test_a_server_that_does_not_encode_is_taken_at_its_word() -> None:
    (told,) = read(page(LAST + entry("a%3A+b"))).objects
    assert told.key == "a%3A+b"


def test_folders_are_told_apart_from_objects() -> None:
    folders = "".join(f"<CommonPrefixes><Prefix>{it}</Prefix></CommonPrefixes>" for it in "ab")
    assert read(page(LAST + ENCODED + folders)) == Page([], ["a", "b"], "")


def test_a_page_that_is_not_the_last_says_how_to_go_on() -> None:
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t/+=</NextContinuationToken>"
    assert read(page(more)).token == "t/+="
    assert "continuation-token=t%2F%2B%3D" in query("p", continuation_token="t/+=")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Welcome</body></html>",
        b"<ListBucketResult><IsTrunc",
        page(""),
        page("<IsTruncated>true</IsTruncated>"),
        page(LAST + "<Contents><Key>a</Key></Contents>"),
        page(LAST + entry("a").replace("<Size>0", "<Size>much")),
        page(LAST + entry("a").replace("2026-", "yesterday")),
    ],
)
def test_what_is_no_page_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        read(body)


def test_a_query_is_written_as_it_is_signed() -> None:
    """In order, all but letters, digits and "-._~" encoded; what is empty is left out."""
    assert query("a b/~é", start_after="", delimiter="/") == (
        "delimiter=%2F&encoding-type=url&list-type=2&prefix=a%20b%2F~%C3%A9"
    )
