"""The table of settings: each field of `Settings` is one row.

Exists so that name, type, default, help and group of a setting stand at one place: flags,
environment variables, `--help`, docs/settings.md and `watcher settings` are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from watcher.errors import masked
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
    Form,
    Secret,
    choice,
    whole_number,
)

DEFAULT_SECRET_DIR = "/etc/watcher/backup-secrets"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `default` is text as a user would write it; None: must be given."""

    group: str
    form: Form
    default: str | None
    help: str
    name: str = ""

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return self.field.upper()

    @property
    def secret(self) -> bool:
        return self.form is SECRET

    @property
    def switch(self) -> bool:
        return self.form is FLAG

    def shown(self, text: str) -> str:
        """A value for people: never a secret, nor a password inside a URL."""
        return str(Secret(text)) if self.secret else masked(text)


def _row(group: str, form: Form, default: str | None, help: str) -> dict[str, Setting]:
    return {"setting": Setting(group, form, default, help)}  # the field gives the name


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
class Settings:
    """All settings, parsed. Durations are seconds, sizes bytes; "" and () mean: none given."""

    cluster_domain: str = field(
        metadata=_row(_CLUSTER, DNS_NAME, None, "DNS name that a group of clusters shares.")
    )
    cluster_name: str = field(
        metadata=_row(_CLUSTER, DNS_NAME, None, "This cluster's name, unique in its domain.")
    )

    minio_bucket: str = field(
        metadata=_row(_BUCKET, BUCKET, None, "Bucket's name, or a directory as file:///path.")
    )
    minio_endpoint: str = field(
        metadata=_row(_BUCKET, ENDPOINT, "", "URL of the S3 server. Without it: AWS.")
    )
    minio_access_key: Secret = field(
        metadata=_row(
            _BUCKET,
            SECRET,
            "",
            "Access key. Without it the AWS chain: IRSA, profile, instance role.",
        )
    )
    minio_secret_key: Secret = field(
        metadata=_row(_BUCKET, SECRET, "", "Secret key that belongs to the access key.")
    )
    minio_region: str = field(metadata=_row(_BUCKET, TEXT, "us-east-1", "Region of the bucket."))
    minio_ca_file: Path | None = field(
        metadata=_row(
            _BUCKET, FILE, "", "PEM file of the CA that signed the endpoint's certificate."
        )
    )
    minio_client_cert_file: Path | None = field(
        metadata=_row(
            _BUCKET,
            FILE,
            "",
            "PEM file of our own certificate, where the endpoint asks for one.",
        )
    )
    minio_client_key_file: Path | None = field(
        metadata=_row(
            _BUCKET,
            FILE,
            "",
            "PEM file of its key, without a passphrase. Without it: the key is beside the"
            " certificate in the same file.",
        )
    )
    sse: Literal["none", "AES256", "aws:kms"] = field(
        metadata=_row(
            _BUCKET,
            choice("none", "AES256", "aws:kms"),
            "none",
            "Encryption at rest that each write asks for. none: as the bucket has it by default.",
        )
    )
    sse_kms_key_id: str = field(
        metadata=_row(
            _BUCKET,
            KEY_ID,
            "",
            "With sse=aws:kms: id or ARN of the key. Without it: the store's default key.",
        )
    )
    fsync: bool = field(
        metadata=_row(
            _BUCKET,
            FLAG,
            "false",
            "Directory buckets only: flush each file to the disk before it counts as written.",
        )
    )

    include_kinds: tuple[str, ...] = field(
        metadata=_row(
            _WHAT,
            KINDS,
            "",
            "Only these kinds, in kubectl's words: pods, deploy, certificates.cert-manager.io,"
            " *.example.com. Without it: all but the noisy ones.",
        )
    )
    exclude_kinds: tuple[str, ...] = field(
        metadata=_row(_WHAT, KINDS, "", "Never these kinds, same words.")
    )
    include_namespaces: tuple[str, ...] = field(
        metadata=_row(
            _WHAT, NAMESPACES, "", "Only these namespaces; * matches any text, as in team-*."
        )
    )
    exclude_namespaces: tuple[str, ...] = field(
        metadata=_row(_WHAT, NAMESPACES, "", "Never these namespaces; * matches any text.")
    )
    include_cluster_scoped: bool = field(
        metadata=_row(
            _WHAT,
            FLAG,
            "false",
            "With include-namespaces: cluster-scoped objects too (without it they always are).",
        )
    )
    label_selector: str = field(
        metadata=_row(_WHAT, LABEL_SELECTOR, "", "Only objects with these labels.")
    )
    exclude_owned: bool = field(
        metadata=_row(_WHAT, FLAG, "false", "Leave out objects that a controller made from others.")
    )
    secrets: Literal["redact", "plain", "exclude"] = field(
        metadata=_row(
            _WHAT,
            choice("redact", "plain", "exclude"),
            "redact",
            "Kubernetes Secrets: redact keeps the keys but no value, plain stores the values"
            " readable for all who read the bucket, exclude stores none.",
        )
    )
    fingerprint_key: Secret = field(
        metadata=_row(
            _WHAT,
            SECRET,
            "",
            "With secrets=redact: stores a keyed hash of each value, so that a change is seen.",
        )
    )
    clean_rules: Path | None = field(
        metadata=_row(_WHAT, FILE, "", "YAML file with cleaning rules, added to the built-in ones.")
    )

    debounce: float = field(
        metadata=_row(_HOW, DURATION, "2s", "Wait until an object has been quiet for so long.")
    )
    max_delay: float = field(
        metadata=_row(_HOW, DURATION, "15s", "Longest wait for an object that never gets quiet.")
    )
    concurrency: int = field(
        metadata=_row(_HOW, whole_number(1, 1024), "32", "Requests to the bucket at the same time.")
    )
    memory_budget: int = field(
        metadata=_row(
            _HOW,
            SIZE,
            "64MiB",
            "Memory for objects that wait to be written; beyond it they are fetched again.",
        )
    )
    grace_period: float = field(
        metadata=_row(
            _HOW, DURATION, "25s", "Time to write what is pending after SIGTERM or SIGINT."
        )
    )
    max_delete_ratio: float = field(
        metadata=_row(
            _HOW,
            RATIO,
            "50%",
            "Files of a kind, or of all, that may go at once because their objects were not found"
            " any more; beyond it (and beyond 20) they are held. 100%: no limit.",
        )
    )
    trash_days: int = field(
        metadata=_row(
            _HOW,
            whole_number(0, 36500),
            "30",
            "Days that deleted files are kept under _meta/trash of a bucket without versioning."
            " 0: they are not kept.",
        )
    )

    reconcile_schedule: Schedule = field(
        metadata=_row(
            _PROOF,
            CRON,
            "0 2 * * *",
            "When cluster and bucket are compared anew: a cron expression, in UTC unless it begins"
            " with CRON_TZ=Area/City.",
        )
    )
    reconcile_window: float = field(
        metadata=_row(
            _PROOF,
            DURATION,
            "1h",
            "Each cluster begins at its own time within so long after that: none needs staggering.",
        )
    )
    meta_days: int = field(
        metadata=_row(
            _PROOF,
            whole_number(1, 36500),
            "90",
            "Days that the journal, reports and answered requests are kept under _meta.",
        )
    )

    kubeconfig: str = field(
        metadata=_row(
            _KUBERNETES,
            TEXT,
            "",
            "Path of a kubeconfig. Without it: the Pod's service account, else ~/.kube/config.",
        )
    )
    context: str = field(
        metadata=_row(_KUBERNETES, TEXT, "", "Context of the kubeconfig. Without it: the current.")
    )

    leader_elect: bool = field(
        metadata=_row(
            _REPLICAS,
            FLAG,
            "false",
            "Several replicas run: one of them writes, the others wait to take over.",
        )
    )
    lease_name: str = field(
        metadata=_row(_REPLICAS, DNS_NAME, "watcher", "Lease that tells which of them it is.")
    )
    lease_namespace: str = field(
        metadata=_row(
            _REPLICAS,
            TEXT,
            "",
            "Namespace of the Lease. Without it: the Pod's own, else default.",
        )
    )
    lease_duration: float = field(
        metadata=_row(
            _REPLICAS, DURATION, "15s", "Another replica takes over after so long without a word."
        )
    )
    renew_deadline: float = field(
        metadata=_row(
            _REPLICAS,
            DURATION,
            "10s",
            "Who writes stops after so long without a renewal; less than lease-duration.",
        )
    )
    retry_period: float = field(
        metadata=_row(
            _REPLICAS, DURATION, "2s", "Time between two renewals; at most half of renew-deadline."
        )
    )

    http_port: int = field(
        metadata=_row(
            _RUNNING, PORT, "8080", "Port of the status page, /livez, /readyz, /metrics. 0: none."
        )
    )
    log_format: Literal["auto", "logfmt", "json"] = field(
        metadata=_row(
            _RUNNING,
            choice("auto", "logfmt", "json"),
            "auto",
            "auto: easy to read on a terminal, logfmt elsewhere.",
        )
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        metadata=_row(
            _RUNNING,
            choice("debug", "info", "warning", "error"),
            "info",
            "Least important lines to log.",
        )
    )

    config: Path | None = field(
        metadata=_row(_SOURCES, FILE, "", "YAML file with settings: a key for each flag.")
    )
    secret_dir: Path = field(
        metadata=_row(
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


SETTINGS: tuple[Setting, ...] = tuple(
    replace(f.metadata["setting"], name=f.name.replace("_", "-"))
    for f in fields(Settings)
    if f.metadata
)
