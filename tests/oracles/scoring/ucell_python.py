"""UCell by pyUCell 0.8.0 on sparse input. Call: python ucell_python.py."""

from pathlib import Path

import anndata as ad
import pandas as pd
import pyucell
from scipy import sparse

HERE = Path(__file__).parent
values = pd.read_csv(HERE / "tied.tsv.gz", sep="\t", index_col=0)
table = pd.read_csv(HERE / "sets.tsv", sep="\t")
signs = {"up": "+", "down": "-"}
signatures = {
    name: [gene + signs[side] for side, gene in zip(part["side"], part["gene"], strict=True)]
    for name, part in table.groupby("set", sort=False)
}
cells = ad.AnnData(
    sparse.csr_matrix(values.T.to_numpy()),
    obs=pd.DataFrame(index=values.columns),
    var=pd.DataFrame(index=values.index),
)
pyucell.compute_ucell_scores(cells, signatures, max_rank=300, ties_method="average", n_jobs=1)
scores = cells.obs.rename(columns=lambda name: name.removesuffix("_UCell")).T
out = scores.rename_axis("set").melt(ignore_index=False, var_name="sample", value_name="score")
out = out.reset_index()
out.insert(0, "variant", "300 impute 1")
out.insert(0, "method", "ucell")
out.insert(0, "data", "tied")
out["score"] = out["score"].map("{:.9g}".format)
out.to_csv(HERE / "pyucell.tsv", sep="\t", index=False, lineterminator="\n")
