"""Each alert fires when it should and is quiet when it should be, as Prometheus itself judges."""

import re
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from tests.e2e.parts.build import binary
from tests.rules import ALERTS, CASES, alerts, for_promtool


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


def test_the_overlay_of_the_readme_moves_all_runbooks_to_another_host(tmp_path: Path) -> None:
    shutil.copytree(ALERTS.parent, tmp_path / "manifests" / "monitoring")
    readme = (ALERTS.parent / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n( *# kustomization.yaml.*?)```", readme, re.DOTALL)
    overlay = tmp_path / "overlays" / "mine"
    overlay.mkdir(parents=True)
    overlay.joinpath("kustomization.yaml").write_text(dedent(example))
    built = subprocess.run(
        [binary("kubectl"), "kustomize", overlay], capture_output=True, text=True, check=True
    )
    found = {item["kind"]: item for item in yaml.safe_load_all(built.stdout)}
    assert set(found) == {"PodMonitor", "PrometheusRule"}
    (group,) = (g for g in found["PrometheusRule"]["spec"]["groups"] if g["name"] == "watcher")
    urls = {rule["annotations"]["runbook_url"] for rule in group["rules"]}
    assert urls == {f"https://wiki.company.com/docs/operations#{name.lower()}" for name in alerts()}
