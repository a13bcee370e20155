"""Fixtures that all tests share: where the real data and the reference facts lie."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _folder(variable: str, beside: str) -> Path:
    folder = Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / beside)
    if not folder.is_dir():
        message = f"{variable} is not set and ../shared/{beside} is not there: real data not tested"
        if os.environ.get("CI"):
            pytest.fail(message)
        warnings.warn(pytest.PytestWarning(message), stacklevel=2)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real cohorts."""
    return _folder("CYTOSTRAT_DATA", "data")


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of published facts that the shipped resources are checked against."""
    return _folder("CYTOSTRAT_REFERENCE", "reference")
