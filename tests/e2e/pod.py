"""A Pod's surroundings without a container engine, for the program as the image has it.

Exists because a program that runs in a checkout, as root, with a home and a disk to write on, has
shown nothing about a locked-down cluster. Promises: a process in here is PID 1 of namespaces of its
own; its root is read-only but for 64 MB of /tmp and of each other volume to write to, and holds the
machine's libraries, the program as image/install.sh installs it, the Secret and the service account
where a kubelet puts them, and nothing else; it is a user that nobody knows, without capabilities,
and its environment is that of the manifests. The network is the machine's: the real parts listen on
its loopback. Linux, as root.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.control_plane import ControlPlane

ROOT = Path(__file__).parents[2]
USER = 1000650000  # as OpenShift gives them
SCRATCH = "/tmp"  # all that can be written to in there  # noqa: S108

_PROGRAM = "/opt/watcher"
_SECRET = "/etc/watcher/backup-secrets"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_LIBRARIES = ("/usr", "/bin", "/lib", "/lib64", "/etc/ssl")  # where the machine has them

# $1 is the new root; then pairs of a file or folder ("tmpfs": an empty one that can be written to)
# and where it is seen; after "--" the command.
_ENTER = """
root=$1; shift
mount -t tmpfs -o size=1m,mode=755 root "$root"
while [ "$1" != -- ]; do
    mkdir -p "$root${2%/*}"
    if [ -f "$1" ]; then touch "$root$2"; else mkdir -p "$root$2"; fi
    if [ "$1" = tmpfs ]; then
        mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root$2"
    else
        mount --bind "$1" "$root$2"
        mount -o remount,bind,ro "$root$2"
    fi
    shift 2
done
shift
mkdir "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
for device in null urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -o remount,ro "$root"
exec chroot "$root" env -i "HTTP_PORT=$HTTP_PORT" "$@"
"""


def install(folder: Path) -> Path:
    """The program as in the image: its wheel, and image/install.sh as the Dockerfile calls it. From
    the package index, by the hashes in requirements.txt."""
    source, made = folder / "source", folder / "watcher"
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "watcher", source / "watcher", ignore=ignored)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", "dist", "."], cwd=source, check=True)
    (wheel,) = source.glob("dist/*.whl")
    subprocess.run(
        [ROOT / "image" / "install.sh", sys.executable, made, wheel], cwd=source, check=True
    )
    return made


@dataclass(frozen=True, slots=True)
class Pod:
    """One Pod of the manifests: see `program`. It sees what `folder` has in `secret`, and in
    `account` and `passwd` if there are such."""

    folder: Path
    installed: Path  # see `install`
    environment: Mapping[str, str]
    writable: Sequence[str] = (SCRATCH,)

    def program(self) -> list[str | Path]:
        """What `watcher` is in this Pod: a command that takes its arguments."""
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        libraries = (Path(path) for path in (*_LIBRARIES, sys.base_prefix))
        own = {"secret": _SECRET, "account": _ACCOUNT, "passwd": "/etc/passwd"}
        seen: list[tuple[str | Path, str | Path]] = [
            *((path, path) for path in libraries if path.exists()),
            (self.installed, _PROGRAM),
            *((path, to) for name, to in own.items() if (path := self.folder / name).exists()),
            *(("tmpfs", path) for path in self.writable),
        ]
        return [
            *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
            *("sh", "-euc", _ENTER, "sh", root),
            *(part for pair in seen for part in pair),
            "--",
            f"PATH={_PROGRAM}/bin:/usr/bin:/bin",
            *(f"{name}={value}" for name, value in self.environment.items()),
            *("setpriv", f"--reuid={USER}", "--regid=0", "--clear-groups", "--no-new-privs"),
            *("--inh-caps=-all", "--bounding-set=-all"),
            # By its interpreter: the script's first line names the folder that it was installed in.
            *("python", f"{_PROGRAM}/bin/watcher"),
        ]


def new_pod(
    folder: Path,
    installed: Path,
    plane: ControlPlane,
    *,
    account: str,
    namespace: str,
    secret: Mapping[str, str],
    environment: Mapping[str, str],
) -> Pod:
    """With a token from the API server, as a kubelet asks for one; it lives for an hour."""
    _as_kubelet_writes(folder / "secret", secret)
    token = plane.kubectl("create", "token", account, "--namespace", namespace)
    _as_kubelet_writes(
        folder / "account",
        {"token": token, "ca.crt": plane.ca_file.read_text(), "namespace": namespace},
    )
    server = urlsplit(plane.url)
    service = {
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    return Pod(folder, installed, {**service, **environment})


def new_pod_without_account(
    folder: Path,
    installed: Path,
    *,
    secret: Mapping[str, str],
    environment: Mapping[str, str],
    writable: Sequence[str],
    named: bool,
) -> Pod:
    """named: as on OpenShift, whose runtime gives the user that it has chosen a name."""
    _as_kubelet_writes(folder / "secret", secret)
    if named:
        folder.joinpath("passwd").write_text(f"{USER}:x:{USER}:0:{USER} user:/:/sbin/nologin\n")
    return Pod(folder, installed, environment, writable)


def _as_kubelet_writes(folder: Path, files: Mapping[str, str]) -> None:
    """Each file is a link into a folder that one link names: so all change at once."""
    data = folder / "..2026_01_01"
    data.mkdir(parents=True)
    folder.joinpath("..data").symlink_to(data.name)
    for name, text in files.items():
        data.joinpath(name).write_text(text)
        folder.joinpath(name).symlink_to(f"..data/{name}")
