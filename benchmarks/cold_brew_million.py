"""Cold Brew on a million nodes: how long, how much memory, how good, what the look-up misses.

A degree-corrected block model (mean degree 10, 64 features, 10 classes) is drawn; a tenth of its
nodes is taken out with all their edges, and one in twenty of the others keeps its label.  The model
learns with the settings below and predicts the nodes that were taken out.  Beside its accuracy
stand the share of the largest class, each part that could have served them, and the best answer
that anyone can give who sees features only, which is known because the data are made.  Then 1,000
of these nodes are looked up in the bank, everywhere and in its cells: the share of the neighbours
that is found, and the seconds of both.

    python benchmarks/cold_brew_million.py [--nodes 1000000 --threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from makedo.core.seeds import generator
from makedo.data.graph import Graph
from makedo.data.synthetic import BlockModelGraph, sbm_graph
from makedo.methods.cold_brew import ColdBrewClassifier
from makedo.methods.cold_brew.look_up import recall, search
from makedo.methods.cold_brew.student import exact_search
from makedo.methods.cold_brew.tasks import in_words

UNSEEN, LABELLED = 0.1, 0.05  # shares of all nodes, and of those that are left
N_CLASSES = 10
GRAPH = {"n_features": 64, "mean_degree": 10, "homophily": 0.8, "degree_exponent": 2.5,
         "signal": 2.0}  # fmt: skip
SETTINGS = {"max_epochs": 30, "patience": 10, "student_max_epochs": 8, "student_patience": 3,
            "part1_patience": 3, "batch_size": 8192}  # fmt: skip
N_QUERIES = 1000


class Problem(NamedTuple):
    """What is left of the graph, and the nodes that were taken out."""

    X: np.ndarray
    y: np.ndarray  # -1 where the label is not known
    graph: Graph
    X_unseen: np.ndarray
    y_unseen: np.ndarray
    best: np.ndarray  # the most probable class of the unseen, from their features


class Clock:
    """Seconds, wall and CPU, of each stage, printed as it ends."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do the work and say how long it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.seconds[stage] = round(time.perf_counter() - wall, 2)
        cpu = time.process_time() - cpu
        say(f"{stage}: s", f"{self.seconds[stage]:.2f} (CPU {cpu:.2f}); peak {peak():.2f} GB")
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = {"nodes": arguments.nodes, "threads": arguments.threads, "graph": GRAPH,
                "model": SETTINGS, "load": os.getloadavg()}  # fmt: skip
    for name, value in settings.items():
        say(name, value)
    clock = Clock()
    data = clock("generate", lambda: sbm_graph(arguments.nodes, N_CLASSES, **GRAPH))
    problem = clock("take nodes out", partial(take_out, data))
    del data
    model = ColdBrewClassifier(**SETTINGS, device="cpu")
    clock("fit", lambda: model.fit(problem.X, problem.y, graph=problem.graph))
    for phase, rows in model.history_.groupby("phase", sort=False):
        say(f"  {phase}: s", f"{rows['seconds'].max():.2f} in {len(rows)} epochs")
    proba = clock("predict", lambda: model.predict_proba(problem.X_unseen))
    scaled = model.scaler_.transform(problem.X_unseen)
    clock("predict with the student, which looks up", lambda: model._server.cold(scaled, "student"))
    figures = quality(model, problem, proba) | look_up(model, problem)
    figures["fit and predict: s"] = round(clock.seconds["fit"] + clock.seconds["predict"], 2)
    figures["peak memory: GB"] = round(peak(), 2)
    for name, value in figures.items():
        say(name, value)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(settings | {"seconds": clock.seconds} | figures, file, indent=1)


def take_out(data: BlockModelGraph) -> Problem:
    """Part the nodes; those that are taken out leave no trace in the graph."""
    n = len(data.y)
    order = generator(0, "unseen").permutation(n)
    unseen, rest = np.sort(order[: int(UNSEEN * n)]), np.sort(order[int(UNSEEN * n) :])
    y = np.full(len(rest), -1)
    known = generator(0, "labels").permutation(len(rest))[: int(LABELLED * len(rest))]
    y[known] = data.y[rest[known]]
    X_unseen = data.X[unseen]
    return Problem(
        data.X[rest],
        y,
        data.graph.subgraph(rest),
        X_unseen,
        data.y[unseen],
        data.best_guess(X_unseen),
    )


def quality(model: ColdBrewClassifier, problem: Problem, proba: np.ndarray) -> dict[str, Any]:
    """Accuracy on the unseen nodes, per cent, of the model and of what it is compared with."""
    truth = problem.y_unseen
    scaled = model.scaler_.transform(problem.X_unseen)
    right = {"Cold Brew": model.classes_[proba.argmax(1)] == truth}
    for part in model.part_scores_:
        right[f"part: {part}"] = model.classes_[model._server.cold(scaled, part).argmax(1)] == truth
    right["best from features"] = problem.best == truth
    right["class prior"] = np.bincount(problem.y[problem.y >= 0]).argmax() == truth
    figures = {f"accuracy, {name}: %": round(100 * float(r.mean()), 2) for name, r in right.items()}
    return {"unseen nodes": len(truth), "served by": in_words(model.unlinked_pool_)} | figures


def look_up(model: ColdBrewClassifier, problem: Problem) -> dict[str, Any]:
    """The same queries everywhere and in the cells: seconds, and the share that is found."""
    bank = model.bank_
    assert bank is not None
    if bank.cells is None:
        return {"look-up": f"exact: the bank has {len(bank.rows):,} rows"}
    width = bank.values.shape[1]
    query = bank.as_key(torch.from_numpy(model.transform(problem.X_unseen)[:, width:]))
    some, K = query[:N_QUERIES], model.n_neighbors
    seconds, results = {}, {}
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "everywhere": lambda: exact_search(some, bank.keys, K)[1],
        "in cells": lambda: search(some, bank.keys, bank.cells, K)[1],
        "all unseen nodes, in cells": lambda: search(query, bank.keys, bank.cells, K)[1],
    }
    for way, run in ways.items():
        started = time.perf_counter()
        results[way] = run()
        seconds[f"look-up {way}: s"] = round(time.perf_counter() - started, 3)
    found = [recall(results[way][:N_QUERIES], results["everywhere"]) for way in list(ways)[1:]]
    return {
        f"recall@{K} on {len(some):,} queries": round(found[0], 4),
        "the same among all unseen nodes": round(found[1], 4),
        "bank rows, cells, cells a query": f"{len(bank.rows):,}, {len(bank.cells.centers):,}, "
        f"{bank.cells.n_probe}",
    } | seconds


def peak() -> float:
    """The most memory that this process had, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def say(name: str, value: object) -> None:
    print(f"{name:<44} {value}", flush=True)


if __name__ == "__main__":
    main()
