"""GCN and MLP on the splits of the literature: are the baselines as good as there?"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from makedo.core.candidates import Candidate, Outcome
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data import catalog
from makedo.methods.cold_brew.baselines import candidates

TITLE = "Public split: the baselines are sound"
# Literature, quoted from memory by the specification: Kipf & Welling 2017 for GCN.
LITERATURE = {"cora": {("GCN", "test"): 81.5}, "citeseer": {("GCN", "test"): 70.3}}


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """GCN and MLP in their defaults on the split of the literature: are they as good as there?"""
    load = cache(catalog.load)  # when a row is measured; all of them share the graph
    listed = [Candidate(one.name, one.make) for one in candidates("MLP", "GCN")]

    def one(model: Any, seed: int) -> Outcome:
        graph = load(data)
        train, valid, test = (graph.masks[part][0] for part in ("train", "valid", "test"))
        model.fit(
            graph.X, graph.y, graph=graph.graph.positional(), train_mask=train, valid_mask=valid
        )
        right = model.predict(nodes=np.arange(len(graph.y))) == graph.y
        return Outcome(
            float(right[valid].mean()),
            {"test": float(right[test].mean())},
            {"test": int(test.sum())},
        )

    return comparison_rows(TITLE, data, listed, one, seeds=seeds, paper=LITERATURE[data])
