"""Feature contribution ratio: do the features carry the signal, or does the graph (section 4)?"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from makedo.core.checks import MakedoWarning


def feature_contribution_ratio(z_gnn: float, z_mlp: float, z_lp: float) -> float:
    """FCR in per cent, of a graph network, an MLP and label propagation (eq. 7).

    Scores are higher when better.  With δ_MLP = z_GNN − z_MLP and δ_LP = z_GNN − z_LP::

        FCR = δ_LP / (δ_MLP + δ_LP)                 if z_MLP ≤ z_GNN
              1 + |δ_MLP| / (|δ_MLP| + |δ_LP|)      otherwise

    Below 50 the graph matters more, from 50 to 100 the features, above 100 the features alone beat
    the graph network.  The paper leaves two corners open: NaN where all three are equal; 0 where
    label propagation beats a graph network that is not beaten by the features (the formula would
    leave its range there).
    """
    d_mlp, d_lp = z_gnn - z_mlp, z_gnn - z_lp
    if z_mlp > z_gnn:
        return 100 * (1 + abs(d_mlp) / (abs(d_mlp) + abs(d_lp)))
    if d_lp < 0:
        return 0.0
    return 100 * d_lp / (d_mlp + d_lp) if d_mlp + d_lp > 0 else math.nan


@dataclass(frozen=True)
class FCR:
    """A measured feature contribution ratio.

    Parameters
    ----------
    ratio : float
        In per cent.
    low, high : float
        95 % bootstrap interval over test nodes.
    z_gnn, z_mlp, z_lp : float
        Accuracy of the graph network, of the MLP and of label propagation.
    lp_beats_gnn : bool
    n_nodes : int
        Test nodes.
    """

    ratio: float
    low: float
    high: float
    z_gnn: float
    z_mlp: float
    z_lp: float
    lp_beats_gnn: bool
    n_nodes: int

    @property
    def reading(self) -> str:
        """What the ratio and its interval say, in words."""
        if math.isnan(self.ratio):
            equal = "Graph, features and neighbours' labels do equally well"
            return f"{equal}: the ratio is not defined."
        if self.low >= 100:
            return "The features alone beat the graph: use a classifier on the features."
        if self.high < 50:
            return "The graph carries most of the signal: nodes without edges are the hard ones."
        if 50 <= self.low and self.high < 100:
            return "The features carry most of the signal, and the graph adds to it."
        if self.high < 100:
            return "Graph and features both carry signal."
        return "The data do not say whether the graph adds to the features."


def measured_fcr(
    gnn: np.ndarray, mlp: np.ndarray, lp: np.ndarray, rng: np.random.Generator, n_boot: int = 1000
) -> FCR:
    """FCR of three predictions of the same test nodes, with a bootstrap interval over these.

    gnn, mlp, lp: bool ndarrays (n_nodes,), whether each is right.
    """
    right = np.stack([gnn, mlp, lp]).astype(float)  # (3, n_nodes)
    n = right.shape[1]
    ratios = [
        feature_contribution_ratio(*right[:, rng.integers(n, size=n)].mean(1))
        for _ in range(n_boot)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all resamples undefined
        low, high = np.nanpercentile(ratios, [2.5, 97.5])
    z_gnn, z_mlp, z_lp = right.mean(1).tolist()
    ratio = feature_contribution_ratio(z_gnn, z_mlp, z_lp)
    if math.isnan(ratio):
        warnings.warn(
            "The feature contribution ratio is not defined: graph network, MLP and label "
            "propagation are equally good.",
            MakedoWarning,
            stacklevel=2,
        )
    return FCR(ratio, float(low), float(high), z_gnn, z_mlp, z_lp, z_lp > z_gnn, n)
