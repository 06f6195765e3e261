"""The table of settings: each field of `Settings` is one row.

Exists so that name, type, default, help and group of a setting stand at one place: flags,
environment variables, `--help`, docs/settings.md and `watcher settings` are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from watcher.schedule import Schedule
from watcher.settings.forms import (
    BUCKET,
    CRON,
    DNS_NAME,
    DURATION,
    ENDPOINT,
    FILE,
    FLAG,
    KEY_ID,
    KINDS,
    LABEL_SELECTOR,
    NAMESPACES,
    PATH,
    PORT,
    RATIO,
    SECRET,
    SIZE,
    TEXT,
    Secret,
    choice,
    whole_number,
)
from watcher.settings.git import GitSettings
from watcher.settings.row import Setting, row, rows_of

DEFAULT_SECRET_DIR = "/etc/watcher/backup-secrets"


_CLUSTER = "Which cluster"
_BUCKET = "The bucket"
_WHAT = "What is captured"
_HOW = "How it is captured"
_PROOF = "Proof and deletions"
_KUBERNETES = "Connection to Kubernetes"
_REPLICAS = "Several replicas"
_RUNNING = "Running and observing"
_SOURCES = "Where settings come from"


@dataclass(frozen=True, kw_only=True)
class Settings(GitSettings):
    """All settings, parsed; git-sync's own come from a table of theirs. Durations are seconds,
    sizes bytes; "" and () mean: none given."""

    cluster_domain: str = field(
        metadata=row(_CLUSTER, DNS_NAME, None, "DNS name that a group of clusters shares.")
    )
    cluster_name: str = field(
        metadata=row(_CLUSTER, DNS_NAME, None, "This cluster's name, unique in its domain.")
    )

    minio_bucket: str = field(
        metadata=row(_BUCKET, BUCKET, None, "Bucket's name, or a directory as file:///path.")
    )
    minio_endpoint: str = field(
        metadata=row(_BUCKET, ENDPOINT, "", "URL of the S3 server. Without it: AWS.")
    )
    minio_access_key: Secret = field(
        metadata=row(
            _BUCKET,
            SECRET,
            "",
            "Access key. Without it the AWS chain: IRSA, profile, instance role.",
        )
    )
    minio_secret_key: Secret = field(
        metadata=row(_BUCKET, SECRET, "", "Secret key that belongs to the access key.")
    )
    minio_region: str = field(metadata=row(_BUCKET, TEXT, "us-east-1", "Region of the bucket."))
    minio_ca_file: Path | None = field(
        metadata=row(
            _BUCKET, FILE, "", "PEM file of the CA that signed the endpoint's certificate."
        )
    )
    minio_client_cert_file: Path | None = field(
        metadata=row(
            _BUCKET,
            FILE,
            "",
            "PEM file of our own certificate, where the endpoint asks for one.",
        )
    )
    minio_client_key_file: Path | None = field(
        metadata=row(
            _BUCKET,
            FILE,
            "",
            "PEM file of its key, without a passphrase. Without it: the key is beside the"
            " certificate in the same file.",
        )
    )
    sse: Literal["none", "AES256", "aws:kms"] = field(
        metadata=row(
            _BUCKET,
            choice("none", "AES256", "aws:kms"),
            "none",
            "Encryption at rest that each write asks for. none: as the bucket has it by default.",
        )
    )
    sse_kms_key_id: str = field(
        metadata=row(
            _BUCKET,
            KEY_ID,
            "",
            "With sse=aws:kms: id or ARN of the key. Without it: the store's default key.",
        )
    )
    fsync: bool = field(
        metadata=row(
            _BUCKET,
            FLAG,
            "false",
            "Directory buckets only: flush each file to the disk before it counts as written.",
        )
    )

    include_kinds: tuple[str, ...] = field(
        metadata=row(
            _WHAT,
            KINDS,
            "",
            "Only these kinds, in kubectl's words: pods, deploy, certificates.cert-manager.io,"
            " *.example.com. Without it: all but the noisy ones.",
        )
    )
    exclude_kinds: tuple[str, ...] = field(
        metadata=row(_WHAT, KINDS, "", "Never these kinds, same words.")
    )
    include_namespaces: tuple[str, ...] = field(
        metadata=row(
            _WHAT, NAMESPACES, "", "Only these namespaces; * matches any text, as in team-*."
        )
    )
    exclude_namespaces: tuple[str, ...] = field(
        metadata=row(_WHAT, NAMESPACES, "", "Never these namespaces; * matches any text.")
    )
    include_cluster_scoped: bool = field(
        metadata=row(
            _WHAT,
            FLAG,
            "false",
            "With include-namespaces: cluster-scoped objects too (without it they always are).",
        )
    )
    label_selector: str = field(
        metadata=row(_WHAT, LABEL_SELECTOR, "", "Only objects with these labels.")
    )
    exclude_owned: bool = field(
        metadata=row(_WHAT, FLAG, "false", "Leave out objects that a controller made from others.")
    )
    secrets: Literal["redact", "plain", "exclude"] = field(
        metadata=row(
            _WHAT,
            choice("redact", "plain", "exclude"),
            "redact",
            "Kubernetes Secrets: redact keeps the keys but no value, plain stores the values"
            " readable for all who read the bucket, exclude stores none.",
        )
    )
    fingerprint_key: Secret = field(
        metadata=row(
            _WHAT,
            SECRET,
            "",
            "With secrets=redact: stores a keyed hash of each value, so that a change is seen.",
        )
    )
    clean_rules: Path | None = field(
        metadata=row(_WHAT, FILE, "", "YAML file with cleaning rules, added to the built-in ones.")
    )

    debounce: float = field(
        metadata=row(_HOW, DURATION, "2s", "Wait until an object has been quiet for so long.")
    )
    max_delay: float = field(
        metadata=row(_HOW, DURATION, "15s", "Longest wait for an object that never gets quiet.")
    )
    concurrency: int = field(
        metadata=row(_HOW, whole_number(1, 1024), "32", "Requests to the bucket at the same time.")
    )
    memory_budget: int = field(
        metadata=row(
            _HOW,
            SIZE,
            "64MiB",
            "Memory for objects that wait to be written; beyond it they are fetched again.",
        )
    )
    grace_period: float = field(
        metadata=row(
            _HOW, DURATION, "25s", "Time to write what is pending after SIGTERM or SIGINT."
        )
    )
    max_delete_ratio: float = field(
        metadata=row(
            _HOW,
            RATIO,
            "50%",
            "Files of a kind, or of all, that may go at once because their objects were not found"
            " any more; beyond it (and beyond 20) they are held. 100%: no limit.",
        )
    )
    trash_days: int = field(
        metadata=row(
            _HOW,
            whole_number(0, 36500),
            "30",
            "Days that deleted files are kept under _meta/trash of a bucket without versioning."
            " 0: they are not kept.",
        )
    )

    reconcile_schedule: Schedule = field(
        metadata=row(
            _PROOF,
            CRON,
            "0 2 * * *",
            "When cluster and bucket are compared anew: a cron expression, in UTC unless it begins"
            " with CRON_TZ=Area/City.",
        )
    )
    reconcile_window: float = field(
        metadata=row(
            _PROOF,
            DURATION,
            "1h",
            "Each cluster begins at its own time within so long after that: none needs staggering.",
        )
    )
    meta_days: int = field(
        metadata=row(
            _PROOF,
            whole_number(1, 36500),
            "90",
            "Days that the journal, reports and answered requests are kept under _meta.",
        )
    )

    kubeconfig: str = field(
        metadata=row(
            _KUBERNETES,
            TEXT,
            "",
            "Path of a kubeconfig. Without it: the Pod's service account, else ~/.kube/config.",
        )
    )
    context: str = field(
        metadata=row(_KUBERNETES, TEXT, "", "Context of the kubeconfig. Without it: the current.")
    )

    leader_elect: bool = field(
        metadata=row(
            _REPLICAS,
            FLAG,
            "false",
            "Several replicas run: one of them writes, the others wait to take over.",
        )
    )
    lease_name: str = field(
        metadata=row(_REPLICAS, DNS_NAME, "watcher", "Lease that tells which of them it is.")
    )
    lease_namespace: str = field(
        metadata=row(
            _REPLICAS,
            TEXT,
            "",
            "Namespace of the Lease. Without it: the Pod's own, else default.",
        )
    )
    lease_duration: float = field(
        metadata=row(
            _REPLICAS, DURATION, "15s", "Another replica takes over after so long without a word."
        )
    )
    renew_deadline: float = field(
        metadata=row(
            _REPLICAS,
            DURATION,
            "10s",
            "Who writes stops after so long without a renewal; less than lease-duration.",
        )
    )
    retry_period: float = field(
        metadata=row(
            _REPLICAS, DURATION, "2s", "Time between two renewals; at most half of renew-deadline."
        )
    )

    http_port: int = field(
        metadata=row(
            _RUNNING, PORT, "8080", "Port of the status page, /livez, /readyz, /metrics. 0: none."
        )
    )
    log_format: Literal["auto", "logfmt", "json"] = field(
        metadata=row(
            _RUNNING,
            choice("auto", "logfmt", "json"),
            "auto",
            "auto: easy to read on a terminal, logfmt elsewhere.",
        )
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        metadata=row(
            _RUNNING,
            choice("debug", "info", "warning", "error"),
            "info",
            "Least important lines to log.",
        )
    )

    config: Path | None = field(
        metadata=row(_SOURCES, FILE, "", "YAML file with settings: a key for each flag.")
    )
    secret_dir: Path = field(
        metadata=row(
            _SOURCES,
            PATH,
            DEFAULT_SECRET_DIR,
            "Folder of a mounted Secret: a file for each setting.",
        )
    )

    sources: Mapping[str, str]  # setting's name -> "flag --debounce", "default", …
    warnings: tuple[str, ...]  # lines to log once

    @property
    def bucket_directory(self) -> Path | None:
        """The directory that is the bucket; None: `minio_bucket` is the name of an S3 bucket."""
        path = self.minio_bucket.removeprefix("file://")
        return Path(path) if path != self.minio_bucket else None


_GIT = rows_of(GitSettings)
SETTINGS: tuple[Setting, ...] = (*(it for it in rows_of(Settings) if it not in _GIT), *_GIT)
