"""Without keys of its own `watcher` takes those of AWS's chain: each link against a real MinIO,
session tokens included. (An instance's role needs an instance of AWS.)"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from minio.credentials.providers import AssumeRoleProvider

from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket, Minio
from tests.e2e.process import until
from tests.e2e.watcher_process import PREFIX, command

ISSUER = "https://kubernetes.default.svc"
AUDIENCE = "sts.amazonaws.com"
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
def serving(documents: dict[str, Any], token: str | None = None) -> Iterator[str]:
    """The address of a server with a JSON document at each path. token: without it, nothing."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = documents.get(self.path) if self.headers["Authorization"] == token else None
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *told: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def public_keys(plane: ControlPlane) -> Any:
    """Of those that sign the tokens of service accounts."""
    api = plane.api()
    asked = Request(f"{api.url}/openid/v1/jwks", headers={"Authorization": f"Bearer {api.token}"})
    with urlopen(asked, context=api.tls, timeout=10) as answer:
        return json.load(answer)


@contextmanager
def trusting_minio(plane: ControlPlane, folder: Path) -> Iterator[Minio]:
    """One that gives a role to whom this cluster's service accounts are, as AWS does for IRSA."""
    documents: dict[str, Any] = {"/jwks": public_keys(plane)}
    with serving(documents) as issuer:
        documents["/discovery"] = {"issuer": ISSUER, "jwks_uri": f"{issuer}/jwks"}
        server = Minio(
            folder,
            MINIO_IDENTITY_OPENID_CONFIG_URL=f"{issuer}/discovery",
            MINIO_IDENTITY_OPENID_CLIENT_ID=AUDIENCE,
            MINIO_IDENTITY_OPENID_ROLE_POLICY="readwrite",
        )
        try:
            yield server
        finally:
            server.kill()


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
    """As an agent of EKS Pod Identity serves them."""
    keys = session(bucket)
    told = {**keys, "Token": keys["SessionToken"], "Expiration": "2099-01-01T00:00:00Z"}
    with serving({"/v1/credentials": told}, TOKEN) as agent:
        backs_up(
            plane,
            bucket,
            tmp_path,
            aws_container_credentials_full_uri=f"{agent}/v1/credentials",
            aws_container_authorization_token=TOKEN,
        )


def test_the_token_of_a_service_account(plane: ControlPlane, tmp_path: Path) -> None:
    """As IRSA does it: the cluster signs, the store's STS asks for its public keys."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    plane.api().create(accounts, {"metadata": {"name": "backup"}})
    asked = {"spec": {"audiences": [AUDIENCE]}}
    given = plane.api().create(f"{accounts}/backup/token", asked)
    token = tmp_path / "token"
    token.write_text(given["status"]["token"])
    with trusting_minio(plane, tmp_path / "minio") as minio:
        server = minio.processes[0]

        def roles() -> set[str]:
            return set(re.findall(r"arn:minio:iam:::role/[\w-]+", server.log.read_text()))

        until(roles, "role of the issuer", needs=server)  # it is ready before it has said it
        (role,) = roles()
        backs_up(
            plane,
            minio.new_bucket(),
            tmp_path,
            aws_role_arn=role,
            aws_web_identity_token_file=str(token),
            aws_endpoint_url_sts=minio.endpoint,
            aws_region="us-east-1",
        )


def test_none_at_all_is_one_line_that_names_settings_and_chain(
    plane: ControlPlane, bucket: Bucket, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="minio-access-key and minio-secret-key, or the AWS"):
        backs_up(plane, bucket, tmp_path)
