"""What all files in `_meta/` have in common (FORMAT.md section 5)."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from watcher.errors import BucketError, RefusedError

_T = TypeVar("_T")

FORMAT = 1  # the newest that this program knows


class NewerFormatError(RefusedError):
    """A newer program wrote it."""


def check_format(key: str, found: int) -> None:
    """Raises NewerFormatError: we would destroy what we don't understand."""
    if found > FORMAT:
        raise NewerFormatError(
            f"{key} has format {found}, this program knows up to {FORMAT}",
            hint="use the newer program that wrote it",
        )


async def together(asked: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The answers to questions asked at once, in order. Where some fail, the error of one, if there
    is one of the bucket's that one, and no other goes on behind the caller's back (as it does with
    `asyncio.gather`)."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in asked]
    except ExceptionGroup as errors:
        of_bucket = (it for it in errors.exceptions if isinstance(it, BucketError))
        raise next(of_bucket, errors.exceptions[0]) from None
    return [task.result() for task in tasks]
