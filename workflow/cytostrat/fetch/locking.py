"""Two runs at once: one downloads, the other waits; and the lock file of checksums first seen."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cytostrat.errors import FetchError
from cytostrat.fetch.accepting import changed
from cytostrat.fetch.parts import forget, own_part
from cytostrat.tables import write_bytes

STALE_AFTER = 1800.0
LOCK_COLUMNS = ("url", "sha256", "size")
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})


@contextlib.contextmanager
def one_at_a_time(target: Path, report: Callable, sleep: Callable) -> Iterator[Path]:
    """Hold the lock of a target, give the path of its ``.part``."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(target.parent, os.W_OK)
    except OSError as error:
        raise FetchError(f"{target.parent} can't be made: {error.strerror}.") from error
    if not writable:
        raise FetchError(f"{target.parent} can't be written to: set another download folder.")
    part = target.with_name(f"{target.name}.part")
    with _flock(target.with_name(f"{target.name}.lock"), part, report, sleep) as is_locked:
        if is_locked:
            yield part
        else:
            part = own_part(target)
            try:
                yield part
            finally:
                forget(part)


@contextlib.contextmanager
def _flock(
    path: Path, watched: Path, report: Callable, sleep: Callable, *, pause: float = 1.0
) -> Iterator[bool]:
    """Hold an exclusive lock; False where the file system has none."""
    waited, seen = 0.0, None
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another run"
            os.close(handle)
            state = _state(watched)
            if waited == 0 or state != seen:
                if waited == 0:
                    report(f"{watched.name}: waiting for {owner}, which is downloading it")
                waited, seen = 0.0, state
            if waited >= STALE_AFTER:
                raise FetchError(
                    f"{path} is held by {owner}, whose download has not moved for "
                    f"{STALE_AFTER / 60:.0f} minutes: end that process and start again."
                ) from None
            sleep(pause)
            waited += pause
            continue
        except OSError as error:
            os.close(handle)
            if error.errno not in NO_LOCKS:
                raise
            report(f"{path.parent} has no file locks; two runs at once may download twice")
            handle = None
            break
        # a former owner may have removed the file between our opening and our locking it
        if _same_file(path, handle):
            break
        os.close(handle)
    try:
        if handle is not None:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield handle is not None
    finally:
        path.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def _same_file(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def read_lock(path: str | Path) -> dict[str, tuple[str, int]]:
    """Return url to (sha256, size) of a lock file; empty where the file does not exist."""
    path = Path(path)
    if not path.exists():
        return {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FetchError(
            f"{path} can't be read as text ({error}); restore it, or remove it to record the "
            "checksums anew."
        ) from None
    if not lines or tuple(lines[0].split("\t")) != LOCK_COLUMNS:
        raise FetchError(f"{path} does not start with the columns {', '.join(LOCK_COLUMNS)}.")
    entries: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != 3 or len(fields[1]) != 64 or not re.fullmatch(r"[0-9]{1,19}", fields[2]):
            raise FetchError(
                f"{path}, line {number}: {line!r} is not url, sha256 and size; correct it or "
                "remove it."
            )
        if fields[0] in entries:
            raise FetchError(f"{path}, line {number}: {fields[0]} is there twice; remove one.")
        entries[fields[0]] = (fields[1], int(fields[2]))
    return entries


def locked(lock: str | Path | None, url: str) -> tuple[str, int] | None:
    """Return sha256 and size that a lock file holds for a URL."""
    return read_lock(lock).get(url) if lock else None


def record(
    lock: str | Path | None, url: str, sha256: str, size: int, *, declared: bool = False
) -> None:
    """Write a checksum first seen into the lock file, and hold the URL to it ever after.

    Where the lock file can't be written, a checksum that the cohort file states (`declared`)
    serves in its place.

    Raises
    ------
    FetchError
        The lock file holds another checksum, or can't be written and none is stated.
    """
    if not lock or _holds(lock, url, sha256):
        return
    lock = Path(lock)
    lock.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(lock.parent, os.W_OK):
        if declared:
            return
        raise FetchError(
            f"{lock} can't be written to, so the checksum of {url} can't be recorded: state its "
            "sha256 in the cohort file, or set another download folder."
        )
    guard = lock.with_name(f".{lock.name}.guard")
    with _flock(guard, lock, lambda _: None, time.sleep, pause=0.05):
        if _holds(lock, url, sha256):  # another run was faster
            return
        entries = {**read_lock(lock), url: (sha256, size)}
        rows = [LOCK_COLUMNS, *((key, *map(str, entries[key])) for key in sorted(entries))]
        write_bytes(lock, "".join("\t".join(row) + "\n" for row in rows).encode())


def _holds(lock: str | Path, url: str, sha256: str) -> bool:
    found = locked(lock, url)
    if found and found[0] != sha256:
        raise changed(url, sha256, found[0], f"{lock} recorded")
    return found is not None
