"""What an S3 server's refusal means: one function from its answer to our errors.

Exists because AWS, MinIO, Ceph and gateways say the same thing with different statuses and codes.
Pure. Promises: one line without secrets that names the setting to look at; PreconditionError,
AbsentError, ThrottledError and RejectedError are given only where nothing was written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from watcher.errors import (
    AbsentError,
    BucketError,
    BucketUnreachableError,
    PreconditionError,
    RejectedError,
    ThrottledError,
)

CREDENTIALS = "settings minio-access-key and minio-secret-key, or the AWS credentials chain"


class ExpiredError(RejectedError):
    """The credentials were good once: new ones from the same source may be too."""


class DeniedError(RejectedError):
    """A read was refused. So AWS also answers who may list but one prefix and asks for what is not
    there (MinIO says 404)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked for. key: or the prefix of a listing. where: the store's name."""

    operation: str  # PUT, GET, HEAD, LIST, DELETE, COPY
    key: str
    where: str
    conditional: bool = False

    def __str__(self) -> str:
        return f"{self.operation} {self.key} in {self.where}".replace("  ", " ")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success. code: S3's own ("NoSuchKey"); "" in one to a HEAD, or from what
    is no S3 server."""

    status: int
    code: str = ""
    message: str = ""
    region: str = ""  # where the bucket really is, if told
    retry_after: float | None = None  # seconds, if told

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], body: bytes) -> "Answer":
        """From HTTP; headers compare without case. A body that is no S3 error gives no code."""

        def element(name: str) -> str:
            found = re.search(f"<{name}>([^<]*)</{name}>", text)
            return found[1] if found else ""

        text = body.decode(errors="replace")
        return cls(
            status,
            element("Code"),
            element("Message"),
            element("Region") or headers.get("x-amz-bucket-region", ""),
            seconds(headers.get("Retry-After")),
        )


def seconds(retry_after: str | None) -> float | None:
    """A Retry-After header; as a date it is of no use to us."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None


_HINTS = {  # codes that stay until somebody changes a setting, the rights or a clock
    "NoSuchBucket": "setting minio-bucket",
    "InvalidBucketName": "setting minio-bucket",
    "InvalidAccessKeyId": "setting minio-access-key",
    "SignatureDoesNotMatch": "setting minio-secret-key",
    "AllAccessDisabled": "the rights of these keys",
    "AccountProblem": "the account of these keys",
    "RequestTimeTooSkewed": "the clock of this machine or of the store is wrong",
    "PermanentRedirect": "setting minio-region",
    "TemporaryRedirect": "setting minio-region",
    "AuthorizationHeaderMalformed": "setting minio-region",
    "IllegalLocationConstraintException": "setting minio-region",
    "InvalidRegion": "setting minio-region",
    "QuotaExceeded": "the bucket's quota",
}
_READS = {"GET", "HEAD", "COPY"}  # of one object
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"}
_THROTTLED = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "TooManyRequests",
    "BandwidthLimitExceeded",
}
_BROKEN = {  # 4xx that say the request got lost or damaged on its way
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "OperationAborted",
}


def error_for(answer: Answer, ask: Ask) -> BucketError:
    """The one place that knows what status codes and S3's codes mean."""
    status, code = answer.status, answer.code
    line = _line(answer, ask)
    if code in _EXPIRED:
        return ExpiredError(line, hint=CREDENTIALS)
    if code in _THROTTLED or code.startswith("SlowDown") or status == 429:
        return ThrottledError(line, retry_after=answer.retry_after)
    if code == "AccessDenied" or (status == 403 and not code):
        hint = "the rights of these keys" + ("" if code else f"; {CREDENTIALS}")
        kind = DeniedError if ask.operation in _READS else RejectedError
        return kind(line, hint=hint)
    if code in _HINTS:
        return RejectedError(line, hint=_hint(_HINTS[code], answer))
    if status == 412 or code == "ConditionalRequestConflict" or (status == 404 and ask.conditional):
        return PreconditionError(line)
    if status == 404 and ask.operation in _READS:
        return AbsentError(line)
    if 300 <= status < 400:
        return RejectedError(line, hint=_hint("setting minio-region", answer))
    no_s3 = "" if code or ask.operation == "HEAD" else "setting minio-endpoint: is that S3?"
    if code in _BROKEN or status == 408 or (status >= 500 and status != 501):
        return BucketUnreachableError(line, hint=no_s3)
    if status in {401, 403}:
        return RejectedError(line, hint=f"the rights of these keys; {CREDENTIALS}")
    return RejectedError(line, hint=no_s3)


def _line(answer: Answer, ask: Ask) -> str:
    said = " ".join(f"{answer.status} {answer.code}: {answer.message}".split()).rstrip(": ")
    return f"{ask}: {said[:300]}"


def _hint(hint: str, answer: Answer) -> str:
    """With the region, which many refusals name, where that is what is wrong."""
    told = answer.region and "minio-region" in hint
    return f"{hint}: the bucket is in {answer.region}" if told else hint
