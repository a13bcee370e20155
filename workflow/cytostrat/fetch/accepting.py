"""What a file must be before it gets its name: whole, of its kind, with the known checksum."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from cytostrat.errors import FetchError
from cytostrat.fetch.parts import forget

BLOCK = 1 << 20
HEAD = 2048
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
class Expected:
    """What the file must be, as far as it is known beforehand."""

    source: str
    name: str
    sha256: str
    locked: str
    size: int | None
    max_size: int

    @property
    def known(self) -> str:
        """The checksum that the file must have, empty where none is known."""
        return self.sha256 or self.locked


def verified(path: Path, expected: Expected, *, keep: bool = False) -> tuple[str, int]:
    """Return sha256 and size of a whole and wanted file; else remove it (not where `keep`)."""
    try:
        digest, size = _inspect(path, expected)
        if expected.sha256 and digest != expected.sha256:
            raise changed(expected.source, digest, expected.sha256, "the stated one is")
        if expected.locked and digest != expected.locked:
            raise changed(expected.source, digest, expected.locked, "the lock file recorded")
    except FetchError:
        if not keep:
            forget(path)
        raise
    return digest, size


def changed(source: str, digest: str, known: str, by: str) -> FetchError:
    """Return the error of a file whose checksum is not the known one."""
    return FetchError(
        f"{source} has sha256 {digest}, but {by} {known}: the file has changed at its source or "
        "was damaged. If the change is meant, correct the stated sha256 or remove the line "
        "of the lock file."
    )


def _inspect(path: Path, expected: Expected) -> tuple[str, int]:
    """Read a file once: checksum, length, kind, and whether its gzip stream is whole."""
    digest, size = hashlib.sha256(), 0
    gzip_check: _GzipCheck | None = None
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if size == 0:
                check_kind(block, expected)
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

    def __init__(self, expected: Expected) -> None:
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


def check_kind(head: bytes, expected: Expected) -> None:
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
