"""The part of the table of settings that is git-sync's own: their names begin with `git-`."""

from dataclasses import dataclass, field
from pathlib import Path

from watcher.schedule import Schedule
from watcher.settings.forms import (
    AUTHOR,
    BRANCH,
    CLUSTERS,
    CRON_OR_CONTINUOUS,
    DURATION,
    FILE,
    FLAG,
    FOLDER,
    KIND_FOLDERS,
    OPTIONAL_PATH,
    REPOSITORY,
    SECRET,
    TEXT,
    Secret,
)
from watcher.settings.row import row

GROUP = "The git mirror"


@dataclass(frozen=True, kw_only=True)
class GitSettings:
    """As `Settings`."""

    git_repository: str = field(
        metadata=row(
            GROUP,
            REPOSITORY,
            "",
            "Repository that the bucket is mirrored into: git@host:org/repo.git, ssh://, https://,"
            " or a path.",
        )
    )
    git_branch: str = field(metadata=row(GROUP, BRANCH, "main", "Branch that is pushed to."))
    git_sync_schedule: Schedule | None = field(
        metadata=row(
            GROUP,
            CRON_OR_CONTINUOUS,
            "0 4 * * *",
            "When the bucket is mirrored, as in reconcile-schedule; continuous: every"
            " git-sync-interval, and a full comparison each day.",
        )
    )
    git_sync_interval: float = field(
        metadata=row(
            GROUP, DURATION, "5m", "Time between two rounds if the schedule is continuous."
        )
    )
    git_ssh_key: Secret = field(
        metadata=row(
            GROUP,
            SECRET,
            "",
            "Private key for SSH, without a passphrase: a deploy key that may write.",
        )
    )
    git_known_hosts: str = field(
        metadata=row(
            GROUP,
            TEXT,
            "",
            "Host keys that SSH may meet, as lines of a known_hosts file. Others are refused.",
        )
    )
    git_user: str = field(
        metadata=row(GROUP, TEXT, "git", "With git-token: the user's name; many hosts take any.")
    )
    git_token: Secret = field(
        metadata=row(GROUP, SECRET, "", "Access token or password for https://.")
    )
    git_ca_file: Path | None = field(
        metadata=row(GROUP, FILE, "", "PEM file of the CA that signed the host's certificate.")
    )
    git_author: str = field(
        metadata=row(
            GROUP, AUTHOR, "watcher <watcher@localhost>", "Author and committer of the commits."
        )
    )
    git_path_prefix: str = field(
        metadata=row(
            GROUP, FOLDER, "", "Folder of the repository for the mirror. Without it: the root."
        )
    )
    git_include_clusters: tuple[str, ...] = field(
        metadata=row(
            GROUP, CLUSTERS, "", "Only these clusters, as domain/name; * matches any text."
        )
    )
    git_exclude_clusters: tuple[str, ...] = field(
        metadata=row(GROUP, CLUSTERS, "", "Never these clusters, same words.")
    )
    git_include_kinds: tuple[str, ...] = field(
        metadata=row(
            GROUP,
            KIND_FOLDERS,
            "",
            "Only these kinds, as the bucket's folders name them: deployment,*.cert-manager.io.",
        )
    )
    git_exclude_kinds: tuple[str, ...] = field(
        metadata=row(GROUP, KIND_FOLDERS, "", "Never these kinds, same words.")
    )
    git_exclude_owned: bool = field(
        metadata=row(GROUP, FLAG, "false", "Leave out objects that a controller made from others.")
    )
    git_allow_plain_secrets: bool = field(
        metadata=row(
            GROUP,
            FLAG,
            "false",
            "Mirror Secrets whose values are readable, too: git never forgets them.",
        )
    )
    git_commit_per_cluster: bool = field(
        metadata=row(
            GROUP, FLAG, "false", "A commit for each cluster that changed, not one for all."
        )
    )
    git_cache_dir: Path | None = field(
        metadata=row(
            GROUP,
            OPTIONAL_PATH,
            "",
            "Folder for the local copy of the repository. Without it: a temporary one.",
        )
    )
