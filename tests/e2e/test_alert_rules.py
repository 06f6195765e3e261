"""Each alert fires when it should and is quiet when it should be, as Prometheus itself judges."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e.parts.build import binary
from tests.rules import ALERTS, CASES, for_promtool


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        [binary("promtool"), *arguments], capture_output=True, text=True, check=False
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    return printed


def test_the_rules_are_well_formed() -> None:
    assert "SUCCESS" in promtool("check", "rules", ALERTS)


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_stay_quiet(cases: Path, tmp_path: Path) -> None:
    whole = tmp_path / cases.name
    whole.write_text(yaml.safe_dump(for_promtool(cases), allow_unicode=True, sort_keys=False))
    assert "SUCCESS" in promtool("test", "rules", whole)
