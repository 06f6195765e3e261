"""How git reaches the host of the repository, and what its refusals mean.

Exists so that keys come from the settings and from nowhere else, and so that whoever set one up
wrongly is told which setting, and what to put there. Promises: a host that is not known is never
talked to; a key is in a file that only we may read, and for as long as we run; a token is in no
argument and goes to no other host.
"""

import asyncio
import os
import re
import shlex
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from watcher.errors import WatcherError, masked
from watcher.gitsync.folder import temporary
from watcher.gitsync.git import GitError
from watcher.settings import Settings

_INHERITED = (
    *("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "SSH_AUTH_SOCK"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP"),  # a name for a uid that has none, for ssh
)
_FIXED = {
    "LC_ALL": "C",  # its words are looked at
    "TZ": "UTC",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_VARIANT": "ssh",
}
_CONFIG = {
    "gc.auto": "0",  # the copy is made anew when it has grown (repository.py)
    "fetch.writeCommitGraph": "false",
    "http.lowSpeedLimit": "1000",  # bytes a second, for
    "http.lowSpeedTime": "60",  # so many seconds, are given up
    "protocol.ext.allow": "never",
    "safe.directory": "*",  # a repository given by its path may be somebody else's
}
_SSH = ("ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4", "BatchMode=yes")
# Asked for a name and password, tells those of the environment: no argument, no file has them.
_HELPER = (
    '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n"'
    ' "$WATCHER_GIT_USER" "$WATCHER_GIT_TOKEN"; }; f'
)


class RemoteError(WatcherError):
    """The host can't be reached, or doesn't let us: the same may work later."""


@contextmanager
def environment(settings: Settings) -> Iterator[dict[str, str]]:
    """For git, as long as the context is open."""
    with temporary() as folder:
        yield _environment(settings, folder, os.environ)


def _environment(settings: Settings, folder: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Pure but for the files of keys that it writes to `folder`."""
    ssh = ["ssh", *(word for option in _SSH for word in ("-o", option))]
    ssh += ["-o", "StrictHostKeyChecking=yes"]
    if settings.git_known_hosts:
        known = _write(folder / "known_hosts", settings.git_known_hosts)
        ssh += ["-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=/dev/null"]
        ssh += ["-o", "UpdateHostKeys=no"]
    if settings.git_ssh_key:
        key = _write(folder / "key", settings.git_ssh_key.reveal())
        ssh += ["-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
        ssh += ["-i", str(key)]
    config = dict(_CONFIG)
    if settings.git_ca_file:
        config["http.sslCAInfo"] = str(settings.git_ca_file)
    tokens = {}
    url = urlsplit(settings.git_repository)
    if settings.git_token and url.scheme in ("http", "https"):
        host = url.netloc.rpartition("@")[2]
        config[f"credential.{url.scheme}://{host}.helper"] = _HELPER
        tokens = {
            "WATCHER_GIT_USER": settings.git_user,
            "WATCHER_GIT_TOKEN": settings.git_token.reveal(),
        }
    return {
        **{name: inherited[name] for name in _INHERITED if name in inherited},
        **_FIXED,
        **tokens,
        "GIT_SSH_COMMAND": shlex.join(ssh),
        "GIT_CONFIG_COUNT": str(len(config)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(config)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(config.values())},
    }


def _write(path: Path, text: str) -> Path:
    """Readable for nobody else, with the newline at its end that OpenSSH insists on."""
    path.touch(mode=0o600)
    path.write_text(text.replace("\r\n", "\n").rstrip("\n") + "\n")
    return path


async def refusal(error: GitError, settings: Settings) -> RemoteError:
    """What the host's refusal means for who has to mend it.

    Raises the GitError itself where it is not the host's, but the local copy's.
    """
    if any(re.search(_LOCAL, line) for line in error.said.splitlines()):
        raise error
    where = masked(settings.git_repository)
    for pattern, meaning, hint in _MEANINGS:
        if re.search(pattern, error.said, re.IGNORECASE):
            if meaning in (_UNKNOWN_HOST, _OTHER_HOST):
                hint = await _host_keys(settings.git_repository) or hint
            return RemoteError(f"{where}: {meaning}", hint=hint)
    return RemoteError(f"{where}: {error}")


def refuses_us(error: GitError) -> bool:
    """Whether it is not what we push but that we push which the host does not want."""
    return re.search(_READ_ONLY, error.said, re.IGNORECASE) is not None


async def _host_keys(repository: str) -> str:
    """What the host shows, with the fingerprints that its owner publishes; "": nothing."""
    host, port = _host_of(repository)
    words = ("ssh-keyscan", "-T", "10", "-p", str(port), host)
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        scan = await asyncio.create_subprocess_exec(*words, stdin=null, stdout=pipe, stderr=null)
    except FileNotFoundError:
        return ""
    out, _ = await scan.communicate()
    lines = [line for line in out.decode(errors="replace").splitlines() if line.count(" ") == 2]
    shown = [f"{_fingerprint(line)}: {line}" for line in lines if not line.startswith("#")]
    if not shown:
        return ""
    return "if one of these is what the host publishes, add its line: " + "; ".join(shown)


def _fingerprint(line: str) -> str:
    """As OpenSSH prints it, of a line of known_hosts."""
    digest = sha256(b64decode(line.split(" ")[2])).digest()
    return f"SHA256:{b64encode(digest).decode().rstrip('=')}"


def _host_of(repository: str) -> tuple[str, int]:
    """Of ssh://user@host:port/path and user@host:path."""
    if "://" in repository:
        url = urlsplit(repository)
        return url.hostname or "", url.port or 22
    return repository.partition("@")[2].partition(":")[0], 22


# What git says of a copy that is damaged, or whose disk is full; the host's words begin otherwise.
_LOCAL = (
    r"^(error|fatal): .*("
    r"corrupt|is empty|bad object|inflate|No space left|Read-only file system|"
    r"unable to (create|unpack|write) |unable to read (tree|sha1))"
)
_READ_ONLY = (
    r"read.only|write access|not allowed to push|protected branch|branch is protected|"
    r"denied to|insufficient permission|permission to .* denied"
)
_UNKNOWN_HOST = "its host key is not among git-known-hosts"
_OTHER_HOST = "its host key is another one than git-known-hosts has"
_SCAN = "ssh-keyscan HOST prints it: compare its fingerprint with what the host publishes"

# What git, ssh and the hosts say -> what that means, and what to do about it.
_MEANINGS = (
    (r"cannot run ssh", "there is no program ssh", "it belongs to the image with git"),
    (
        "No user exists for uid",
        "ssh finds no name for the user that it runs as",
        "leave runAsUser to the image or to OpenShift; else mount an /etc/passwd that has it",
    ),
    (r"IDENTIFICATION HAS CHANGED", _OTHER_HOST, _SCAN),
    (r"host key is known for|Host key verification failed", _UNKNOWN_HOST, _SCAN),
    (
        r"invalid format|error in libcrypto|incorrect passphrase",
        "git-ssh-key is no private key without a passphrase",
        "ssh-keygen -t ed25519 -N '' -f key makes one",
    ),
    (
        _READ_ONLY,
        "we may read, but not write",
        "give the deploy key or token the right to write",
    ),
    (
        r"Permission denied",
        "git-ssh-key was not accepted",
        "add its public half to the repository as a deploy key that may write",
    ),
    (
        r"Authentication failed|could not read Username|HTTP Basic: Access denied|\b403\b",
        "git-user and git-token were not accepted",
        "give a token that may write to this repository",
    ),
    (
        r"not found|does not appear to be a git repository|does not exist|No such file",
        "there is no such repository, or we may not see it",
        "make it, empty, on the host",
    ),
)
