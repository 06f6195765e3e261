"""A git host as a company runs one: a real sshd before a bare repository, with keys and hooks.

Exists because whether a host lets somebody in, and what it says when it does not, is decided by
OpenSSH and git themselves. Promises: address, host key and repository outlive `stop`; what can
happen to it is a method; the truth about its commits is asked of git beside `watcher`'s code.
Users log in as whoever runs the tests, by a key each. As root it needs sshd's folder /run/sshd.
"""

import os
import pwd
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.e2e.process import Process, free_ports, until

BRANCH = "main"

_SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "/usr/sbin/sshd"
_KEYGEN = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "")
_READ_ONLY = "ERROR: The key you are authenticating with has been marked as read only."
_HUMAN = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in {"NAME": "A human", "EMAIL": "human@example.com"}.items()
}
_NO_CONFIG = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@dataclass(frozen=True)
class Key:
    """Of one user. line: its public half."""

    name: str
    private: str = field(repr=False)
    line: str


class Commit(NamedTuple):
    name: str
    tree: str
    subject: str


class GitHost:
    """Running from the start on, with one empty repository."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "clusters.git"
        self._folder = folder
        self._work = folder / "by-hand"
        self._keys: dict[str, str] = {}  # name -> line of authorized_keys
        (self._port,) = free_ports(1)
        self._work.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(self.repository))
        self.git("config", "gc.auto", "0")
        self.new_host_key()
        self._authorize()
        self.start()

    @property
    def processes(self) -> list[Process]:
        return [self._process]

    # For who comes in

    @property
    def address(self) -> str:
        """For `git-repository`."""
        user = pwd.getpwuid(os.getuid()).pw_name
        return f"ssh://{user}@127.0.0.1:{self._port}{self.repository}"

    @property
    def known_hosts(self) -> str:
        """The line for `git-known-hosts`."""
        kind, text = self._host_key.with_suffix(".pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self._port} {kind} {text}"

    @property
    def fingerprint(self) -> str:
        """Of the host's key, as its owner publishes it."""
        return _run(["ssh-keygen", "-l", "-f", str(self._host_key)]).split()[1]

    def new_key(self, name: str = "watcher") -> Key:
        """Of a user who may push."""
        path = self._folder / name
        _run([*_KEYGEN, "-C", name, "-f", str(path)])
        key = Key(name, path.read_text(), path.with_suffix(".pub").read_text().strip())
        self.allow(key)
        return key

    # What can happen to it

    def allow(self, key: Key) -> None:
        self._keys[key.name] = f'restrict,command="{self._shell()}" {key.line}'
        self._authorize()

    def read_only(self, key: Key) -> None:
        self._keys[key.name] = f'restrict,command="{self._shell(writes=False)}" {key.line}'
        self._authorize()

    def revoke(self, key: Key) -> None:
        del self._keys[key.name]
        self._authorize()

    def new_host_key(self) -> None:
        """As after an attack, or a careless reinstallation."""
        self._host_key = self._folder / "host_key"
        self._host_key.unlink(missing_ok=True)
        _run([*_KEYGEN, "-f", str(self._host_key)])

    def start(self) -> None:
        """(Again) on the same address; returns when it answers."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        options = {
            "Port": self._port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self._host_key,
            "AuthorizedKeysFile": self._authorized_keys,
            "PidFile": "none",
            "StrictModes": "no",  # the folder of a test belongs to whom it may
            "UsePAM": "no",
            "PasswordAuthentication": "no",
        }
        config = self._folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        self._process = Process(
            "sshd", [_SSHD, "-D", "-e", "-f", config], log=self._folder / "sshd.log"
        )
        until(self._answers, "answer of sshd", needs=self._process, poll=0.05)

    def stop(self) -> None:
        """At once, with what is under way: each connection is a process of its own."""
        if not self._process.running:
            return
        connections = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for each in connections:
            with suppress(psutil.NoSuchProcess):
                each.kill()

    def reject(self, path: str, *, named: bool = True) -> None:
        """Every push whose newest commit has that file. named: the host says which."""
        says = f"{path} is not allowed here" if named else "declined by policy 7"
        there = f'test -z "$(git ls-tree -r --name-only $new -- {shlex.quote(path)})"'
        self._hook(f"while read old new ref; do {there} || {{ echo '{says}' >&2; exit 1; }}; done")

    def limit(self, size: int) -> None:
        """Of a push, in bytes."""
        self.git("config", "receive.maxInputSize", str(size))

    def take_time(self, seconds: float) -> None:
        """For each push."""
        self._hook(f"sleep {seconds}")

    def accept_all(self) -> None:
        (self.repository / "hooks" / "pre-receive").unlink(missing_ok=True)
        self.git("config", "receive.maxInputSize", "0")

    def rewind(self, commits: int) -> None:
        """Somebody's `push --force` of an older commit, or of the very first one."""
        history = self.commits()
        self.git("update-ref", f"refs/heads/{BRANCH}", history[min(commits, len(history) - 1)].name)

    def commit_by_hand(self, files: Mapping[str, str | None]) -> str:
        """Somebody's commit, through a clone, on top of what there is. None: removed."""
        clone = self._work / f"clone-{len(list(self._work.iterdir()))}"
        _git("clone", "--quiet", "--depth=1", self.repository.as_uri(), str(clone))
        for path, text in files.items():
            file = clone / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        _git("-C", str(clone), "add", "--all")
        _git("-C", str(clone), "commit", "--quiet", "-m", "By hand")
        while True:
            try:
                _git("-C", str(clone), "push", "--quiet", "origin", f"HEAD:{BRANCH}")
                return _git("-C", str(clone), "rev-parse", "HEAD").strip()
            except subprocess.CalledProcessError as error:
                if "fetch first" not in error.stderr:
                    raise
                _git("-C", str(clone), "pull", "--quiet", "--rebase", "origin", BRANCH)

    # The truth about its commits

    def git(self, *arguments: str) -> str:
        return _git(f"--git-dir={self.repository}", *arguments)

    def commits(self) -> list[Commit]:
        """Newest first; none: there is no branch yet."""
        if not self.git("for-each-ref", f"refs/heads/{BRANCH}"):
            return []
        lines = self.git("log", "--format=%H%x00%T%x00%s", BRANCH).splitlines()
        return [Commit(*line.split("\0")) for line in lines]

    def blobs(self, commit: str = BRANCH) -> dict[str, str]:
        """Path -> git's hash of the file."""
        entries = self.git("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
        pairs = (entry.split("\t", 1) for entry in entries if entry)
        return {path: about.split()[2] for about, path in pairs}

    def read(self, path: str) -> str:
        return self.git("show", f"{BRANCH}:{path}")

    def message(self, commit: str = BRANCH) -> str:
        return self.git("log", "-1", "--format=%B", commit)

    def everything(self, repository: Path | None = None) -> str:
        """The content of every object of the repository, or another one; reachable or not."""
        folder = f"--git-dir={repository or self.repository}"
        return _git(folder, "cat-file", "--batch-all-objects", "--batch", "--unordered")

    def faults(self) -> list[str]:
        """What is wrong with its history: by fsck, and commits that change nothing."""
        said = self.git("fsck", "--full", "--strict", "--no-dangling")
        empty = [new.name for new, old in pairwise(self.commits()) if new.tree == old.tree]
        return [*said.splitlines(), *(f"empty commit {name}" for name in empty)]

    # How it is made

    @property
    def _authorized_keys(self) -> Path:
        return self._folder / "authorized_keys"

    def _authorize(self) -> None:
        self._authorized_keys.write_text("".join(f"{line}\n" for line in self._keys.values()))

    def _shell(self, *, writes: bool = True) -> Path:
        """What a key runs, whatever it asks for."""
        path = self._folder / ("shell" if writes else "read-only-shell")
        refusal = (
            f"case $SSH_ORIGINAL_COMMAND in git-receive*) echo '{_READ_ONLY}' >&2; exit 1; esac"
        )
        path.write_text(
            f'#!/bin/sh\n{"" if writes else refusal}\nexec git-shell -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        path.chmod(0o755)
        return path

    def _hook(self, script: str) -> None:
        hook = self.repository / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)

    def _answers(self) -> bool:
        scan = ["ssh-keyscan", "-T", "2", "-p", str(self._port), "127.0.0.1"]
        return "ssh-ed25519" in subprocess.run(scan, capture_output=True, text=True).stdout


def _git(*arguments: str) -> str:
    return _run(["git", *arguments])


def _run(command: list[str]) -> str:
    """What it printed. Raises CalledProcessError."""
    done = subprocess.run(
        command,
        env={**os.environ, **_NO_CONFIG, **_HUMAN},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    return done.stdout
