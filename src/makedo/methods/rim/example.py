"""A small log for the contract tests: users differ in how active they are and what they like."""

from __future__ import annotations

import numpy as np
import pandas as pd

from makedo.core.example import Example
from makedo.methods.rim.estimator import RIM


def small_example(random_state: int = 0, marks: str = "transformer") -> Example:
    """40 users with 12 items over 100 days, and six pairs to be scored.

    A network shows most of what the contract promises; other marks can be asked for.
    """
    rng = np.random.default_rng(random_state)
    n_events = rng.poisson(np.geomspace(3, 60, 40)) + 1
    user = np.repeat(np.arange(40), n_events)
    item = (3 * user + rng.geometric(0.4, len(user))) % 12
    log = pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in user],
            "item_id": [f"i{i}" for i in item],
            "timestamp": 1_500_000_000 + rng.integers(0, 100 * 86_400, len(user)),
        }
    )
    pairs = log[["user_id", "item_id"]].drop_duplicates().iloc[5:65:10].reset_index(drop=True)
    later = log.assign(timestamp=log["timestamp"] + 100 * 86_400)
    return Example(RIM(marks, horizon="10D"), {"X": log}, pairs, judged={"X": later})
