"""What the next commit is to hold, built without a work tree.

Exists so that a million files cost neither a checkout nor a `git add`: `git fast-import` takes the
changes as a stream, and of what did not change it reads no more than the folders. Promises: a tree
is whole or not there; paths are of our own making (`[A-Za-z0-9._%~/-]`), so nothing needs quoting.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from watcher.gitsync.git import Git

_REF = "refs/watcher/building"


class Tree:
    """Changes to a tree, as they come. `changes`: how many were made."""

    def __init__(self, stream: asyncio.StreamWriter) -> None:
        self._stream = stream
        self.changes = 0

    async def write(self, path: str, body: bytes) -> None:
        head = f"M 100644 inline {path}\ndata {len(body)}\n".encode()
        await self._send(head + body + b"\n")

    async def remove(self, path: str) -> None:
        """A file or a folder; fine if there is none."""
        await self._send(f"D {path}\n".encode())

    async def graft(self, path: str, kind: str, name: str) -> None:
        """Put what another tree holds there. kind: a mode as ls-tree prints it; name: its hash."""
        await self._send(f"M {kind} {name} {path}\n".encode())

    async def _send(self, command: bytes) -> None:
        self.changes += 1
        self._stream.write(command)  # one command at once: others may be in `drain`
        await self._stream.drain()


@asynccontextmanager
async def building(git: Git, base: str) -> AsyncIterator[Tree]:
    """Begin with what this tree holds; `built` has the result afterwards.

    Raises GitError.
    """
    await git.run("update-ref", "-d", _REF)
    async with git.feeding("fast-import", "--quiet", "--done", "--force") as stream:
        stream.write(f"commit {_REF}\ncommitter x <x> 0 +0000\ndata 0\n".encode())
        stream.write(f'M 040000 {base} ""\n'.encode())
        yield Tree(stream)
        stream.write(b"\ndone\n")


async def built(git: Git) -> str:
    """The hash of the tree that was built last."""
    tree = await git.ask("rev-parse", f"{_REF}^{{tree}}")
    await git.run("update-ref", "-d", _REF)
    return tree
