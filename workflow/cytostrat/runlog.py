"""What surrounds a rule's script: where it imports from, its log, errors people can read."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from cytostrat.errors import CytostratError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def import_from(folder: str | Path) -> None:
    """Make processes started from here import from `folder` before anything installed."""
    others = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(folder), *others]))


class _Tee(io.TextIOBase):
    def __init__(self, *targets: TextIO) -> None:
        self.targets = targets

    def write(self, text: str) -> int:
        for target in self.targets:
            with contextlib.suppress(OSError):  # a full disk must not silence the console
                target.write(text)
                target.flush()
        return len(text)


@contextlib.contextmanager
def _log_file(log: Path, console: TextIO) -> Iterator[TextIO]:
    """Open a log; where that is not possible, say so and end with exit code 1."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = open(log, "w", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        console.write(f"\n{log}: can't be written ({error.strerror}); check folder and room.\n")
        sys.exit(1)
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def logged(log: str | Path, *, what: str = "") -> Iterator[None]:
    """Send stdout, stderr, warnings and logging to a log file; keep errors on the console.

    A deliberate error (`CytostratError`) ends the process with exit code 1 and its one
    sentence; anything else shows its traceback on the console and in the log.

    Parameters
    ----------
    log
        File that takes the output.
    what
        Name of the work, put before an error's sentence.
    """
    console = sys.stderr
    with _log_file(Path(log), console) as stream:
        handler = logging.StreamHandler(stream)
        logging.getLogger().addHandler(handler)
        logging.captureWarnings(True)
        both = _Tee(console, stream)
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield
        except CytostratError as error:
            both.write(f"\n{what}: {error}\n" if what else f"\n{error}\n")
            sys.exit(1)
        except OSError as error:
            if error.errno in FULL:
                place = error.filename or "the disk"
                both.write(f"\n{what}: {place}: {error.strerror}; free some room and run again.\n")
            else:
                both.write(traceback.format_exc())
            sys.exit(1)
        except Exception:  # noqa: BLE001 - whatever ends a job must stand in its log
            both.write(traceback.format_exc())
            sys.exit(1)
        finally:
            logging.getLogger().removeHandler(handler)
            logging.captureWarnings(False)
