"""Estimators: arrays in, estimates out, one topic per file.

Every estimator of a contrast takes `values` of shape (samples, columns), a boolean `case` of
shape (samples,), and returns `Estimates`, one element per column, so that all signatures, or
all random sets, are estimated at once. A NaN in a column gives NaN for that column and leaves
the others alone; the callers leave out samples without a value first, and count them.
"""

from cytostrat.stats.estimates import Estimates

__all__ = ["Estimates"]
