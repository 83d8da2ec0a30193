"""Rows that are learnt from and judge as well: their own labels would vouch for them."""

from __future__ import annotations

import warnings

import numpy as np

from makedo.core.checks import MakedoWarning, count
from makedo.core.seeds import generator
from makedo.methods.diva.rows import Rows

SIGNIFICANT = 3.0  # standard errors by which more rows are shared than chance explains


def warn_of_shared(owner: str, training: Rows, judges: Rows, name: str) -> None:
    """Warn where rows of ``judges`` stand in training too, more than chance explains.

    Two samples of a table with few values may be alike.  How often, the training rows tell: as many
    of the other rows as of these have a twin among them, by chance.
    """
    ours, theirs = keys(training), keys(judges)
    shared = np.isin(theirs, ours)
    _, times = np.unique(ours, return_counts=True)
    chance = times[times > 1].sum() / len(ours)
    error = np.sqrt(chance * (1 - chance) / len(theirs))
    if shared.mean() > chance + SIGNIFICANT * error:
        n = int(shared.sum())
        warnings.warn(
            f"{owner}: {count(n)} of {count(len(theirs), 'row')} of {name} "
            f"{'stands' if n == 1 else 'stand'} among the training rows too (first: row "
            f"{int(shared.argmax()):,}). What was learnt from is no judge of what was learnt: "
            "leave such rows out of one of them.",
            MakedoWarning,
            stacklevel=3,
        )


def keys(rows: Rows) -> np.ndarray:
    """A number for each row, alike for rows of equal float32 features, (n,) uint64.

    The features as whole numbers, times random odd ones: unequal rows share one with a probability
    below 2⁻³².
    """
    factors = generator(0, "keys").integers(2**64, size=rows.n_features, dtype=np.uint64)
    factors |= np.uint64(1)
    out = np.empty(rows.n_rows, np.uint64)
    for where, block in rows.blocks:
        with np.errstate(over="ignore"):
            bits = (block.astype(np.float32) + 0.0).view(np.uint32)  # −0 and 0 are one number
        out[where] = bits.astype(np.uint64) @ factors
    return out
