"""One real part as a child of the test run: started, logged, measured and surely ended.

Exists because a forgotten API server eats a developer's machine. Promises: a part has its own
process group and dies with the test run however that ends (Linux: `setpriv --pdeathsig`); it is
only ever signalled by its pid; what it printed is in a file. The kernel ties a child to the
*thread* that started it, so parts are started from the main thread.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SETPRIV = shutil.which("setpriv")
_TIED = [_SETPRIV, "--pdeathsig", "KILL"] if _SETPRIV else []
_POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took so far; of an ended one, in all."""

    cpu: float  # seconds, user and system
    peak_rss: int  # bytes; of an ended process as of 20 ms before its end


class Process:
    """A running child. `log` grows over restarts: give each start the same path."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"{name} would die with this thread: start it from the main thread")
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [*_TIED, *command],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self._usage = Usage(0, 0)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._ended() is None

    def signal(self, number: signal.Signals) -> None:
        """Send to the whole group; fine if it has ended."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, timeout: float = 15) -> int:
        """SIGTERM, after `timeout` seconds SIGKILL; the exit code."""
        self.signal(signal.SIGCONT)  # a stopped process would not hear the rest
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except TimeoutError:
            self.kill()
            return self.wait()

    def wait(self, timeout: float = 60) -> int:
        """The exit code (negative: killed by that signal). Raises TimeoutError."""
        until(lambda: not self.running, f"the end of {self.name}", timeout=timeout, poll=_POLL)
        return self._child.returncode

    def usage(self) -> Usage:
        """CPU and memory so far. (`wait4` would count our own memory from before exec too.)"""
        self._ended()
        return self._usage

    def tail(self, lines: int = 40) -> str:
        if not self.log.exists():  # what failed is the end of the run
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _ended(self) -> int | None:
        if self._child.returncode is None:
            self._usage = _usage(self.pid, self._usage.peak_rss)  # a zombie still tells its CPU
        return self._child.poll()


def _usage(pid: int, peak_rss: int) -> Usage:
    """Of a child not yet waited for, from Linux's /proc; elsewhere nothing."""
    process = Path("/proc", str(pid))
    if not process.exists():
        return Usage(0, 0)
    user, system = process.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
    for line in process.joinpath("status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            peak_rss = max(peak_rss, int(line.split()[1]) * 1024)
    return Usage((int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), peak_rss)


def until(
    condition: Callable[[], object],
    what: str,
    *,
    timeout: float = 60,
    poll: float = 0.1,
    needs: Process | None = None,
) -> None:
    """Wait until it holds. Raises TimeoutError, or RuntimeError if `needs` ended meanwhile."""
    deadline = time.monotonic() + timeout
    while not condition():
        if needs is not None and not needs.running:
            raise RuntimeError(f"{needs.name} ended while waiting for {what}:\n{needs.tail()}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {timeout} s")
        time.sleep(poll)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, below the range of outgoing connections.

    From that range a client that retries while the server is down could take the server's port
    for its own end, even connect to itself.
    """
    draw = random.SystemRandom()  # pytest-randomly seeds the shared one alike in every run
    ports: set[int] = set()
    while len(ports) < count:
        port = draw.randrange(10000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.add(port)
    return list(ports)
