"""What we sign of a PUT is what botocore signs of it."""

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from watcher.bucket.signing import Signer


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/b", "http://minio:80/b", "https://b.s3.eu-west-1.amazonaws.com:443"],
)
@pytest.mark.parametrize("token", [None, "session-token"])
def test_it_is_what_botocore_signs(url: str, token: str | None) -> None:
    headers = {
        "Content-Type": "application/yaml",
        "Content-MD5": "XUFAKrxLKna5cZ2REBfFkg==",
        "If-Match": '"5d41402abc4b2a76b9719d911017c592"',
        "x-amz-meta-watcher-manager": "  two   spaces ",
        "X-Amz-Meta-Watcher-Uid": "a%C3%A4",
    }
    keys = ReadOnlyCredentials("key", "secret", token)
    request = AWSRequest("PUT", f"{url}/a%3Ab/c~d.yaml", headers=headers, data=b"hello")
    Signer(keys, "s3", "eu-west-1").add_auth(request)
    assert "Authorization" in request.headers
    del request.headers["Authorization"]
    ours = Signer(keys, "s3", "eu-west-1").canonical_request(request)
    del request.headers["X-Amz-Content-SHA256"]  # else it is believed, not computed
    theirs = S3SigV4Auth(keys, "s3", "eu-west-1")
    theirs.add_auth(request)
    del request.headers["Authorization"]
    date = request.headers["X-Amz-Date"]
    earlier = next(line for line in ours.splitlines() if line.startswith("x-amz-date:"))
    assert ours.replace(earlier, f"x-amz-date:{date}") == theirs.canonical_request(request)
