"""Cold Brew on a million nodes: how long, how much memory, how good, and what the look-up misses.

A degree-corrected block model (mean degree 10, 64 features, 10 classes) is drawn; a tenth of its
nodes is taken out with all their edges, one in twenty of the others has a label. The model learns
with the settings below and predicts the nodes that were taken out. Beside its accuracy: the share
of the largest class; the MLP that sees features and labels only; the best answer that any
classifier without edges can give, which is known because the data are made. Then 1,000 of these
nodes are looked up in the bank, everywhere and in the cells: the share of the neighbours found, and
the seconds of both.

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

import numpy as np
import torch

from makedo.data.synthetic import BlockModelGraph, sbm_graph
from makedo.methods.cold_brew import ColdBrewClassifier
from makedo.methods.cold_brew.look_up import recall, search
from makedo.methods.cold_brew.student import exact_search, guesses
from makedo.nn.features import Features

UNSEEN, LABELLED = 0.1, 0.05  # shares of all nodes, and of those that are left
N_CLASSES = 10
GRAPH = {"n_features": 64, "mean_degree": 10, "homophily": 0.8, "degree_exponent": 2.5}
SETTINGS = {
    "max_epochs": 30, "patience": 10, "student_max_epochs": 8, "student_patience": 3,
    "batch_size": 8192,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{arguments.nodes:,} nodes, {arguments.threads} threads, load {os.getloadavg()}")
    print(f"graph {GRAPH}, {N_CLASSES} classes; settings {SETTINGS}", flush=True)
    clock = Clock()
    data = clock("generate", lambda: sbm_graph(arguments.nodes, N_CLASSES, **GRAPH))
    parts = clock("hold out", lambda: hold_out(data))
    model = ColdBrewClassifier(**SETTINGS, device="cpu", on_step=None)
    figures: dict[str, object] = {}
    for name, value in figures.items():
        print(f"{name:<62} {value}")


if __name__ == "__main__":
    main()
