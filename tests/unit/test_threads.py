"""What a job may use of a machine: the cores it was given."""

from __future__ import annotations

import numba
import numpy as np
import scanpy
import threadpoolctl

from cytostrat import cells


def test_the_picture_of_cells_takes_one_core_whatever_the_process_may_use(monkeypatch):
    counts = np.random.default_rng(1).poisson(1.0, size=(120, 80)).astype(np.float32)
    seen = {}
    layout = scanpy.tl.umap

    def watched(*arguments, **options):
        seen["numba"] = {numba.get_num_threads()}
        seen["pools"] = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
        return layout(*arguments, **options)

    monkeypatch.setattr(scanpy.tl, "umap", watched)
    before = numba.get_num_threads()
    cells.umap(counts, np.arange(100), seed=3)
    assert seen == {"numba": {1}, "pools": {1}}
    assert numba.get_num_threads() == before
