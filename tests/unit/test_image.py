"""What the image is made of.

Whether the program runs in such surroundings: tests/e2e/test_manifests.py; whether every
requirement is a wheel there: tests/e2e/test_wheels.py.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAVOURS = ("alpine", "ubi9")

Instruction = tuple[str, str]  # "COPY", "watcher watcher"

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


def instructions() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def stages() -> dict[str, list[Instruction]]:
    """Name -> what follows its FROM."""
    found: dict[str, list[Instruction]] = {"": []}
    for word, rest in instructions():
        if word == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        else:
            list(found.values())[-1].append((word, rest))
    return found


def of(flavour: str, word: str) -> list[str]:
    return [rest for instruction, rest in stages()[flavour] if instruction == word]


def copied() -> set[str]:
    """What the Dockerfile takes from the checkout."""
    taken = (rest for word, rest in instructions() if word == "COPY" and "--from" not in rest)
    return {name for names in taken for name in names.split()[:-1]}


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    judged = subprocess.run(
        [hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")


@pytest.mark.parametrize("base", [rest for word, rest in stages()[""] if word == "ARG"])
def test_every_base_is_one_release_for_good(base: str) -> None:
    assert re.search(r"@sha256:[0-9a-f]{64}$|:9\.\d+-\d{10}$", base)


def test_no_stage_stands_on_anything_else() -> None:
    bases = {f"${{{rest.partition('=')[0]}}}" for _, rest in stages()[""]}
    named = {rest.split()[0] for word, rest in instructions() if word == "FROM"}
    assert named <= bases | stages().keys()


@each_flavour
def test_it_runs_as_a_user_that_is_a_number_and_not_root(flavour: str) -> None:
    assert of(flavour, "USER") == ["65532:65532"]


@each_flavour
def test_the_program_is_pid_1_without_a_shell(flavour: str) -> None:
    assert of(flavour, "ENTRYPOINT") + of(flavour, "CMD") == ['["watcher"]', '["run"]']


@pytest.mark.parametrize("word", ["ARG", "LABEL", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"])
def test_both_flavours_are_alike_but_for_what_they_stand_on(word: str) -> None:
    one, other = (of(flavour, word) for flavour in FLAVOURS)
    assert one == other != []


def test_what_is_installed_is_locked_and_never_built() -> None:
    script = (ROOT / "image" / "install.sh").read_text("utf-8").splitlines()
    runs = [rest for word, rest in instructions() if word == "RUN"]
    of_others = [
        line for line in script + runs if re.search(r"pip\b.*install.*--requirement", line)
    ]
    assert len(of_others) == 2  # of the program, and of what builds its wheel
    for line in of_others:
        assert "--only-binary :all: --require-hashes" in line


def test_the_engine_is_given_what_is_copied_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied()
    assert all((ROOT / name).exists() for name in copied())


def test_make_image_builds_both_and_pushes_them_with_what_is_in_them() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8")
    assert f"for flavour in {' '.join(FLAVOURS)}; do" in recipe
    assert stages().keys() >= set(FLAVOURS)
    made = subprocess.run(
        ["make", "--dry-run", "image", "PUSH=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--platform=linux/amd64 --platform=linux/arm64 --sbom=true" in made.stdout
