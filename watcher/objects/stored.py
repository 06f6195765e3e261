"""Reads stored files, with the library that knows all of YAML.

Exists because a cut key does not tell its object's name (FORMAT.md section 1). Slow: for single
files only.
"""

from typing import Any

from ruamel.yaml import YAML


def load(body: bytes) -> dict[str, Any]:
    """The object in a file. Raises ruamel.yaml.error.YAMLError."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(body)
    return document


def name_of(body: bytes) -> str:
    """The name of the object in a file."""
    return str(load(body)["metadata"]["name"])
