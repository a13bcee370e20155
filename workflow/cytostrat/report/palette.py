"""One colour per group, the same in every figure, table mark and the interactive view.

The hues are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which stay apart for the
common forms of colour blindness; HER2 and ER use disjoint hues, so a colour has one meaning.
"""

from __future__ import annotations

INK = "#1b1f24"
MUTED = "#5b6570"
GRID = "#d5dae0"
PAPER = "#ffffff"

HER2 = {
    "positive": "#D55E00",
    "negative": "#0072B2",
    "equivocal": "#999999",
    "missing": "#CCCCCC",
}
ER = {"positive": "#009E73", "negative": "#CC79A7", "missing": "#CCCCCC"}

# ER x HER2 takes its hue from HER2 and its lightness from ER.
ER_HER2 = {
    "er+/her2+": "#D55E00",
    "er-/her2+": "#F0A15E",
    "er+/her2-": "#0072B2",
    "er-/her2-": "#6DB6E3",
}
ER_HER2_LABELS = {
    "er+/her2+": "ER+ HER2+",
    "er-/her2+": "ER\u2212 HER2+",
    "er+/her2-": "ER+ HER2\u2212",
    "er-/her2-": "ER\u2212 HER2\u2212",
}

# Categories that are no HER2 or ER group: thirds of a score (low, middle, high) and cohorts.
TERTILES = ("#56B4E9", "#999999", "#B8860B")
COHORTS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A5C00", "#999999")
# Cell types; muted hues of Tol (https://personal.sron.nl/~pault/), none is that of a group.
LINEAGES = {
    "epithelial tumour": "#882255",
    "epithelial normal": "#CC6677",
    "myeloid": "#999933",
    "T": "#332288",
    "NK": "#88CCEE",
    "B": "#44AA99",
    "plasma": "#117733",
    "fibroblast": "#DDCC77",
    "perivascular": "#8C6D31",
    "endothelial": "#AA4499",
    "unlabelled": "#CCCCCC",
}
DIVERGING = "PuOr_r"
SEQUENTIAL = "cividis"

VERDICTS = {
    "supported": "good",
    "consistent": "good",
    "contradicted": "bad",
    "inconsistent": "bad",
    "no difference": "flat",
    "inconclusive": "open",
    "not testable": "none",
}
