"""What an error repeats of what git said: what tells, in one line."""

import pytest

from watcher.gitsync.git import GitError

_ADVICE = "Please make sure you have the correct access rights\nand the repository exists.\n"


@pytest.mark.parametrize(
    "said",
    [
        "ssh: connect to host 127.0.0.1 port 22: Connection refused",
        "kex_exchange_identification: Connection closed by remote host",
    ],
)
def test_why_ssh_got_nowhere_is_told(said: str) -> None:
    words = f"{said}\r\nfatal: Could not read from remote repository.\n\n{_ADVICE}"
    assert str(GitError("fetch", words)) == f"git fetch: {said}"


def test_without_words_of_ssh_those_of_git_are_told() -> None:
    words = f"fatal: Could not read from remote repository.\n\n{_ADVICE}"
    assert str(GitError("fetch", words)) == f"git fetch: {words.splitlines()[0]}"


def test_the_padding_of_a_hosts_words_is_no_part_of_them() -> None:
    words = "remote: fatal: pack exceeds maximum allowed size        \nerror: unpack failed\n"
    told = "remote: fatal: pack exceeds maximum allowed size error: unpack failed"
    assert str(GitError("push", words)) == f"git push: {told}"
