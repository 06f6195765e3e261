"""The rig of each test of rounds."""

from pathlib import Path

import pytest

from tests.unit.gitsync.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)
