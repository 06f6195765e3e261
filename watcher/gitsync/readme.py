"""The generated files at the root of the mirror.

Exists so that who opens the repository knows what it is, and so that git-sync knows which folders
are its own: the list of clusters in README.md is what it mirrored, everything else in the
repository belongs to others. Pure. Promises: nothing in it ages; the list that was written is read.
"""

import re
from collections.abc import Iterable

README = "README.md"
ATTRIBUTES = ".gitattributes"

_HEAD = """\
# Kubernetes clusters as files

<!-- Written by `watcher git-sync`; what is changed here by hand is put back. -->

Each object of these clusters, as YAML, as it is in the backup bucket:

"""
_FOOT = """
## How to read it

`{domain}/{cluster}/{namespace}/{kind}/{name}.yaml`: one file is one object, without what the
cluster itself adds (status, uid, resourceVersion, …). Objects without a namespace are below
`_cluster`. A kind of a group that is not Kubernetes' own has the group in its folder's name, as in
`certificate.cert-manager.io`. In names, characters that are not safe in a path are written as
`%XX`. The values of Secrets are not stored unless somebody chose so.

- What changed lately in a cluster: `git log --stat -- DOMAIN/CLUSTER`
- All that ever happened to an object: `git log -p -- DOMAIN/CLUSTER/NAMESPACE/KIND/NAME.yaml`
- What a namespace looked like: `git show COMMIT:DOMAIN/CLUSTER/NAMESPACE/`

A change by hand in one of these folders is put back at the next round. Other files and folders of
this repository are left alone.
"""
_ENTRY = re.compile(r"- \[(?P<cluster>[a-z0-9.-]+/[a-z0-9.-]+)\]\((?P=cluster)/\)")

# Bytes as they are in the bucket, whatever a checkout's platform likes better.
attributes = "*.yaml -text\n"


def render(clusters: Iterable[str]) -> str:
    """clusters: `domain/name`."""
    return _HEAD + "".join(f"- [{name}]({name}/)\n" for name in sorted(clusters)) + _FOOT


def is_ours(text: str) -> bool:
    return text.startswith(_HEAD)


def clusters(text: str) -> set[str]:
    """The list in it; empty where the file is none of ours."""
    return {match["cluster"] for line in text.splitlines() if (match := _ENTRY.fullmatch(line))}
