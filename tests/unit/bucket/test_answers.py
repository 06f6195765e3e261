"""What an S3 server's refusal means to us."""

import pytest

from watcher.bucket.answers import Answer, Ask, DeniedError, ExpiredError, error_for
from watcher.errors import (
    AbsentError,
    BucketError,
    BucketUnreachableError,
    PreconditionError,
    RejectedError,
    ThrottledError,
)

GET = Ask("GET", "cl1/ns/pod/a.yaml", "s3://b at http://minio:9000")
PUT = Ask("PUT", "cl1/ns/pod/a.yaml", "s3://b at http://minio:9000")
CONDITIONAL = Ask("PUT", "cl1/ns/pod/a.yaml", "s3://b at http://minio:9000", conditional=True)


@pytest.mark.parametrize(
    ("status", "code", "ask", "error"),
    [
        (404, "NoSuchKey", GET, AbsentError),
        (404, "", Ask("HEAD", "k", "b"), AbsentError),
        (404, "NoSuchBucket", GET, RejectedError),
        (404, "NoSuchBucket", CONDITIONAL, RejectedError),
        (404, "NoSuchKey", CONDITIONAL, PreconditionError),
        (412, "PreconditionFailed", CONDITIONAL, PreconditionError),
        (409, "ConditionalRequestConflict", CONDITIONAL, PreconditionError),
        (409, "OperationAborted", PUT, BucketUnreachableError),
        (503, "SlowDown", PUT, ThrottledError),
        (503, "SlowDownWrite", PUT, ThrottledError),
        (503, "RequestLimitExceeded", PUT, ThrottledError),
        (429, "", PUT, ThrottledError),
        (503, "ServiceUnavailable", PUT, BucketUnreachableError),
        (503, "", PUT, BucketUnreachableError),
        (500, "InternalError", PUT, BucketUnreachableError),
        (502, "", PUT, BucketUnreachableError),
        (507, "XMinioStorageFull", PUT, BucketUnreachableError),
        (408, "", PUT, BucketUnreachableError),
        (400, "RequestTimeout", PUT, BucketUnreachableError),
        (400, "BadDigest", PUT, BucketUnreachableError),
        (400, "ExpiredToken", PUT, ExpiredError),
        (403, "ExpiredToken", PUT, ExpiredError),
        (403, "AccessDenied", PUT, RejectedError),
        (403, "", GET, DeniedError),
        (403, "AccessDenied", GET, DeniedError),
        (400, "KeyTooLongError", PUT, RejectedError),
        (501, "NotImplemented", CONDITIONAL, RejectedError),
        (405, "", PUT, RejectedError),
    ],
)
def test_a_status_and_code_have_one_meaning(
    status: int, code: str, ask: Ask, error: type[BucketError]
) -> None:
    assert type(error_for(Answer(status, code), ask)) is error


@pytest.mark.parametrize(
    ("status", "code", "setting"),
    [
        (404, "NoSuchBucket", "minio-bucket"),
        (403, "InvalidAccessKeyId", "minio-access-key"),
        (403, "SignatureDoesNotMatch", "minio-secret-key"),
        (400, "AuthorizationHeaderMalformed", "minio-region"),
        (301, "PermanentRedirect", "minio-region"),
        (301, "", "minio-region"),
        (403, "RequestTimeTooSkewed", "clock"),
        (405, "", "minio-endpoint"),
        (400, "ExpiredToken", "credentials chain"),
    ],
)
def test_a_rejection_names_what_to_look_at(status: int, code: str, setting: str) -> None:
    assert setting in str(error_for(Answer(status, code), PUT))


@pytest.mark.parametrize("status", [301, 400])
def test_a_wrong_region_names_the_right_one_if_told(status: int) -> None:
    answer = Answer(status, "AuthorizationHeaderMalformed", region="eu-west-1")
    assert "minio-region: the bucket is in eu-west-1" in str(error_for(answer, PUT))


def test_a_denial_says_which_operation_on_which_key_where() -> None:
    line = str(error_for(Answer(403, "AccessDenied", "Access\n  Denied."), PUT))
    assert line == (
        "PUT cl1/ns/pod/a.yaml in s3://b at http://minio:9000: 403 AccessDenied: Access Denied."
        " (the rights of these keys)"
    )


def test_the_wait_a_throttling_server_asks_for_is_passed_on() -> None:
    error = error_for(Answer(503, "SlowDown", retry_after=7.0), PUT)
    assert isinstance(error, ThrottledError)
    assert error.retry_after == 7.0


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), ("Wed, 21 Oct 2026", None), ("-1", None)])
def test_a_retry_after_is_read_as_seconds_only(header: str, wait: float | None) -> None:
    assert Answer.read(503, {"Retry-After": header}, b"").retry_after == wait


def test_an_error_document_is_read() -> None:
    body = b"""<?xml version="1.0"?><Error><Code>AuthorizationHeaderMalformed</Code>
        <Message>the region is wrong</Message><Region>eu-west-1</Region></Error>"""
    assert Answer.read(400, {}, body) == Answer(
        400, "AuthorizationHeaderMalformed", "the region is wrong", "eu-west-1"
    )


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"\xff<Code>", b"<Code>a<b/>"])
def test_a_body_that_is_no_error_document_gives_no_code(body: bytes) -> None:
    assert Answer.read(502, {}, body) == Answer(502)
