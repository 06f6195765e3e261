"""Every locked requirement is a wheel where the image runs: no flavour of it needs a compiler.

Asks the package index, so it stands here and not among the fast tests. Nothing is downloaded but
what describes a package.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKED = ROOT / "requirements.txt"
PYTHON = "3.12"  # of Alpine 3.22 and of UBI 9's python3.12

# Alpine 3.22 has musl 1.2, UBI 9 glibc 2.34.
MACHINES = (
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-manylinux_2_34",
    "aarch64-manylinux_2_34",
)


def resolved(locked: Path, machine: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """As `pip install --only-binary :all: --require-hashes` would on that machine."""
    return subprocess.run(
        [
            *(Path(sys.executable).with_name("uv"), "pip", "install", "--dry-run", "--no-deps"),
            *("--only-binary", ":all:", "--require-hashes", "--requirement", locked),
            *("--python-version", PYTHON, "--python-platform", machine, "--target", folder),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_every_locked_requirement_is_a_wheel_for(machine: str, tmp_path: Path) -> None:
    done = resolved(LOCKED, machine, tmp_path)
    assert done.returncode == 0, done.stderr
    pins = re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", LOCKED.read_text("utf-8"), re.MULTILINE)
    taken = set(re.findall(r"^ \+ (\S+)", done.stderr, re.MULTILINE))
    assert taken == set(pins)


def test_a_requirement_without_such_a_wheel_would_be_noticed(tmp_path: Path) -> None:
    """uvloop has none for Windows."""
    assert resolved(LOCKED, "x86_64-pc-windows-msvc", tmp_path).returncode != 0


def test_the_images_python_is_that_of_the_check() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    named = set(re.findall(r"\bpython3(?:=~3)?\.(\d+)\b", dockerfile))
    assert named == {PYTHON.partition(".")[2]}
