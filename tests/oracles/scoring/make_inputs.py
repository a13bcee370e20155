"""Write the inputs of the scoring oracles; seeded, so that a second run writes the same bytes."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent


def write(frame, name, **options):
    text = frame.to_csv(sep="\t", lineterminator="\n", **options)
    (HERE / name).write_bytes(gzip.compress(text.encode(), mtime=0))


def frame(values, prefix):
    genes = pd.Index([f"{prefix}{i:04d}" for i in range(len(values))], name="gene")
    return pd.DataFrame(values, genes, [f"S{i:02d}" for i in range(values.shape[1])])


rng = np.random.default_rng(20260117)
factor = rng.normal(size=18)
loading = rng.normal(size=(1200, 1)) * (rng.random((1200, 1)) < 0.3)
continuous = 7 + 2 * rng.normal(size=(1200, 1)) + loading * factor + rng.normal(size=(1200, 18))
continuous = frame(continuous, "G").round(8)
assert not any(continuous[sample].duplicated().any() for sample in continuous)

tied = np.maximum(np.round(rng.normal(0.5, 1.0, size=(701, 14)), 1), 0.0)
tied = frame(tied, "G")
assert (tied == 0).mean().min() > 0.2

mean = np.exp(rng.normal(3.5, 2.0, size=(600, 1)) + 0.4 * rng.normal(size=(600, 16)))
counts = frame(rng.negative_binomial(3, 3 / (3 + mean)), "G")

write(continuous, "continuous.tsv.gz", float_format="%.8f")
write(tied, "tied.tsv.gz", float_format="%.1f")
write(counts, "negative_binomial.tsv.gz")

genes = list(tied.index[:600])  # present in all three
rows = []
for name, up, down in [
    ("ONE", 1, 0),
    ("TWO", 2, 0),
    ("SMALL", 15, 0),
    ("MEDIUM", 60, 0),
    ("LARGE", 180, 0),
    ("BOTH", 25, 12),
    ("BOTH_LARGE", 70, 90),
    ("EVEN", 24, 0),
    ("ODD", 33, 0),
]:
    chosen = list(rng.choice(genes, up + down, replace=False))
    if name in ("MEDIUM", "BOTH"):
        chosen[0] = "ABSENT1"  # named by the set, not in any matrix
    if name == "BOTH":
        chosen[-1] = "ABSENT2"
    rows += [(name, "up", gene) for gene in chosen[:up]]
    rows += [(name, "down", gene) for gene in chosen[up:]]
pd.DataFrame(rows, columns=["set", "side", "gene"]).to_csv(
    HERE / "sets.tsv", sep="\t", index=False, lineterminator="\n"
)
