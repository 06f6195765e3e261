"""`watcher bucket init` on S3 as moto plays it: set up once, left alone the second time."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest

from watcher import cli
from watcher.settings import SETTINGS

Init = Callable[..., int]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An administrator's keys, and no settings of the shell that the tests are started from."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("ADMIN_ACCESS_KEY", "admin")
    monkeypatch.setenv("ADMIN_SECRET_KEY", "admin-hush")
    return monkeypatch


@pytest.fixture
def name() -> str:
    return f"bucket-{uuid4().hex}"


@pytest.fixture
def init(moto: str, name: str) -> Init:
    """Runs the command for one bucket; the exit code."""

    def run(*arguments: str) -> int:
        place = [f"--minio-endpoint={moto}", f"--minio-bucket={name}"]
        return cli.main(["bucket", "init", *place, *arguments])

    return run


@pytest.fixture
def s3(moto: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=moto,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
    )


def test_a_bucket_that_is_not_there_is_made_as_backups_need_it(
    init: Init, s3: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init("--keep-days=30", "--sse=aws:kms", "--sse-kms-key-id=key/1") == 0
    out = capsys.readouterr().out
    assert "~ bucket: not there -> there\n" in out
    assert "~ old versions: kept for ever -> removed after 30 days" in out
    assert out.endswith("6 things changed.\n")

    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    old, unfinished = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert old["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert old["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert unfinished["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    (encryption,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"][
        "Rules"
    ]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": "key/1",
    }
    access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert set(access.values()) == {True}


def test_the_second_time_changes_nothing(init: Init, capsys: pytest.CaptureFixture[str]) -> None:
    assert init("--sse=AES256") == 0
    capsys.readouterr()
    assert init("--sse=AES256", "--output=json") == 0
    assert {it["outcome"] for it in json.loads(capsys.readouterr().out)} == {"same"}
    assert init("--sse=AES256") == 0
    assert capsys.readouterr().out.endswith("Nothing to change.\n")


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    init: Init, s3: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert init("--dry-run") == 0
        out = capsys.readouterr().out
        assert "~ bucket: not there -> there\n" in out
        assert "~ versioning: off -> on\n" in out
        assert out.endswith("5 things would change.\n")
    assert name not in {it["Name"] for it in s3.list_buckets()["Buckets"]}


def test_rules_of_others_stay_and_are_warned_of_where_they_endanger_backups(
    init: Init, s3: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.create_bucket(Bucket=name)
    theirs = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": 30},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [theirs]})
    assert init() == 0
    assert "lifecycle rule 'tidy' removes what is stored" in capsys.readouterr().err
    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert [rule["ID"] for rule in rules] == [
        "tidy",
        "watcher-old-versions",
        "watcher-unfinished-uploads",
    ]


def test_without_an_administrators_keys_nobody_elses_are_taken(
    init: Init, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("ADMIN_ACCESS_KEY", "ADMIN_SECRET_KEY"):
        environment.delenv(variable)
    for variable in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AWS_ACCESS_KEY_ID"):
        environment.setenv(variable, "the-writers")
    assert init() == 2
    assert [line.split()[1:4] for line in capsys.readouterr().err.splitlines()] == [
        ["admin-access-key", "is", "missing:"],
        ["admin-secret-key", "is", "missing:"],
    ]


def test_a_directory_is_no_bucket_to_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bucket", "init", "--minio-bucket=file:///backup"]) == 2
    assert "minio-bucket" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_one_line_without_the_keys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = ["--minio-endpoint=http://127.0.0.1:1", "--minio-bucket=backups"]
    assert cli.main(["bucket", "init", *place]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "minio-endpoint" in line
    assert "hush" not in line
