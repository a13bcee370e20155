"""Intervals as small strips beside a line of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cytostrat.report import wording


def strip(rows: Sequence[Mapping[str, Any]], *, limit: float | None = None) -> list[dict[str, Any]]:
    """Place intervals on a drawing of 100 units with no difference in the middle.

    Parameters
    ----------
    rows
        Each with ``estimate``, ``low``, ``high``, ``scale`` and ``kind`` (before, adjusted,
        verdict), and ``null`` where it is not that of the scale. Rows without an estimate are
        left out.
    limit
        Distance from no difference at which an interval is cut; by default that of the scale.

    Returns
    -------
    list of dict
        ``kind``, ``estimate``, ``low``, ``high`` (places), ``cut_low``, ``cut_high`` (whether the
        interval goes on), ``beyond`` (-1 or 1: the estimate lies beyond that end) and ``text``.
    """
    placed = []
    for row in rows:
        if not wording.finite(row["estimate"]):
            continue
        scale = wording.scale_of(row["scale"])
        null = float(row.get("null", scale.null))
        reach = limit or scale.reach
        bounded = wording.finite(row["low"]) and wording.finite(row["high"])
        from_null = float(row["estimate"]) - null
        placed.append(
            {
                "kind": row["kind"],
                "estimate": _place(row["estimate"], null, reach),
                "beyond": (from_null > reach) - (from_null < -reach),
                "low": _place(row["low"], null, reach) if bounded else None,
                "high": _place(row["high"], null, reach) if bounded else None,
                "cut_low": bounded and float(row["low"]) - null < -reach,
                "cut_high": bounded and float(row["high"]) - null > reach,
                "text": wording.estimate(row),
            }
        )
    return placed


def _place(value: Any, null: float, reach: float) -> float:
    return round(50 + 48 * max(-1.0, min(1.0, (float(value) - null) / reach)), 2)


def strip_limit(frames: Sequence[Mapping[str, Any] | None]) -> float:
    """Choose one limit for a column of strips, so that their lengths can be compared."""
    reach = [
        abs(float(row[key]) - wording.scale_of(row["scale"]).null)
        for row in frames
        if row is not None
        for key in ("low", "high")
        if wording.finite(row[key])
    ]
    return float(np.clip(np.quantile(reach, 0.9), 0.3, 3.0)) if reach else 1.0


def with_strips(lines: Sequence[dict[str, Any]]) -> float:
    """Draw the contrast of each line, all to one limit, and return it."""
    limit = strip_limit([row for line in lines for row in line["contrast"].drawn])
    for line in lines:
        line["strip"] = strip(line["contrast"].drawn, limit=limit)
    return limit
