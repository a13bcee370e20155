"""The ``.part`` of a download, and the note beside it from which a later try resumes."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def own_part(path: Path) -> Path:
    """Return a ``.part`` name that no other process uses."""
    return path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.part")


def notes_of(part: Path) -> Path:
    """Return where the note of a ``.part`` lies."""
    return part.with_name(f"{part.name}.json")


def forget(part: Path) -> None:
    """Remove a ``.part`` and its note."""
    part.unlink(missing_ok=True)
    notes_of(part).unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return a file's bytes, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
