"""A bucket in memory, a bare repository as the host, and a clock moved by hand: to play rounds on.

The git is the real one; the truth about the host is asked of it beside our code.
"""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path

from tests.memory_store import MemoryStore
from watcher.bucket.journal import Journal, Line
from watcher.bucket.layout import Layout
from watcher.gitsync.mirror import Mirror, Summary
from watcher.gitsync.service import copy_of
from watcher.logs import open_log
from watcher.settings import Settings, load

BRANCH = "main"
EAST, WEST = Layout("example.com", "east"), Layout("example.com", "west")

_BY_HAND = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_NAME": "A human" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "human@example.com" for role in ("AUTHOR", "COMMITTER")},
}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)


class Host:
    """The bare repository, as its owner and other people see it and change it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "host.git"
        self._work = folder / "by-hand"
        self.git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}")

    def git(self, *arguments: str, input: bytes = b"") -> bytes:
        command = ["git", f"--git-dir={self.path}", *arguments]
        return _run(command, input=input)

    def commits(self) -> list[str]:
        """Newest first."""
        return self.git("rev-list", BRANCH).decode().split() if self.has_branch() else []

    def has_branch(self) -> bool:
        return bool(self.git("for-each-ref", f"refs/heads/{BRANCH}"))

    def message(self, commit: str = BRANCH) -> str:
        return self.git("log", "-1", "--format=%B", commit).decode()

    def subjects(self) -> list[str]:
        """Newest first."""
        return self.git("log", "--format=%s", BRANCH).decode().splitlines()

    def files(self, commit: str = BRANCH) -> dict[str, bytes]:
        out = self.git("ls-tree", "-r", "-z", "--full-tree", commit).decode()
        found = {}
        for line in filter(None, out.split("\0")):
            about, _, path = line.partition("\t")
            found[path] = self.git("cat-file", "blob", about.split()[2])
        return found

    def is_sound(self) -> bool:
        """By fsck; and no commit of its history is empty."""
        self.git("fsck", "--full", "--strict")
        trees = self.git("log", "--format=%T", BRANCH).decode().split()
        return all(newer != older for newer, older in pairwise(trees))

    @contextmanager
    def by_hand(self) -> Iterator[Path]:
        """Somebody's clone; what the body changed there is committed and pushed."""
        folder = self._work / str(len(list(self._work.glob("*"))))
        _run(["git", "clone", "--quiet", str(self.path), str(folder)])
        yield folder
        _run(["git", "-C", str(folder), "add", "--all"])
        _run(["git", "-C", str(folder), "commit", "--quiet", "-m", "By hand"])
        _run(["git", "-C", str(folder), "push", "--quiet", "origin", f"HEAD:{BRANCH}"])

    def commit_often(self, times: int) -> None:
        """By somebody, each time another file; in one stream, for speed."""
        who = "A human <human@example.com> 0 +0000"
        stream = "".join(
            f"commit refs/heads/{BRANCH}\ncommitter {who}\ndata 4\nMine\n"
            + (f"from refs/heads/{BRANCH}^0\n" if number == 0 else "")
            + f"M 644 inline notes-{number}\ndata 0\n\n"
            for number in range(times)
        )
        self.git("fast-import", "--quiet", input=stream.encode())

    def hook(self, name: str, script: str) -> None:
        hook = self.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)

    def unhook(self, name: str) -> None:
        (self.path / "hooks" / name).unlink()

    def refuse(self, path: str, *, named: bool) -> None:
        """Every push whose newest commit has such a file. named: it says which."""
        says = f"no {path} here" if named else "policy violation 7"
        there = f'test -z "$(git ls-tree -r --name-only $new -- "{path}")"'
        self.hook(
            "pre-receive",
            f'while read old new ref; do {there} || {{ echo "{says}" >&2; exit 1; }}; done',
        )

    def refuse_content(self, text: str) -> None:
        """As `refuse`, of a file that holds this."""
        self.hook("pre-receive", f'while read old new ref; do ! git grep -q "{text}" $new; done')

    def away(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    def back(self) -> None:
        self.path.with_suffix(".away").rename(self.path)


class Rig:
    """settings: of git-sync, as in the environment. The process is there from `started` to its end;
    what it keeps between two of them is the folder `cache`, unless that is removed."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.host = Host(folder)
        self.store = MemoryStore(clock=self.clock)
        self.cache = folder / "cache"
        self.logged = StringIO()
        self.log = open_log(self.logged, "logfmt", "info", self.clock)
        self._journals: dict[Layout, Journal] = {}

    def settings(self, **chosen: str) -> Settings:
        given = {"git_repository": str(self.host.path), "git_cache_dir": str(self.cache), **chosen}
        environment = {name.upper(): value for name, value in given.items()}
        return load(
            {"minio-bucket": "backups"}, environment, optional=("cluster-domain", "cluster-name")
        )

    async def put(self, layout: Layout, key: str, body: str, by: str = "kubectl") -> None:
        """As a watcher does, a minute after what was before."""
        self.clock.tick(minutes=1)
        created = layout.prefix + key not in self.store.objects()
        metadata = {"watcher-manager": by}
        await self.store.put(layout.prefix + key, body.encode(), metadata=metadata)
        self._note(layout, key, "create" if created else "update", by)

    async def put_many(self, layout: Layout, count: int) -> None:
        """ConfigMaps conf-0 and on, no two alike."""
        for number in range(count):
            await self.put(layout, f"default/configmap/conf-{number}.yaml", f"data: {number}\n")

    async def delete(self, layout: Layout, key: str, by: str = "kubectl") -> None:
        self.clock.tick(minutes=1)
        await self.store.delete(layout.prefix + key)
        self._note(layout, key, "delete", by)

    def _note(self, layout: Layout, key: str, action: str, by: str) -> None:
        self._journal(layout).note(Line(self.clock().isoformat(), key, action, manager=by))

    async def flush_journals(self) -> None:
        for journal in self._journals.values():
            await journal.flush()

    def begin_journal(self, layout: Layout, *, epoch: int) -> None:
        journal = Journal(self.store, layout, epoch, clock=self.clock, log=self.log)
        self._journals[layout] = journal

    def _journal(self, layout: Layout) -> Journal:
        if layout not in self._journals:
            self.begin_journal(layout, epoch=1)
        return self._journals[layout]

    @asynccontextmanager
    async def started(self, **settings: str) -> AsyncIterator[Mirror]:
        """A process of git-sync; to leave the context is to kill it."""
        given = self.settings(**settings)
        with copy_of(given) as repository:
            await repository.prepare()
            yield Mirror(self.store, repository, given, self.clock)

    async def sync(self, **settings: str) -> Summary:
        """One run with --once, long enough after what was written that it is surely seen."""
        self.clock.tick(minutes=5)
        async with self.started(**settings) as mirror:
            return await mirror.round()

    def another(self) -> "Rig":
        """A second git-sync, of the same bucket into the same repository."""
        other = copy(self)
        other.cache = self.cache.with_name("other-cache")
        return other

    def lose_cache(self) -> None:
        shutil.rmtree(self.cache)

    def expected(self) -> dict[str, bytes]:
        """What the mirror has to hold, by the bucket."""
        return {
            path: body
            for path, body in self.store.objects().items()
            if path.split("/")[2] != "_meta"
        }

    def expected_without(self, *paths: str) -> dict[str, bytes]:
        return {path: body for path, body in self.expected().items() if path not in paths}

    def mirrored(self) -> dict[str, bytes]:
        """What it holds of clusters."""
        files = self.host.files() if self.host.has_branch() else {}
        return {path: body for path, body in files.items() if path.startswith(f"{EAST.domain}/")}

    def forget_requests(self) -> None:
        self.store.requests.clear()

    def read(self) -> list[str]:
        """Which objects were read since."""
        return sorted(
            key
            for operation, key in self.store.requests
            if operation == "GET" and "/_meta/" not in key
        )


def _run(command: list[str], *, input: bytes = b"") -> bytes:
    done = subprocess.run(
        command, input=input, capture_output=True, check=False, env=os.environ | _BY_HAND
    )
    if done.returncode:
        raise AssertionError(f"{command}: {done.stderr.decode()}")
    return done.stdout
