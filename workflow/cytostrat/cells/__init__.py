"""Single cells: where a signal comes from, with patients as the unit.

The steps, each a pure function of the one before (matrices are read a block at a time, so memory
does not grow with the number of cells):

============================== =================================================================
function                       in -> out
============================== =================================================================
`quality.check_cells`          counts, samples -> which cells are analysed, limits, Flow rows
`lineages.map_labels`          given labels -> lineages, report of unmapped labels
`profiles.profile_cells`       a range of cells -> scores per cell, marker scores, single genes
`lineages.marker_labels`       marker scores -> lineages with a margin
`pseudobulk.pseudobulk`        a range of cells -> sums per patient and cell type (`add` joins)
`pseudobulk.score_pseudobulk`  sums -> Scores rows with cell_type
`sources.describe_sources`     genes and scores of cells -> Sources rows, exact intervals
`effects.source_effects` ...   one value per patient and cell type -> Effects rows
`embedding.umap`               counts of some cells -> coordinates of a picture
============================== =================================================================

A p-value over cells cannot be made: `effects`, the only module that holds tests, takes one value
per patient and cell type and refuses a patient that comes twice.
"""

from __future__ import annotations

from cytostrat.cells.effects import coupling_effects, her2_effects, source_effects
from cytostrat.cells.embedding import choose_cells, umap
from cytostrat.cells.lineages import (
    LINEAGES,
    Agreement,
    CellTypes,
    agreement,
    map_labels,
    marker_labels,
    read_celltypes,
    read_markers,
)
from cytostrat.cells.profiles import Profile, depth_bias, join, profile_cells, signature_coverage
from cytostrat.cells.pseudobulk import (
    Pseudobulk,
    add,
    large_enough,
    log2_cpm,
    patient_values,
    pseudobulk,
    score_pseudobulk,
)
from cytostrat.cells.quality import Quality, captures, cell_metrics, check_cells
from cytostrat.cells.sources import SOURCES, clopper_pearson, composition, describe_sources
from cytostrat.cells.storage import CellFile, keep_cells, open_cells, ranges, write_cells

__all__ = [
    "LINEAGES",
    "SOURCES",
    "Agreement",
    "CellFile",
    "CellTypes",
    "Profile",
    "Pseudobulk",
    "Quality",
    "add",
    "agreement",
    "captures",
    "cell_metrics",
    "check_cells",
    "choose_cells",
    "clopper_pearson",
    "composition",
    "coupling_effects",
    "depth_bias",
    "describe_sources",
    "her2_effects",
    "join",
    "keep_cells",
    "large_enough",
    "log2_cpm",
    "map_labels",
    "marker_labels",
    "open_cells",
    "patient_values",
    "profile_cells",
    "pseudobulk",
    "ranges",
    "read_celltypes",
    "read_markers",
    "score_pseudobulk",
    "signature_coverage",
    "source_effects",
    "umap",
    "write_cells",
]
