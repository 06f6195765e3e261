"""Every error of the program that somebody above has to decide on.

Exists so that callers branch on what to do (fix a setting, wait, refuse), never on a library's
exception or a status code. Promises: `str(error)` is one line for a person, without secrets and
without a traceback; `exit_code` is what the command line answers with (DESIGN.md section 10).
"""

import re


def masked(text: str) -> str:
    """The same, with no user and password of a URL in it: aiohttp names proxies with theirs."""
    return re.sub(r"//[^/\s]*@", "//***@", text)


def one_line(error: Exception) -> str:
    """What another library says, in one line; where it says nothing, what it is."""
    return masked(" ".join(str(error).split())) or type(error).__name__


class WatcherError(Exception):
    """Something is wrong and one line says what. `hint` says what to do about it, if known."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)


class UsageError(WatcherError):
    """A setting or an argument is missing or malformed."""

    exit_code = 2


class RefusedError(WatcherError):
    """Going on could damage somebody's backup."""

    exit_code = 3


class ClusterError(WatcherError):
    """The API server did not do what was asked."""


class ClusterUnreachableError(ClusterError):
    """No usable answer: connection, TLS, timeout, cut in the middle."""


class StatusError(ClusterError):
    """The API server answered with an error status.

    status: HTTP status, or the code of a watch's ERROR event. retry_after: seconds, if told.
    """

    def __init__(
        self, status: int, message: str, *, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class BucketError(WatcherError):
    """The bucket did not do what was asked."""


class AbsentError(BucketError):
    """No such key."""


class PreconditionError(BucketError):
    """The key is not in the state that a conditional PUT named; nothing was written."""


class ThrottledError(BucketError):
    """The bucket asks for less. retry_after: seconds, if told."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(BucketError):
    """Wrong bucket, keys, region or rights: the same request fails until somebody changes them."""


class BucketUnreachableError(BucketError):
    """Connection, timeout or a fault inside the store: whether a write took place is unknown."""
