"""Reads stored files, with the library that knows all of YAML.

Exists because a cut key does not tell its object's name (FORMAT.md section 1). Slow: for single
files only.
"""

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


def name_of(body: bytes) -> str:
    """The name of the object in a file. Raises ValueError where there is none."""
    try:
        return str(YAML(typ="safe", pure=True).load(body)["metadata"]["name"])
    except (YAMLError, KeyError, TypeError) as error:
        raise ValueError("not the file of an object") from error
