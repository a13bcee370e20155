"""Downloads: the only part of the package that touches the network.

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

import os
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cytostrat.errors import ConfigError, FetchError
from cytostrat.fetch.accepting import MAGIC, WEB_SUFFIXES, Expected, verified
from cytostrat.fetch.address import cache_path, check_transport, is_url
from cytostrat.fetch.locking import locked, one_at_a_time, read_lock, record
from cytostrat.fetch.parts import forget, own_part
from cytostrat.fetch.transfer import Patience, from_network, in_bytes

__all__ = ["Fetched", "cache_path", "fetch", "is_url", "read_lock"]


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
        expected = Expected(str(source), destination.name, sha256, "", size, max_size)
        return _copy_in(Path(source), destination, expected)

    url = urllib.parse.urldefrag(str(source)).url
    check_transport(url, sha256)
    first_seen = locked(lock, url)
    if sha256 and first_seen and sha256 != first_seen[0]:
        raise FetchError(
            f"{url}: the stated sha256 is {sha256}, but {lock} recorded {first_seen[0]}; correct "
            "the one, or remove that line from the other."
        )
    name = Path(urllib.parse.urlsplit(url).path).name
    if Path(name).suffix.lower() not in {*MAGIC, *WEB_SUFFIXES}:
        name = destination.name
    expected = Expected(url, name, sha256, first_seen[0] if first_seen else "", size, max_size)
    status = "declared" if sha256 else "locked" if first_seen else "first seen" if lock else ""
    target = cache_path(url, cache) if cache else destination
    # without the lock first: an accepted file never changes, and a shared folder may be read-only
    found, origin = _reuse(target, expected, lambda _: None), "cache"
    if found is None:
        destination.unlink(missing_ok=True)
        with one_at_a_time(target, report, sleep) as part:
            found = _reuse(target, expected, report)
            if found is None:
                if mirror:
                    origin = "mirror"
                    found = _from_mirror(url, Path(mirror), part, expected)
                else:
                    origin = "network"
                    patience = Patience(retries, timeout, low_speed, report, sleep)
                    found = from_network(url, part, expected, patience)
                record(lock, url, *found, declared=bool(sha256))
                part.replace(target)
                forget(part)
    else:
        record(lock, url, *found, declared=bool(sha256))
    digest, n_bytes = found
    if target != destination:
        _place(target, destination)
    status = status or "unverified"
    report(f"{name}: {in_bytes(n_bytes)} from {origin}, sha256 {digest[:12]}..., {status}")
    return Fetched(destination, url, digest, n_bytes, origin, status)


def _hex(sha256: str | None) -> str:
    text = (sha256 or "").strip().lower()
    if text and (len(text) != 64 or set(text) - set("0123456789abcdef")):
        raise ConfigError(f"sha256: {sha256!r} is not 64 hexadecimal digits.")
    return text


def _copy_in(source: Path, destination: Path, expected: Expected) -> Fetched:
    if source.is_dir():
        raise FetchError(f"{source} is a folder, not a file: name one file of it.")
    if not source.is_file():
        raise FetchError(f"{source} does not exist; correct the path.")
    if destination.exists() and source.samefile(destination):
        digest, n_bytes = verified(source, expected, keep=True)
    else:
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.unlink(missing_ok=True)
        part = own_part(destination)
        try:
            shutil.copyfile(source, part)
            digest, n_bytes = verified(part, expected)
            part.replace(destination)
        finally:
            part.unlink(missing_ok=True)
    status = "declared" if expected.sha256 else "unverified"
    return Fetched(destination, str(source), digest, n_bytes, "path", status)


def _reuse(target: Path, expected: Expected, report: Callable) -> tuple[str, int] | None:
    """Return checksum and size of an accepted copy, nothing where there is none to be used."""
    if not target.is_file():
        return None
    try:
        return verified(target, expected, keep=True)
    except FetchError as error:
        report(f"{error} The copy at hand is not used.")
        return None


def _from_mirror(url: str, mirror: Path, part: Path, expected: Expected) -> tuple[str, int]:
    there = cache_path(url, mirror)
    if not there.is_file():
        raise FetchError(
            f"The mirror has no copy of {url}: put it at {there}, or leave `mirror` empty to "
            "download it."
        )
    forget(part)
    shutil.copyfile(there, part)
    return verified(part, expected)


def _place(target: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = own_part(destination)
    try:
        try:
            os.link(target, part)
        except OSError:
            shutil.copyfile(target, part)
        part.replace(destination)
    finally:
        # a rename between two links of one file does nothing and leaves the first
        part.unlink(missing_ok=True)
