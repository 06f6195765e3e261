"""What the README names exists."""

import re
from pathlib import Path

import pytest

from watcher.cli import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z0-9]+)", README))))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"(?<= )--([a-z-]+)", README))))
def test_every_flag_exists(flag: str) -> None:
    taken = (
        option
        for command in cli.commands.values()
        for param in command.params
        for option in param.opts
    )
    flags = {option.removeprefix("--") for option in taken} | {"help"}
    assert flag in flags | {"server-side", "strict"}  # kubectl's and mypy's


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`watcher ([a-z-]+)", README))))
def test_every_command_exists(command: str) -> None:
    assert command in cli.commands


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)|`((?:\w+/)+)`", README))))
def test_every_path_exists(path: tuple[str, str]) -> None:
    assert (ROOT / "".join(path)).exists()
