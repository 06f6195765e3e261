"""One round: make the host's branch equal to the bucket.

Exists as the one way from the bucket to git, first mirror and lost disk, edits by others and an
ordinary night alike. Promises: begins with what the host has, never rewrites it; where others
pushed on top, their files stay and ours are put back; a cluster that cannot be read is behind, and
the others are not; where the host is away, a bounded number of commits waits here.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from watcher.bucket import fleet, owner
from watcher.bucket.layout import Layout
from watcher.bucket.meta import together
from watcher.bucket.store import Store
from watcher.errors import BucketError, RefusedError
from watcher.gitsync import readme
from watcher.gitsync.draft import Draft
from watcher.gitsync.git import GitError
from watcher.gitsync.message import of_clusters
from watcher.gitsync.position import Mark, Position
from watcher.gitsync.publish import publish
from watcher.gitsync.remote import RemoteError, refusal
from watcher.gitsync.repository import HEAD, TIP, OvertakenError, Repository
from watcher.gitsync.scan import Scan, Trail, managers_since
from watcher.gitsync.selection import Selection
from watcher.settings import Settings

_CLUSTERS_AT_ONCE = 8
_MARGIN = timedelta(minutes=2)  # that clocks of the bucket's servers may differ by
_MOST_UNPUBLISHED = 100  # commits; what changes then waits in the bucket
_RACES = 5  # rounds that somebody else's push may spoil before we wait for the next one


@dataclass(slots=True)
class Summary:
    """What a round did. made: files by action (A, M, D). behind: cluster -> why it could not be
    read. left_out: path -> why it is not mirrored. rejected: path -> why the host refuses it.
    unpublished: why commits wait here; "": none does."""

    clusters: int = 0
    commits: int = 0
    made: Counter[str] = field(default_factory=Counter)
    behind: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    unpublished: str = ""


class _Base(NamedTuple):
    """What a round begins with. ours: the commit of ours whose files are put back; "": none."""

    parent: str
    position: Position
    ours: str
    offline: str  # why the host could not be asked; ""


class Mirror:
    def __init__(
        self,
        store: Store,
        repository: Repository,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._repository = repository
        self._settings = settings
        self._selection = Selection.of(settings, store.name)
        self._clock = clock
        self._turns = asyncio.Semaphore(settings.concurrency)
        self._clusters_at_once = asyncio.Semaphore(_CLUSTERS_AT_ONCE)
        self._at = ("", Position())  # the newest commit, and how far it really goes
        self._trails: dict[str, Trail] = {}
        self._left_out: dict[str, str] = {}  # path -> why, as `selection` names it
        self._rejected: dict[str, str] = {}  # path -> the host's words

    async def round(self, *, full: bool = True) -> Summary:
        """full: by listings; else by journals, of clusters that a full round has seen (where there
        is a schedule for all of them, these wait for it).

        Raises RemoteError, BucketError, RefusedError (an empty bucket is no reason to empty the
        mirror), and GitError where the local copy is not to be relied on.
        """
        for _ in range(_RACES):
            with suppress(OvertakenError):
                return await self._round(full)
        raise RemoteError("others push to the branch all the time: none of our pushes came through")

    async def _round(self, full: bool) -> Summary:
        base = await self._base()
        summary = Summary(unpublished=base.offline)
        if await self._repository.unpublished() >= _MOST_UNPUBLISHED:
            await self._publish(base.parent, summary)
            if summary.unpublished:
                return summary
            base = await self._base()
        now = await self._store.now() - _MARGIN if full else None
        layouts = [
            it for it in await fleet.clusters(self._store) if self._selection.has_cluster(it)
        ]
        summary.clusters = len(layouts)
        progress = _Progress(base.position, now)

        async def publish_part(commit: str) -> str:
            return commit if base.offline else await self._publish(commit, summary)

        draft = Draft(
            self._repository,
            self._selection,
            base.parent,
            before=base.position,
            position=progress.so_far,
            left_out=self._left_out,
            publish=publish_part,
            per_cluster=self._settings.git_commit_per_cluster,
            clock=self._clock,
        )
        async with draft:
            mirrored = await self._mirrored(base.ours or base.parent)
            draft.clusters |= mirrored
            if base.ours and base.ours != base.parent:
                await draft.put_back(base.ours)
            if not layouts:
                raise RefusedError(
                    f"{self._store.name} holds no cluster, the mirror {len(mirrored)}:"
                    " it is left as it is",
                    hint="is it the right bucket, and do the settings leave any in?",
                )
            await self._look(layouts, draft, progress, base, full)
            for gone in mirrored - {it.name for it in layouts}:
                await draft.remove(folder := self._selection.prefix + gone)
                self._forget_kept_out(f"{folder}/")
                draft.clusters.discard(gone)
            final = progress.done({it.name for it in layouts})
            await draft.finish(final)
        self._at = (draft.parent, final)
        summary.behind = progress.behind
        summary.left_out = dict(self._left_out)
        summary.made += draft.made
        summary.commits += draft.commits
        if not base.offline:
            commit = await self._publish(draft.parent, summary)
            self._at = (commit, final)
        if self._rejected:
            summary.rejected = dict(self._rejected)
            await self._count(base.parent, summary)
        return summary

    async def _count(self, before: str, summary: Summary) -> None:
        """Anew, as commits that the host refused have become others."""
        after = await self._repository.get(HEAD)
        trees = [await self._repository.tree_of(commit) for commit in (before, after)]
        files = of_clusters(await self._repository.diff(*trees), self._selection.prefix)
        summary.made = Counter(change.action for change in files)
        summary.commits = await self._repository.count(after, beyond=before)

    async def _base(self) -> _Base:
        repository, offline = self._repository, ""
        head, known = await repository.get(HEAD), await repository.get(TIP)
        try:
            tip = await repository.fetch()
        except GitError as error:
            reason = await refusal(error, self._settings)
            if not head:
                raise reason from error
            tip, offline = known, str(reason)
        if head and tip in (head, known):
            await repository.point(TIP, tip)
            position = await self._position(head, await repository.mark_of(head))
            return _Base(head, position, head, offline)
        # Somebody else pushed, or this copy is new. Commits that nobody has seen are made anew.
        await repository.point(HEAD, "")
        await repository.point(TIP, tip)
        self._trails.clear()  # what they led to may have been in those commits
        try:
            ours = await repository.newest_of_ours(tip) if tip else None
        except GitError as error:
            raise await refusal(error, self._settings) from error
        if ours is None:
            await self._refuse_to_replace(tip)
            return _Base(tip, Position(), "", "")
        return _Base(tip, await self._position(ours.commit, ours.mark), ours.commit, "")

    async def _refuse_to_replace(self, tip: str) -> None:
        """A file of others that has the name of a generated one."""
        prefix = self._selection.prefix
        there = await self._repository.entries(tip, prefix) if tip else {}
        text = await self._repository.read(tip, prefix + readme.README) if there else ""
        if there.keys() & {readme.README, readme.ATTRIBUTES} and not readme.is_ours(text):
            raise RefusedError(
                f"{self._settings.git_repository} has a README.md or .gitattributes"
                " of its own, which would be replaced",
                hint="setting git-path-prefix gives the mirror a folder",
            )

    async def _position(self, commit: str, mark: Mark | None) -> Position:
        at, position = self._at
        if at == commit:  # also where nothing was committed that would say so
            return position
        if mark is None or mark.selection != self._selection.digest:
            return Position()
        return mark.position

    async def _mirrored(self, commit: str) -> set[str]:
        if not commit:
            return set()
        path = self._selection.prefix + readme.README
        return readme.clusters(await self._repository.read(commit, path))

    async def _look(
        self,
        layouts: list[Layout],
        draft: Draft,
        progress: "_Progress",
        base: _Base,
        full: bool,
    ) -> None:
        scan = Scan(self._store, self._selection, self._turns, draft)

        async def look(layout: Layout) -> None:
            name = layout.name
            async with self._clusters_at_once:
                try:
                    trail = self._trails.get(name)
                    if full or trail is None:
                        await self._compare(layout, scan, base, draft)
                    elif self._settings.git_sync_schedule is None:
                        await self._follow(layout, scan, trail)
                except (BucketError, RefusedError) as error:
                    progress.behind[name] = str(error)
                    self._trails.pop(name, None)
                else:
                    progress.reached.add(name)

        await together(map(look, layouts))

    async def _compare(self, layout: Layout, scan: Scan, base: _Base, draft: Draft) -> None:
        name = layout.name
        await owner.read(self._store, layout)  # refuses what we would not understand
        draft.clusters.add(name)
        since = base.position.of(name)
        trail = Trail(self._store, layout, self._clock)
        await trail.skip()
        folder = f"{self._selection.prefix}{layout.prefix}"
        source = base.ours or base.parent
        files = await self._repository.files(source, folder) if source else set()
        again = {path.removeprefix(folder) for path in self._forget_kept_out(folder)}
        managers = await managers_since(self._store, layout, since)
        await scan.compare(
            layout, files, since=since, again=again, managers=lambda key: managers.get(key, "")
        )
        self._trails[name] = trail

    def _forget_kept_out(self, folder: str) -> list[str]:
        """What was not mirrored of a folder so far, and is looked at anew or is gone."""
        kept_out = [it for it in self._left_out | self._rejected if it.startswith(folder)]
        for path in kept_out:
            self._left_out.pop(path, None)
            self._rejected.pop(path, None)
        return kept_out

    async def _follow(self, layout: Layout, scan: Scan, trail: Trail) -> None:
        changed = await trail.changed()
        wanted = (key for key in changed if self._selection.has_key(key))
        await together(scan.take(layout, key, changed[key]) for key in wanted)

    async def _publish(self, commit: str, summary: Summary) -> str:
        if not commit or commit == await self._repository.get(TIP):
            return commit
        try:
            published = await publish(
                self._repository,
                commit,
                selection=self._selection,
                settings=self._settings,
                at=self._clock(),
            )
        except RemoteError as error:
            summary.unpublished = str(error)
            return commit
        summary.unpublished = ""
        self._rejected |= published.rejected
        return published.commit


@dataclass(slots=True)
class _Progress:
    """How far a round is. now: the bucket's time at its beginning; None: what it reads (journals)
    takes nobody further, as it may lack a line."""

    before: Position
    now: datetime | None
    reached: set[str] = field(default_factory=set)
    behind: dict[str, str] = field(default_factory=dict)

    def so_far(self) -> Position:
        """Of a part of it."""
        if self.now is None:
            return self.before
        return replace(
            self.before, clusters={**self.before.clusters, **dict.fromkeys(self.reached, self.now)}
        )

    def done(self, clusters: set[str]) -> Position:
        if self.now is None:
            return self.before
        return Position(self.now, {it: self.before.of(it) for it in clusters - self.reached})
