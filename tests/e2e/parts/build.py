"""Builds the real parts that end-to-end tests run against, from source, once a machine.

Exists because a test that only ever saw a simulator proves nothing about Kubernetes or S3.
Promises: `binary(name)` is an executable that works. It comes from the folder that
`KUBEBUILDER_ASSETS` names where that has it (as controller-runtime's envtest does), else from a
cache outside the tree (`$XDG_CACHE_HOME/watcher-parts`), built on first use with `go`. Prometheus
is unpacked from Debian's package, not installed: no root, no service on a fixed port. What only
an installed package gives (`installed`) is asked for before anything is built.

By hand: `python -m tests.e2e.parts.build` builds everything.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

_VERSION = "k8s.io/component-base/version"
_KUBERNETES = (
    f"-s -w -X {_VERSION}.gitVersion=v1.36.3 -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"
)
_MODULES = {  # part -> (module folder, package, linker flags)
    "etcd": ("etcd", ".", "-s -w"),
    "kube-apiserver": ("kubernetes", "./cmd/kube-apiserver", _KUBERNETES),
    "kube-controller-manager": ("kubernetes", "./cmd/kube-controller-manager", _KUBERNETES),
    "kube-scheduler": ("kubernetes", "./cmd/kube-scheduler", _KUBERNETES),
    "kubectl": ("kubernetes", "./cmd/kubectl", _KUBERNETES),
}
_INSTALLED = {  # part -> package@version, with its own module's dependencies
    "minio": "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok@v0.8.0",
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
}
_UNPACKED = {"prometheus": "prometheus", "promtool": "prometheus"}  # part -> Debian package
_OF_THE_MACHINE = {"git": "git", "ssh": "openssh-client", "sshd": "openssh-server"}  # as above
PARTS = (*_MODULES, *_INSTALLED, *_UNPACKED)


def cache() -> Path:
    """The folder of this version of the parts: its name changes when anything built changes.

    (Not with a package: its version is what the machine's Debian has.)
    """
    recipe = hashlib.sha256(repr((_MODULES, _INSTALLED)).encode())
    for source in sorted(p for p in HERE.rglob("*") if p.suffix in {".go", ".mod", ".sum"}):
        recipe.update(source.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "watcher-parts" / recipe.hexdigest()[:16]


def binary(name: str) -> Path:
    """The executable of a part; builds it if it is missing. Raises CalledProcessError."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        provided = Path(assets) / name
        if provided.exists():
            return provided
    folder = cache()
    built = folder / name
    if built.exists():
        return built
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs side by side build once
        if not built.exists():
            _build(name, folder)
    return built


def installed(name: str) -> Path:
    """A program of the machine. Raises FileNotFoundError, which says what to install."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        package = _OF_THE_MACHINE[name]
        raise FileNotFoundError(f"there is no program {name}: apt-get install {package}")
    return Path(found)


def _build(name: str, folder: Path) -> None:
    print(f"building {name}", file=sys.stderr, flush=True)
    scratch = folder / f".building-{name}"
    scratch.mkdir(exist_ok=True)
    if name in _UNPACKED:
        package = _UNPACKED[name]
        _unpack(package, scratch)
        for part in (part for part, origin in _UNPACKED.items() if origin == package):
            (scratch / "usr" / "bin" / part).rename(folder / part)
        shutil.rmtree(scratch)
        return
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOBIN": str(scratch)}
    if name in _MODULES:
        module, package, flags = _MODULES[name]
        command = ["go", "build", "-trimpath", "-ldflags", flags, "-o", str(scratch), package]
        subprocess.run(
            command, cwd=HERE / module, env=environment | {"GOFLAGS": "-mod=readonly"}, check=True
        )
    else:
        command = ["go", "install", "-trimpath", "-ldflags", "-s -w", _INSTALLED[name]]
        subprocess.run(command, cwd=folder, env=environment, check=True)
    (scratch / name).rename(folder / name)


def _unpack(package: str, folder: Path) -> None:
    """With package lists of our own: the machine's may be missing or old, and need root."""
    apt = [
        *("apt-get", "--quiet=2", "--option", f"Dir::State={folder / 'state'}"),
        *("--option", f"Dir::Cache={folder / 'cache'}", "--option", "APT::Sandbox::User=root"),
    ]
    for made in ("state/lists/partial", "cache/archives/partial"):
        (folder / made).mkdir(parents=True, exist_ok=True)
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", package], cwd=folder, check=True)
    (archive,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)


if __name__ == "__main__":
    try:
        for program in _OF_THE_MACHINE:
            installed(program)
    except FileNotFoundError as error:
        sys.exit(f"the tests need more of this machine: {error}")
    for part in PARTS:
        print(binary(part))
