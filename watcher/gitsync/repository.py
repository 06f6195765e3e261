"""The local copy of the repository: a cache of what the host has, and our commits until they are
there.

Exists so that everybody above thinks in commits and trees. Promises: of the host's history only
the newest commit's folders are fetched, no file of it (a shallow, blobless copy); what was left
half-done by a process that was killed is no obstacle; a copy that is damaged or has grown is made
anew.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from watcher.gitsync import position
from watcher.gitsync.git import Git, GitError
from watcher.gitsync.position import Mark
from watcher.settings import Settings

HEAD = "refs/watcher/head"  # our newest commit, whether the host has it or not
TIP = "refs/watcher/tip"  # what the host had, and what HEAD's unpublished commits stand on
_FETCHED = "refs/watcher/fetched"
_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # a tree with nothing in it
_DEEPER = (50, 1000, 2**31 - 1)  # commits, on the way to the newest of ours; the last: all
_ARGUMENTS = 1000  # paths of a command: 128 KB is the least that a system allows for all
_MOST_PACKS = 100
_MOST_LOOSE = 10_000


class OvertakenError(GitError):
    """The host's branch is not where we thought: somebody pushed."""


class RejectedError(GitError):
    """The host looked at what we pushed, and does not want it. said: its words."""


class Change(NamedTuple):
    action: str  # A, M, D
    path: str


class Ours(NamedTuple):
    """A commit of ours."""

    commit: str
    mark: Mark


class Repository:
    """folder: of the copy; locked by us."""

    def __init__(self, folder: Path, settings: Settings, environment: dict[str, str]) -> None:
        self.git = Git(folder / "repository.git", environment)
        self._url = settings.git_repository
        self._branch = f"refs/heads/{settings.git_branch}"
        name, _, address = settings.git_author.rpartition(" ")
        self._identity = {"NAME": name, "EMAIL": address.strip("<>")}

    async def prepare(self) -> None:
        """Make the copy if there is none that is of use. Raises GitError."""
        folder = self.git.folder
        if folder.exists():
            for left in folder.rglob("*.lock"):  # by a process that was killed
                left.unlink(missing_ok=True)
            with suppress(GitError):
                if await self.git.ask("config", "remote.origin.url") == self._url:
                    return
        self.forget()
        await self.git.run("init", "--quiet", "--bare", "--template=")
        for name, value in (
            ("url", self._url),
            ("promisor", "true"),
            ("partialCloneFilter", "blob:none"),
        ):
            await self.git.run("config", f"remote.origin.{name}", value)

    def forget(self) -> None:
        """Remove the copy; what it held of ours and nobody else has, the bucket has."""
        shutil.rmtree(self.git.folder, ignore_errors=True)

    async def has_grown(self) -> bool:
        """Whether a new copy would be worth its transfer."""
        counts = dict(
            line.split(": ") for line in (await self.git.ask("count-objects", "-v")).splitlines()
        )
        return int(counts["packs"]) > _MOST_PACKS or int(counts["count"]) > _MOST_LOOSE

    # The host

    async def fetch(self) -> str:
        """The newest commit of the host's branch, now here, too; "": there is none.

        Raises GitError.
        """
        listed = await self.git.ask("ls-remote", "origin", self._branch)  # and what ends like it
        tips = {name: tip for tip, _, name in (it.partition("\t") for it in listed.splitlines())}
        tip = tips.get(self._branch, "")
        # Not asked of git: what this copy lacks, it would fetch, with all of its history.
        if tip and tip not in [await self.get(ref) for ref in (HEAD, TIP, _FETCHED)]:
            await self._fetch("--depth=1")
        return tip

    async def push(self, commit: str) -> None:
        """Make it the host's newest. Raises OvertakenError, RejectedError, GitError."""
        try:
            # A thin pack would need files that only the host has.
            await self.git.run(
                "push", "--no-thin", "--porcelain", "origin", f"{commit}:{self._branch}"
            )
        except GitError as error:
            if "[remote rejected]" in error.said:
                raise RejectedError("push", error.said) from None
            if "[rejected]" in error.said:
                raise OvertakenError("push", error.said) from None
            raise
        await self.point(TIP, commit)

    async def newest_of_ours(self, tip: str) -> Ours | None:
        """In the history of a commit of the host; None: there is none. Raises GitError."""
        for depth in (0, *_DEEPER):
            if depth:
                if not (self.git.folder / "shallow").exists():
                    return None
                await self._fetch(f"--depth={depth}")
            if found := await self._newest_here(tip):
                return found
        return None

    async def _newest_here(self, tip: str) -> Ours | None:
        out = await self.git.run(
            "log", "-z", "--format=%H%n%T%n%B", "--grep=^Bucket-Tree: ", "--max-count=100", tip
        )
        for entry in out.decode(errors="replace").split("\0"):
            commit, _, rest = entry.partition("\n")
            tree, _, message = rest.partition("\n")
            if mark := position.read(message, tree):
                return Ours(commit, mark)
        return None

    async def _fetch(self, depth: str) -> None:
        await self.git.run(
            *("fetch", "--quiet", "--no-tags", depth, "--filter=blob:none"),
            *("origin", f"+{self._branch}:{_FETCHED}"),
        )

    # Commits and trees

    async def get(self, ref: str) -> str:
        """The commit that it names; "": none."""
        with suppress(GitError):
            return await self.git.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return ""

    async def point(self, ref: str, commit: str) -> None:
        """commit: "" for none."""
        await self.git.run("update-ref", *([ref, commit] if commit else ["-d", ref]))

    async def unpublished(self) -> int:
        """How many commits of ours the host lacks."""
        return await self.count(await self.get(HEAD), beyond=await self.get(TIP))

    async def count(self, commit: str, *, beyond: str) -> int:
        """Commits between two; "" is before all."""
        if not commit:
            return 0
        past = [f"^{beyond}"] if beyond else []
        return int(await self.git.ask("rev-list", "--count", commit, *past))

    async def mark_of(self, commit: str) -> Mark | None:
        found = await self.git.ask("log", "-1", "--format=%T%n%B", commit)
        tree, _, message = found.partition("\n")
        return position.read(message, tree)

    async def commit(self, tree: str, parent: str, message: str, at: datetime) -> str:
        """Our newest commit. parent: "" for the first one of all."""
        stamp = f"{int(at.timestamp())} +0000"
        who = {
            f"GIT_{role}_{name}": value
            for role in ("AUTHOR", "COMMITTER")
            for name, value in {**self._identity, "DATE": stamp}.items()
        }
        parents = ["-p", parent] if parent else []
        made = await self.git.run("commit-tree", tree, *parents, input=message.encode(), **who)
        commit = made.decode().strip()
        await self.point(HEAD, commit)
        return commit

    async def tree_of(self, commit: str) -> str:
        """ "" has the empty tree."""
        return await self.git.ask("rev-parse", f"{commit}^{{tree}}") if commit else _EMPTY

    async def diff(self, old: str, new: str) -> list[Change]:
        """What differs between two trees."""
        out = await self.git.run("diff-tree", "-r", "-z", "--no-renames", "--name-status", old, new)
        fields = out.decode().split("\0")
        return [Change(*pair) for pair in zip(fields[0::2], fields[1::2], strict=False) if pair[0]]

    async def entries(self, tree: str, folder: str) -> dict[str, tuple[str, str]]:
        """Name -> mode and hash of what is right in a folder; "" is the root."""
        return dict(_entries(await self.git.run("ls-tree", "-z", tree, *_below(folder)), folder))

    async def files(self, tree: str, folder: str) -> set[str]:
        """Paths of all files below a folder, relative to it."""
        out = await self.git.run("ls-tree", "-r", "-z", "--name-only", tree, *_below(folder))
        return {path.removeprefix(folder) for path in out.decode().split("\0") if path}

    async def blobs(self, tree: str, paths: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Path -> mode and hash."""
        found: dict[str, tuple[str, str]] = {}
        for start in range(0, len(paths), _ARGUMENTS):
            some = paths[start : start + _ARGUMENTS]
            found |= _entries(await self.git.run("ls-tree", "-r", "-z", tree, "--", *some), "")
        return found

    async def read(self, tree: str, path: str) -> str:
        """A file's text; "" if there is none."""
        if path.rpartition("/")[2] not in await self.entries(tree, _folder_of(path)):
            return ""
        return (await self.git.run("cat-file", "blob", f"{tree}:{path}")).decode(errors="replace")


def _below(folder: str) -> Sequence[str]:
    return ("--", folder) if folder else ()


def _folder_of(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _entries(listing: bytes, folder: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for line in listing.decode().split("\0"):
        if line:
            about, _, path = line.partition("\t")
            mode, _, name = about.split(" ")
            yield path.removeprefix(folder), (mode, name)
