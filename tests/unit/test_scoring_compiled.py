"""Compiled code is cached, shared by jobs that start together, and works without a cache."""

import os
import shutil
import subprocess
import sys

import pytest

JOB = """
import numpy as np
from cytostrat.scoring import score
genes = [f"G{i}" for i in range(50)]
matrix = np.random.default_rng(1).normal(size=(9, 50))
found = score(matrix.astype("float32"), genes, {"S": (genes[:5], [])}, method="ssgsea", threads=2)
from cytostrat.scoring import radix
hits = sum(radix.rank_dense_32.stats.cache_hits.values())
print(hits, found["S"].sum().hex())
"""


def start(folder, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", JOB],
        env=os.environ | {"PYTHONPATH": str(folder)} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def package(repository, tmp_path):
    """Return a copy of the package beside whose source nothing can be cached."""
    copy = tmp_path / "cytostrat"
    shutil.copytree(
        repository / "workflow" / "cytostrat", copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    for folder in (copy, copy / "scoring"):
        (folder / "__pycache__").write_text("not a folder")
    return tmp_path


def test_jobs_that_start_together_agree_and_later_jobs_do_not_compile(package, tmp_path):
    cache = tmp_path / "cache"
    jobs = [start(package, NUMBA_CACHE_DIR=str(cache)) for _ in range(2)]
    outputs = [job.communicate()[0].split() for job in jobs]
    later = start(package, NUMBA_CACHE_DIR=str(cache)).communicate()[0].split()
    assert {output[1] for output in outputs} == {later[1]}
    assert later[0] == "1"


def test_without_a_writable_place_the_code_is_compiled_and_not_cached(package, tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("not a folder")
    job = start(package, HOME=str(nowhere), XDG_CACHE_HOME=str(nowhere), NUMBA_CACHE_DIR="")
    output = job.communicate()[0].split()
    assert job.returncode == 0
    assert output[0] == "0"


EVERY = r"""
import importlib, pkgutil
import numpy as np
from scipy import sparse
from cytostrat import scoring
genes = [f"G{i}" for i in range(90)]
sets = {"A": (genes[:5], genes[7:9]), "B": (genes[3:30], [])}
dense = np.random.default_rng(1).normal(size=(9, 90))
for matrix in (dense, np.where(dense > 0, dense, 0), np.where(dense > 1, np.nan, dense)):
    for kind in (np.float32, np.float64):
        for method in ("ssgsea", "singscore", "ucell", "zscore", "gsva", "aucell"):
            options = {"max_rank": 60} if method == "ucell" else {}
            scoring.score(matrix.astype(kind), genes, sets, method=method, **options)
            if method not in ("gsva", "zscore"):
                rows = sparse.csr_matrix(matrix.astype(kind))
                scoring.score(rows, genes, sets, method=method, **options)
                ranked = scoring.rank(rows, tied=True)
                scoring.score(ranked, genes, sets, method=method, **options)
for module in pkgutil.iter_modules(scoring.__path__):
    found = vars(importlib.import_module(f"cytostrat.scoring.{module.name}")).values()
    for function in found:
        if len(getattr(function, "signatures", [])) > 1:
            print(function.__name__, *function.signatures, sep='\n', end='\n\n')
"""


def test_each_compiled_function_has_one_combination_of_types(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}  # or nothing is compiled
    found = subprocess.run(
        [sys.executable, "-c", EVERY], env=environment, capture_output=True, text=True
    )
    assert (found.stdout, found.returncode) == ("", 0), found.stderr
