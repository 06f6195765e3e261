"""Every exception of the libraries below S3 has a home among our errors."""

import ssl
from collections.abc import Iterator

import aiohttp
import botocore.exceptions as boto
import pytest
from botocore.parsers import ResponseParserError

from watcher.bucket.answers import Ask
from watcher.bucket.failures import FAILURES, failure, home
from watcher.errors import BucketUnreachableError, RejectedError

ASK = Ask("PUT", "cl1/ns/pod/a.yaml", "s3://b")

# botocore's that our calls can't meet: wrong use of its interface, other services, waiters,
# paginators, stubs, and configuration that we set ourselves.
NOT_FROM_OUR_CALLS = {
    "ApiVersionNotFoundError", "AwsChunkedWrapperError", "BotoCoreError",
    "CapacityNotAvailableError", "DataNotFoundError", "InvalidChecksumConfigError",
    "InvalidDefaultsMode", "InvalidEndpointDiscoveryConfigurationError", "InvalidExpressionError",
    "InvalidMaxRetryAttemptsError", "InvalidRetryConfigurationError", "InvalidRetryModeError",
    "InvalidS3AddressingStyleError", "InvalidS3UsEast1RegionalEndpointConfigError",
    "MD5UnavailableError", "MissingParametersError", "OperationNotPageableError",
    "PaginationError", "StubAssertionError", "StubResponseError", "UnStubbedResponseError",
    "UnknownClientMethodError", "UnknownServiceError", "UnknownServiceStyle",
    "UnknownSignatureVersionError", "UnseekableStreamError", "UnsupportedS3ControlArnError",
    "UnsupportedS3ControlConfigurationError", "UnsupportedServiceProtocolsError",
    "UnsupportedSignatureVersionError", "ValidationError", "AliasConflictParameterError",
    "RangeError", "UnknownKeyError", "UnknownParameterError", "WaiterConfigError", "WaiterError",
}  # fmt: skip


def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for below in kind.__subclasses__():
        yield from descendants(below)


def of_botocore() -> list[type[Exception]]:
    return [it for it in descendants(boto.BotoCoreError) if it.__module__ == boto.__name__]


@pytest.mark.parametrize("kind", sorted(set(of_botocore()), key=str), ids=lambda it: it.__name__)
def test_botocores_exceptions_have_a_home_or_a_reason_for_none(kind: type[Exception]) -> None:
    assert (home(kind) is None) == (kind.__name__ in NOT_FROM_OUR_CALLS)


@pytest.mark.parametrize(
    "kind",
    sorted({*descendants(aiohttp.ClientError), *descendants(ssl.SSLError)}, key=str),
    ids=lambda it: it.__name__,
)
def test_what_aiohttp_raises_has_a_home(kind: type[Exception]) -> None:
    assert home(kind) is not None


@pytest.mark.parametrize(
    "kind", [TimeoutError, ConnectionResetError, BrokenPipeError, OSError, ResponseParserError]
)
def test_what_the_network_does_leaves_the_outcome_unknown(kind: type[Exception]) -> None:
    found = home(kind)
    assert found is not None
    assert found[0] is BucketUnreachableError


def test_everything_with_a_home_is_caught() -> None:
    for kind in {*of_botocore(), *descendants(aiohttp.ClientError), ResponseParserError}:
        assert issubclass(kind, FAILURES)


@pytest.mark.parametrize(
    ("error", "ours", "setting"),
    [
        (ssl.SSLCertVerificationError("self-signed"), RejectedError, "minio-ca-file"),
        (ssl.SSLError("wrong version number"), BucketUnreachableError, "minio-endpoint"),
        (boto.NoCredentialsError(), RejectedError, "minio-access-key"),
        (boto.InvalidRegionError(region_name="e u"), RejectedError, "minio-region"),
        (boto.ParamValidationError(report="bucket"), RejectedError, "minio-bucket"),
        (ValueError("Invalid endpoint: minio"), RejectedError, "minio-endpoint"),
        (TimeoutError(), BucketUnreachableError, "TimeoutError"),
    ],
)
def test_the_line_names_the_setting_to_look_at(
    error: Exception, ours: type[Exception], setting: str
) -> None:
    found = failure(error, ASK)
    assert type(found) is ours
    assert setting in str(found)
    assert str(found).startswith("PUT cl1/ns/pod/a.yaml in s3://b: ")


def test_an_exception_that_botocore_wraps_counts_as_itself() -> None:
    inner = ssl.SSLCertVerificationError("self-signed certificate")
    found = failure(boto.SSLError(endpoint_url="https://minio", error=inner), ASK)
    assert type(found) is RejectedError
    assert "minio-ca-file" in str(found)


def test_a_message_of_many_lines_becomes_one() -> None:
    report = boto.ParamValidationError(report="first\n  second\n" + "x" * 1000)
    assert "\n" not in str(failure(report, ASK))
    assert len(str(failure(report, ASK))) < 500
