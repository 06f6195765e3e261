"""The MinIO of the minikube overlay starts with the bucket and the keys of the Secret."""

import os
from pathlib import Path

import yaml
from minio.error import S3Error
from urllib3.exceptions import HTTPError

from tests.e2e.minio import Bucket
from tests.e2e.parts.build import binary
from tests.e2e.pod import ROOT
from tests.e2e.process import Process, free_ports, until

MANIFESTS = ROOT / "manifests"


def test_the_bucket_of_the_secret_is_there_and_takes_its_keys(tmp_path: Path) -> None:
    example = yaml.safe_load((MANIFESTS / "backup-secrets.example.yaml").read_text("utf-8"))
    objects = yaml.safe_load_all((MANIFESTS / "overlays/minikube/minio.yaml").read_text("utf-8"))
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    shell, flag, script = container["command"]
    secret = example["stringData"]
    given = {
        each["name"]: secret[each["valueFrom"]["secretKeyRef"]["key"]] for each in container["env"]
    }
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    server = Process(
        "minio",
        [shell, flag, script.replace("/data", str(tmp_path / "data"))],
        log=tmp_path / "minio.log",
        env={
            **given,
            "MINIO_ADDRESS": address,
            "PATH": f"{binary('minio').parent}:{os.environ['PATH']}",
        },
    )
    try:
        keys = secret["minio-access-key"], secret["minio-secret-key"]
        bucket = Bucket(f"http://{address}", secret["minio-bucket"], *keys)
        until(lambda: _answers(bucket), "answer of MinIO", needs=server)
        bucket.write("a/key", b"value")
        assert bucket.keys() == ["a/key"]
    finally:
        server.kill()


def _answers(bucket: Bucket) -> bool:
    try:
        return bucket.client().bucket_exists(bucket.name)
    except (HTTPError, S3Error):  # nobody listens yet, or it is not ready
        return False
