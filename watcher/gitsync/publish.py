"""Getting commits to the host, whatever it thinks of them.

Exists because a host may refuse a file (too large, looks like a key) and the other ten thousand
must get there all the same. Promises: history that was published is never rewritten; a file that
is refused is named, and is missing in the mirror rather than out of date; what could not be pushed
stays here and is pushed later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from watcher.gitsync.git import GitError
from watcher.gitsync.message import message
from watcher.gitsync.position import Mark, Position
from watcher.gitsync.remote import RemoteError, refusal, refuses_us
from watcher.gitsync.repository import HEAD, TIP, Change, OvertakenError, RejectedError, Repository
from watcher.gitsync.selection import Selection
from watcher.gitsync.tree import building, built
from watcher.settings import Settings

_MOST_PUSHES = 64  # of a round, in search of what is refused: enough for three files of 20,000


class Published(NamedTuple):
    """commit: the host's newest. rejected: paths that it refused, and its words."""

    commit: str
    rejected: Mapping[str, str] = MappingProxyType({})


async def publish(
    repository: Repository, commit: str, *, selection: Selection, settings: Settings, at: datetime
) -> Published:
    """Push a commit of ours, or as much of it as the host takes.

    Raises OvertakenError where somebody else pushed, RemoteError where it cannot be done now.
    """
    try:
        try:
            await repository.push(commit)
            return Published(commit)
        except RejectedError as error:
            if refuses_us(error):
                raise
            return await _without_refused(repository, commit, error, selection, at)
    except OvertakenError:
        raise
    except GitError as error:
        raise await refusal(error, settings) from error


async def _without_refused(
    repository: Repository, commit: str, error: RejectedError, selection: Selection, at: datetime
) -> Published:
    """By halves, until what is refused is found; its words may name it at once."""
    tip = before = await repository.get(TIP)
    base, wanted = await repository.tree_of(tip), await repository.tree_of(commit)
    batches = _smaller(await repository.diff(base, wanted), error)
    rejected: dict[str, str] = {}
    mark = await repository.mark_of(commit)
    old = await repository.mark_of(tip) if tip else None
    was = old.position if old else Position()
    try:
        for _ in range(_MOST_PUSHES):
            if not batches:
                break
            batch = batches.pop(0)
            whole = mark.position if mark and not batches else was
            reached = _short_of(whole, was, rejected, selection)
            made = await _commit(repository, tip, wanted, batch, selection, reached, at)
            try:
                await repository.push(made)
                tip = made
            except RejectedError as again:
                error = again
                if len(batch) > 1:
                    batches[:0] = _smaller(batch, again)
                    continue
                [change] = batch
                rejected[change.path] = str(again)
                if change.action == "M":  # what it was before would be a lie
                    batches.append([Change("D", change.path)])
    finally:
        await repository.point(HEAD, tip)
    unnamed = len(rejected) > 1 and not any(path in why for path, why in rejected.items())
    if batches or (unnamed and tip == before):
        raise RemoteError(f"the host refuses what is pushed: {error}")
    return Published(tip, rejected)


def _smaller(batch: Sequence[Change], error: RejectedError) -> list[list[Change]]:
    """What the host names alone, and the rest; else two halves."""
    named = [each for each in batch if each.path in error.said]
    if 0 < len(named) < len(batch):
        return [[each for each in batch if each not in named], *([each] for each in named)]
    middle = (len(batch) + 1) // 2
    return [part for part in (list(batch[:middle]), list(batch[middle:])) if part]


def _short_of(
    whole: Position, was: Position, rejected: Iterable[str], selection: Selection
) -> Position:
    """Where it means nothing that a file is missing, a refused one would never be tried again: then
    its cluster is as far as it was."""
    if not selection.exclude_owned:
        return whole
    parts = (path.removeprefix(selection.prefix).split("/") for path in rejected)
    clusters = {"/".join(each[:2]) for each in parts}
    return replace(whole, clusters={**whole.clusters, **{it: was.of(it) for it in clusters}})


async def _commit(
    repository: Repository,
    parent: str,
    wanted: str,
    batch: Sequence[Change],
    selection: Selection,
    reached: Position,
    at: datetime,
) -> str:
    before = await repository.tree_of(parent)
    async with building(repository.git, before) as tree:
        files = await repository.blobs(wanted, [it.path for it in batch if it.action != "D"])
        for change in batch:
            if change.action == "D":
                await tree.remove(change.path)
            else:
                await tree.graft(change.path, *files[change.path])
    made = await built(repository.git)
    text = message(
        await repository.diff(before, made),
        prefix=selection.prefix,
        managers={},
        left_out={},
        mark=Mark(reached, selection.digest, made),
    )
    return await repository.commit(made, parent, text, at)
