"""The calls that set a bucket up: what the program itself must never be allowed to do.

Exists apart from s3.py because the keys are others': an administrator's, given for one command.
Promises: only BucketErrors are raised; what a store does not know is said and stops nothing; a
lifecycle, which S3 takes as a whole, keeps the rules of others.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import botocore.exceptions as boto

from watcher.bucket.answers import Answer, Ask, error_for
from watcher.bucket.connecting import Place, client
from watcher.bucket.failures import FAILURES, answer_of, failure
from watcher.bucket.setup import Found, Rule, Step, What, Wish, steps, with_rule
from watcher.errors import AbsentError, BucketError, RejectedError

Outcome = Literal["same", "to change", "changed", "not supported"]

_NOT_KNOWN = {"NotImplemented", "MethodNotAllowed", "UnsupportedOperation"}
_NOT_UNDERSTOOD = {"MalformedXML", "InvalidArgument", "InvalidRequest"}

# As hints name the writer's.
_OTHER_KEYS = re.compile(r"(?:settings? )?minio-(?=access-key|secret-key)")


class _NothingError(BucketError):
    """The bucket has nothing of the kind."""


class _NotSupportedError(RejectedError):
    """The store does not know what was asked for."""


class _NotUnderstoodError(RejectedError):
    """The store takes what was sent for malformed."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a step. why: what a store answered that does not support it."""

    step: Step
    outcome: Outcome
    why: str = ""


async def set_up(admin: "Admin", wish: Wish, *, dry_run: bool) -> AsyncIterator[Done]:
    """Make the bucket what it should be, or only say what that would take. Raises BucketError."""
    found = await admin.look()
    there = Step("bucket", "there" if found else "not there", "there")
    if found is None and not dry_run:
        await admin.create()
        yield Done(there, "changed")
        found = await admin.look()  # a store may give a new bucket some of it by itself
    else:
        yield Done(there, "to change" if found is None else "same")
    found = found or Found()
    for step in steps(found, wish):
        if step.what in found.unknown:
            yield Done(step, "not supported", found.unknown[step.what])
        elif dry_run or not step.needed:
            yield Done(step, "to change" if step.needed else "same")
        else:
            try:
                await admin.do(step)
            except _NotSupportedError as error:
                yield Done(step, "not supported", str(error))
            else:
                yield Done(step, "changed")


@asynccontextmanager
async def administering(place: Place) -> AsyncIterator["Admin"]:
    """The bucket of this place, in the hands of an administrator. Raises BucketError."""
    async with AsyncExitStack() as opened:
        try:
            made = await opened.enter_async_context(client(place))
        except (*FAILURES, ValueError) as error:
            raise failure(error, Ask("SET UP", "", place.name)) from error
        yield Admin(place, made)


class Admin:
    """lifecycle: all rules of the bucket, once it was looked at."""

    def __init__(self, place: Place, client: Any) -> None:
        self._place = place
        self._client = client
        self._lifecycle: dict[str, Any] = {}

    @property
    def lifecycle(self) -> list[Rule]:
        return list(self._lifecycle.get("Rules", ()))

    async def look(self) -> Found | None:
        """The bucket as it is; None: there is none. Raises BucketError."""
        unknown: dict[What, str] = {}

        async def ask(what: What, method: str) -> Any:
            try:
                return await self._call(method)
            except _NothingError:
                return {}
            except _NotSupportedError as error:
                unknown[what] = str(error)
                return {}

        try:
            versioning = await ask("versioning", "get_bucket_versioning")
        except AbsentError:
            return None
        self._lifecycle = await ask("old versions", "get_bucket_lifecycle_configuration")
        if "old versions" in unknown:
            unknown["unfinished uploads"] = unknown["old versions"]
        encryption = await ask("default encryption", "get_bucket_encryption")
        access = await ask("public access", "get_public_access_block")
        rules = encryption.get("ServerSideEncryptionConfiguration", {}).get("Rules") or [{}]
        return Found(
            versioning.get("Status", ""),
            self.lifecycle,
            rules[0].get("ApplyServerSideEncryptionByDefault", {}),
            access.get("PublicAccessBlockConfiguration", {}),
            unknown,
        )

    async def create(self) -> None:
        """Raises BucketError."""
        region = self._place.region  # the first one of AWS is named by not being named
        place = {} if region == "us-east-1" else {"LocationConstraint": region}
        await self._call("create_bucket", **({"CreateBucketConfiguration": place} if place else {}))

    async def do(self, step: Step) -> None:
        """Make it so. Raises BucketError."""
        match step.what:
            case "versioning":
                await self._call("put_bucket_versioning", VersioningConfiguration=step.to)
            case "old versions":
                await self._put_rule(dict(step.to))
            case "unfinished uploads":
                try:
                    await self._put_rule(dict(step.to))
                except _NotUnderstoodError as error:  # MinIO: it knows no such rule
                    raise _NotSupportedError(str(error)) from error
            case "default encryption":
                rules = [{"ApplyServerSideEncryptionByDefault": step.to}]
                wanted = {"Rules": rules}
                await self._call("put_bucket_encryption", ServerSideEncryptionConfiguration=wanted)
            case "public access":
                await self._call("put_public_access_block", PublicAccessBlockConfiguration=step.to)

    async def _put_rule(self, rule: Rule) -> None:
        rules = with_rule(self.lifecycle, rule)
        # It is no rule, and would be reset if it were not sent.
        size = "TransitionDefaultMinimumObjectSize"
        kept = {size: self._lifecycle[size]} if size in self._lifecycle else {}
        method = "put_bucket_lifecycle_configuration"
        await self._call(method, LifecycleConfiguration={"Rules": rules}, **kept)
        self._lifecycle = {"Rules": rules, **kept}

    async def _call(self, method: str, **arguments: Any) -> Any:
        ask = Ask(method.replace("_", " "), "", self._place.name)
        try:
            return await getattr(self._client, method)(Bucket=self._place.bucket, **arguments)
        except boto.ClientError as error:
            raise _error(answer_of(error), ask) from error
        except FAILURES as error:
            raise failure(error, ask) from error


def _error(answer: Answer, ask: Ask) -> BucketError:
    if answer.code == "NoSuchBucket":
        return AbsentError(f"{ask}: there is no such bucket")
    if answer.status == 404:
        return _NothingError(f"{ask}: {answer.code}")
    error = error_for(answer, ask)
    if answer.status in {405, 501} or answer.code in _NOT_KNOWN:
        return _NotSupportedError(str(error))
    if isinstance(error, RejectedError):
        kind = _NotUnderstoodError if answer.code in _NOT_UNDERSTOOD else RejectedError
        return kind(_OTHER_KEYS.sub("admin-", str(error)))
    return error
