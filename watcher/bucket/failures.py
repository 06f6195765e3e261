"""What an exception of the libraries below S3 means: one table from their classes to our errors.

Exists so that a new version of aiohttp or botocore can't slip a failure past us: a test walks their
exceptions and fails on any without a home. A server's refusal is not here but in answers.py.
"""

import ssl

import aiohttp
import botocore.exceptions as boto
from botocore.parsers import ResponseParserError

from watcher.bucket.answers import CREDENTIALS, Answer, Ask, seconds
from watcher.errors import BucketError, BucketUnreachableError, RejectedError, one_line

_ENDPOINT = "setting minio-endpoint"
# The first row that fits.
_HOMES: tuple[tuple[tuple[type[Exception], ...], type[BucketError], str], ...] = (
    (
        (ssl.SSLCertVerificationError, aiohttp.ServerFingerprintMismatch),
        RejectedError,
        "setting minio-ca-file",
    ),
    (
        (ssl.SSLError, aiohttp.ClientSSLError, boto.SSLError),
        BucketUnreachableError,
        f"{_ENDPOINT}: does it speak https? settings minio-ca-file and minio-client-cert-file",
    ),
    (
        (
            aiohttp.ClientProxyConnectionError,
            aiohttp.ClientHttpProxyError,
            boto.ProxyConnectionError,
            boto.InvalidProxiesConfigError,
        ),
        BucketUnreachableError,
        "environment HTTP_PROXY, HTTPS_PROXY, NO_PROXY",
    ),
    (
        (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            boto.ConnectionError,
            ResponseParserError,
        ),
        BucketUnreachableError,
        _ENDPOINT,
    ),
    (
        (
            boto.BaseEndpointResolverError,
            boto.EndpointProviderError,
            boto.InvalidRegionError,
            boto.ServiceNotInRegionError,
            boto.UnknownRegionError,
        ),
        RejectedError,
        "settings minio-region and minio-endpoint",
    ),
    (
        (
            boto.InvalidDNSNameError,
            boto.InvalidHostLabelError,
            boto.ParamValidationError,
            boto.UnsupportedOutpostResourceError,
            boto.UnsupportedS3AccesspointConfigurationError,
            boto.UnsupportedS3ArnError,
            boto.UnsupportedS3ConfigurationError,
        ),
        RejectedError,
        "setting minio-bucket",
    ),
    (
        (
            aiohttp.InvalidURL,
            aiohttp.NonHttpUrlClientError,
            boto.InvalidEndpointConfigurationError,
            ValueError,
        ),
        RejectedError,
        _ENDPOINT,
    ),
    (
        (
            boto.ClientError,  # of STS and its like: those of S3 go through answer_of
            boto.ConfigNotFound,
            boto.ConfigParseError,
            boto.CredentialRetrievalError,
            boto.InvalidConfigError,
            boto.InvalidIMDSEndpointError,
            boto.InvalidIMDSEndpointModeError,
            boto.InvalidSTSRegionalEndpointsConfigError,
            boto.LoginError,
            boto.MetadataRetrievalError,
            boto.MissingDependencyException,
            boto.NoAuthTokenError,
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.ProfileNotFound,
            boto.RefreshWithMFAUnsupportedError,
            boto.SSOError,
            boto.TokenRetrievalError,
            boto.UnknownCredentialError,
            boto.UnknownTokenProviderError,
        ),
        RejectedError,
        CREDENTIALS,
    ),
    (
        (
            boto.HTTPClientError,
            boto.IncompleteReadError,
            boto.ChecksumError,
            boto.FlexibleChecksumError,
            aiohttp.ClientError,
            OSError,  # and with it TimeoutError
        ),
        BucketUnreachableError,
        "",
    ),
)
FAILURES = (
    aiohttp.ClientError,
    boto.BotoCoreError,
    boto.ClientError,
    ResponseParserError,
    OSError,
)


def home(kind: type[Exception]) -> tuple[type[BucketError], str] | None:
    """Our error and its hint for a class of failure of the libraries below; None: not foreseen."""
    for kinds, ours, hint in _HOMES:
        if issubclass(kind, kinds):
            return ours, hint
    return None


def failure(error: Exception, ask: Ask) -> BucketError:
    """Any of `FAILURES`, or a ValueError, as an error of ours with one line."""
    inner = innermost(error)
    ours, hint = home(type(inner)) or (RejectedError, "")
    return ours(f"{ask}: {one_line(inner)[:300]}", hint=hint)


def innermost(error: Exception) -> Exception:
    """aiobotocore wraps aiohttp's exceptions and keeps them aside."""
    wrapped = getattr(error, "kwargs", {}).get("error")
    return wrapped if isinstance(wrapped, Exception) else error


def answer_of(error: boto.ClientError) -> Answer:
    told, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    headers = meta.get("HTTPHeaders", {})
    code = told.get("Code", "")
    return Answer(
        status=meta.get("HTTPStatusCode", 0),
        code="" if code.isdecimal() else code,  # botocore's makeshift for no body
        message=told.get("Message", ""),
        region=told.get("Region") or headers.get("x-amz-bucket-region", ""),
        retry_after=seconds(headers.get("retry-after")),
    )
