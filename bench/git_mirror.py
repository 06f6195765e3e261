"""How long `watcher git-sync` takes for a large bucket, beside `git add` of the same files.

    python -m bench.git_mirror                                   100,000 files in a directory
    python -m bench.git_mirror --files 10000 --bucket minio      and requests by kind

Exists because a mirror that had to check out what it commits would be of no use at a million files.
Promises: the files are those that `watcher run` made of a simulated cluster; `watcher` is a process
that is looked at from outside, and so are all git programs that it starts. Prints a table; `--out`
gets the figures as JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

import psutil
from rich.console import Console
from rich.table import Table

from bench.measure import clusters, runs
from bench.measure.buckets import DIRECTORY, MINIO, Buckets, Target
from tests.e2e.directory import Directory
from tests.e2e.minio import Bucket
from tests.e2e.proxy import Proxy, Seen
from tests.e2e.watcher_process import running

_MARGIN = 125.0  # seconds: what is younger when a round begins, the next one reads again
_EVERY = 0.02  # seconds between two looks at memory


@dataclass(slots=True)
class Taken:
    """CPU in seconds, memory in bytes: of `watcher` (0: it took no part), and of all git programs
    that ran at a time."""

    seconds: float = 0.0
    cpu: float = 0.0
    git_cpu: float = 0.0
    peak_rss: int = 0
    git_peak_rss: int = 0

    def figures(self, name: str) -> dict[str, float]:
        found = {
            "wall_s": round(self.seconds, 2),
            "cpu_s": round(self.cpu, 2),
            "git_cpu_s": round(self.git_cpu, 2),
            "peak_mb": round(self.peak_rss / 1e6, 1),
            "git_peak_mb": round(self.git_peak_rss / 1e6, 1),
        }
        return {f"{name}.{what}": value for what, value in found.items() if value}


class Mirror:
    """From a filled bucket to a bare repository in a folder."""

    def __init__(self, folder: Path, target: Target) -> None:
        self.repository = folder / "host.git"
        self._folder = folder
        self._target = target
        _git("init", "--quiet", "--bare", "--initial-branch=main", str(self.repository))
        _git(f"--git-dir={self.repository}", "config", "receive.autogc", "false")  # not our work

    def sync(self, cache: str, *, through: Bucket | None = None) -> Taken:
        """`git-sync --once`. cache: name of the local copy's folder. through: the bucket at another
        address. Raises RuntimeError."""
        settings = {
            **self._target.settings,
            "git_repository": str(self.repository),
            "git_cache_dir": str(self._folder / cache),
        }
        bucket = through or self._target.bucket
        with measured() as taken:
            with running(
                self._folder, None, bucket, "git-sync", "--once", settings=settings
            ) as watcher:
                code = watcher.wait(runs.LONGEST)
            usage = watcher.usage()
        if code:
            raise RuntimeError(f"git-sync ended with {code}:\n{watcher.log[-2000:]}")
        taken.cpu, taken.peak_rss = usage.cpu, usage.peak_rss
        taken.git_cpu -= usage.cpu
        return taken

    def files(self) -> list[str]:
        names = _git(f"--git-dir={self.repository}", "ls-tree", "-r", "--name-only", "main")
        return [name for name in names.splitlines() if name.endswith(".yaml")]

    def add_and_commit(self) -> Taken:
        """The same files, by a checkout as anybody would make the first commit of them."""
        checkout = self._folder / "checkout"
        _git("clone", "--quiet", str(self.repository), str(checkout))
        to = (f"--git-dir={self._folder / 'other.git'}", f"--work-tree={checkout}")
        (checkout / ".git").rename(self._folder / "cloned.git")
        _git(f"--git-dir={self._folder / 'other.git'}", "init", "--quiet", "--bare")
        _git(f"--git-dir={self._folder / 'other.git'}", "config", "core.bare", "false")
        _git(f"--git-dir={self._folder / 'other.git'}", "config", "gc.auto", "0")  # it lingers on
        with measured() as taken:
            _git(*to, "add", "--all")
            _git(*to, *("-c", "user.name=x", "-c", "user.email=x"), "commit", "--quiet", "-m", "x")
        return taken


@contextmanager
def measured() -> Iterator[Taken]:
    """What the body's processes take; all their CPU is git's until somebody knows better."""
    taken = Taken()
    over = Event()
    watch = Thread(target=_watch, args=(taken, over), name="memory of git")
    watch.start()
    cpu, began = _cpu_of_children(), time.monotonic()
    try:
        yield taken
    finally:
        taken.seconds = time.monotonic() - began
        taken.git_cpu = _cpu_of_children() - cpu
        over.set()
        watch.join()


def _watch(taken: Taken, over: Event) -> None:
    while not over.wait(_EVERY):
        size = 0
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                size += child.memory_info().rss if child.name().startswith("git") else 0
        taken.git_peak_rss = max(taken.git_peak_rss, size)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def by_kind(requests: Sequence[Seen]) -> dict[str, float]:
    """LIST of objects, of folders and of `_meta/` apart."""
    counts: Counter[str] = Counter()
    for it in requests:
        query = parse_qs(urlsplit(it.path).query)
        if "list-type" not in query:
            kind = f"{it.method}_meta" if "/_meta/" in it.path else it.method
        elif "delimiter" in query:
            kind = "LIST_folders"
        else:
            kind = "LIST_meta" if "/_meta/" in query.get("prefix", [""])[0] else "LIST"
        counts[kind] += 1
    return {f"requests_{kind}": count for kind, count in sorted(counts.items())}


def measure(files: int, word: str, changes: int, folder: Path) -> dict[str, float]:
    figures: dict[str, float] = {}
    buckets = Buckets(folder / "buckets")
    (folder / "buckets").mkdir()
    try:
        target = buckets.new(word)
        with clusters.simulated(folder, files) as cluster:
            runs.once(folder, cluster.kubeconfig, target)
        bucket = target.bucket or Directory(_existing(target.folder))
        time.sleep(_MARGIN)
        mirror = Mirror(folder, target)
        figures |= mirror.sync("copy").figures("first")
        paths = mirror.files()
        figures["files"] = len(paths)
        figures |= mirror.add_and_commit().figures("add_and_commit")
        plain = [path for path in paths if "/secret/" not in path]  # may not say more than they do
        some = plain[:: max(1, len(plain) // changes)][:changes]
        with ExitStack() as opened:
            through = None
            if word == MINIO:
                proxy = opened.enter_context(closing(Proxy(bucket.endpoint)))
                through = bucket.at(proxy.url)
                # Another address may be another bucket: that is found out once, and not our matter.
                _change(bucket, some[:1])
                mirror.sync("copy", through=through)
                time.sleep(_MARGIN)
                proxy.forget()
            _change(bucket, some)
            figures |= mirror.sync("copy", through=through).figures("changes")
            if through:
                told = by_kind(proxy.requests)
                figures |= {f"changes.{kind}": count for kind, count in told.items()}
            figures["changes"] = len(some)
            figures |= mirror.sync("copy", through=through).figures("nothing")
            figures |= mirror.sync("another-copy", through=through).figures("lost_volume")
    finally:
        buckets.close()
    return figures


def _existing(folder: Path | None) -> Path:
    assert folder is not None
    return folder


def _change(bucket: Bucket, paths: Sequence[str]) -> None:
    for path in paths:
        bucket.write(path, bucket.read(path) + b"# changed\n")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.git_mirror", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="[100000]")
    parser.add_argument("--bucket", choices=(DIRECTORY, MINIO), default=DIRECTORY)
    parser.add_argument("--changes", type=int, default=100, help="[100]")
    parser.add_argument("--out", type=Path, help="file for the figures")
    given = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="watcher-bench-", ignore_cleanup_errors=True) as folder:
        figures = measure(given.files, given.bucket, given.changes, Path(folder))
    if given.out:
        given.out.write_text(json.dumps(figures, indent=2) + "\n")
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
