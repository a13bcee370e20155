"""Open a text file whatever its compression, encoding and line ends, and refuse what is none."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cytostrat.errors import InputError

_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<?xml version", b"<!--")
_LOOK = 1 << 16


@contextmanager
def open_binary(path: str | Path) -> Iterator[io.BufferedIOBase]:
    """Open a file and undo gzip, bzip2 or xz, recognised by content and not by name.

    Raises
    ------
    InputError
        The file is absent, a folder, empty, cut off or damaged, or a zip archive.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file; name the file inside it.")
    try:
        with path.open("rb") as raw:
            magic = raw.read(6)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; correct the path in the cohort file.") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); check its rights.") from None
    if not magic:
        raise InputError(f"{path}: the file is empty; get it again.")
    if magic.startswith(b"PK\x03\x04"):
        raise InputError(
            f"{path}: is a zip archive or a spreadsheet, not text; unpack it, or save the sheet as "
            "tab-separated text."
        )
    opener = open
    if magic.startswith(b"\x1f\x8b"):
        opener = gzip.open
    elif magic.startswith(b"BZh"):
        opener = bz2.open
    elif magic.startswith(b"\xfd7zXZ"):
        opener = lzma.open
    try:
        with opener(path, "rb") as stream:
            yield stream
    except EOFError:
        raise InputError(
            f"{path}: the compressed file is truncated (it ends too early); get it again."
        ) from None
    except (zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise InputError(
            f"{path}: the compressed file is damaged ({error}); get it again."
        ) from None


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file; UTF-8 with or without byte order mark, or Latin-1; LF, CRLF or CR.

    Raises
    ------
    InputError
        As `open_binary`; also for a web page and for binary content.
    """
    with open_binary(path) as probe:
        encoding = _encoding(path, probe)
    with (
        open_binary(path) as stream,
        io.TextIOWrapper(stream, encoding=encoding, newline=None) as text,
    ):
        yield text


def _encoding(path: str | Path, stream: io.BufferedIOBase) -> str:
    """Look at the start for what the file is, and at all of it for its encoding."""
    start = stream.read(_LOOK)
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(_WEB_PAGE):
        raise InputError(
            f"{path}: holds a web page in place of data (an error or log-in page saved under this "
            "name?); open the address in a browser and save the data file itself."
        )
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in start:
        raise InputError(
            f"{path}: holds binary content, not text; correct `format` in the cohort file, or "
            "give the text file."
        )
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    block = start
    try:
        while block:
            decoder.decode(block)
            block = stream.read(_LOOK * 16)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def delimiter_of(path: str | Path, lines: list[str], wanted: str) -> str:
    """Return the separator: the one asked for, or the one that the first lines agree on."""
    if wanted != "auto":
        return _DELIMITERS[wanted]
    best, fields = "\t", 0
    for mark in _DELIMITERS.values():
        widths = [len(split_line(line, mark)) for line in lines]
        body = set(widths[1:]) or {widths[0]}
        if len(body) == 1 and widths[0] in (width := body.copy().pop(), width - 1) and width > 1:
            if width > fields:
                best, fields = mark, width
            if mark == "\t":
                break
    if not fields and lines and not any(mark in lines[0] for mark in _DELIMITERS.values()):
        raise InputError(
            f"{path}: the first line has one field only, {lines[0][:60]!r}; give the separator "
            "as `delimiter` in the cohort file, or check that this is the right file."
        )
    return best


def split_line(line: str, delimiter: str) -> list[str]:
    """Split one line into fields; quotes count only where a field starts with one."""
    line = line.rstrip("\n")
    if delimiter == " ":
        return (
            line.split()
            if '"' not in line
            else next(csv.reader([" ".join(line.split())], delimiter=" "), [])
        )
    if '"' not in line:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])
