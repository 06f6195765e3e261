"""A Pod's surroundings without a container engine, for the program as the image has it.

Exists because a program that runs in a checkout, as root, with a home and a disk to write on, has
shown nothing about a locked-down cluster. Promises: a process in here is PID 1 of namespaces of its
own; its root is read-only but for 64 MB of /tmp, and holds the machine's libraries, the program as
image/install.sh installs it, the Secret and the service account where a kubelet puts them, and
nothing else; it is a user that nobody knows, without capabilities, and its environment is that of
the manifests. The network is the machine's: the real parts listen on its loopback. Linux, as root.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
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

# $1 is the new root; then pairs of a folder and where it is seen; after "--" the command.
_ENTER = """
root=$1; shift
mount -t tmpfs -o size=1m,mode=755 root "$root"
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    mount -o remount,bind,ro "$root$2"
    shift 2
done
shift
mkdir "$root/proc" "$root/tmp" "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o size=64m,mode=1777 tmp "$root/tmp"
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
    """One Pod of the manifests' ServiceAccount, with a Secret: see `program`."""

    folder: Path
    installed: Path  # see `install`
    api: str  # address of the API server
    environment: Mapping[str, str]

    def program(self) -> list[str | Path]:
        """What `watcher` is in this Pod: a command that takes its arguments."""
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        server = urlsplit(self.api)
        seen = {path: path for path in (*_LIBRARIES, sys.base_prefix) if Path(path).exists()}
        seen |= {
            str(self.installed): _PROGRAM,
            str(self.folder / "secret"): _SECRET,
            str(self.folder / "account"): _ACCOUNT,
        }
        return [
            *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
            *("sh", "-euc", _ENTER, "sh", root),
            *(part for pair in seen.items() for part in pair),
            "--",
            f"PATH={_PROGRAM}/bin:/usr/bin:/bin",
            f"KUBERNETES_SERVICE_HOST={server.hostname}",
            f"KUBERNETES_SERVICE_PORT={server.port}",
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
    return Pod(folder, installed, plane.url, environment)


def _as_kubelet_writes(folder: Path, files: Mapping[str, str]) -> None:
    """Each file is a link into a folder that one link names: so all change at once."""
    data = folder / "..2026_01_01"
    data.mkdir(parents=True)
    folder.joinpath("..data").symlink_to(data.name)
    for name, text in files.items():
        data.joinpath(name).write_text(text)
        folder.joinpath(name).symlink_to(f"..data/{name}")
