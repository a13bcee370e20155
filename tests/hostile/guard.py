"""Run a reader in a forked process that is watched: time, memory, writes, network, pickles."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cytostrat.errors import CytostratError

MEMORY = 1 << 30
SECONDS = 30
PATIENCE = 6.0
LONGEST_MESSAGE = 1500
WATCHED = frozenset({
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod",
    "os.truncate", "shutil.move", "shutil.rmtree",
})  # fmt: skip
NEVER = frozenset({
    "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect",
    "pickle.find_class", "ftplib.connect", "urllib.Request",
})  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How reading ended.

    Parameters
    ----------
    state
        error (a named one), result, traceback, crash, hang.
    text
        Message of the error, traceback, signal, or digest of the result.
    trespasses
        Writes outside the folder allowed, processes, network, unpickling.
    grown
        MB by which the process's resident memory grew at its peak.
    seconds
        Processor time.
    """

    state: str
    text: str
    trespasses: list[str]
    grown: float
    seconds: float


def run(work: Callable[[], str], *, results: Path, seconds: int = SECONDS) -> Outcome:
    """Run `work` in a child that may write below `results` only; return how it ended.

    A hang is more than `seconds` of processor time, or, so that a busy machine does not count,
    `PATIENCE` times as much on the clock.
    """
    start = time.monotonic()
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        os.setsid()
        _in_child(work, results, sender, seconds)
    os.close(sender)
    pieces = []
    state = ""
    with os.fdopen(receiver, "rb", buffering=0) as stream:
        while True:
            left = PATIENCE * seconds - (time.monotonic() - start)
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                state = "hang"
                break
            piece = stream.read(1 << 16)
            if not piece:
                break
            pieces.append(piece)
    if state:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    spent = usage.ru_utime + usage.ru_stime
    if state or os.waitstatus_to_exitcode(status) == -signal.SIGXCPU:
        return Outcome("hang", f"more than {seconds:.0f} s", [], 0.0, spent)
    try:
        told = json.loads(b"".join(pieces))
    except ValueError:
        return Outcome("crash", f"status {status}", [], 0.0, spent)
    return Outcome(**told, seconds=spent)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _virtual() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _in_child(work: Callable[[], str], results: Path, sender: int, seconds: int) -> None:
    before = _resident()
    limit = _virtual() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    trespasses: list[str] = []
    watching = [True]
    allowed = (str(results), "/dev/null", "/proc/self")

    def watch(event: str, arguments: tuple) -> None:
        if not watching[0]:
            return
        if event in NEVER:
            trespasses.append(f"{event} {arguments!r}"[:200])
            raise PermissionError(event)
        writes = event in WATCHED
        if event == "open":
            _, mode, flags = arguments
            flags = flags or 0
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or (
                isinstance(mode, str) and any(letter in mode for letter in "wax+")
            )
        if writes and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            if not path.startswith(allowed) and "__pycache__" not in path:
                trespasses.append(f"{event} {path}"[:200])

    sys.addaudithook(watch)
    try:
        state, text = "result", work()
    except CytostratError as error:
        state, text = "error", str(error)
    except MemoryError:
        state, text = "traceback", f"MemoryError\n{traceback.format_exc()}"
    except BaseException:  # noqa: BLE001 - whatever it is, it is what the test looks for
        state, text = "traceback", traceback.format_exc()
    watching[0] = False
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 * 1.024 - before
    told = {
        "state": state, "text": text[-6000:], "trespasses": trespasses, "grown": max(0.0, grown),
    }  # fmt: skip
    with os.fdopen(sender, "wb") as stream:
        stream.write(json.dumps(told).encode(errors="replace"))
    os._exit(0)
