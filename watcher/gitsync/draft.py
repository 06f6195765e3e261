"""The commits of one round, as its changes come in.

Exists so that a first mirror of a million files is pushed in parts and an ordinary night is one
commit, by the same code. Promises: a commit holds nothing but true states of the bucket, and says
of no cluster more than is in it; where nothing changed there is no commit.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime

from watcher.gitsync import readme
from watcher.gitsync.message import message, of_clusters
from watcher.gitsync.position import Mark, Position
from watcher.gitsync.repository import Repository
from watcher.gitsync.selection import Selection
from watcher.gitsync.tree import Tree, building, built

_PART = 20_000  # files that differ, beyond which a commit is pushed and another one begun

Publish = Callable[[str], Awaitable[str]]  # a commit -> the one that stands for it afterwards


class Draft:
    """parent: the commit that it begins with; "": none. before: how far that one goes. position:
    how far the round is, for a part of it. left_out: path -> why, as `selection` names it: of
    earlier rounds; kept up to date. publish: called for each part but the last."""

    def __init__(
        self,
        repository: Repository,
        selection: Selection,
        parent: str,
        *,
        before: Position,
        position: Callable[[], Position],
        left_out: dict[str, str],
        publish: Publish,
        per_cluster: bool,
        clock: Callable[[], datetime],
    ) -> None:
        self.parent = parent
        self.clusters: set[str] = set()  # that it mirrors: `domain/name`
        self.left_out = left_out
        self.made: Counter[str] = Counter()  # files by action (A, M, D), in commits so far
        self.commits = 0
        self._repository = repository
        self._selection = selection
        self._before = before
        self._position = position
        self._publish = publish
        self._per_cluster = per_cluster
        self._clock = clock
        self._managers: dict[str, str] = {}
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._building: Tree | None = None
        self._built_so_far = ""  # the tree to go on from, where it is not that of the parent

    async def __aenter__(self) -> "Draft":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.__aexit__(*error)  # type: ignore[arg-type]

    async def write(self, path: str, body: bytes, manager: str) -> None:
        async with self._turn:
            self.left_out.pop(path, None)
            await (await self._tree()).write(path, body)
            await self._note(path, manager)

    async def remove(self, path: str, manager: str = "") -> None:
        """A file or a folder."""
        async with self._turn:
            self.left_out.pop(path, None)
            await (await self._tree()).remove(path)
            await self._note(path, manager)

    def leave_out(self, path: str, why: str) -> None:
        self.left_out[path] = why

    async def put_back(self, ours: str) -> None:
        """Of each cluster of ours what another commit holds, which is ours."""
        prefix = self._selection.prefix
        domains = {cluster.partition("/")[0] for cluster in self.clusters}
        tree = await self._tree()
        for domain in domains:
            folder = f"{prefix}{domain}/"
            then = await self._repository.entries(ours, folder)
            now = await self._repository.entries(self.parent, folder)
            for name in (then.keys() | now.keys()) if then != now else ():
                if f"{domain}/{name}" not in self.clusters or then.get(name) == now.get(name):
                    continue
                if entry := then.get(name):
                    await tree.graft(folder + name, *entry)
                else:
                    await tree.remove(folder + name)

    async def finish(self, position: Position) -> None:
        """What is left becomes the last commit, or one for each cluster."""
        base = await self._repository.tree_of(self.parent)
        begun = self._building or self._built_so_far
        if not begun and await self._is_described(base):
            return
        tree = await self._built()
        if self._per_cluster:
            await self._commit_clusters(base, tree)
        await self._commit(tree, position)

    # Inside

    async def _note(self, path: str, manager: str) -> None:
        if manager:
            self._managers[path] = manager
        if self._building and self._building.changes >= _PART:
            await self._end_part()

    async def _end_part(self) -> None:
        """Where most of what was written is there already, it is no part: the commit of the little
        that is new has to be the last one, which says how far the whole round went."""
        self._built_so_far = await self._built()
        if await self._commit(self._built_so_far, self._position(), least=_PART):
            self._built_so_far = ""
            self.parent = await self._publish(self.parent)

    async def _tree(self) -> Tree:
        if self._building is None:
            base = self._built_so_far or await self._repository.tree_of(self.parent)
            self._building = await self._stack.enter_async_context(
                building(self._repository.git, base)
            )
        return self._building

    async def _built(self) -> str:
        tree = await self._tree()
        await tree.write(self._selection.prefix + readme.README, self._readme())
        await tree.write(self._selection.prefix + readme.ATTRIBUTES, readme.attributes.encode())
        self._building = None
        await self._stack.aclose()
        return await built(self._repository.git)

    def _readme(self) -> bytes:
        return readme.render(self.clusters).encode()

    async def _is_described(self, tree: str) -> bool:
        """Whether the generated files are what they should be."""
        path = self._selection.prefix + readme.README
        return (await self._repository.read(tree, path)).encode() == self._readme()

    async def _commit_clusters(self, base: str, tree: str) -> None:
        """All but the last cluster that changed have a commit of their own."""
        prefix = self._selection.prefix
        changes = await self._repository.diff(base, tree)
        folders = sorted(
            {
                prefix + "/".join(parts[:2])
                for each in changes
                if len(parts := each.path.removeprefix(prefix).split("/")) > 2
            }
        )
        for path in folders[:-1]:
            folder, _, name = path.rpartition("/")
            entry = (await self._repository.entries(tree, f"{folder}/")).get(name)
            before = await self._repository.tree_of(self.parent)
            async with building(self._repository.git, before) as draft:
                await (draft.graft(path, *entry) if entry else draft.remove(path))
            # It says no more than its parent: of the other clusters it lacks what was found.
            await self._commit(await built(self._repository.git), self._before)

    async def _commit(self, tree: str, position: Position, *, least: int = 1) -> bool:
        """Whether so many files differ; else nothing is committed."""
        changes = await self._repository.diff(await self._repository.tree_of(self.parent), tree)
        if len(changes) < least:
            return False
        text = message(
            changes,
            prefix=self._selection.prefix,
            managers=self._managers,
            left_out=self.left_out,
            mark=Mark(position, self._selection.digest, tree),
        )
        self.parent = await self._repository.commit(tree, self.parent, text, self._clock())
        files = of_clusters(changes, self._selection.prefix)
        self.made.update(change.action for change in files)
        self.commits += 1
        self._managers.clear()
        return True
