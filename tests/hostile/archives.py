"""Ways to spoil a tar archive: its members and the bytes around them."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable, Mapping

from tests.hostile.mutations import ANY, REFUSED, SAFE, UNCHANGED, Mutation, flipped

Members = Mapping[str, bytes]


def _tar(fill: Callable[[tarfile.TarFile], None], *, packed: bool = True, **options) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as archive:
        fill(archive)
    return gzip.compress(stream.getvalue(), 1, mtime=0) if packed else stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def _renamed(rename: Callable[[str], str]):
    def spoil(members: Members, rng: random.Random) -> bytes:
        def fill(archive: tarfile.TarFile) -> None:
            for name, content in members.items():
                _add(archive, rename(name), content)

        return _tar(fill)

    return spoil


def _with(add: Callable[[tarfile.TarFile, Members], None], *, last: bool = True):
    def spoil(members: Members, rng: random.Random) -> bytes:
        def fill(archive: tarfile.TarFile) -> None:
            if not last:
                add(archive, members)
            for name, content in members.items():
                _add(archive, name, content)
            if last:
                add(archive, members)

        return _tar(fill)

    return spoil


def _plain(members: Members) -> bytes:
    return _renamed(lambda name: name)(members, random.Random(0))


def _linked(kind: bytes, target: str):
    """Make the first member a link."""

    def spoil(members: Members, rng: random.Random) -> bytes:
        def fill(archive: tarfile.TarFile) -> None:
            first, *rest = members
            for name in rest:
                _add(archive, name, members[name])
            _add(archive, first, type=kind, linkname=target)

        return _tar(fill)

    return spoil


def _nested(depth: int):
    def spoil(members: Members, rng: random.Random) -> bytes:
        content = _plain(members)
        for level in range(depth):

            def fill(archive: tarfile.TarFile, content=content, level=level) -> None:
                _add(archive, f"level{level}.tar.gz", content)

            content = _tar(fill)
        return content

    return spoil


def _sparse(members: Members, rng: random.Random) -> bytes:
    """Say that the first member is a terabyte with a hole (GNU sparse, PAX 1.0)."""
    first = next(iter(members))

    def fill(archive: tarfile.TarFile) -> None:
        for name, content in members.items():
            if name == first:
                block = f"1\n0\n{len(content)}\n".encode().ljust(512, b"\0")
                pax = {
                    "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name,
                    "GNU.sparse.realsize": str(1 << 40),
                }  # fmt: skip
                _add(archive, name, block + content, pax_headers=pax)
            else:
                _add(archive, name, content)

    return _tar(fill, format=tarfile.PAX_FORMAT)


def _many(members: Members, rng: random.Random) -> bytes:
    def add(archive: tarfile.TarFile, members: Members) -> None:
        for number in range(50_000):
            _add(archive, f"more/{number}")

    return _with(add, last=False)(members, rng)


def _huge_member(members: Members, rng: random.Random) -> bytes:
    """Declare a size beyond the end of the archive."""
    out = bytearray(gzip.decompress(_plain(members)))
    out[124:136] = b"77777777777\0"
    checksum = sum(out[:148]) + 8 * 32 + sum(out[156:512])
    out[148:156] = b"%06o\0 " % checksum
    return gzip.compress(bytes(out), mtime=0)


def _packed(spoil: Callable[[bytes, random.Random], bytes]):
    return lambda members, rng: spoil(_plain(members), rng)


def _unpacked(spoil: Callable[[bytes, random.Random], bytes]):
    return lambda members, rng: spoil(gzip.decompress(_plain(members)), rng)


def _without(number: int):
    def spoil(members: Members, rng: random.Random) -> bytes:
        names = [name for position, name in enumerate(members) if position != number]
        return _plain({name: members[name] for name in names})

    return spoil


def _device(archive: tarfile.TarFile, members: Members) -> None:
    _add(archive, "dev/zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
    _add(archive, "pipe", type=tarfile.FIFOTYPE)


def _twin(archive: tarfile.TarFile, members: Members) -> None:
    first = next(iter(members))
    _add(archive, first, members[first][: len(members[first]) // 2])


def _bomb(archive: tarfile.TarFile, members: Members) -> None:
    _add(archive, "more/zeros.bin", bytes(200 << 20))


DEEP = "/".join(["d"] * 400)
ARCHIVE: list[Mutation] = [
    Mutation("archive", "members named ../", _renamed(lambda n: f"../../{n}"), SAFE),
    Mutation("archive", "members named from the root", _renamed(lambda n: f"/tmp/{n}"), SAFE),
    Mutation("archive", "further member ../trespass",
             _with(lambda a, m: _add(a, "../trespass", b"x")), UNCHANGED),
    Mutation("archive", "members 400 folders deep", _renamed(lambda n: f"{DEEP}/{n}"), UNCHANGED),
    Mutation("archive", "backslashes in names",
             _renamed(lambda n: n.replace("/", "\\")), REFUSED),
    Mutation("archive", "line end in names", _renamed(lambda n: f"a\nb/{n}"), SAFE),
    Mutation("archive", "symbolic link to a file of the system",
             _linked(tarfile.SYMTYPE, "/etc/passwd"), REFUSED),
    Mutation("archive", "symbolic link to itself", _linked(tarfile.SYMTYPE, "."), REFUSED),
    Mutation("archive", "hard link out of the archive",
             _linked(tarfile.LNKTYPE, "../../etc/passwd"), REFUSED),
    Mutation("archive", "devices and pipes beside", _with(_device), UNCHANGED),
    Mutation("archive", "same member twice", _with(_twin), REFUSED),
    Mutation("archive", "first member gone", _without(0), REFUSED),
    Mutation("archive", "last member gone", _without(-1), ANY),
    Mutation("archive", "no member", lambda m, rng: _plain({}), REFUSED),
    Mutation("archive", "archive in archive, 12 deep", _nested(12), REFUSED),
    Mutation("archive", "sparse member of a terabyte", _sparse, REFUSED),
    Mutation("archive", "50,000 further members", _many, UNCHANGED),
    Mutation("archive", "200 MB of zeros beside, 0.2 MB packed", _with(_bomb), UNCHANGED),
    Mutation("archive", "member longer than the archive", _huge_member, REFUSED),
    Mutation("archive", "cut", _packed(lambda c, rng: c[: len(c) // 2]), REFUSED),
    Mutation("archive", "not packed, cut", _unpacked(lambda c, rng: c[: len(c) // 2]), REFUSED),
    *(Mutation("archive", f"one bit flipped ({n})", _packed(flipped(1)), SAFE) for n in (1, 2)),
    *(Mutation("archive", f"not packed, twenty bits flipped ({n})", _unpacked(flipped(20)), ANY)
      for n in (1, 2, 3)),
    Mutation("archive", "random bytes", lambda m, rng: rng.randbytes(8192), REFUSED),
    Mutation("archive", "empty", lambda m, rng: b"", REFUSED),
]  # fmt: skip
