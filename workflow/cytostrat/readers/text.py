"""Open a text file whatever its compression, encoding and line ends, and refuse what is none."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TextIO

from cytostrat.errors import InputError

_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<?xml version", b"<!--")
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_LFS_POINTER = b"version https://git-lfs"
_MARKS = {
    "utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"),
    "utf-16": (b"\xff\xfe", b"\xfe\xff"),
}
_LOOK = 1 << 16
LONGEST_LINE = 1 << 26


@dataclass(frozen=True)
class Member:
    """One file inside a tar archive; it can be read wherever a path can."""

    archive: Path
    name: str
    info: tarfile.TarInfo = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.archive}:{self.name}"


@contextmanager
def _raw(path: str | Path | Member) -> Iterator[IO[bytes]]:
    if isinstance(path, Member):
        with _archive(path.archive) as (archive, _):
            # by its place, which was found once: by its name all members would be read again
            stream = archive.extractfile(path.info)
            if stream is None:
                raise InputError(f"{path}: is no file; correct `member` in the cohort file.")
            yield stream
        return
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file; name the file inside it.")
    if path.exists() and not path.is_file():
        # a file is read more than once, and a pipe may never end
        raise InputError(f"{path}: is a pipe or device, not a file; save its content and name it.")
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; correct the path in the cohort file.") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); check its rights.") from None
    with stream:
        yield stream


@contextmanager
def _archive(path: Path) -> Iterator[tuple[tarfile.TarFile, IO[bytes]]]:
    with open_binary(path) as stream, _whole(path):
        try:
            archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - closed below
        except tarfile.TarError as error:
            raise InputError(
                f"{path}: can't be read as a tar archive ({error}); get it again, or correct "
                "`format` in the cohort file."
            ) from None
        with archive:
            try:
                yield archive, stream
            except tarfile.HeaderError as error:
                raise InputError(
                    f"{path}: the archive is damaged ({error}); get it again."
                ) from None


def contents(path: Path) -> dict[str, Path | Member]:
    """Return the files of a folder or tar archive: path within it to what can be opened.

    An archive is read to its end, so that its checksum has been checked.

    Raises
    ------
    InputError
        The path is absent, or a file that is no tar archive.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file for file in files}
    with _archive(path) as (archive, stream):
        found: dict[str, Path | Member] = {}
        for item in archive:
            if not item.isfile() or item.issparse():
                continue  # a link may lead out of the archive, a hole may be of any size
            if item.name in found:
                raise InputError(
                    f"{path}: holds two members named {item.name!r}; unpack it and give the path "
                    "of the one that is meant."
                )
            found[item.name] = Member(path, item.name, item)
        drain(stream)
        return found


def drain(stream: IO[bytes]) -> None:
    """Read a stream to its end, where the checksum of a compressed file is."""
    while stream.read(_LOOK * 16):
        pass


def pick(path: Path, names: Sequence[str], what: str) -> Path | Member:
    """Return the one file of a folder or archive that has one of the names; see `pick_all`."""
    return pick_all(path, {what: names})[what]


def pick_all(path: Path, wanted: Mapping[str, Sequence[str]]) -> dict[str, Path | Member]:
    """Return files of a folder or archive by their names.

    Parameters
    ----------
    path
        Folder or tar archive, compressed or not.
    wanted
        What a file is, for messages, to its possible names without folder, in order of
        preference; a further ``.gz`` is understood.

    Raises
    ------
    InputError
        No file, or more than one, has such a name.
    """
    found = contents(path)
    out = {}
    for what, names in wanted.items():
        for name in names:
            hits = [item for inner, item in found.items() if _base(inner) in (name, f"{name}.gz")]
            if len(hits) > 1:
                raise InputError(
                    f"{path}: holds {len(hits)} files named {name!r}; unpack the one that is meant "
                    "and give its path."
                )
            if hits:
                out[what] = hits[0]
                break
        else:
            held = ", ".join(sorted(map(_base, found))[:8]) or "nothing"
            raise InputError(
                f"{path}: holds no {what} (looked for {', '.join(names)}; it holds {held}); "
                "correct the source, `format` or `member` in the cohort file."
            )
    return out


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]


@contextmanager
def _whole(path: str | Path | Member) -> Iterator[None]:
    """Turn what a cut off or damaged compressed file raises into one sentence."""
    try:
        yield
    except (EOFError, tarfile.ReadError) as error:
        if isinstance(error, tarfile.ReadError) and "unexpected end" not in str(error):
            raise
        raise InputError(
            f"{path}: the compressed file is truncated (it ends too early); get it again."
        ) from None
    except (zlib.error, gzip.BadGzipFile, lzma.LZMAError, OSError) as error:
        # bzip2 says with a bare OSError, which has no number, that its stream is damaged
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: can't be read ({error.strerror}); try again.") from None
        raise InputError(
            f"{path}: the compressed file is damaged ({error}); get it again."
        ) from None
    except UnicodeError as error:
        raise InputError(
            f"{path}: can't be read as {error.encoding} ({error.reason}), as which it starts; save "
            "it as UTF-8 text."
        ) from None
    except csv.Error as error:
        raise InputError(
            f"{path}: a quoted field can't be read ({error}); correct its quotation marks."
        ) from None


@contextmanager
def open_binary(path: str | Path | Member) -> Iterator[IO[bytes]]:
    """Open a file and undo gzip, bzip2 or xz, recognised by content and not by name.

    Raises
    ------
    InputError
        The file is absent, a folder, empty, cut off or damaged, or a zip archive.
    """
    with _raw(path) as raw, _whole(path):
        magic = raw.read(6)
        raw.seek(0)
        if not magic:
            raise InputError(f"{path}: the file is empty; get it again.")
        if magic.startswith(b"PK\x03\x04"):
            raise InputError(
                f"{path}: is a zip archive or a spreadsheet, not text; unpack it, or save the "
                "sheet as tab-separated text."
            )
        for start, opener in _COMPRESSED.items():
            if magic.startswith(start):
                with opener(raw, "rb") as stream:
                    yield stream
                return
        yield raw


@contextmanager
def open_text(path: str | Path | Member) -> Iterator[TextIO]:
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


def _encoding(path: str | Path | Member, stream: IO[bytes]) -> str:
    """Look at the start for what the file is, and at all of it for its encoding."""
    start = stream.read(_LOOK)
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(_WEB_PAGE):
        raise InputError(
            f"{path}: holds a web page in place of data (an error or log-in page saved under this "
            "name?); open the address in a browser and save the data file itself."
        )
    if head.startswith(_LFS_POINTER):
        raise InputError(
            f"{path}: holds a Git LFS pointer in place of data; get the file itself with "
            "`git lfs pull`, or from the study's archive."
        )
    encoding = "utf-8-sig"
    for name, marks in _MARKS.items():
        if start.startswith(marks):
            encoding = name
            break
    else:
        if b"\0" in start:
            raise InputError(
                f"{path}: holds binary content, not text; correct `format` in the cohort file, or "
                "give the text file."
            )
    decoder = codecs.getincrementaldecoder("utf-8-sig")() if encoding == "utf-8-sig" else None
    block, since_line_end = start, 0
    while block:
        last = max(block.rfind(b"\n"), block.rfind(b"\r"))
        since_line_end = len(block) - last - 1 if last >= 0 else since_line_end + len(block)
        if since_line_end > LONGEST_LINE:
            raise InputError(
                f"{path}: has a line of more than {LONGEST_LINE >> 20} MiB; it is damaged or no "
                "table, get it again."
            )
        following = stream.read(_LOOK * 16)
        if decoder is not None:
            try:
                decoder.decode(block, final=not following)
            except UnicodeDecodeError:
                encoding, decoder = "latin-1", None
        block = following
    return encoding


def delimiter_of(path: str | Path | Member, lines: list[str], wanted: str) -> str:
    """Return the separator: the one asked for, or the one that the first lines agree on."""
    if wanted != "auto":
        return _DELIMITERS[wanted]
    best, fields = "\t", 0
    for name, mark in _DELIMITERS.items():
        if name == "space" and fields:
            break  # values may hold blanks; blanks separate only where nothing else does
        widths = [len(split_line(line, mark)) for line in lines]
        body = set(widths[1:]) or {widths[0]}
        width = max(body)
        if len(body) == 1 and widths[0] in (width, width - 1) and width > max(1, fields):
            best, fields = mark, width
        if name == "tab" and fields:
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
