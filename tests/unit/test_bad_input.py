"""Bad input: whatever is wrong is said in one clear line, with the right exit code.

The real program, nothing replaced, as far as it gets without a cluster that answers;
tests/e2e/test_bad_input.py goes on from there.
"""

import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from watcher import cli
from watcher.settings import SETTINGS

HUSH = "hush-do-not-tell"

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no settings of the shell they are started from."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


class Input:
    """The input of a `watcher run` in which everything is right, to be made wrong."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.write_kubeconfig(KUBECONFIG)
        self.flags = {
            "cluster-domain": "example.com",
            "cluster-name": "east",
            "minio-bucket": f"file://{folder / 'bucket'}",
            "kubeconfig": str(self.kubeconfig),
            "http-port": "0",
        }
        self._capsys = capsys

    def write_kubeconfig(self, content: Json | str) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self.kubeconfig.write_text(text)

    def config(self, content: str) -> str:
        """Give this config file too."""
        path = self.folder / "config.yaml"
        path.write_text(content)
        self.flags["config"] = str(path)
        return str(path)

    def complaints(self, exit_code: int, *, once: bool = True) -> list[str]:
        """What `watcher run` says on stderr; nothing else, and no secret."""
        flags = [f"--{name}={value}" for name, value in self.flags.items()]
        assert cli.main(["run", *(["--once"] if once else []), *flags]) == exit_code
        said = self._capsys.readouterr()
        assert said.out == ""
        assert HUSH not in said.err
        lines = said.err.splitlines()
        assert all(line.startswith("watcher: ") for line in lines), lines
        return [line.removeprefix("watcher: ") for line in lines]


SERVER: Json = {"server": "http://127.0.0.1:1"}  # nobody listens there
TLS: Json = {"server": "https://127.0.0.1:1"}
KUBECONFIG: Json = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "clusters": [{"name": "here", "cluster": SERVER}],
    "users": [{"name": "me", "user": {"token": HUSH}}],
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
}


@pytest.fixture
def given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Input:
    return Input(tmp_path, capsys)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        yield listener.getsockname()[1]


def without(key: str) -> Json:
    return {k: v for k, v in KUBECONFIG.items() if k != key}


def with_context(**context: str) -> Json:
    return {**KUBECONFIG, "contexts": [{"name": "here", "context": context}]}


def with_cluster(**cluster: str) -> Json:
    return {**KUBECONFIG, "clusters": [{"name": "here", "cluster": cluster}]}


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("debunce", "2s", "No such option '--debunce'."),
        ("debounce", "soon", "debounce 'soon' from flag --debounce: expected a duration"),
        ("cluster-domain", "a/b", "cluster-domain 'a/b' from flag --cluster-domain: expected a"),
        ("label-selector", "app in web", "label-selector 'app in web' from flag --label-selector"),
        ("minio-ca-file", "/no/such/file", "minio-ca-file '/no/such/file' from flag"),
        ("clean-rules", "/no/such/file", "clean-rules '/no/such/file' from flag --clean-rules"),
        ("secret-dir", "/no/such/folder", "secret-dir '/no/such/folder' from flag --secret-dir"),
        ("minio-secret-key", HUSH, "minio-secret-key from flag --minio-secret-key: expected"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(
    name: str, value: str, complaint: str, given: Input
) -> None:
    given.flags[name] = value
    (line,) = given.complaints(2)
    assert line.startswith(complaint)


def test_a_missing_setting_is_one_line_that_names_it(given: Input) -> None:
    del given.flags["cluster-name"]
    (line,) = given.complaints(2)
    assert line.startswith("cluster-name is missing: give it as flag --cluster-name, environment")


def test_of_several_bad_settings_each_has_its_line(given: Input) -> None:
    del given.flags["cluster-name"]
    given.flags |= {"debounce": "soon", "cluster-domain": "a/b"}
    named = [line.partition(" ")[0] for line in given.complaints(2)]
    assert named == ["cluster-domain", "cluster-name", "debounce"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("debunce: 2s", "no setting 'debunce' can stand here; did you mean debounce?"),
        (f"minio-secret-key: [{HUSH}", "not valid YAML in line 1"),
        (f"- {HUSH}", "expected a map of settings"),
    ],
)
def test_a_bad_config_file_is_one_line_that_names_it(
    content: str, complaint: str, given: Input
) -> None:
    path = given.config(content)
    assert given.complaints(2) == [f"config '{path}' from flag --config: {complaint}"]


@pytest.mark.parametrize("content", ["rules: [", "rules: 1", "- no-such-word: a", "\0"])
def test_bad_cleaning_rules_are_one_line_that_names_the_file(content: str, given: Input) -> None:
    path = given.folder / "rules.yaml"
    path.write_text(content)
    given.flags["clean-rules"] = str(path)
    (line,) = given.complaints(2)
    assert str(path) in line


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (without("current-context"), "current-context"),
        ({**KUBECONFIG, "current-context": "there"}, "there"),
        (with_context(cluster="there", user="me"), "there"),
        (without("clusters"), "clusters"),
        (with_cluster(), "is not a whole kubeconfig"),
        ("", "is not a whole kubeconfig"),
        ("hello", "is not a whole kubeconfig"),
        ("[1, 2]", "is not a whole kubeconfig"),
        (f"users: [{{name: me, user: {{token: {HUSH}]", "line 1"),
        ("\0", "cannot be used"),
        (with_cluster(**TLS, **{"certificate-authority": "/no/such/file"}), "/no/such/file"),
    ],
)
def test_a_bad_kubeconfig_is_one_line_that_names_it(
    content: Json | str, complaint: str, given: Input
) -> None:
    given.write_kubeconfig(content)
    (line,) = given.complaints(2)
    assert line.startswith(f"kubeconfig: {given.kubeconfig} ")
    assert complaint in line


def test_a_context_that_the_kubeconfig_lacks_is_named(given: Input) -> None:
    given.flags["context"] = "there"
    (line,) = given.complaints(2)
    assert line.startswith(f"kubeconfig: {given.kubeconfig} (context there) cannot be used: ")


@pytest.mark.parametrize(
    "content",
    [
        {"client-certificate-data": HUSH, "client-key-data": HUSH},
        {"client-certificate-data": "aHVzaA==", "client-key-data": "aHVzaA=="},
    ],
)
def test_a_client_certificate_that_is_none_is_one_line(content: Json, given: Input) -> None:
    given.write_kubeconfig({**with_cluster(**TLS), "users": [{"name": "me", "user": content}]})
    (line,) = given.complaints(2)
    assert line.startswith("kubeconfig: ")
    assert " cannot be used: " in line


def test_a_ca_certificate_that_is_none_is_one_line(given: Input) -> None:
    given.write_kubeconfig(with_cluster(**TLS, **{"certificate-authority-data": "aHVzaA=="}))
    (line,) = given.complaints(2)
    assert line.startswith("kubeconfig: a certificate cannot be used: ")


@pytest.mark.parametrize("path", ["/no/such/file", "/"])
def test_a_kubeconfig_that_is_not_there_is_named(path: str, given: Input) -> None:
    given.flags["kubeconfig"] = path
    assert given.complaints(2) == [f"kubeconfig: there is no file {path}"]


def test_no_cluster_at_all_says_where_one_is_looked_for(
    given: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    del given.flags["kubeconfig"]
    monkeypatch.setenv("HOME", str(given.folder))
    (line,) = given.complaints(2)
    assert line.startswith("kubeconfig: no cluster to watch")
    assert "--kubeconfig" in line


def test_a_port_in_use_is_one_line_that_names_it(given: Input, taken_port: int) -> None:
    given.flags["http-port"] = str(taken_port)
    assert given.complaints(2, once=False) == [
        f"http-port {taken_port}: {os.strerror(errno.EADDRINUSE)} (give another one, or 0 for none)"
    ]


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "https://127.0.0.1:1", "not a url", "x:"])
def test_once_gives_up_on_an_api_server_that_cannot_be_reached(server: str, given: Input) -> None:
    given.write_kubeconfig(with_cluster(server=server))
    (line,) = given.complaints(1)
    assert line.startswith(f"cannot reach the API server at {server}: ")


def test_nothing_is_made_in_the_bucket_before_the_cluster_is_known(given: Input) -> None:
    given.complaints(1)
    assert not (given.folder / "bucket").exists()
