"""A seeded choice of the broken inputs; all of them: ``make test-hostile``."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.hostile.archives import ARCHIVE
from tests.hostile.hdf5 import HDF5
from tests.hostile.mutations import TEXT
from tests.hostile.yamls import YAML

SAMPLE = 160


def test_broken_inputs_end_in_one_sentence_or_a_right_result(repository, data_dir) -> None:
    # a process of its own: it forks, and its children run with little memory
    run = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "--sample", str(SAMPLE)],
        cwd=repository,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(["workflow", "."]),
            "CYTOSTRAT_DATA": str(data_dir),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:]
    assert re.search(rf"^{SAMPLE} broken inputs, 0 failed", run.stdout, re.MULTILINE), run.stdout


def test_no_two_mutations_of_one_file_share_a_name() -> None:
    for mutations in (TEXT, ARCHIVE, HDF5, YAML):
        names = [(mutation.kind, mutation.name) for mutation in mutations]
        assert len(set(names)) == len(names)
