"""How the host is reached, and what its refusals mean for who has to mend it."""

import shlex
import stat
from pathlib import Path

import pytest

from watcher.gitsync import remote
from watcher.gitsync.git import Git, GitError
from watcher.settings import Settings, load

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nmarked-key\n-----END OPENSSH PRIVATE KEY-----"
HOSTS = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMq"


def settings(repository: str = "git@git.example.com:org/repo.git", **given: str) -> Settings:
    environment = {"GIT_REPOSITORY": repository, **{k.upper(): it for k, it in given.items()}}
    return load(
        {"minio-bucket": "backups"}, environment, optional=("cluster-domain", "cluster-name")
    )


def ssh_options(variables: dict[str, str]) -> list[str]:
    return shlex.split(variables["GIT_SSH_COMMAND"])


def test_keys_are_in_files_that_nobody_else_may_read_and_only_for_a_while() -> None:
    with remote.environment(settings(git_ssh_key=KEY, git_known_hosts=HOSTS)) as variables:
        options = ssh_options(variables)
        key = Path(options[options.index("-i") + 1])
        assert key.read_text() == f"{KEY}\n"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert "marked-key" not in str(variables)
        [known] = [it.partition("=")[2] for it in options if it.startswith("UserKnownHostsFile=")]
        assert Path(known).read_text() == f"{HOSTS}\n"
    assert not key.exists()
    assert not Path(known).exists()


def test_a_host_that_is_not_known_is_never_talked_to() -> None:
    for given in ({}, {"git_ssh_key": KEY, "git_known_hosts": HOSTS}):
        with remote.environment(settings(**given)) as variables:
            assert "StrictHostKeyChecking=yes" in ssh_options(variables)


def test_with_a_key_of_the_settings_no_other_one_is_offered() -> None:
    with remote.environment(settings(git_ssh_key=KEY)) as variables:
        assert {"IdentitiesOnly=yes", "IdentityAgent=none"} <= set(ssh_options(variables))
        assert ssh_options(variables)[ssh_options(variables).index("-F") + 1] == "/dev/null"


async def asked(variables: dict[str, str], host: str, folder: Path) -> str:
    git = Git(folder / "none.git", variables)
    question = f"protocol=https\nhost={host}\n\n".encode()
    try:
        return (await git.run("credential", "fill", input=question)).decode()
    except GitError:
        return ""


async def test_a_token_is_told_to_its_host_and_to_no_other(tmp_path: Path) -> None:
    given = settings(
        "https://git.example.com/org/repo.git", git_user="robot", git_token="marked-token"
    )
    with remote.environment(given) as variables:
        answer = await asked(variables, "git.example.com", tmp_path)
        assert "username=robot\npassword=marked-token\n" in answer
        assert "marked" not in await asked(variables, "evil.example.com", tmp_path)
        configured = [value for name, value in variables.items() if "CONFIG" in name]
        assert "marked-token" not in str(configured)


def test_no_setting_of_the_machine_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/somewhere")
    monkeypatch.setenv("GIT_SSH_COMMAND", "evil")
    monkeypatch.setenv("MINIO_SECRET_KEY", "marked-secret")
    with remote.environment(settings()) as variables:
        assert "GIT_DIR" not in variables
        assert "marked-secret" not in str(variables)
        assert ssh_options(variables)[0] == "ssh"


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("error: cannot run ssh: No such file or directory", "there is no program ssh"),
        ("No user exists for uid 1000650000", "ssh finds no name for the user that it runs as"),
        ("git@git.example.com: Permission denied (publickey).", "git-ssh-key was not accepted"),
        ('Load key "/k": invalid format', "git-ssh-key is no private key without a passphrase"),
        ("remote: ERROR: Permission to a/b.git denied to robot.", "we may read, but not write"),
        ("ERROR: The key you are authenticating with has been marked as read only.", "not write"),
        ("remote: GitLab: You are not allowed to push code to protected branches", "not write"),
        ("error: GH006: Protected branch update failed", "we may read, but not write"),
        ("fatal: Authentication failed for 'https://h/'", "git-user and git-token were not"),
        ("fatal: could not read Username for 'https://h'", "git-user and git-token were not"),
        ("fatal: repository 'https://h/r.git/' not found", "there is no such repository"),
        ("fatal: '/r' does not appear to be a git repository", "there is no such repository"),
    ],
)
async def test_a_refusal_says_which_setting_to_mend(said: str, meaning: str) -> None:
    error = await remote.refusal(GitError("push", said), settings("/r"))
    assert meaning in str(error)


async def test_what_nobody_knows_is_quoted_without_passwords() -> None:
    given = settings("https://robot:marked@git.example.com/r.git")
    error = await remote.refusal(
        GitError("fetch", "fatal: unable to access 'https://robot:marked@git.example.com/r.git'"),
        given,
    )
    assert "unable to access" in str(error)
    assert "marked" not in str(error)


@pytest.mark.parametrize(
    "said",
    [
        "error: object file /c/objects/4b/825 is empty\nfatal: loose object is corrupt",
        "fatal: bad object HEAD",
        "fatal: unable to create temporary file: No space left on device",
        "error: unable to create temporary file: Read-only file system",
        "fatal: unable to read tree 4b825dc",
    ],
)
async def test_a_fault_of_the_local_copy_is_not_the_hosts(said: str) -> None:
    with pytest.raises(GitError):
        await remote.refusal(GitError("fetch", said), settings("/r"))


async def test_a_host_whose_disk_is_full_is_no_fault_of_ours() -> None:
    said = "remote: fatal: write error: No space left on device\nerror: remote unpack failed"
    assert "No space left" in str(await remote.refusal(GitError("push", said), settings("/r")))
