"""What we sign of a request is what botocore signs of it."""

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from watcher.bucket.signing import sign

HEADERS = {
    "Content-Type": "application/yaml",
    "Content-MD5": "XUFAKrxLKna5cZ2REBfFkg==",
    "If-Match": '"5d41402abc4b2a76b9719d911017c592"',
    "x-amz-meta-watcher-manager": "  two   spaces ",
    "X-Amz-Meta-Watcher-Uid": "a%C3%A4",
}


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/b", "http://minio:80/b", "https://b.s3.eu-west-1.amazonaws.com:443"],
)
@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize(
    ("method", "headers", "body"), [("PUT", HEADERS, b"hello"), ("GET", {}, b"")]
)
def test_it_is_what_botocore_signs(
    url: str, token: str | None, method: str, headers: dict[str, str], body: bytes
) -> None:
    url += "/a%3Ab/c~d.yaml"
    for secret in ("secret", "another"):
        for day in (1, 2, 1):
            keys, at = ReadOnlyCredentials("key", secret, token), datetime(2026, 7, day, tzinfo=UTC)
            with patch.object(auth, "get_current_datetime", return_value=at):
                request = AWSRequest(method, url, headers=headers, data=body)
                auth.S3SigV4Auth(keys, "s3", "eu-west-1").add_auth(request)
                ours = sign(keys, "eu-west-1", method, url, headers, body)
            assert ours == dict(request.headers.items())
            assert ours["Authorization"].startswith(f"AWS4-HMAC-SHA256 Credential=key/2026070{day}")
