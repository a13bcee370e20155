"""Ways to spoil a YAML file: tags, anchors, depth, size, keys of odd types."""

from __future__ import annotations

import gzip
import random

from tests.hostile.mutations import (
    ANY,
    PAGE,
    PICKLE,
    REFUSED,
    SAFE,
    UNCHANGED,
    Mutation,
    flipped,
    replaced_block,
)


def _behind(text: str):
    return lambda content, rng: content.rstrip(b"\n") + b"\n" + text.encode()


def _title(text: str):
    """Replace or add the key `title`."""

    def spoil(content: bytes, rng: random.Random) -> bytes:
        rows = [row for row in content.split(b"\n") if not row.startswith(b"title:")]
        return b"title: " + text.encode() + b"\n" + b"\n".join(rows)

    return spoil


def _laughs(levels: int) -> str:
    rows = ["bomb0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    for level in range(1, levels):
        inner = ", ".join([f"*a{level - 1}"] * 9)
        rows.append(f"bomb{level}: &a{level} [{inner}]")
    return "\n".join(rows) + "\n"


def _laughing_title(levels: int) -> str:
    text = "[lol]"
    for level in range(levels):
        text = f"[&a{level} {text}, " + ", ".join([f"*a{level}"] * 8) + "]"
    return text


YAML: list[Mutation] = [
    *(Mutation("bytes", f"one bit flipped ({n})", flipped(1), ANY) for n in range(1, 6)),
    Mutation("bytes", "twenty bits flipped", flipped(20), ANY),
    Mutation("bytes", "block of noise", replaced_block(lambda rng, n: rng.randbytes(n)), REFUSED),
    Mutation("bytes", "empty", lambda c, rng: b"", REFUSED),
    Mutation("bytes", "random bytes only", lambda c, rng: rng.randbytes(4096), REFUSED),
    Mutation("rows", "cut", lambda c, rng: c[: len(c) // 2], REFUSED),
    Mutation("rows", "first row gone", lambda c, rng: c.partition(b"\n")[2], ANY),
    Mutation("rows", "two documents", _behind("---\nschema_version: 1\n"), REFUSED),
    Mutation("wrong kind", "web page", lambda c, rng: PAGE, REFUSED),
    Mutation("wrong kind", "a list", lambda c, rng: b"- a\n- b\n", REFUSED),
    Mutation("wrong kind", "one word", lambda c, rng: b"word\n", REFUSED),
    Mutation("wrong kind", "pickle", lambda c, rng: PICKLE, REFUSED),
    Mutation("wrong kind", "gzip", lambda c, rng: gzip.compress(c), REFUSED),
    Mutation("encoding", "UTF-8 with mark", lambda c, rng: b"\xef\xbb\xbf" + c, UNCHANGED),
    Mutation("encoding", "UTF-16", lambda c, rng: c.decode().encode("utf-16"), REFUSED),
    Mutation("encoding", "CRLF", lambda c, rng: c.replace(b"\n", b"\r\n"), UNCHANGED),
    Mutation("encoding", "tabs as indent", lambda c, rng: c.replace(b"  ", b"\t"), SAFE),
    Mutation("encoding", "control characters", _title('"\\e[31mred\\0"'), ANY),
    Mutation("tags", "object of Python",
             _title("!!python/object/apply:os.system ['touch trespass']"), REFUSED),
    Mutation("tags", "name of Python", _title("!!python/name:os.system"), REFUSED),
    Mutation("tags", "module of Python", _title("!!python/module:subprocess"), REFUSED),
    Mutation("tags", "new object of Python",
             _title("!!python/object/new:subprocess.Popen [[touch, trespass]]"), REFUSED),
    Mutation("tags", "tag of the user", _title("!include /etc/passwd"), REFUSED),
    Mutation("tags", "binary", _title("!!binary aGVsbG8="), REFUSED),
    Mutation("tags", "set", _title("!!set {a, b}"), REFUSED),
    Mutation("tags", "date", _title("2026-01-01"), REFUSED),
    Mutation("tags", "integer of 10,000 digits", _title("9" * 10_000), REFUSED),
    Mutation("tags", "not a number", _title(".nan"), REFUSED),
    Mutation("aliases", "nine lists of nine, ten deep", _behind(_laughs(10)), REFUSED),
    Mutation("aliases", "in a known key, nine deep", _title(_laughing_title(9)), REFUSED),
    Mutation("aliases", "a list that holds itself", _title("&a [*a]"), REFUSED),
    Mutation("aliases", "a mapping that holds itself", _title("&a {b: *a}"), REFUSED),
    Mutation("aliases", "merge of itself", _behind("x: &x\n  <<: *x\n"), REFUSED),
    Mutation("aliases", "unknown anchor", _title("*nowhere"), REFUSED),
    Mutation("keys", "key twice", _behind("schema_version: 1\n"), REFUSED),
    Mutation("keys", "a list as key", _behind("? [a, b]\n: c\n"), REFUSED),
    Mutation("keys", "a number as key", _behind("1: c\n"), REFUSED),
    Mutation("keys", "a date as key", _behind("2026-01-01: c\n"), REFUSED),
    Mutation("keys", "null as key", _behind("~: c\n"), REFUSED),
    Mutation("keys", "true as key", _behind("yes: c\n"), REFUSED),
    Mutation("keys", "unknown key", _behind("__class__: c\n"), REFUSED),
    Mutation("keys", "formula as text", _title("'=1+1'"), ANY),
    Mutation("keys", "script as text", _title("'<script>alert(1)</script>'"), ANY),
    Mutation("size", "2,000 brackets", _title("[" * 2000), REFUSED),
    Mutation("size", "2,000 brackets that close", _title("[" * 2000 + "]" * 2000), REFUSED),
    Mutation("size", "20,000 indents",
             _behind("".join(f"{' ' * (n % 900)}a{n}:\n" for n in range(20_000))), REFUSED),
    Mutation("size", "title of 8 MB", _title("A" * (8 << 20)), REFUSED),
    Mutation("size", "comment of 64 MB", _behind("#" * (64 << 20) + "\n"), SAFE),
    Mutation("size", "200,000 keys", _behind("".join(f"k{n}: 1\n" for n in range(200_000))),
             REFUSED),
]  # fmt: skip
