"""Settings for people: what is set and by whom, and the reference in docs/settings.md."""

import json
from itertools import groupby

from watcher.settings.reading import Gathered
from watcher.settings.table import SETTINGS

_INTRODUCTION = """\
<!-- Written by `watcher settings --output markdown > docs/settings.md`. -->
# Settings

Each setting has one name everywhere. Where it is given more than once, the first of these wins:

1. flag: `--max-delay 30s`
2. environment variable: `MAX_DELAY=30s` (empty: not given)
3. mounted Secret: file `max-delay` in the folder of `secret-dir` (a newline at its end is dropped)
4. config file: `max-delay: 30s` in the YAML file of `config` (lists may be YAML lists)
5. default

`watcher settings` prints the value of each and where it came from, with secrets masked. An unknown
flag or key of the config file is an error (exit code 2), an unknown key of the Secret a warning.
`secret-dir` itself can be a flag or an environment variable, `config` also a key of the Secret.
"""


def as_table(gathered: Gathered) -> str:
    rows = [("SETTING", "VALUE", "FROM")]
    for setting in SETTINGS:
        given = gathered.values.get(setting.name)
        value, source = (setting.shown(given.text), given.source) if given else ("", "missing")
        rows.append((setting.name, value or "-", source))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in rows)


def as_json(gathered: Gathered) -> str:
    found = {
        setting.name: {"value": setting.shown(given.text), "source": given.source}
        for setting in SETTINGS
        if (given := gathered.values.get(setting.name))
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


def as_markdown() -> str:
    lines = [_INTRODUCTION]
    for group, settings in groupby(SETTINGS, key=lambda setting: setting.group):
        lines += [f"## {group}", "", "| setting | default | value | meaning |", "|---|---|---|---|"]
        for setting in settings:
            default = "required" if setting.default is None else f"`{setting.default}`"
            row = (
                f"| `{setting.name}` | {default if setting.default != '' else ''}"
                f" | {setting.form.expected} | {setting.help} |"
            )
            lines.append(row.replace("*", r"\*"))
        lines.append("")
    return "\n".join(lines)
