"""Settings: one name everywhere, clear precedence, one clear line for whatever is wrong."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from watcher.errors import UsageError
from watcher.settings import SETTINGS, Setting, Settings, gather, load, show

REQUIRED = {"cluster-domain": "example.com", "cluster-name": "east", "minio-bucket": "backups"}

# A value for each setting that is not its default; FILE stands for a file that exists.
SAMPLES = {
    "cluster-domain": "production.company.com",
    "cluster-name": "east-cluster",
    "minio-bucket": "file:///backups",
    "minio-endpoint": "https://minio.example.com:9000",
    "minio-access-key": "0123",
    "minio-secret-key": "yes",
    "minio-region": "eu-central-1",
    "minio-ca-file": "FILE",
    "minio-client-cert-file": "FILE",
    "minio-client-key-file": "FILE",
    "sse": "aws:kms",
    "sse-kms-key-id": "arn:aws:kms:eu-central-1:1:key/2",
    "fsync": "true",
    "reconcile-schedule": "CRON_TZ=Europe/Berlin 30 4 * * *",
    "reconcile-window": "30m",
    "meta-days": "30",
    "include-kinds": "pods,*.example.com",
    "exclude-kinds": "events",
    "include-namespaces": "team-*,shop",
    "exclude-namespaces": "kube-system",
    "include-cluster-scoped": "true",
    "label-selector": "app=web",
    "exclude-owned": "true",
    "secrets": "plain",
    "fingerprint-key": "0x10",
    "clean-rules": "FILE",
    "debounce": "1s",
    "max-delay": "1m30s",
    "concurrency": "8",
    "memory-budget": "1GiB",
    "grace-period": "500ms",
    "max-delete-ratio": "30%",
    "trash-days": "7",
    "kubeconfig": "/home/me/.kube/config",
    "context": "east",
    "leader-elect": "true",
    "lease-name": "backup",
    "lease-namespace": "backups",
    "lease-duration": "20s",
    "renew-deadline": "8s",
    "retry-period": "1s",
    "http-port": "9090",
    "log-format": "json",
    "log-level": "debug",
    "git-repository": "git@git.example.com:platform/backup.git",
    "git-branch": "clusters/main",
    "git-sync-schedule": "continuous",
    "git-sync-interval": "1m",
    "git-ssh-key": "-----BEGIN",
    "git-known-hosts": "git.example.com ssh-ed25519 AAAA",
    "git-user": "backup",
    "git-token": "0x12",
    "git-ca-file": "FILE",
    "git-author": "Backup <backup@example.com>",
    "git-path-prefix": "backup/clusters",
    "git-include-clusters": "production.*/east-*",
    "git-exclude-clusters": "*/test",
    "git-include-kinds": "deployment,*.cert-manager.io",
    "git-exclude-kinds": "pod",
    "git-exclude-owned": "true",
    "git-allow-plain-secrets": "true",
    "git-commit-per-cluster": "true",
    "git-cache-dir": "/var/cache/watcher",
    "config": "FILE",
    "secret-dir": "FOLDER",
}

# What a setting is of no use without.
NEEDED = {
    "minio-access-key": {"minio-secret-key": "x"},
    "minio-secret-key": {"minio-access-key": "x"},
    "minio-client-key-file": {"minio-client-cert-file": "FILE"},
    "sse-kms-key-id": {"sse": "aws:kms"},
}

# These two say where the other places are, so they can't be given there.
PLACES = {
    "secret-dir": ("flag", "environment"),
    "config": ("flag", "environment", "secret file"),
}
ALL_PLACES = ("flag", "environment", "secret file", "config file")


class Given:
    """Gives settings in any of the four places."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "secret"
        self.folder.mkdir()
        self.config = tmp_path / "config.yaml"
        self.config.touch()
        self.flags = {"config": str(self.config), "secret-dir": str(self.folder)}
        self.environ: dict[str, str] = {}

    def at(self, place: str, name: str, value: str) -> None:
        if place == "flag":
            self.flags[name] = value
        elif place == "environment":
            self.flags.pop(name, None)
            self.environ[name.upper().replace("-", "_")] = value
        elif place == "secret file":
            self.flags.pop(name, None)
            (self.folder / name).write_text(f"{value}\n")
        else:
            with self.config.open("a") as file:
                file.write(f"{name}: '{value}'\n")

    def load(self, required: Mapping[str, str] = REQUIRED) -> Settings:
        for name, value in required.items():
            if name.upper().replace("-", "_") not in self.environ:
                self.flags.setdefault(name, value)
        return load(self.flags, self.environ)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(tmp_path)


def loaded(**values: str) -> Settings:
    return load(REQUIRED | {name.replace("_", "-"): text for name, text in values.items()}, {})


def refused(load: Callable[[], object]) -> list[str]:
    """The lines of the complaint."""
    with pytest.raises(UsageError) as caught:
        load()
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("setting", "place"),
    [(s, place) for s in SETTINGS for place in PLACES.get(s.name, ALL_PLACES)],
    ids=lambda value: value.name if isinstance(value, Setting) else value,
)
def test_every_setting_can_be_given_in_every_place(
    setting: Setting, place: str, given: Given, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    text = {"FILE": str(tmp_path / "a-file"), "FOLDER": str(tmp_path)}.get(
        SAMPLES[setting.name], SAMPLES[setting.name]
    )
    required = {name: value for name, value in REQUIRED.items() if name != setting.name}
    required |= {
        name: {"FILE": str(tmp_path / "a-file")}.get(value, value)
        for name, value in NEEDED.get(setting.name, {}).items()
    }
    given.at(place, setting.name, text)

    settings = given.load(required)

    assert settings.sources[setting.name].startswith(place.replace("secret file", "file"))
    assert getattr(settings, setting.field) != default_of(setting)


def default_of(setting: Setting) -> object:
    if setting.default is None:
        return REQUIRED[setting.name]
    return setting.form.parse(setting.default)


def test_a_flag_beats_the_environment_beats_the_secret_beats_the_config_file(given: Given) -> None:
    expected = []
    for number, place in enumerate(reversed(ALL_PLACES), start=1):
        given.at(place, "debounce", f"{number}s")
        settings = given.load()
        expected.append((settings.debounce, settings.sources["debounce"]))

    assert expected == [
        (1.0, f"config file {given.config}"),
        (2.0, f"file {given.folder / 'debounce'}"),
        (3.0, "environment DEBOUNCE"),
        (4.0, "flag --debounce"),
    ]


def test_what_nobody_gives_has_the_documented_default() -> None:
    settings = load(REQUIRED, {})
    assert (settings.debounce, settings.max_delay, settings.grace_period) == (2.0, 15.0, 25.0)
    assert (settings.concurrency, settings.memory_budget) == (32, 64 * 1024 * 1024)
    assert (settings.minio_region, settings.http_port) == ("us-east-1", 8080)
    assert (settings.secrets, settings.log_format, settings.log_level) == ("redact", "auto", "info")
    assert settings.sources["debounce"] == "default"
    assert settings.warnings == ()


def test_an_empty_environment_variable_or_file_is_not_given(given: Given) -> None:
    given.environ["DEBOUNCE"] = ""
    (given.folder / "debounce").write_text("\n")
    given.config.write_text("debounce:\n")
    assert given.load().sources["debounce"] == "default"


def test_a_mounted_secret_is_read_as_the_kubelet_lays_it_out(given: Given) -> None:
    version = given.folder / "..2026_01_02"
    version.mkdir()
    (version / "cluster-name").write_text("west\r\n")
    (given.folder / "..data").symlink_to(version.name)
    (given.folder / "cluster-name").symlink_to("..data/cluster-name")

    settings = load({**given.flags, **without("cluster-name")}, {})

    assert settings.cluster_name == "west"
    assert settings.warnings == ()


def test_an_unknown_key_of_the_secret_is_a_warning_but_not_those_of_git_sync(given: Given) -> None:
    (given.folder / "git-repository").write_text("git@example.com:backup")
    (given.folder / "debunce").write_text("2s")

    assert given.load().warnings == (
        f"{given.folder / 'debunce'}: no setting has this name; did you mean debounce?",
    )


def test_only_a_secret_directory_that_somebody_named_must_exist(tmp_path: Path) -> None:
    assert load(REQUIRED, {}).secret_dir == Path("/etc/watcher/backup-secrets")
    gone = tmp_path / "gone"
    assert refused(lambda: load(REQUIRED, {"SECRET_DIR": str(gone)})) == [
        f"secret-dir '{gone}' from environment SECRET_DIR: No such file or directory"
    ]


def test_the_config_file_takes_lists_and_plain_scalars(given: Given) -> None:
    given.config.write_text(
        "include-kinds: [pods, deploy]\nfsync: true\nhttp-port: 0\nminio-access-key: 0123\n"
        "minio-secret-key: 1e3\n"
    )
    settings = given.load()
    assert settings.include_kinds == ("pods", "deploy")
    assert settings.fsync
    assert settings.http_port == 0
    assert settings.minio_access_key.reveal() == "0123"
    assert settings.minio_secret_key.reveal() == "1e3"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("debunce: 2s", "no setting 'debunce' can stand here; did you mean debounce?"),
        ("config: other.yaml", "no setting 'config' can stand here"),
        ("- debounce", "expected a map of settings"),
        ("debounce: {a: 1}", "debounce: expected a duration such as 500ms, 2s or 1m30s"),
        ("a: b\nc: [", "not valid YAML in line 2"),
        ("debounce: 1s\ndebounce: 2s", "not valid YAML in line 2"),
        ("fingerprint-key: [hush", "not valid YAML in line 1"),
    ],
)
def test_a_config_file_with_a_mistake_is_refused(
    content: str, complaint: str, given: Given
) -> None:
    given.config.write_text(content)
    assert refused(given.load) == [f"config '{given.config}' from flag --config: {complaint}"]


def test_a_missing_setting_is_named_in_all_the_ways_to_give_it() -> None:
    assert refused(lambda: load(without("cluster-name"), {})) == [
        "cluster-name is missing: give it as flag --cluster-name, environment variable"
        " CLUSTER_NAME or key cluster-name of the mounted Secret"
    ]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"sse_kms_key_id": "k"}, "sse-kms-key-id 'k' from flag --sse-kms-key-id: expected sse"),
        ({"sse": "AES256", "sse_kms_key_id": "k"}, "sse-kms-key-id 'k' from flag"),
        ({"sse": "AES256", "minio_bucket": "file:///b"}, "sse 'AES256' from flag --sse: expected"),
        ({"sse": "aes256"}, "sse 'aes256' from flag --sse: expected one of none, AES256, aws:kms"),
        ({"sse": "aws:kms", "sse_kms_key_id": "a\r\nb"}, "sse-kms-key-id 'a"),
        ({"minio_client_key_file": __file__}, "minio-client-key-file"),
    ],
)
def test_encryption_and_certificates_that_make_no_sense_are_refused(
    values: dict[str, str], complaint: str
) -> None:
    (line,) = refused(lambda: loaded(**values))
    assert line.startswith(complaint)


def test_every_mistake_is_told_at_once() -> None:
    lines = refused(lambda: load({"debounce": "soon", "cluster-domain": "a/b"}, {"FSYNC": "maybe"}))
    assert [line.split(" ")[0] for line in lines] == [
        "cluster-domain",
        "cluster-name",
        "minio-bucket",
        "fsync",
        "debounce",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cluster-domain", "a/b"),
        ("cluster-domain", "Example.com"),
        ("cluster-domain", "_meta"),
        ("cluster-domain", "a..b"),
        ("cluster-domain", "a" * 64),
        ("cluster-name", "east\n"),
        ("cluster-name", ""),
        ("minio-bucket", "ab"),
        ("minio-bucket", "file://relative"),
        ("minio-bucket", "s3://backups"),
        ("minio-endpoint", "minio:9000"),
        ("minio-endpoint", "https://minio/path"),
        ("include-kinds", "pods;deploy"),
        ("include-namespaces", "Team"),
        ("secrets", "encrypt"),
        ("fsync", "yes"),
        ("concurrency", "0"),
        ("concurrency", "many"),
        ("memory-budget", "64MB"),
        ("http-port", "65536"),
        ("log-level", "loud"),
        ("clean-rules", "/no/such/file"),
        ("trash-days", "-1"),
        *(("max-delete-ratio", text) for text in ("50", "101%", "-1%", "half", "%", "1.1")),
        *(("debounce", text) for text in ("2", "", "-1s", "2 s", "2parsecs", "1s1m", "s")),
        *(
            ("label-selector", text)
            for text in ("app in web", "a=b c=d", "app in (a", ",", "a==b=c", "-a", "a=" + "b" * 64)
        ),
    ],
)
def test_a_malformed_value_is_refused_in_one_line_that_shows_it(name: str, value: str) -> None:
    (line,) = refused(lambda: load(REQUIRED | {name: value}, {}))
    assert line.startswith(f"{name} {value!r} from flag --{name}: expected ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2.0),
        ("1.5s", 1.5),
        ("1m30s", 90.0),
        ("1h", 3600.0),
        ("1d12h", 129600.0),
        ("0s", 0.0),
    ],
)
def test_durations_are_written_as_prometheus_and_go_do(text: str, seconds: float) -> None:
    assert loaded(grace_period=text).grace_period == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("1KiB", 1024), ("64MiB", 1 << 26), ("2Gi", 1 << 31)]
)
def test_sizes_count_in_powers_of_two(text: str, size: int) -> None:
    assert loaded(memory_budget=text).memory_budget == size


@pytest.mark.parametrize(
    ("text", "ratio"), [("50%", 0.5), ("0.5", 0.5), ("12.5%", 0.125), ("100%", 1.0), ("0", 0.0)]
)
def test_ratios_are_percentages_or_numbers_up_to_1(text: str, ratio: float) -> None:
    assert loaded(max_delete_ratio=text).max_delete_ratio == ratio


@pytest.mark.parametrize(
    "selector",
    [
        "app",
        "!app",
        "app=web",
        "app==web",
        "app!=web,tier",
        "app=",
        "environment in (production, qa),tier notin ()",
        "app.kubernetes.io/name=web , ! example.com/old",
        "weight>10",
    ],
)
def test_label_selectors_are_written_as_kubectl_does(selector: str) -> None:
    assert loaded(label_selector=selector).label_selector == selector


def test_lists_may_have_spaces_and_a_trailing_comma() -> None:
    assert loaded(exclude_namespaces=" a, b-*,").exclude_namespaces == ("a", "b-*")


def test_a_directory_as_the_bucket() -> None:
    assert loaded(minio_bucket="file:///var/backup").bucket_directory == Path("/var/backup")
    assert loaded(minio_bucket="backups").bucket_directory is None


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (
            {"debounce": "20s"},
            "max-delay '15s' from default: expected no less than debounce '20s' from flag"
            " --debounce",
        ),
        (
            {"retry-period": "6s"},
            "retry-period '6s' from flag --retry-period: expected at most half of renew-deadline"
            " '10s' from default",
        ),
        (
            {"lease-duration": "10s"},
            "renew-deadline '10s' from default: expected less than lease-duration '10s' from flag"
            " --lease-duration",
        ),
        (
            {"minio-access-key": "hush"},
            "minio-access-key from flag --minio-access-key: expected minio-secret-key too",
        ),
        (
            {"minio-secret-key": "hush"},
            "minio-secret-key from flag --minio-secret-key: expected minio-access-key too",
        ),
        (
            {"cluster-domain": f"{'a' * 63}.{'b' * 63}.{'c' * 63}", "cluster-name": "d" * 10},
            f"cluster-domain '{'a' * 63}.{'b' * 56}' from flag --cluster-domain and cluster-name"
            " 'dddddddddd' from flag --cluster-name: expected at most 200 characters together",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    values: dict[str, str], complaint: str
) -> None:
    assert refused(lambda: load(REQUIRED | values, {})) == [complaint]


def test_no_secret_shows_anywhere(given: Given) -> None:
    secrets = [setting.name for setting in SETTINGS if setting.secret]
    assert secrets == [
        "minio-access-key",
        "minio-secret-key",
        "fingerprint-key",
        "git-ssh-key",
        "git-token",
    ]
    for name in secrets:
        given.at("environment", name, "hush")

    settings = given.load()
    gathered = gather(given.flags, given.environ)

    shown = f"{settings} {settings!r} {dataclasses.asdict(settings)}"
    shown += show.as_table(gathered) + show.as_json(gathered)
    assert "hush" not in shown
    assert shown.count("***") == 5 * len(secrets)
    assert settings.fingerprint_key.reveal() == "hush"


def test_a_secret_that_cannot_be_read_is_not_quoted(given: Given) -> None:
    file = given.folder / "minio-secret-key"
    file.write_bytes(b"hush\xff")
    assert refused(given.load) == [f"minio-secret-key from file {file}: not UTF-8 text"]


def test_a_password_in_a_url_is_not_quoted() -> None:
    (line,) = refused(lambda: loaded(minio_endpoint="http://me:hush@minio"))
    assert line.startswith("minio-endpoint 'http://***@minio' from flag --minio-endpoint: ")


def test_what_was_given_can_be_shown_though_something_is_missing() -> None:
    gathered = gather({"debounce": "5s"}, {})
    assert json.loads(show.as_json(gathered))["debounce"] == {
        "value": "5s",
        "source": "flag --debounce",
    }
    lines = show.as_table(gathered).splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "FROM"]
    assert ["cluster-name", "-", "missing"] in [line.split() for line in lines]


def test_the_reference_in_docs_is_up_to_date() -> None:
    written = Path(__file__).parents[2] / "docs" / "settings.md"
    assert written.read_text("utf-8") == show.as_markdown(), "see the file's first line"


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in REQUIRED.items() if key != name}
