"""Ways to spoil a text file, each with what may come of it.

`SAME` means the very result of the intact file, `ERROR` a named error, `OTHER` a whole result
that differs: the spoiled file is then a well-formed file that says something else, which no
reader can know.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

ERROR, SAME, OTHER = "error", "same", "other"
ANY = frozenset({ERROR, SAME, OTHER})
REFUSED = frozenset({ERROR})
UNCHANGED = frozenset({SAME})
SAFE = frozenset({ERROR, SAME})
CHANGED = frozenset({ERROR, OTHER})


@dataclass(frozen=True)
class Mutation:
    """A way to spoil a file's content.

    Parameters
    ----------
    kind
        Row of the table that is printed.
    name
        Short name, unique.
    spoil
        Content and a random generator to the spoiled content.
    allowed
        What may come of it where a table of texts or numbers is read.
    """

    kind: str
    name: str
    spoil: Callable[[bytes, random.Random], bytes]
    allowed: frozenset[str]


def _rows(content: bytes) -> list[bytes]:
    return content.rstrip(b"\n").split(b"\n")


def _joined(rows: list[bytes]) -> bytes:
    return b"\n".join(rows) + b"\n"


def _widest(rows: list[bytes]) -> int:
    """Return the number of fields of the table within the file (most rows have it)."""
    widths = [row.count(b"\t") for row in rows]
    return max(widths, key=lambda width: (widths.count(width), width))


def _table_rows(rows: list[bytes]) -> list[int]:
    width = _widest(rows)
    return [number for number, row in enumerate(rows) if row.count(b"\t") == width]


def _at_row(change: Callable[[list[bytes], int, random.Random], None]):
    """Change a row of the table that is not its header."""

    def spoil(content: bytes, rng: random.Random) -> bytes:
        rows = _rows(content)
        body = _table_rows(rows)[1:] or [len(rows) - 1]
        change(rows, rng.choice(body), rng)
        return _joined(rows)

    return spoil


def _columns(change: Callable[[list[bytes]], list[bytes]]):
    """Change every row of the table in the same way."""

    def spoil(content: bytes, rng: random.Random) -> bytes:
        rows = _rows(content)
        for number in _table_rows(rows):
            rows[number] = b"\t".join(change(rows[number].split(b"\t")))
        return _joined(rows)

    return spoil


def flipped(n: int) -> Callable[[bytes, random.Random], bytes]:
    """Return a mutation that changes `n` bytes."""

    def spoil(content: bytes, rng: random.Random) -> bytes:
        out = bytearray(content)
        for _ in range(n):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        return bytes(out)

    return spoil


def replaced_block(block: Callable[[random.Random, int], bytes]):
    """Return a mutation that overwrites up to 512 bytes in the middle."""

    def spoil(content: bytes, rng: random.Random) -> bytes:
        size = min(512, max(1, len(content) // 3))
        start = rng.randrange(max(1, len(content) - size))
        return content[:start] + block(rng, size) + content[start + size :]

    return spoil


def _cut_at_line(content: bytes, rng: random.Random) -> bytes:
    rows = _rows(content)
    return _joined(rows[: max(1, len(rows) * 2 // 3)])


def _cut_in_line(content: bytes, rng: random.Random) -> bytes:
    place = content.rfind(b"\t", 0, max(2, len(content) * 2 // 3))
    return content[: place if place > 0 else len(content) // 2]


def _drop(rows: list[bytes], number: int, rng: random.Random) -> None:
    del rows[number]


def _double(rows: list[bytes], number: int, rng: random.Random) -> None:
    rows.insert(number, rows[number])


def _longer(rows: list[bytes], number: int, rng: random.Random) -> None:
    rows[number] += b"\t1\t2"


def _shorter(rows: list[bytes], number: int, rng: random.Random) -> None:
    rows[number] = rows[number].rsplit(b"\t", 1)[0]


def _cell(value: bytes):
    def change(rows: list[bytes], number: int, rng: random.Random) -> None:
        fields = rows[number].split(b"\t")
        fields[-1] = value
        rows[number] = b"\t".join(fields)

    return _at_row(change)


def _first_cell(value: bytes):
    def change(rows: list[bytes], number: int, rng: random.Random) -> None:
        fields = rows[number].split(b"\t")
        fields[0] = value
        rows[number] = b"\t".join(fields)

    return _at_row(change)


def _header_cell(value: bytes):
    def spoil(content: bytes, rng: random.Random) -> bytes:
        rows = _rows(content)
        first = _table_rows(rows)[0]
        fields = rows[first].split(b"\t")
        fields[-1] = value
        rows[first] = b"\t".join(fields)
        return _joined(rows)

    return spoil


def _without_header(content: bytes, rng: random.Random) -> bytes:
    rows = _rows(content)
    del rows[_table_rows(rows)[0]]
    return _joined(rows)


def _twice_in_header(content: bytes, rng: random.Random) -> bytes:
    rows = _rows(content)
    first = _table_rows(rows)[0]
    fields = rows[first].split(b"\t")
    fields[-1] = fields[-2] if len(fields) > 1 else fields[-1]
    rows[first] = b"\t".join(fields)
    return _joined(rows)


def _wide_header(n: int, width: int):
    def spoil(content: bytes, rng: random.Random) -> bytes:
        rows = _rows(content)
        first = _table_rows(rows)[0]
        rows[first] += b"".join(b"\t%0*d" % (width, number) for number in range(n))
        return _joined(rows)

    return spoil


def _wide_table(content: bytes, rng: random.Random) -> bytes:
    """A header and three rows of 200,000 further columns."""
    rows = _rows(content)
    table = _table_rows(rows)[:4]
    out = [row for number, row in enumerate(rows) if number < table[0] or number in table]
    head = len(out) - len(table)
    out[head] += b"".join(b"\tX%d" % number for number in range(200_000))
    for number in range(head + 1, len(out)):
        out[number] += b"\t1" * 200_000
    return _joined(out)


def _one_line(size: int):
    def spoil(content: bytes, rng: random.Random) -> bytes:
        return content.replace(b"\n", b"\t") + b"A" * size

    return spoil


def _long_field(content: bytes, rng: random.Random) -> bytes:
    rows = _rows(content)
    number = _table_rows(rows)[-1]
    rows[number] = b'"' + b"A" * 200_000 + b'"\t' + rows[number].partition(b"\t")[2]
    return _joined(rows)


def _gzip_bomb(content: bytes, rng: random.Random) -> bytes:
    """A quarter of a GB of one letter after the real content, 0.25 MB packed."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=9, mtime=0) as packed:
        packed.write(content)
        for _ in range(256):
            packed.write(b"A" * (1 << 20))
    return stream.getvalue()


def _blank_bomb(content: bytes, rng: random.Random) -> bytes:
    """8 million blank lines after the real content, packed a thousandfold."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=9, mtime=0) as packed:
        packed.write(content)
        for _ in range(8):
            packed.write(b"\n" * (1 << 20))
    return stream.getvalue()


def _xz_bomb(content: bytes, rng: random.Random) -> bytes:
    return lzma.compress(content + b"\t" * (200 << 20), preset=1)


def _zipped(content: bytes, rng: random.Random) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("../outside.txt", content)
    return stream.getvalue()


def _packed_five_times(content: bytes, rng: random.Random) -> bytes:
    for _ in range(5):
        content = gzip.compress(content, mtime=0)
    return content


def _recoded(encoding: str):
    def spoil(content: bytes, rng: random.Random) -> bytes:
        return content.decode("utf-8").encode(encoding)

    return spoil


def _constant(value: bytes):
    return lambda content, rng: value


PAGE = b"<!DOCTYPE html><html><body>Sign in to continue</body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
PICKLE = b"cos\nsystem\n(S'touch trespass'\ntR."
FORMULA = b'=HYPERLINK("x","y")'

TEXT: list[Mutation] = [
    *(Mutation("bytes", f"one bit flipped ({n})", flipped(1), ANY) for n in (1, 2, 3)),
    Mutation("bytes", "twenty bits flipped", flipped(20), ANY),
    Mutation("bytes", "block of zeros", replaced_block(lambda rng, n: b"\0" * n), REFUSED),
    Mutation("bytes", "block of noise", replaced_block(lambda rng, n: rng.randbytes(n)), ANY),
    Mutation("bytes", "random bytes only", lambda content, rng: rng.randbytes(4096), REFUSED),
    Mutation("bytes", "empty", _constant(b""), REFUSED),
    Mutation("bytes", "one line end", _constant(b"\n"), REFUSED),
    Mutation("bytes", "one NUL", _constant(b"\0"), REFUSED),
    Mutation("rows", "cut within a line", _cut_in_line, REFUSED),
    Mutation("rows", "cut at a line end", _cut_at_line, CHANGED),
    Mutation("rows", "one row gone", _at_row(_drop), ANY),
    Mutation("rows", "one row doubled", _at_row(_double), ANY),
    Mutation("rows", "one row too long", _at_row(_longer), REFUSED),
    Mutation("rows", "one row too short", _at_row(_shorter), REFUSED),
    Mutation("rows", "header gone", _without_header, ANY),
    Mutation("columns", "order turned round", _columns(lambda f: [f[0], *f[:0:-1]]), SAFE),
    Mutation("columns", "first two swapped", _columns(lambda f: [*f[1:2], f[0], *f[2:]]), ANY),
    Mutation("columns", "name given twice", _twice_in_header, ANY),
    Mutation("columns", "last one gone", _columns(lambda f: f[:-1] or f), ANY),
    Mutation("columns", "empty one added", _columns(lambda f: [*f, b""]), ANY),
    Mutation("encoding", "UTF-8 with mark", lambda c, rng: b"\xef\xbb\xbf" + c, UNCHANGED),
    Mutation("encoding", "UTF-16 with mark", _recoded("utf-16"), UNCHANGED),
    Mutation("encoding", "UTF-16 without mark", _recoded("utf-16-le"), REFUSED),
    Mutation("encoding", "UTF-32 with mark", _recoded("utf-32"), UNCHANGED),
    Mutation("encoding", "EBCDIC", _recoded("cp500"), CHANGED),
    Mutation("encoding", "CRLF", lambda c, rng: c.replace(b"\n", b"\r\n"), UNCHANGED),
    Mutation("encoding", "bare CR", lambda c, rng: c.replace(b"\n", b"\r"), UNCHANGED),
    Mutation("encoding", "stray bytes", _header_cell(b"\xff\xfe\x80"), ANY),
    Mutation("encoding", "line separator U+2028", _cell(b"1\xe2\x80\xa82"), ANY),
    Mutation("encoding", "form feed and control", _first_cell(b"A\x0cB\x1cC\x1b[31m"), ANY),
    Mutation("wrong kind", "web page", _constant(PAGE), REFUSED),
    Mutation("wrong kind", "Git LFS pointer", _constant(POINTER), REFUSED),
    Mutation("wrong kind", "zip with ../", _zipped, REFUSED),
    Mutation("wrong kind", "pickle", _constant(PICKLE), REFUSED),
    Mutation("wrong kind", "HDF5 mark only", _constant(b"\x89HDF\r\n\x1a\n" + b"\0" * 64), REFUSED),
    Mutation("compression", "gzip", lambda c, rng: gzip.compress(c, mtime=0), UNCHANGED),
    Mutation("compression", "bzip2", lambda c, rng: bz2.compress(c), UNCHANGED),
    Mutation("compression", "xz", lambda c, rng: lzma.compress(c), UNCHANGED),
    Mutation("compression", "gzip cut", lambda c, rng: gzip.compress(c)[:-9], REFUSED),
    Mutation("compression", "gzip cut in half",
             lambda c, rng: (p := gzip.compress(c))[: len(p) // 2], REFUSED),
    *(Mutation("compression", f"gzip, one bit flipped ({n})",
               lambda c, rng: flipped(1)(gzip.compress(c, mtime=0), rng), SAFE)
      for n in (1, 2, 3)),
    Mutation("compression", "gzip, wrong checksum",
             lambda c, rng: gzip.compress(c)[:-8] + b"\0" * 8, REFUSED),
    Mutation("compression", "gzip, rubbish behind",
             lambda c, rng: gzip.compress(c) + b"rubbish", SAFE),
    Mutation("compression", "bzip2 cut", lambda c, rng: bz2.compress(c)[:-9], REFUSED),
    Mutation("compression", "bzip2, one bit flipped",
             lambda c, rng: flipped(1)(bz2.compress(c), rng), SAFE),
    Mutation("compression", "xz cut", lambda c, rng: lzma.compress(c)[:-9], REFUSED),
    Mutation("compression", "xz, one bit flipped",
             lambda c, rng: flipped(1)(lzma.compress(c), rng), SAFE),
    Mutation("compression", "gzip five times", _packed_five_times, REFUSED),
    Mutation("size", "header of 500,000 further names", _wide_header(500_000, 12), ANY),
    Mutation("size", "header name of 8 MB", _header_cell(b"A" * (8 << 20)), ANY),
    Mutation("size", "200,000 columns", _wide_table, ANY),
    Mutation("size", "one line of 96 MB", _one_line(96 << 20), ANY),
    Mutation("size", "quoted field of 200 kB", _long_field, ANY),
    Mutation("size", "gzip of 256 MB without line end", _gzip_bomb, SAFE),
    Mutation("size", "gzip of 8 million blank lines", _blank_bomb, ANY),
    Mutation("size", "xz of 200 MB tabs", _xz_bomb, SAFE),
    Mutation("values", "text among numbers", _cell(b"high"), ANY),
    Mutation("values", "1e400", _cell(b"1e400"), ANY),
    Mutation("values", "minus infinity", _cell(b"-Inf"), ANY),
    Mutation("values", "hexadecimal", _cell(b"0x1F"), ANY),
    Mutation("values", "digits of another script", _cell("\u0967\u0968".encode()), ANY),
    Mutation("values", "number of 100,000 digits", _cell(b"9" * 100_000), ANY),
    Mutation("values", "quote not closed", _cell(b'"1.5'), ANY),
    Mutation("values", "NUL in a cell", _cell(b"1\x002"), REFUSED),
    Mutation("formula", "formula as row name", _first_cell(FORMULA), ANY),
    Mutation("formula", "formula as column name", _header_cell(FORMULA), ANY),
    Mutation("formula", "formula as value", _cell(b"=1+cmd|' /C calc'!A0"), ANY),
    Mutation("formula", "@ as column name", _header_cell(b"@SUM(1)"), ANY),
    Mutation("formula", "script as column name", _header_cell(b"<script>alert(1)</script>"), ANY),
    Mutation("formula", "path as column name", _header_cell(b"../../etc/passwd"), ANY),
]  # fmt: skip
