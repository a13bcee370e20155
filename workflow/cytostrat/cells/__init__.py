"""Single cells: where a signal comes from, with patients as the unit.

The steps, each a pure function of the one before (matrices are read a block at a time, so memory
does not grow with the number of cells):

============================== =================================================================
function                       in -> out
============================== =================================================================
`quality.check_cells`          counts, samples -> which rule each cell breaks, limits
`quality.join_checks`          all of these -> which cells are analysed, Flow rows
`profiles.profile_cells`       a range of cells -> scores per cell, marker scores, single genes
`lineages.label_cells`         given labels, marker scores -> lineages, unmapped labels, agreement
`pseudobulk.pseudobulk`        a range of cells -> sums per patient and cell type (`add` joins)
`pseudobulk.score_pseudobulk`  sums -> Scores rows with cell_type
`sources.describe_sources`     genes and scores of cells -> Sources rows, exact intervals
`effects.source_effects` ...   one value per patient and cell type -> Effects rows
`summary.summarise`            all of the above -> the tables of a cohort
`embedding.umap`               counts of some cells -> coordinates of a picture
============================== =================================================================

A p-value over cells cannot be made: `effects`, the only module that holds tests, takes one value
per patient and cell type and refuses a patient that comes twice.
"""

from __future__ import annotations

from cytostrat.cells.effects import (
    coupling_effects,
    her2_effects,
    mark_coverage,
    source_effects,
)
from cytostrat.cells.embedding import choose_cells, drawn_cells, labelled, umap
from cytostrat.cells.lineages import (
    LINEAGES,
    Agreement,
    CellTypes,
    Labels,
    agreement,
    agreement_row,
    label_cells,
    map_labels,
    marker_labels,
    read_celltypes,
    read_labels,
    read_markers,
    subset_types,
    write_labels,
)
from cytostrat.cells.profiles import (
    Profile,
    depth_bias,
    join,
    profile_cells,
    read_profile,
    write_profile,
)
from cytostrat.cells.pseudobulk import (
    Pseudobulk,
    add,
    large_enough,
    log2_cpm,
    patient_values,
    pseudobulk,
    read_pseudobulk,
    score_pseudobulk,
    write_pseudobulk,
)
from cytostrat.cells.quality import (
    Checked,
    Quality,
    captures,
    cell_metrics,
    check_cells,
    join_checks,
    read_check,
    samples_of_part,
    write_check,
)
from cytostrat.cells.sources import SOURCES, clopper_pearson, composition, describe_sources
from cytostrat.cells.storage import (
    CellFile,
    keep_cells,
    open_cells,
    part_of,
    ranges,
    write_cell_scores,
    write_cells,
    write_streamed,
)
from cytostrat.cells.summary import Summary, summarise

__all__ = [
    "LINEAGES",
    "SOURCES",
    "Agreement",
    "CellFile",
    "CellTypes",
    "Checked",
    "Labels",
    "Profile",
    "Pseudobulk",
    "Quality",
    "Summary",
    "add",
    "agreement",
    "agreement_row",
    "captures",
    "cell_metrics",
    "check_cells",
    "choose_cells",
    "clopper_pearson",
    "composition",
    "coupling_effects",
    "depth_bias",
    "describe_sources",
    "drawn_cells",
    "her2_effects",
    "join",
    "join_checks",
    "keep_cells",
    "label_cells",
    "labelled",
    "large_enough",
    "log2_cpm",
    "map_labels",
    "mark_coverage",
    "marker_labels",
    "open_cells",
    "part_of",
    "patient_values",
    "profile_cells",
    "pseudobulk",
    "ranges",
    "read_celltypes",
    "read_check",
    "read_labels",
    "read_markers",
    "read_profile",
    "read_pseudobulk",
    "samples_of_part",
    "score_pseudobulk",
    "source_effects",
    "subset_types",
    "summarise",
    "umap",
    "write_cell_scores",
    "write_cells",
    "write_check",
    "write_labels",
    "write_profile",
    "write_pseudobulk",
    "write_streamed",
]
