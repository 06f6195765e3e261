"""Three independent readers of stored files: YAML 1.1, YAML 1.2 and kubectl's own.

Exists because a file is restored by whatever tool is at hand: all must read the same object.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from ruamel.yaml import YAML

from tests.e2e.control_plane import ControlPlane

Object = dict[str, Any]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_1_1(file: bytes) -> Object:
    """As PyYAML reads it."""
    parsed: Object = yaml.load(file, _Loader)
    return parsed


def yaml_1_2(file: bytes) -> Object:
    """As ruamel.yaml reads it."""
    parsed: Object = YAML(typ="safe", pure=True).load(file)
    return parsed


def kubectl(plane: ControlPlane, files: Iterable[bytes]) -> list[Object]:
    """As kubectl reads them, in no certain order. Their kinds must be served there."""
    with TemporaryDirectory() as folder:
        for number, file in enumerate(files):
            Path(folder, f"{number}.yaml").write_bytes(file)
        read = plane.kubectl(
            "create", "--dry-run=client", "--validate=false", "-o", "json", "-f", folder
        ).rstrip()
    decoder, at = json.JSONDecoder(), 0
    objects: list[Object] = []
    while at < len(read):
        item, at = decoder.raw_decode(read, read.index("{", at))
        objects += item["items"] if item["kind"] == "List" else [item]
    return objects


def disagreements(plane: ControlPlane, files: Mapping[str, bytes]) -> Iterator[str]:
    """Keys of the files that the three don't read alike."""
    by_kubectl = {_identity(item): item for item in kubectl(plane, files.values())}
    for key, file in files.items():
        read = yaml_1_1(file)
        if yaml_1_2(file) != read:
            yield f"{key}: ruamel.yaml disagrees"
        if by_kubectl.get(_identity(read)) != read:
            yield f"{key}: kubectl disagrees"


def _identity(item: Object) -> tuple[str, str, str, str]:
    metadata = item["metadata"]
    return item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"]
