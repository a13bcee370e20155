"""The transfer itself: tries, pauses, resuming, redirects, limits and progress."""

from __future__ import annotations

import email.utils
import errno
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cytostrat
from cytostrat.errors import CytostratError, FetchError
from cytostrat.fetch.accepting import BLOCK, HEAD, Expected, check_kind, verified
from cytostrat.fetch.address import check_transport
from cytostrat.fetch.parts import forget, notes_of, size_of
from cytostrat.tables import write_bytes

MAX_REDIRECTS = 10
MAX_WAIT = 60.0
MAX_RETRY_AFTER = 600.0
TRY_AGAIN = frozenset({408, 425, 429})
NEVER_AGAIN = frozenset({501, 505, 511})


class _AgainError(Exception):
    """A failure that may pass; `wait` is the pause the server asked for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long a transfer is tried; see `cytostrat.fetch.fetch`."""

    retries: int
    timeout: float
    low_speed: tuple[float, float]
    report: Callable[[str], object]
    sleep: Callable[[float], object]


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follow few redirects, and none to a weaker transport."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 2

    def __init__(self, declared: str) -> None:
        self.declared = declared

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Return the request that follows, or refuse a weaker transport."""
        try:
            check_transport(newurl, self.declared)
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


def from_network(url: str, part: Path, expected: Expected, patience: Patience) -> tuple[str, int]:
    """Download into a ``.part`` and return its sha256 and size once it is accepted."""
    resumed = _download(url, part, expected, patience)
    try:
        return verified(part, expected)
    except FetchError as error:
        if not resumed:
            raise
        patience.report(f"{error} It was resumed, so it is fetched once more from the start.")
    _download(url, part, expected, patience)
    return verified(part, expected)


def _download(url: str, part: Path, expected: Expected, patience: Patience) -> bool:
    """Fill the ``.part``; return whether it holds bytes of an earlier try."""
    failures, furthest = 0, size_of(part)
    while True:
        try:
            return _attempt(url, part, expected, patience)
        except _AgainError as problem:
            now = size_of(part)
            failures = 1 if now - furthest >= BLOCK else failures + 1
            furthest = max(furthest, now)
            if failures > patience.retries:
                raise FetchError(
                    f"{url} could not be fetched in {failures} tries, the last: {problem}. Try "
                    "again later; without a network, run the fetch step where there is one or "
                    "set `mirror`."
                ) from problem.__cause__
            wait = min(MAX_WAIT, 2.0 ** (failures - 1)) if problem.wait is None else problem.wait
            patience.report(
                f"{expected.name}: {problem}; trying again in {wait:g} s "
                f"({failures}/{patience.retries})"
            )
            patience.sleep(wait)
        except FetchError:
            forget(part)
            raise


def _attempt(url: str, part: Path, expected: Expected, patience: Patience) -> bool:
    offset, validator = _resumable(part, url, expected)
    headers = {
        "User-Agent": f"cytostrat/{cytostrat.__version__}",
        "Accept-Encoding": "identity",
    }
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    opener = urllib.request.build_opener(Redirects(expected.sha256))
    request = urllib.request.Request(url, headers=headers)
    try:
        response = opener.open(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and offset:
                if error.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
                    return True  # all of it is there already
                forget(part)
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
                forget(part)
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
            forget(part)
            _remember(part, url, response)
        try:
            _receive(response, part, expected, offset, total, patience)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FetchError(f"{part.parent} is full: free some room and try again.") from error
            raise _AgainError(f"the connection broke ({_cause(error)})") from error
    return offset > 0


def _receive(
    response, part: Path, expected: Expected, offset: int, total: int | None, patience: Patience
) -> None:
    begun = shown = window = time.monotonic()
    size, window_size = offset, offset
    slowest, span = patience.low_speed
    head = b""
    limit = expected.max_size if expected.size is None else min(expected.size, expected.max_size)
    with part.open("ab") as file:
        while block := response.read1(BLOCK):
            if size == offset == 0 or 0 < len(head) < HEAD:
                head += block
                if len(head) >= HEAD:
                    check_kind(head, expected)
            size += len(block)
            if size > limit:
                raise FetchError(_too_long(expected, f"goes on after {limit} bytes", limit))
            file.write(block)
            now = time.monotonic()
            if now - shown >= 5.0:
                speed = (size - offset) / (now - begun)
                patience.report(_progress(expected.name, size, total, speed))
                shown = now
            if now - window >= span:
                if (size - window_size) / (now - window) < slowest:
                    raise _AgainError(f"stalled, less than {slowest:g} bytes per second")
                window, window_size = now, size
        file.flush()
        os.fsync(file.fileno())
    if total is not None and size < total:
        raise _AgainError(f"the connection ended after {size} of {total} bytes")
    seconds = time.monotonic() - begun
    patience.report(f"{expected.name}: {in_bytes(size)} in {seconds:.1f} s")


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
            f"{url} needs {in_bytes(total - offset)}, {part.parent} has {in_bytes(free)} free: "
            "free some room or set another download folder."
        )


def _too_long(expected: Expected, what: str, limit: int) -> str:
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
        return f"{name}: {in_bytes(size)}, {in_bytes(speed)}/s"
    left = (total - size) / max(speed, 1.0)
    share = 100 * size / max(total, 1)
    return (
        f"{name}: {in_bytes(size)} of {in_bytes(total)} ({share:.0f} %), {in_bytes(speed)}/s, "
        f"{left:.0f} s left"
    )


def in_bytes(n: float) -> str:
    """Return a number of bytes for people, in powers of 1,000."""
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"


def _remember(part: Path, url: str, response) -> None:
    etag = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    write_bytes(notes_of(part), json.dumps({"url": url, "validator": validator}).encode())


def _resumable(part: Path, url: str, expected: Expected) -> tuple[int, str]:
    """Return how many bytes of a ``.part`` may be kept, and the validator they go with."""
    try:
        notes = json.loads(notes_of(part).read_text())
        size, validator = size_of(part), notes["validator"]
        if notes["url"] == url and size and (validator or expected.known):
            return size, validator
    except (OSError, ValueError, KeyError, TypeError):
        pass
    forget(part)
    return 0, ""
