"""Without keys of its own `watcher` takes those of AWS's chain: each link against a real MinIO,
session tokens included. (IRSA and an instance's role need AWS itself.)"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from minio.credentials.providers import AssumeRoleProvider

from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket
from tests.e2e.watcher_process import PREFIX, command

TOKEN = "of-this-pod"  # what the container's endpoint wants to see


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(tmp_path_factory.mktemp("chain") / "plane")
    yield plane
    plane.close()


def session(bucket: Bucket) -> dict[str, str]:
    """Keys for an hour, by MinIO's STS, as a container's endpoint and a program tell them."""
    found = AssumeRoleProvider(
        sts_endpoint=bucket.endpoint, access_key=bucket.access_key, secret_key=bucket.secret_key
    ).retrieve()
    assert found.session_token
    return {
        "AccessKeyId": found.access_key,
        "SecretAccessKey": found.secret_key,
        "SessionToken": found.session_token,
    }


def profile(bucket: Bucket, name: str) -> str:
    keys = f"aws_access_key_id = {bucket.access_key}\naws_secret_access_key = {bucket.secret_key}"
    return f"[{name}]\n{keys}\n"


@contextmanager
def container_endpoint(keys: dict[str, str]) -> Iterator[str]:
    """As an agent of EKS Pod Identity serves them."""

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == TOKEN
            told = {**keys, "Token": keys["SessionToken"], "Expiration": "2099-01-01T00:00:00Z"}
            self.send_response(200 if known else 403)
            self.end_headers()
            self.wfile.write(json.dumps(told if known else {}).encode())

        def log_message(self, *told: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/credentials"
        finally:
            server.shutdown()
            thread.join()


def backs_up(plane: ControlPlane, bucket: Bucket, tmp_path: Path, **environment: str) -> None:
    """Fails unless a first sync works with no other keys than these lead to."""
    nothing = {
        "minio_access_key": "",
        "minio_secret_key": "",
        "aws_shared_credentials_file": str(tmp_path / "credentials"),
        "aws_config_file": str(tmp_path / "config"),
        "aws_ec2_metadata_disabled": "true",
    }
    done = command(plane.kubeconfig(), bucket, "run", "--once", **nothing, **environment)
    assert done.returncode == 0, done.stderr
    assert f"{PREFIX}_cluster/namespace/kube-system.yaml" in bucket.keys(PREFIX)


def test_keys_in_the_environment(plane: ControlPlane, bucket: Bucket, tmp_path: Path) -> None:
    keys = session(bucket)
    backs_up(
        plane,
        bucket,
        tmp_path,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def test_a_profile_in_a_file(plane: ControlPlane, bucket: Bucket, tmp_path: Path) -> None:
    tmp_path.joinpath("credentials").write_text(profile(bucket, "backups"))
    backs_up(plane, bucket, tmp_path, aws_profile="backups")


def test_a_program_that_prints_them(plane: ControlPlane, bucket: Bucket, tmp_path: Path) -> None:
    printed = tmp_path / "keys.json"
    printed.write_text(json.dumps({"Version": 1, **session(bucket)}))
    tmp_path.joinpath("config").write_text(f"[default]\ncredential_process = cat {printed}\n")
    backs_up(plane, bucket, tmp_path)


def test_the_endpoint_of_a_container(plane: ControlPlane, bucket: Bucket, tmp_path: Path) -> None:
    with container_endpoint(session(bucket)) as url:
        backs_up(
            plane,
            bucket,
            tmp_path,
            aws_container_credentials_full_uri=url,
            aws_container_authorization_token=TOKEN,
        )


def test_none_at_all_is_one_line_that_names_settings_and_chain(
    plane: ControlPlane, bucket: Bucket, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="minio-access-key and minio-secret-key, or the AWS"):
        backs_up(plane, bucket, tmp_path)
