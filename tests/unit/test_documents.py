"""What the documents for operators name exists: paths, settings, commands, links.

The README has tests of its own, docs/operations.md those of the alerts; examples in YAML are built
and applied by tests/e2e/test_manifests.py.
"""

import re
from pathlib import Path

import pytest
from click import Command, Group

from tests.rules import alerts
from watcher.cli import cli
from watcher.gitsync.selection import PLAIN_SECRET
from watcher.settings import SETTINGS

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "docs/fleet.md",
    "docs/git-sync.md",
    "docs/install.md",
    "docs/security.md",
    "docs/upgrade.md",
    "SECURITY.md",
)
NOT_SETTINGS = {
    "backup-secrets",
    "custom-ca",
    "watcher-identity",
    "watcher-git",
    "watcher-git-sync",
    PLAIN_SECRET,
    "git-sync-secrets",
}

Found = tuple[str, str]  # document, what it names


def text(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


def named(pattern: str) -> list[Found]:
    return [
        (document, found)
        for document in DOCUMENTS
        for found in sorted(set(re.findall(pattern, text(document), re.MULTILINE)))
    ]


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("document", "link"), named(r"\]\(([^)]+)\)"))
def test_every_link_leads_somewhere(document: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (ROOT / document).parent / path if path else ROOT / document
    assert target.exists()
    assert not anchor or anchor in anchors(target)


@pytest.mark.parametrize(
    ("document", "path"), named(r"(?<![\w/])((?:manifests|docs)/[\w./-]*[\w-])")
)
def test_every_path_exists(document: str, path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("document", "folder"), named(r"(?:apply|delete|diff) -k (manifests\S+)"))
def test_every_folder_that_is_applied_is_a_kustomization(document: str, folder: str) -> None:
    assert (ROOT / folder / "kustomization.yaml").exists()


@pytest.mark.parametrize(("document", "target"), named(r"(?:^|`|&& )make ([a-z0-9]+)"))
def test_every_make_target_exists(document: str, target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("document", "name"), named(r"`([a-z]+(?:-[a-z]+)+)`") + named(r"--from-literal=([a-z-]+)=")
)
def test_every_setting_exists(document: str, name: str) -> None:
    assert name in {setting.name for setting in SETTINGS} | NOT_SETTINGS


@pytest.mark.parametrize(("document", "words"), named(r"(?:-- |`)watcher ([a-z][^`#\n]*)"))
def test_every_command_and_its_flags_exist(document: str, words: str) -> None:
    command: Command = cli
    for word in words.split():
        if isinstance(command, Group):
            command = command.commands[word]
        elif word.startswith("--"):
            assert word in {option for param in command.params for option in param.opts}


@pytest.mark.parametrize(("document", "name"), named(r"`(Watcher\w+)`"))
def test_every_alert_exists(document: str, name: str) -> None:
    assert name in alerts()


@pytest.mark.parametrize(
    "words",
    re.findall(
        r"^\| `([^`]+)` \|",
        text("docs/git-sync.md").partition("## Troubleshooting")[2],
        re.MULTILINE,
    ),
)
def test_every_message_to_look_up_is_one_that_git_sync_may_say(words: str) -> None:
    sources = (path.read_text("utf-8") for path in (ROOT / "watcher" / "gitsync").glob("*.py"))
    assert any(words in source for source in sources)


def test_the_versions_in_examples_are_this_one() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    tags = {tag for _, tag in named(r"(?:newTag: |watcher:)(\d+\.\d+\.\d+)")}
    assert tags == {version[1]}
