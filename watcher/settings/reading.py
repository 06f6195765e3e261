"""From flags, environment, Secret directory and config file to `Settings`.

Exists to look in four places and judge once. `gather` reads, `parse` judges, `load` does both.
"""

import difflib
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from watcher.errors import UsageError
from watcher.settings.forms import at_home
from watcher.settings.row import Setting
from watcher.settings.table import DEFAULT_SECRET_DIR, SETTINGS, Settings

_BY_NAME = {setting.name: setting for setting in SETTINGS}
# Where a place is can't be told in that place.
_IN_SECRET_DIR = _BY_NAME.keys() - {"secret-dir"}
_IN_CONFIG = _BY_NAME.keys() - {"secret-dir", "config"}

# The first is of no use without the second.
_TOGETHER = (
    ("minio-access-key", "minio-secret-key"),
    ("minio-secret-key", "minio-access-key"),
    ("minio-client-key-file", "minio-client-cert-file"),
)


class Given(NamedTuple):
    """A setting's value as somebody wrote it, and where."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was given, not yet judged: by setting's name, without those that nobody gave."""

    values: Mapping[str, Given]
    warnings: tuple[str, ...]


def load(
    flags: Mapping[str, str], environ: Mapping[str, str], *, optional: Collection[str] = ()
) -> Settings:
    """Gather and parse. Raises UsageError: a line for each problem."""
    return parse(gather(flags, environ), optional=optional)


def gather(flags: Mapping[str, str], environ: Mapping[str, str]) -> Gathered:
    """Look for each setting, highest precedence first.

    flags: only those given, by setting's name. An empty environment variable or file is unset.
    Raises UsageError where the Secret directory or the config file can't be read or has a key
    that is none of ours.
    """
    from_flags = {name: Given(text, f"flag --{name}") for name, text in flags.items()}
    from_environment = {
        setting.name: Given(environ[setting.variable], f"environment {setting.variable}")
        for setting in SETTINGS
        if environ.get(setting.variable)
    }
    found = ChainMap(from_flags, from_environment)
    files, warnings = _read_secret_dir(found.get("secret-dir"))
    found.maps.append(files)
    found.maps.append(_read_config(found.get("config")))
    found.maps.append(
        {s.name: Given(s.default, "default") for s in SETTINGS if s.default is not None}
    )
    return Gathered({s.name: found[s.name] for s in SETTINGS if s.name in found}, warnings)


def parse(gathered: Gathered, *, optional: Collection[str] = ()) -> Settings:
    """Judge what was given. Raises UsageError: a line for each problem.

    optional: names of settings that need not be given here; they are then "".
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in SETTINGS:
        given = gathered.values.get(setting.name)
        if given is None and setting.name in optional:
            values[setting.field] = ""
            continue
        if given is None:
            problems.append(
                f"{setting.name} is missing: give it as flag --{setting.name}, environment"
                f" variable {setting.variable} or key {setting.name} of the mounted Secret"
            )
            continue
        try:
            values[setting.field] = setting.form.parse(given.text)
        except ValueError:
            problems.append(f"{_named(setting, given)}: expected {setting.form.expected}")
    if not problems:
        problems.extend(_contradictions(gathered.values, values))
    if problems:
        raise UsageError("\n".join(problems))
    sources = {name: given.source for name, given in gathered.values.items()}
    return Settings(**values, sources=sources, warnings=gathered.warnings)


def _named(setting: Setting, given: Given) -> str:
    value = "" if setting.secret else f" {setting.shown(given.text)[:120]!r}"
    return f"{setting.name}{value} from {given.source}"


def _contradictions(given: Mapping[str, Given], values: Mapping[str, Any]) -> Iterator[str]:
    def named(name: str) -> str:
        return _named(_BY_NAME[name], given[name])

    if len(values["cluster_domain"]) + len(values["cluster_name"]) > 200:
        yield (
            f"{named('cluster-domain')} and {named('cluster-name')}:"
            " expected at most 200 characters together"
        )
    if values["max_delay"] < values["debounce"]:
        yield f"{named('max-delay')}: expected no less than {named('debounce')}"
    for name, other in _TOGETHER:
        if values[_BY_NAME[name].field] and not values[_BY_NAME[other].field]:
            yield f"{named(name)}: expected {other} too"
    if values["sse_kms_key_id"] and values["sse"] != "aws:kms":
        yield f"{named('sse-kms-key-id')}: expected sse aws:kms too"
    if values["sse"] != "none" and values["minio_bucket"].startswith("file://"):
        yield f"{named('sse')}: expected none, as nobody encrypts a directory"
    if not 0 < 2 * values["retry_period"] <= values["renew_deadline"]:
        yield f"{named('retry-period')}: expected at most half of {named('renew-deadline')}"
    if values["renew_deadline"] >= values["lease_duration"]:
        yield f"{named('renew-deadline')}: expected less than {named('lease-duration')}"


def _read_secret_dir(given: Given | None) -> tuple[dict[str, Given], tuple[str, ...]]:
    """Values by setting's name, and a warning for each key that is no setting's.

    Dot-files are the kubelet's own (`..data` and the folders it points to).
    """
    folder = Path(given.text if given else DEFAULT_SECRET_DIR)
    if not given and not folder.exists():
        return {}, ()
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        where = f" from {given.source}" if given else ""
        raise UsageError(f"secret-dir '{folder}'{where}: {error.strerror}") from error
    found: dict[str, Given] = {}
    warnings: list[str] = []
    for path in paths:
        name = path.name
        if name.startswith(".") or not path.is_file():
            continue
        if name not in _IN_SECRET_DIR:
            warnings.append(f"{path}: no setting has this name{_meant(name)}")
        elif text := _text(path, f"{name} from file {path}").rstrip("\r\n"):
            found[name] = Given(text, f"file {path}")
    return found, tuple(warnings)


def _read_config(given: Given | None) -> dict[str, Given]:
    """Values by setting's name; lists may be YAML lists."""
    if not given or not given.text:
        return {}
    # Only who has a config file pays for the YAML reader at start-up.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    where = _named(_BY_NAME["config"], given)
    text = _text(at_home(given.text), where)
    try:
        # typ "base" leaves every scalar the text that it is: no key becomes an octal number.
        content = YAML(typ="base", pure=True).load(text)
    except YAMLError as error:
        # The reader's own words would quote the line, and with it perhaps a secret.
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(f"{where}: not valid YAML{line}") from error
    if content is None or content == "":
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{where}: expected a map of settings")
    found: dict[str, Given] = {}
    problems: list[str] = []
    for key, value in content.items():
        if key not in _IN_CONFIG:
            problems.append(f"{where}: no setting {key!r} can stand here{_meant(str(key))}")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            found[key] = Given(",".join(value), f"config file {given.text}")
        elif not isinstance(value, str):
            problems.append(f"{where}: {key}: expected {_BY_NAME[key].form.expected}")
        elif value:
            found[key] = Given(value, f"config file {given.text}")
    if problems:
        raise UsageError("\n".join(problems))
    return found


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name.lower().replace("_", "-"), _BY_NAME, n=1)
    return f"; did you mean {close[0]}?" if close and close[0] != name else ""


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{what}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{what}: not UTF-8 text") from error
