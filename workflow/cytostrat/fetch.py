"""Downloads: the only module of the package that touches the network.

A file arrives as ``.part``, is looked at and verified, and only then gets its name, so a file
under its own name is a file that was accepted. What is refused leaves nothing behind; what was
cut off leaves the ``.part``, from which the next try resumes where the server allows it.

The client is the standard library's `urllib`: it honours the proxy variables of the
environment, never decodes a body behind our back (a checksum must be that of the bytes served)
and adds no dependency.

Rules
-----
Transport
    ``https``; plain ``http`` to the own machine only, or where the cohort file states the
    sha256 beforehand, because then the transport does not matter. A redirect never leads from
    ``https`` to ``http``. At most ten redirects.
Retries
    408, 425, 429 (after the time that ``Retry-After`` asks for), 5xx, dropped, stalled and
    refused connections are tried again, after 1, 2, 4, ... at most 60 seconds. An attempt that
    brought at least one further MiB does not count. Every other status fails at once.
Resuming
    By ``Range`` with ``If-Range`` on a strong ETag or on Last-Modified; without either only
    where a checksum is known. A resumed file that fails its checks is fetched once more whole.
Two runs at once
    A file is downloaded under an exclusive ``flock`` on a neighbouring ``.lock``. The kernel
    frees the lock of a process that died, so none outlives its owner; a waiting run gives up
    where the owner's ``.part`` has not changed for half an hour. On file systems without locks
    each run downloads under a name of its own and the last rename wins.
Lock file
    ``fetch.lock`` (TSV: url, sha256, size) holds the checksum first seen of every URL, and
    is enforced ever after. Files given by path are the user's own and are not recorded.
"""

from __future__ import annotations

import contextlib
import email.utils
import errno
import fcntl
import hashlib
import http.client
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cytostrat
from cytostrat.errors import ConfigError, CytostratError, FetchError
from cytostrat.tables import write_bytes

BLOCK = 1 << 20
HEAD = 2048
MAX_REDIRECTS = 10
MAX_WAIT = 60.0
MAX_RETRY_AFTER = 600.0
STALE_AFTER = 1800.0
TRY_AGAIN = frozenset({408, 425, 429})
NEVER_AGAIN = frozenset({501, 505, 511})
LOCK_COLUMNS = ("url", "sha256", "size")
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})
MAGIC = {
    ".gz": (b"\x1f\x8b", "gzip"),
    ".tgz": (b"\x1f\x8b", "gzip"),
    ".h5ad": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ".h5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ".zip": (b"PK", "zip"),
    ".bz2": (b"BZh", "bzip2"),
    ".xz": (b"\xfd7zXZ\x00", "xz"),
}
WEB_SUFFIXES = (".html", ".htm", ".xhtml")
WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<title", b"<meta")


@dataclass(frozen=True)
class Fetched:
    """What a fetch brought.

    Parameters
    ----------
    path
        The accepted file.
    source
        URL or path that was asked for.
    sha256, size
        Of the file as it lies there, in hex digits and bytes.
    origin
        ``network``, ``mirror``, ``path``, or ``cache`` where an accepted copy was there already.
    status
        ``declared`` (the stated sha256 holds), ``locked`` (that of the lock file holds),
        ``first seen`` (recorded now) or ``unverified`` (nothing to compare with).
    """

    path: Path
    source: str
    sha256: str
    size: int
    origin: str
    status: str


@dataclass(frozen=True)
class _Expected:
    """What the file must be, as far as it is known beforehand."""

    source: str
    name: str
    sha256: str
    locked: str
    size: int | None
    max_size: int

    @property
    def known(self) -> str:
        return self.sha256 or self.locked


class _AgainError(Exception):
    """A failure that may pass; `wait` is the pause the server asked for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def is_url(source: str | Path) -> bool:
    """Say whether a source is an address (``scheme://...``) and not a path."""
    return "://" in str(source)


def cache_path(url: str, folder: str | Path) -> Path:
    """Return where a URL lies in a download folder or a mirror.

    The layout is ``host[+port]/path/name[@query]``, every part percent-encoded, which is what
    ``wget --force-directories --restrict-file-names=windows`` writes for common addresses. Two
    addresses that differ in host, path or query are two files; scheme and fragment do not
    count. An empty part of the path is ``@``. A name beyond 200 bytes keeps its first 120
    and the start of its sha256.

    Raises
    ------
    ConfigError
        The text is no http(s) address.
    """
    parts = _split(url)
    host = (parts.hostname or "").lower()
    port = parts.port
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}+{port}"
    segments = [_encoded(segment) or "@" for segment in parts.path.removeprefix("/").split("/")]
    if parts.query:
        last = "" if segments[-1] == "@" else segments[-1]
        segments[-1] = f"{last}@{urllib.parse.quote(parts.query, safe='%=&+,')}"
    return Path(folder, host.replace(":", "%3A"), *map(_bounded, segments))


def _encoded(segment: str) -> str:
    if set(segment) == {"."}:
        return segment.replace(".", "%2E")
    return urllib.parse.quote(segment, safe="%=+,")


def _bounded(name: str) -> str:
    if len(name) <= 200:
        return name
    return f"{name[:120]}%{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _split(url: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ConfigError(f"The address {url!r} can't be read: {error}.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ConfigError(
            f"The address {url!r} is not of the form https://host/path; other protocols are not "
            "fetched: download the file and give its path."
        )
    if parts.username is not None:
        raise ConfigError(
            f"The address on {parts.hostname} carries a user name, which would end up in logs "
            "and reports: download the file and give its path."
        )
    if any(character <= " " for character in url):
        raise ConfigError(f"The address {url!r} holds a blank; write it as %20.")
    return parts


def _on_own_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_transport(url: str, declared: str) -> None:
    parts = _split(url)
    if parts.scheme == "http" and not declared and not _on_own_machine(parts.hostname or ""):
        raise FetchError(
            f"{url} is plain http, which anybody on the way can alter: use https, or state the "
            "sha256 of the file."
        )


def fetch(
    source: str | Path,
    destination: str | Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    cache: str | Path | None = None,
    mirror: str | Path | None = None,
    lock: str | Path | None = None,
    retries: int = 5,
    timeout: float = 60.0,
    low_speed: tuple[float, float] = (1024.0, 60.0),
    max_size: int = 200 * 2**30,
    report: Callable[[str], object] = print,
    sleep: Callable[[float], object] = time.sleep,
) -> Fetched:
    """Bring a file to `destination`, whole and verified, or raise and leave nothing there.

    Parameters
    ----------
    source
        URL, ``file://`` URL or path. A path is copied.
    destination
        Where the file is wanted.
    sha256, size
        What the file must be; ``None`` or ``""`` where it is not known.
    cache
        Folder shared between runs. The download lies there at ``cache_path(source, cache)`` and
        `destination` becomes a hard link to it (a copy on another file system).
    mirror
        Folder that answers for every URL (laid out as by `cache_path`); the network is not
        touched then, and a URL that the folder lacks is an error.
    lock
        Lock file of checksums first seen; made where it does not exist.
    retries
        How often a passing failure is tried again.
    timeout
        Seconds without an answer after which a connection counts as dropped.
    low_speed
        Bytes per second and seconds: slower than this over that time is a stall.
    max_size
        Bytes beyond which a download is refused.
    report
        Takes one line of progress at a time.
    sleep
        Waits the given seconds between tries.

    Raises
    ------
    FetchError
        The file did not arrive or is not what was asked for; the message says what to do.
    ConfigError
        The address or the stated sha256 can't be used.
    """
    destination = Path(destination)
    sha256 = _hex(sha256)
    if str(source).startswith("file://"):
        source = urllib.request.url2pathname(urllib.parse.urlsplit(str(source)).path)
    if not is_url(source):
        expected = _Expected(str(source), destination.name, sha256, "", size, max_size)
        return _copy_in(Path(source), destination, expected)

    url = urllib.parse.urldefrag(str(source)).url
    _check_transport(url, sha256)
    locked = _locked(lock, url)
    if sha256 and locked and sha256 != locked[0]:
        raise FetchError(
            f"{url}: the stated sha256 is {sha256}, but {lock} recorded {locked[0]}; correct the "
            "one, or remove that line from the other."
        )
    name = Path(urllib.parse.urlsplit(url).path).name
    if Path(name).suffix.lower() not in {*MAGIC, *WEB_SUFFIXES}:
        name = destination.name
    expected = _Expected(url, name, sha256, locked[0] if locked else "", size, max_size)
    status = "declared" if sha256 else "locked" if locked else "first seen" if lock else ""
    target = cache_path(url, cache) if cache else destination
    # without the lock first: an accepted file never changes, and a shared folder may be read-only
    found, origin = _reuse(target, expected, lambda _: None), "cache"
    if found is None:
        destination.unlink(missing_ok=True)
        with _one_at_a_time(target, report, sleep) as part:
            found = _reuse(target, expected, report)
            if found is None:
                if mirror:
                    origin = "mirror"
                    found = _from_mirror(url, Path(mirror), part, expected)
                else:
                    origin = "network"
                    found = _from_network(
                        url, part, expected, retries, timeout, low_speed, report, sleep
                    )
                _record(lock, url, *found)
                part.replace(target)
                _forget(part)
    _record(lock, url, *found)
    digest, n_bytes = found
    if target != destination:
        _place(target, destination)
    status = status or "unverified"
    report(f"{name}: {_bytes(n_bytes)} from {origin}, sha256 {digest[:12]}..., {status}")
    return Fetched(destination, url, digest, n_bytes, origin, status)


def _hex(sha256: str | None) -> str:
    text = (sha256 or "").strip().lower()
    if text and (len(text) != 64 or set(text) - set("0123456789abcdef")):
        raise ConfigError(f"sha256: {sha256!r} is not 64 hexadecimal digits.")
    return text


def _copy_in(source: Path, destination: Path, expected: _Expected) -> Fetched:
    if source.is_dir():
        raise FetchError(f"{source} is a folder, not a file: name one file of it.")
    if not source.is_file():
        raise FetchError(f"{source} does not exist; correct the path.")
    if destination.exists() and source.samefile(destination):
        digest, n_bytes = _verified(source, expected, keep=True)
    else:
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.unlink(missing_ok=True)
        part = _own_part(destination)
        try:
            shutil.copyfile(source, part)
            digest, n_bytes = _verified(part, expected)
            part.replace(destination)
        finally:
            part.unlink(missing_ok=True)
    status = "declared" if expected.sha256 else "unverified"
    return Fetched(destination, str(source), digest, n_bytes, "path", status)


def _reuse(target: Path, expected: _Expected, report: Callable) -> tuple[str, int] | None:
    """Return checksum and size of an accepted copy, nothing where there is none to be used."""
    if not target.is_file():
        return None
    try:
        return _verified(target, expected, keep=True)
    except FetchError as error:
        report(f"{error} The copy at hand is not used.")
        return None


def _from_mirror(url: str, mirror: Path, part: Path, expected: _Expected) -> tuple[str, int]:
    there = cache_path(url, mirror)
    if not there.is_file():
        raise FetchError(
            f"The mirror has no copy of {url}: put it at {there}, or leave `mirror` empty to "
            "download it."
        )
    _forget(part)
    shutil.copyfile(there, part)
    return _verified(part, expected)


def _place(target: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = _own_part(destination)
    try:
        try:
            os.link(target, part)
        except OSError:
            shutil.copyfile(target, part)
        part.replace(destination)
    finally:
        # a rename between two links of one file does nothing and leaves the first
        part.unlink(missing_ok=True)


def _own_part(path: Path) -> Path:
    return path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.part")


@contextlib.contextmanager
def _one_at_a_time(target: Path, report: Callable, sleep: Callable) -> Iterator[Path]:
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
            part = _own_part(target)
            try:
                yield part
            finally:
                _forget(part)


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


def _locked(lock: str | Path | None, url: str) -> tuple[str, int] | None:
    return read_lock(lock).get(url) if lock else None


def _record(lock: str | Path | None, url: str, sha256: str, size: int) -> None:
    if not lock:
        return
    lock = Path(lock)
    lock.parent.mkdir(parents=True, exist_ok=True)
    guard = lock.with_name(f".{lock.name}.guard")
    with _flock(guard, lock, lambda _: None, time.sleep, pause=0.05):
        entries = read_lock(lock)
        if url in entries:
            if entries[url][0] != sha256:
                raise _changed(url, sha256, entries[url][0], f"{lock} recorded")
            return
        entries[url] = (sha256, size)
        rows = [LOCK_COLUMNS, *((key, *map(str, entries[key])) for key in sorted(entries))]
        write_bytes(lock, "".join("\t".join(row) + "\n" for row in rows).encode())


def _verified(path: Path, expected: _Expected, *, keep: bool = False) -> tuple[str, int]:
    """Return sha256 and size of a whole and wanted file; else remove it (not where `keep`)."""
    try:
        digest, size = _inspect(path, expected)
        if expected.sha256 and digest != expected.sha256:
            raise _changed(expected.source, digest, expected.sha256, "the stated one is")
        if expected.locked and digest != expected.locked:
            raise _changed(expected.source, digest, expected.locked, "the lock file recorded")
    except FetchError:
        if not keep:
            _forget(path)
        raise
    return digest, size


def _changed(source: str, digest: str, known: str, by: str) -> FetchError:
    return FetchError(
        f"{source} has sha256 {digest}, but {by} {known}: the file has changed at its source or "
        "was damaged. If the change is meant, correct the stated sha256 or remove the line "
        "of the lock file."
    )


def _inspect(path: Path, expected: _Expected) -> tuple[str, int]:
    """Read a file once: checksum, length, kind, and whether its gzip stream is whole."""
    digest, size = hashlib.sha256(), 0
    gzip_check: _GzipCheck | None = None
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if size == 0:
                _check_kind(block, expected)
                gzip_check = _GzipCheck(expected) if block.startswith(b"\x1f\x8b") else None
            digest.update(block)
            size += len(block)
            if gzip_check:
                gzip_check.feed(block)
    if size == 0:
        raise FetchError(f"{expected.source} is empty; check the address.")
    if expected.size is not None and size != expected.size:
        raise FetchError(
            f"{expected.source} has {size} bytes, the stated size is {expected.size}: the file "
            "has changed at its source or is cut off; check both."
        )
    if gzip_check:
        gzip_check.close()
    return digest.hexdigest(), size


class _GzipCheck:
    """Reads through a gzip stream of one or several members and drops what it unpacks."""

    def __init__(self, expected: _Expected) -> None:
        self.source = expected.source
        self.member = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> None:
        try:
            while data:
                if self.member.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        return
                    self.member = zlib.decompressobj(wbits=31)
                self.member.decompress(data, BLOCK)
                data = self.member.unused_data if self.member.eof else self.member.unconsumed_tail
        except zlib.error as error:
            raise FetchError(
                f"{self.source}: the gzip data are damaged ({error}); fetch it again, and if that "
                "does not help the file is broken at its source."
            ) from error

    def close(self) -> None:
        while not self.member.eof:
            # bytes may wait inside the decompressor although all input was taken
            if not self.member.decompress(b"", BLOCK):
                raise FetchError(
                    f"{self.source}: the gzip data end too early, the file is cut off; fetch it "
                    "again, and if that does not help the file is broken at its source."
                )


def _check_kind(head: bytes, expected: _Expected) -> None:
    """Refuse a web page in place of data, and a name that promises another kind of file."""
    suffix = Path(expected.name).suffix.lower()
    text = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if suffix not in WEB_SUFFIXES and (
        text.startswith(WEB_PAGE)
        or (text.startswith((b"<?xml", b"<!--")) and (b"<html" in text or b"!doctype html" in text))
    ):
        raise FetchError(
            f"{expected.source} gave a web page in place of data (it starts with "
            f"{_start(text)}): the address may have moved or want a login; open it in a browser "
            "and correct it, or download the file by hand and give its path."
        )
    if suffix in MAGIC and not head.startswith(MAGIC[suffix][0]):
        raise FetchError(
            f"{expected.source} is named {expected.name} but is no {MAGIC[suffix][1]} file (it "
            f"starts with {_start(head)}): check the address in a browser."
        )


def _start(data: bytes) -> str:
    return repr(data[:40].decode("ascii", errors="replace"))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow few redirects, and none to a weaker transport."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 2

    def __init__(self, declared: str) -> None:
        self.declared = declared

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        try:
            _check_transport(newurl, self.declared)
            old, new = (urllib.parse.urlsplit(each).scheme for each in (req.full_url, newurl))
            if old == "https" and new != "https":
                raise FetchError(
                    f"{req.full_url} redirects from https to {newurl}, which is refused; give an "
                    "https address."
                )
        except CytostratError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _from_network(url, part, expected, retries, timeout, low_speed, report, sleep):
    resumed = _download(url, part, expected, retries, timeout, low_speed, report, sleep)
    try:
        return _verified(part, expected)
    except FetchError as error:
        if not resumed:
            raise
        report(f"{error} It was resumed, so it is fetched once more from the start.")
    _download(url, part, expected, retries, timeout, low_speed, report, sleep)
    return _verified(part, expected)


def _download(url, part, expected, retries, timeout, low_speed, report, sleep) -> bool:
    """Fill the ``.part``; return whether it holds bytes of an earlier try."""
    failures, furthest = 0, _size(part)
    while True:
        try:
            return _attempt(url, part, expected, timeout, low_speed, report)
        except _AgainError as problem:
            now = _size(part)
            failures = 1 if now - furthest >= BLOCK else failures + 1
            furthest = max(furthest, now)
            if failures > retries:
                raise FetchError(
                    f"{url} could not be fetched in {failures} tries, the last: {problem}. Try "
                    "again later; without a network, run the fetch step where there is one or "
                    "set `mirror`."
                ) from problem.__cause__
            wait = min(MAX_WAIT, 2.0 ** (failures - 1)) if problem.wait is None else problem.wait
            report(f"{expected.name}: {problem}; trying again in {wait:g} s ({failures}/{retries})")
            sleep(wait)
        except FetchError:
            _forget(part)
            raise


def _attempt(url, part, expected, timeout, low_speed, report) -> bool:
    offset, validator = _resumable(part, url, expected)
    headers = {
        "User-Agent": f"cytostrat/{cytostrat.__version__}",
        "Accept-Encoding": "identity",
    }
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    opener = urllib.request.build_opener(_Redirects(expected.sha256))
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and offset:
                if error.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
                    return True  # all of it is there already
                _forget(part)
                raise _AgainError("the server can't resume this file", 0.0) from None
            raise _status_error(url, error.code, error.headers) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise FetchError(
                f"{url}: the certificate of the server can't be verified "
                f"({error.reason.verify_message}); behind a site's own proxy set SSL_CERT_FILE to "
                "its certificates."
            ) from error
        raise _AgainError(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _AgainError(f"the connection broke ({_cause(error)})") from error
    with response:
        if response.status == 206 and offset:
            start, total = _content_range(response.headers.get("Content-Range", ""))
            if start != offset:
                _forget(part)
                raise _AgainError("the server answered with another part of the file", 0.0)
        elif response.status == 200:
            offset = 0
            total = _length(response)
        else:
            raise _status_error(url, response.status, response.headers)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity" and not (
            expected.name.lower().endswith((".gz", ".tgz"))
        ):
            raise FetchError(
                f"{url} is sent compressed although it was asked for as it is, so its checksum "
                "would not be that of the file: download it by hand and give its path."
            )
        _check_room(url, part, expected, total, offset)
        if offset == 0:
            _forget(part)
            _remember(part, url, response)
        try:
            _receive(response, part, expected, offset, total, low_speed, report)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FetchError(f"{part.parent} is full: free some room and try again.") from error
            raise _AgainError(f"the connection broke ({_cause(error)})") from error
    return offset > 0


def _receive(response, part, expected, offset, total, low_speed, report) -> None:
    begun = shown = window = time.monotonic()
    size, window_size = offset, offset
    slowest, patience = low_speed
    head = b""
    limit = expected.max_size if expected.size is None else min(expected.size, expected.max_size)
    with part.open("ab") as file:
        while block := response.read1(BLOCK):
            if size == offset == 0 or 0 < len(head) < HEAD:
                head += block
                if len(head) >= HEAD:
                    _check_kind(head, expected)
            size += len(block)
            if size > limit:
                raise FetchError(_too_long(expected, f"goes on after {limit} bytes", limit))
            file.write(block)
            now = time.monotonic()
            if now - shown >= 5.0:
                report(_progress(expected.name, size, total, (size - offset) / (now - begun)))
                shown = now
            if now - window >= patience:
                if (size - window_size) / (now - window) < slowest:
                    raise _AgainError(f"stalled, less than {slowest:g} bytes per second")
                window, window_size = now, size
        file.flush()
        os.fsync(file.fileno())
    if total is not None and size < total:
        raise _AgainError(f"the connection ended after {size} of {total} bytes")
    seconds = time.monotonic() - begun
    report(f"{expected.name}: {_bytes(size)} in {seconds:.1f} s")


def _check_room(url, part, expected, total, offset) -> None:
    if total is None:
        return
    if expected.size is not None and total != expected.size:
        raise FetchError(
            f"{url} has {total} bytes according to its server, the stated size is "
            f"{expected.size}: the file has changed at its source; check both."
        )
    if total > expected.max_size:
        raise FetchError(_too_long(expected, f"has {total} bytes", expected.max_size))
    free = shutil.disk_usage(part.parent).free
    if total - offset > free:
        raise FetchError(
            f"{url} needs {_bytes(total - offset)}, {part.parent} has {_bytes(free)} free: free "
            "some room or set another download folder."
        )


def _too_long(expected: _Expected, what: str, limit: int) -> str:
    if limit == expected.size:
        return f"{expected.source} {what}, its stated size: it has changed at its source."
    return f"{expected.source} {what}, more than the {limit} that are allowed; check the address."


def _status_error(url: str, status: int, headers) -> Exception:
    if 300 <= status < 400:
        return FetchError(
            f"{url} redirects in a loop or more than {MAX_REDIRECTS} times; open it in a browser "
            "and give the address where it ends."
        )
    if status in TRY_AGAIN or (status >= 500 and status not in NEVER_AGAIN):
        wait = _retry_after(headers.get("Retry-After", ""))
        if wait is not None and wait > MAX_RETRY_AFTER:
            return FetchError(
                f"{url}: the server is busy (status {status}) and asks for a pause of {wait:.0f} "
                "s; start again after that."
            )
        return _AgainError(f"the server answered with status {status}", wait)
    remedy = {
        401: "it wants a login: download the file by hand and give its path",
        403: "access is refused: the address may have moved or want a login; open it in a "
        "browser, or download the file by hand and give its path",
        404: "there is no such file: correct the address",
        410: "the file was removed: correct the address",
    }.get(status, "open the address in a browser and correct it")
    return FetchError(f"{url}: status {status}, {remedy}.")


def _retry_after(text: str) -> float | None:
    """Return the seconds of a Retry-After header, given as seconds or as a date."""
    text = text.strip()
    if text.isdigit():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _length(response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _content_range(text: str) -> tuple[int | None, int | None]:
    """Return start and total of ``bytes start-end/total``; None for what is not stated."""
    unit, _, rest = text.strip().partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes" or not start.isdigit():
        return None, None
    return int(start), int(total) if total.isdigit() else None


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__


def _progress(name: str, size: int, total: int | None, speed: float) -> str:
    if total is None:
        return f"{name}: {_bytes(size)}, {_bytes(speed)}/s"
    left = (total - size) / max(speed, 1.0)
    share = 100 * size / max(total, 1)
    return (
        f"{name}: {_bytes(size)} of {_bytes(total)} ({share:.0f} %), {_bytes(speed)}/s, "
        f"{left:.0f} s left"
    )


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remember(part: Path, url: str, response) -> None:
    etag = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    write_bytes(_notes(part), json.dumps({"url": url, "validator": validator}).encode())


def _resumable(part: Path, url: str, expected: _Expected) -> tuple[int, str]:
    """Return how many bytes of a ``.part`` may be kept, and the validator they go with."""
    try:
        notes = json.loads(_notes(part).read_text())
        size, validator = _size(part), notes["validator"]
        if notes["url"] == url and size and (validator or expected.known):
            return size, validator
    except (OSError, ValueError, KeyError, TypeError):
        pass
    _forget(part)
    return 0, ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
