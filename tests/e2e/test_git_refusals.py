"""What a git host refuses: one clear line that says what to do, an exit code, and nothing lost.

A real sshd (or git's own program for HTTP), a real MinIO. After each refusal the next run with
what is right converges.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.git_host import GitHost
from tests.e2e.git_https import https_host
from tests.e2e.mirror import Mirror
from tests.networks import Authority

EAST, WEST = "prod.example.com/east/", "prod.example.com/west/"
WEB = f"{EAST}shop/configmap/web.yaml"
BIG = f"{WEST}shop/configmap/big.yaml"


@pytest.fixture
def filled(mirror: Mirror) -> Mirror:
    """Two clusters, mirrored, and a change that is not yet."""
    for number in range(8):
        for cluster in (EAST, WEST):
            mirror.put(f"{cluster}shop/configmap/settings-{number}.yaml", f"number: {number}\n")
    mirror.put(WEB, "replicas: 1\n")
    mirror.sync()
    assert not mirror.differences()
    mirror.put(WEB, "replicas: 2\n")
    return mirror


def complaint(mirror: Mirror, **settings: str) -> str:
    """The one line that `git-sync --once` says of what is wrong."""
    done = mirror.run(**settings)
    assert done.returncode == 1, done.stderr
    assert mirror.key.private.splitlines()[1] not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("watcher: ")]
    assert "Traceback" not in done.stderr
    return line


def converges(mirror: Mirror) -> bool:
    mirror.sync()
    assert mirror.differences() == ""
    return mirror.is_sound()


def test_an_unknown_host_is_named_by_its_fingerprint(filled: Mirror) -> None:
    elsewhere = filled.host.known_hosts.replace("127.0.0.1", "127.0.0.2")
    said = complaint(filled, git_known_hosts=elsewhere)
    assert "its host key is not among git-known-hosts" in said
    assert f"{filled.host.fingerprint}: {filled.host.known_hosts}" in said
    assert "its host key is not among git-known-hosts" in complaint(filled, git_known_hosts="")
    assert converges(filled)


def test_a_host_with_another_key_than_before_is_never_talked_to(filled: Mirror) -> None:
    known, before = filled.host.known_hosts, filled.host.commits()
    filled.host.stop()
    filled.host.new_host_key()
    filled.host.start()
    said = complaint(filled, git_known_hosts=known)
    assert "its host key is another one than git-known-hosts has" in said
    assert f"{filled.host.fingerprint}: {filled.host.known_hosts}" in said
    assert filled.host.commits() == before
    assert converges(filled)


def test_a_revoked_key_is_not_accepted(filled: Mirror) -> None:
    filled.host.revoke(filled.key)
    assert "git-ssh-key was not accepted (add its public half" in complaint(filled)
    filled.host.allow(filled.key)
    assert converges(filled)


def test_a_key_that_is_none_is_said_to_be_none(filled: Mirror) -> None:
    said = complaint(filled, git_ssh_key="-----BEGIN OPENSSH PRIVATE KEY-----\nbm8ga2V5\n")
    assert "git-ssh-key is no private key without a passphrase" in said
    assert "bm8ga2V5" not in said
    assert converges(filled)


def test_a_key_that_may_only_read_is_told_apart_from_a_file_that_is_refused(filled: Mirror) -> None:
    filled.host.read_only(filled.key)
    assert "we may read, but not write (give the deploy key" in complaint(filled)
    filled.host.allow(filled.key)
    assert converges(filled)


def test_a_missing_repository_is_said_to_be_missing(filled: Mirror) -> None:
    said = complaint(filled, git_repository=filled.host.address.replace("clusters", "others"))
    assert "there is no such repository, or we may not see it (make it, empty" in said
    assert converges(filled)


def test_a_host_that_is_down_is_said_not_to_answer(filled: Mirror) -> None:
    filled.host.stop()
    assert "Connection refused" in complaint(filled)
    filled.host.start()
    assert converges(filled)


def test_over_https_it_is_the_token_and_the_certificate_that_count(
    filled: Mirror, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    repository, token = filled.host.repository, "token-of-a-robot"
    right = {"git_token": token, "git_user": "robot", "git_ca_file": str(authority.ca)}
    with https_host(repository, authority.server(), user="robot", token=token) as address:
        right["git_repository"] = address
        said = complaint(filled, **right | {"git_token": "a-wrong-one"})
        assert "git-user and git-token were not accepted" in said
        assert "a-wrong-one" not in said
        assert "certificate" in complaint(filled, **right | {"git_ca_file": ""})
        assert token not in filled.sync(**right)
    assert filled.differences() == ""
    assert filled.is_sound()


def refuse_named(host: GitHost) -> None:
    host.reject(BIG)


def refuse_unnamed(host: GitHost) -> None:
    host.reject(BIG, named=False)


def refuse_large(host: GitHost) -> None:
    host.limit(100_000)


@pytest.mark.parametrize("refuse", [refuse_named, refuse_unnamed, refuse_large])
def test_a_file_that_the_host_refuses_is_named_and_all_others_get_there(
    filled: Mirror, refuse: Callable[[GitHost], None]
) -> None:
    noise = "".join(f"{number:x}{number**7:x}" for number in range(20_000))
    filled.put(BIG, f"data: {noise}\n")
    refuse(filled.host)
    for _ in range(2):  # the second run finds it again, and still goes on
        said = filled.run()
        assert said.returncode == 1, said.stderr
        assert f"{BIG} is not mirrored: " in said.stderr
        assert filled.differences(without={BIG}) == ""
    assert filled.is_sound()
    filled.host.accept_all()
    assert converges(filled)
