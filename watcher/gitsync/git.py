"""The `git` program: the only module that runs it.

Exists because git's own program is the one that every host is tested with. Promises: no setting of
the machine or of a user has a say, nothing is asked at a terminal; a command that fails is a
GitError that quotes what it said; a command that is cancelled takes its children with it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from watcher.errors import UsageError, WatcherError, masked

_SAID = 400  # characters of what git said that an error repeats
_OF_SSH = "fatal: Could not read from remote repository."  # what ssh said comes before it


class GitError(WatcherError):
    """A command failed. said: all that it wrote."""

    def __init__(self, command: str, said: str) -> None:
        lines = [" ".join(line.split()) for line in masked(said).splitlines() if line.strip()]
        if _OF_SSH in lines[1:]:
            telling = lines[: lines.index(_OF_SSH)]
        else:
            telling = [it for it in lines if it.startswith(("fatal:", "error:", "remote:"))]
        told = " ".join((telling or lines)[-3:])[:_SAID]
        super().__init__(f"git {command}: {told or 'failed'}")
        self.said = said


class Git:
    """Runs commands in one repository. folder: where it is, or will be."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = dict(environment)

    async def run(self, *arguments: str, input: bytes = b"", **environment: str) -> bytes:
        """What it writes to stdout. environment: besides that of all. Raises GitError."""
        pipe = asyncio.subprocess.PIPE if input else asyncio.subprocess.DEVNULL
        async with self._process(*arguments, stdin=pipe, **environment) as process:
            try:
                out, said = await process.communicate(input or None)
            except RuntimeError:  # uvloop's, for a pipe that nobody reads any more
                raise _error(arguments[0], b"ended too early") from None
            if process.returncode:
                raise _error(arguments[0], said + b"\n" + out)  # push tells on stdout, too
            return out

    async def ask(self, *arguments: str) -> str:
        """As `run`, as text without the newline at its end."""
        return (await self.run(*arguments)).decode(errors="replace").rstrip("\n")

    @asynccontextmanager
    async def feeding(self, *arguments: str) -> AsyncIterator[asyncio.StreamWriter]:
        """A command that reads what the body writes, and has succeeded at its end.

        Raises GitError.
        """
        async with self._process(*arguments, stdin=asyncio.subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            said = asyncio.ensure_future(process.stderr.read())
            try:
                try:
                    yield process.stdin
                    process.stdin.close()
                    await process.stdin.wait_closed()
                except (OSError, RuntimeError):  # uvloop's for a pipe that nobody reads
                    if process.stdin.is_closing() and await process.wait():
                        raise _error(arguments[0], await said) from None
                    raise
                await process.stdout.read()
                if await process.wait():
                    raise _error(arguments[0], await said)
            finally:
                said.cancel()

    @asynccontextmanager
    async def _process(
        self, *arguments: str, stdin: int, **environment: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                f"--git-dir={self.folder}",
                *arguments,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment | environment,
                start_new_session=True,  # a group of its own: ssh and others end with it
            )
        except FileNotFoundError:
            raise UsageError(
                "there is no program git", hint="install it, or use the image for git-sync"
            ) from None
        try:
            yield process
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _error(command: str, said: bytes) -> GitError:
    return GitError(command, said.decode(errors="replace"))
