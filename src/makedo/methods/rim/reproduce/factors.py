"""Factor models of implicit as marks, with the settings of the paper's code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from makedo.core.checks import optional
from makedo.data.interaction_splits import Split
from makedo.methods.rim.given import GivenScores
from makedo.methods.rim.marks import Marks, histories

SETTINGS: dict[str, tuple[str, str, str, dict[str, Any]]] = {  # module, class, link, settings
    "ALS": (
        "implicit.cpu.als",
        "AlternatingLeastSquares",
        "softplus",
        {"factors": 32, "iterations": 50, "regularization": 0.01},
    ),
    "LogisticMF": (
        "implicit.cpu.lmf",
        "LogisticMatrixFactorization",
        "sigmoid",
        {
            "factors": 30,
            "iterations": 30,
            "learning_rate": 1.0,
            "regularization": 0.6,
            "neg_prop": 30,
        },
    ),
    "BPR": (
        "implicit.cpu.bpr",
        "BayesianPersonalizedRanking",
        "softplus",
        {"factors": 32, "iterations": 50},
    ),
}


def marks_of(name: str) -> Callable[[Split], Marks]:
    """What fits one of them on the training histories of a split."""

    def fit(split: Split) -> Marks:
        module, kind, link, settings = SETTINGS[name]
        implicit = optional(module, extra="recsys", user=f"The row {name}")
        model = getattr(implicit, kind)(**settings, random_state=0, num_threads=1)
        model.fit(histories(split.train, split.log.n_items), show_progress=False)
        return GivenScores(link).fit(split.train, split.horizon, model)

    return fit
