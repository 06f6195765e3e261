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
MIRRORS = tuple(f"{flavour}-git" for flavour in FLAVOURS)  # for git-sync
TARGETS = FLAVOURS + MIRRORS
ROOT_USER = "0"  # who installs packages in between

Instruction = tuple[str, str]  # "COPY", "watcher watcher"

each_target = pytest.mark.parametrize("target", TARGETS)


def instructions() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def stages() -> dict[str, list[Instruction]]:
    """Name -> what it has, with that of the stage that it stands on."""
    found: dict[str, list[Instruction]] = {"": []}
    for word, rest in instructions():
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = list(found.get(base, ()))
        else:
            list(found.values())[-1].append((word, rest))
    return found


def of(target: str, word: str) -> list[str]:
    return [rest for instruction, rest in stages()[target] if instruction == word]


def filled(target: str) -> str:
    """The commands of it and of the stages that it takes a root from."""
    roots = re.findall(r"--from=(\S+-root) ", "\n".join(of(target, "COPY")))
    return "\n".join(run for stage in (target, *roots) for run in of(stage, "RUN"))


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


@each_target
def test_it_runs_as_a_user_that_is_a_number_and_not_root(target: str) -> None:
    assert of(target, "USER")[-1] == "65532:65532"


@each_target
def test_the_program_is_pid_1_without_a_shell(target: str) -> None:
    command = '["git-sync"]' if target in MIRRORS else '["run"]'
    assert (of(target, "ENTRYPOINT")[-1], of(target, "CMD")[-1]) == ('["watcher"]', command)


@pytest.mark.parametrize("targets", [FLAVOURS, MIRRORS], ids=str)
@pytest.mark.parametrize("word", ["ARG", "LABEL", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"])
def test_both_flavours_are_alike_but_for_what_they_stand_on(
    word: str, targets: tuple[str, ...]
) -> None:
    one, other = (set(of(target, word)) - {ROOT_USER} for target in targets)
    assert one == other != set()


@pytest.mark.parametrize("target", MIRRORS)
def test_git_and_ssh_are_there_for_git_sync_with_a_name_for_the_user(target: str) -> None:
    installed = filled(target)
    assert re.search(r" git(-core\b|=)", installed)
    assert re.search(r" openssh-client(s\b|-default=)", installed)
    user, _ = of(target, "USER")[-1].split(":")
    (entry,) = re.findall(r"echo '(\S+)' >> (?:/rootfs)?/etc/passwd", installed)
    assert entry.split(":")[2] == user


@pytest.mark.parametrize("target", FLAVOURS)
def test_nothing_but_the_program_is_there_for_the_watcher(target: str) -> None:
    assert not re.search(r"\bgit\b|ssh", filled(target))


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


def make_image(*arguments: str) -> str:
    """What it would run; `echo` stands for the engine."""
    made = subprocess.run(
        ["make", "--silent", "image", "ENGINE=echo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def test_make_image_builds_all_and_names_them() -> None:
    found = re.findall(r"--target (\S+) --tag registry/(\S+)", make_image("IMAGE=registry/watcher"))
    (version,) = {re.findall(r":([\d.]+)", tag)[0] for _, tag in found}
    assert dict(found) == {
        "alpine": f"watcher:{version}",
        "ubi9": f"watcher:{version}-ubi9",
        "alpine-git": f"watcher-git:{version}",
        "ubi9-git": f"watcher-git:{version}-ubi9",
    }
    assert stages().keys() >= set(TARGETS)


def test_make_image_pushes_for_both_machines_with_what_is_in_them() -> None:
    builds = make_image("PUSH=1").splitlines()
    assert len(builds) == len(TARGETS)
    for build in builds:
        assert "--platform=linux/amd64 --platform=linux/arm64 --sbom=true" in build
