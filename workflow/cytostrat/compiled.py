"""One decorator for everything that is compiled.

Compiled code is cached on disk (beside the source, else in the user's cache directory, or in
``NUMBA_CACHE_DIR``), so that only the first job on a machine pays for the compiler. Each
compiled function is called with one combination of types only: two jobs that fill the cache at
the same moment then write the same content, and neither can read a half that is the other's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable) -> Callable:
    """Compile without the interpreter lock, cached where some cache directory is writable."""
    return _compiled(function, fastmath=False)


def compiled_reassociating(function: Callable) -> Callable:
    """Compile like `compiled`, with leave to add numbers in an order that suits the processor."""
    return _compiled(function, fastmath={"reassoc"})


def _compiled(function: Callable, **options: Any) -> Callable:
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # numba found no writable place for its cache
        return numba.njit(nogil=True, **options)(function)
