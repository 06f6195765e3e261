"""A Secret as the kubelet mounts it: each key a link through `..data`, a link to a folder that is
swapped in one step."""

import shutil
from pathlib import Path


class MountedSecret:
    """folder: where it is mounted. values: by setting's name, with underscores."""

    def __init__(self, folder: Path, **values: str) -> None:
        self.folder = folder
        folder.mkdir()
        self._content: dict[str, str] = {}
        self._versions = 0
        self.change(**values)

    def change(self, **values: str | None) -> None:
        """None removes a key."""
        for field, value in values.items():
            name = field.replace("_", "-")
            self._content.pop(name, None)
            if value is not None:
                self._content[name] = value
        self._versions += 1
        data = self.folder / f"..{self._versions}"
        data.mkdir()
        for name, value in self._content.items():
            (data / name).write_text(value)
        before = (self.folder / "..data").resolve()
        link = self.folder / "..data_tmp"
        link.symlink_to(data.name)
        link.rename(self.folder / "..data")
        self._link_keys()
        if self._versions > 1:
            shutil.rmtree(before)

    def _link_keys(self) -> None:
        links = {path.name for path in self.folder.iterdir() if not path.name.startswith("..")}
        for name in links - self._content.keys():
            (self.folder / name).unlink()
        for name in self._content.keys() - links:
            (self.folder / name).symlink_to(f"..data/{name}")
