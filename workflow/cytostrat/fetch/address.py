"""Addresses: what may be fetched, and where it lies in a download folder or a mirror."""

from __future__ import annotations

import hashlib
import ipaddress
import urllib.parse
from pathlib import Path

from cytostrat.errors import ConfigError, FetchError


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
    parts = split_address(url)
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


def split_address(url: str) -> urllib.parse.SplitResult:
    """Return the parts of an http(s) address; ConfigError for any other."""
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


def check_transport(url: str, declared: str) -> None:
    """Refuse plain http to another machine where no checksum is stated (FetchError)."""
    parts = split_address(url)
    if parts.scheme == "http" and not declared and not _on_own_machine(parts.hostname or ""):
        raise FetchError(
            f"{url} is plain http, which anybody on the way can alter: use https, or state the "
            "sha256 of the file."
        )
