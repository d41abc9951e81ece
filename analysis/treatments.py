"""Names of what was done in a layer transfer, derived from source, target and what was frozen.

BnB: the first layers of a network trained on the target itself, frozen; AnB: those of one trained on another task.
A plus sign: they are trained further. random: layers that were never trained, frozen. (Yosinski et al. 2014)
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.columns import NONE_LABEL, labels, ordered, require_column

SELF, TRANSFER, RANDOM = "BnB", "AnB", "random"
TREATMENTS = (SELF, TRANSFER, f"{SELF}+", f"{TRANSFER}+", RANDOM, f"{RANDOM}+")
UNTRAINED = "untrained"
COLUMN = "treatment"
_TRUE = ("True", "true", "1")


def treatments(frame: pd.DataFrame) -> pd.Series:
    """The treatment of every row; a column ``treatment``, which published tables have, is taken as it is.

    Rows with ``preserve`` copied layers above the cut say so ("AnB, 2 more trained"); a row without source is "none".

    Raises:
        HarnessError: when there is neither a column ``treatment`` nor one ``frozen``.
    """
    if COLUMN in frame.columns:
        return labels(frame[COLUMN])
    require_column(frame, "frozen", "layer transfer")
    source, target = labels(frame["source"]), labels(frame["target"])
    kind = np.select(
        [source == NONE_LABEL, source == UNTRAINED, source == target],
        [NONE_LABEL, RANDOM, SELF],
        TRANSFER,
    )
    plus = np.where(labels(frame["frozen"]).isin(_TRUE) | (kind == NONE_LABEL), "", "+")
    kept = labels(frame["preserve"]) if "preserve" in frame.columns else pd.Series("0", index=frame.index)
    more = np.where(kept.isin(["0", NONE_LABEL]) | (kind == NONE_LABEL), "", ", " + kept + " more trained")
    return pd.Series([a + b + c for a, b, c in zip(kind, plus, more, strict=True)], index=frame.index, dtype=object)


def in_order(names: pd.Series) -> tuple[str, ...]:
    """Distinct treatments in the order in which papers list them."""
    return ordered(names, TREATMENTS)
