"""Ways to spoil an HDF5 file: its bytes, and what it says of itself."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable

import h5py
import numpy as np

from tests.hostile.mutations import ANY, REFUSED, SAFE, Mutation, flipped, replaced_block

BOMB = pickle.dumps({"harmless": "unless it is unpickled"}, protocol=0)


def _edited(edit: Callable[[h5py.File], None]):
    def spoil(content: bytes, rng: random.Random) -> bytes:
        stream = io.BytesIO(content)
        with h5py.File(stream, "r+") as file:
            edit(file)
        return stream.getvalue()

    return spoil


def _matrix_place(file: h5py.File) -> str:
    return "matrix" if "matrix" in file else "X"


def _values(file: h5py.File) -> tuple[h5py.Group, str]:
    """Return where the numbers are: the group and the name within it."""
    place = _matrix_place(file)
    return (file, place) if isinstance(file[place], h5py.Dataset) else (file[place], "data")


def _index(file: h5py.File) -> tuple[h5py.Group, str]:
    if "matrix" in file:
        return file["matrix"], "barcodes"
    return file["obs"], str(file["obs"].attrs["_index"])


def _put(group: h5py.Group, name: str, **options) -> None:
    attributes = dict(group[name].attrs)
    del group[name]
    made = group.create_dataset(name, **options)
    made.attrs.update(attributes)


def _swap(place: Callable, make: Callable[[h5py.Dataset], dict]):
    def edit(file: h5py.File) -> None:
        group, name = place(file)
        _put(group, name, **make(group[name]))

    return _edited(edit)


def _gone(place: Callable):
    def edit(file: h5py.File) -> None:
        group, name = place(file)
        del group[name]

    return _edited(edit)


def _link(make: Callable[[], object]):
    def edit(file: h5py.File) -> None:
        group, name = _values(file)
        del group[name]
        group[name] = make()

    return _edited(edit)


def _raw_bytes_of_another_file(file: h5py.File) -> None:
    group, name = _values(file)
    shape = group[name].shape
    attributes = dict(group[name].attrs)
    del group[name]
    made = group.create_dataset(
        name, shape=shape, dtype="u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    )
    made.attrs.update(attributes)


def _virtual(file: h5py.File) -> None:
    group, name = _values(file)
    shape = group[name].shape
    layout = h5py.VirtualLayout(shape=shape, dtype="f4")
    layout[...] = h5py.VirtualSource("/tmp/elsewhere.h5", "X", shape=shape)
    attributes = dict(group[name].attrs)
    del group[name]
    group.create_virtual_dataset(name, layout).attrs.update(attributes)


def _sparse_part(name: str, change: Callable[[np.ndarray], np.ndarray]):
    """Change indices or indptr, or where the matrix is dense its shape."""

    def edit(file: h5py.File) -> None:
        place = _matrix_place(file)
        if isinstance(file[place], h5py.Group):
            _put(file[place], name, data=change(file[place][name][:]))
        else:
            _put(file, place, data=file[place][:-1])

    return _edited(edit)


def _shape(file: h5py.File) -> None:
    place = _matrix_place(file)
    if isinstance(file[place], h5py.Group):
        if "shape" in file[place]:
            _put(file[place], "shape", data=np.array([2**31 - 1, 2**31 - 1], dtype=np.int32))
        else:
            file[place].attrs["shape"] = np.array([2**40, 2**40])
    else:
        _put(file, place, shape=(24, 10**9), dtype="f4", chunks=(1, 1024), fillvalue=1.0)


def _terabyte(data: h5py.Dataset) -> dict:
    return {"shape": (1 << 37,), "dtype": "f8", "chunks": (1024,), "fillvalue": 1.0}


def _pickled_attribute(file: h5py.File) -> None:
    place = _matrix_place(file)
    file[place].attrs["encoding-type"] = np.void(BOMB)


def _unknown_encoding(file: h5py.File) -> None:
    place = _matrix_place(file)
    file[place].attrs["encoding-type"] = "../../module:function"
    if place == "matrix":
        del file[place]["features"]


def _loop(file: h5py.File) -> None:
    group, name = _values(file)
    del group[name]
    group[name] = h5py.SoftLink(f"{group.name}/{name}")


def _group_in_place(file: h5py.File) -> None:
    group, name = _values(file)
    del group[name]
    group.create_group(name)["inner"] = np.arange(3)


def _huge_beside(file: h5py.File) -> None:
    place = file["uns"] if "uns" in file else file["matrix"]["features"]
    place.create_dataset(
        "notes", shape=(1 << 36,), dtype="f8", chunks=(1024,), fillvalue=1.0
    ).attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def _deep(file: h5py.File) -> None:
    place = file["uns"] if "uns" in file else file["matrix"]
    for _ in range(1200):
        place = place.create_group("d")
        place.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})


OPAQUE = np.dtype("V16")
HDF5: list[Mutation] = [
    *(Mutation("bytes", f"one bit flipped ({n})", flipped(1), ANY) for n in range(1, 9)),
    *(Mutation("bytes", f"a hundred bits flipped ({n})", flipped(100), ANY) for n in range(1, 5)),
    Mutation("bytes", "block of zeros", replaced_block(lambda rng, n: b"\0" * n), ANY),
    Mutation("bytes", "block of noise", replaced_block(lambda rng, n: rng.randbytes(n)), ANY),
    Mutation("bytes", "empty", lambda c, rng: b"", REFUSED),
    Mutation("bytes", "mark only", lambda c, rng: c[:8], REFUSED),
    Mutation("rows", "cut in half", lambda c, rng: c[: len(c) // 2], REFUSED),
    Mutation("rows", "last 100 bytes gone", lambda c, rng: c[:-100], REFUSED),
    Mutation("wrong kind", "pickle", lambda c, rng: BOMB, REFUSED),
    Mutation("wrong kind", "text", lambda c, rng: b"gene\tS1\nERBB2\t1\n", REFUSED),
    Mutation("objects", "values are opaque bytes of a pickle",
             _swap(_values, lambda d: {"data": np.full(d.shape, BOMB[:16], dtype="S16")
                                       .view(OPAQUE)}), REFUSED),
    Mutation("objects", "values are texts",
             _swap(_values, lambda d: {"data": np.full(d.shape, "x", dtype=object),
                                       "dtype": h5py.string_dtype()}), REFUSED),
    Mutation("objects", "values are object references",
             _swap(_values, lambda d: {"shape": d.shape, "dtype": h5py.ref_dtype}), REFUSED),
    Mutation("objects", "values are arrays of unequal length",
             _swap(_values, lambda d: {"shape": d.shape, "dtype": h5py.vlen_dtype(np.int32)}),
             REFUSED),
    Mutation("objects", "values are records",
             _swap(_values, lambda d: {"shape": d.shape, "dtype": [("a", "f4"), ("b", "S4")]}),
             REFUSED),
    Mutation("objects", "values are complex",
             _swap(_values, lambda d: {"data": d[...].astype(complex) + 1j}), REFUSED),
    Mutation("objects", "names are opaque",
             _swap(_index, lambda d: {"data": np.full(d.shape, BOMB[:16], dtype="S16")
                                      .view(OPAQUE)}), ANY),
    Mutation("objects", "names are numbers", _swap(_index, lambda d: {"data": np.arange(len(d))}),
             ANY),
    Mutation("objects", "names are not UTF-8",
             _swap(_index, lambda d: {"data": np.array([b"\xff\xfe%d" % n
                                                        for n in range(len(d))])}),
             ANY),
    Mutation("objects", "an attribute is a pickle", _edited(_pickled_attribute), ANY),
    Mutation("objects", "unknown encoding", _edited(_unknown_encoding), ANY),
    Mutation("rows", "names too few", _swap(_index, lambda d: {"data": d[:-2]}), REFUSED),
    Mutation("rows", "names twice",
             _swap(_index, lambda d: {"data": np.repeat(d[:][:1], len(d))}), REFUSED),
    Mutation("columns", "values gone", _gone(_values), REFUSED),
    Mutation("columns", "names gone", _gone(_index), REFUSED),
    Mutation("columns", "a group in place of values", _edited(_group_in_place), REFUSED),
    Mutation("links", "values in a file of the system",
             _link(lambda: h5py.ExternalLink("/etc/passwd", "/X")), REFUSED),
    Mutation("links", "values in a file that is not there",
             _link(lambda: h5py.ExternalLink("nowhere.h5", "/X")), REFUSED),
    Mutation("links", "values that point to themselves", _edited(_loop), REFUSED),
    Mutation("links", "raw bytes of a file of the system", _edited(_raw_bytes_of_another_file),
             REFUSED),
    Mutation("links", "virtual values of another file", _edited(_virtual), REFUSED),
    Mutation("sparse", "index beyond the matrix",
             _sparse_part("indices", lambda v: np.full_like(v, 2**30)), REFUSED),
    Mutation("sparse", "negative index",
             _sparse_part("indices", lambda v: np.full_like(v, -5)), REFUSED),
    Mutation("sparse", "pointers turned round", _sparse_part("indptr", lambda v: v[::-1]), REFUSED),
    Mutation("sparse", "pointers beyond the data",
             _sparse_part("indptr", lambda v: v * 1000), REFUSED),
    Mutation("sparse", "fewer indices than values", _sparse_part("indices", lambda v: v[:-7]),
             REFUSED),
    Mutation("size", "declared shape of 10^24", _edited(_shape), REFUSED),
    Mutation("size", "values of a terabyte, nothing stored", _swap(_values, _terabyte), REFUSED),
    Mutation("size", "half a terabyte beside, nothing stored", _edited(_huge_beside), SAFE),
    Mutation("size", "1,200 groups within each other", _edited(_deep), ANY),
    Mutation("values", "infinite", _swap(_values, lambda d: {
        "data": np.full(d.shape, np.inf, dtype="f4")}), REFUSED),
    Mutation("values", "missing", _swap(_values, lambda d: {
        "data": np.full(d.shape, np.nan, dtype="f4")}), REFUSED),
    Mutation("values", "negative", _swap(_values, lambda d: {
        "data": -np.abs(d[...].astype("f4")) - 1}), ANY),
    Mutation("formula", "formula as first name", _swap(_index, lambda d: {
        "data": np.array([b"=1+1", *(n.encode() if isinstance(n, str) else n for n in d[:][1:])],
                         dtype=object), "dtype": h5py.string_dtype()}), ANY),
]  # fmt: skip
