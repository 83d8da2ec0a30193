"""One step of the game and the whole DG-15 fit, beside the same step pair by pair in Python.

    python benchmarks/grda_step.py [--json]

Both run the same networks on the same rows; losses are checked to agree before anything is timed.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time

import numpy as np
import torch
from torch.nn import functional

from makedo import GRDAClassifier
from makedo.data.spiral import make_domain_graph_spiral
from makedo.methods.grda.adversaries import graph_loss
from makedo.methods.grda.tasks import Classification
from makedo.methods.grda.team import Game, Player, Rows

WIDTHS, REPEATS, PAPER_STEPS = (64, 512), 5, 5000  # 500 epochs of 10 steps


def game(width: int) -> Game:
    """An untrained model on DG-15 by the recipe."""
    drawn = make_domain_graph_spiral(15, preset="shipped")
    model = GRDAClassifier("network", 1.0, hidden=width, device="cpu")
    model.graph_, model.complete_ = drawn.graph, False
    z = np.random.default_rng(0).normal(size=(15, 2)).astype(np.float32)
    rows = Rows(drawn.X.astype(np.float32), drawn.domain, z, drawn.graph.adjacency)
    players = [Player(1.0, drawn.y, np.isin(drawn.domain, drawn.sources))]
    torch.manual_seed(0)
    return Game(model, rows, players, Classification(np.array([0, 1])))


def by_pairs(q: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
    """The graph loss with a call for each pair of domains, as research code has it."""
    edges, others = [], []
    for i, j in itertools.combinations(range(len(adjacency)), 2):
        target = torch.full((q.shape[1],), float(adjacency[i, j]))
        loss = functional.binary_cross_entropy_with_logits((q[i] * q[j]).sum(1), target)
        (edges if adjacency[i, j] else others).append(loss)
    return (torch.stack(edges).mean() + torch.stack(others).mean()) / 2


def our_step(played: Game, batch: object) -> None:
    """Both updates, as the training loop does them."""
    for update in played.phase("p").updates:
        update.optimizer.zero_grad(set_to_none=True)
        update.loss(batch).backward()
        update.optimizer.step()


def pairwise_step(played: Game, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """The same with the loss pair by pair, and the encoder run twice."""
    domains, rows = batch
    flat, near = rows.flatten(), played.adjacency[domains][:, domains]
    adversary, (for_team, for_adversary) = played.adversary, played.optimizers

    def nodes(e: torch.Tensor) -> torch.Tensor:
        return adversary.net(e)[0].unflatten(0, (len(domains), -1)) * adversary.scale

    for optimizer, detached in ((for_adversary, True), (for_team, False)):
        optimizer.zero_grad(set_to_none=True)
        e, outputs = played.team(played.X[flat], played.z[played.domain[flat]])
        loss = by_pairs(nodes(e.detach() if detached else e), near)
        if not detached:
            seen = played.labelled[0, flat]
            task = functional.cross_entropy(outputs[0, seen], played.y[0, flat][seen])
            loss = task - played.scale * loss
        loss.backward()
        optimizer.step()


def median_seconds(step, played: Game, batch: object) -> float:
    """Of five, after one to warm up."""
    step(played, batch)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        step(played, batch)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    found: dict[str, object] = {}
    for width in WIDTHS:
        played = game(width)
        batch = next(iter(played.batches(np.random.default_rng(0))))
        q = torch.randn(1, 15, 10, 4)
        gap = float(graph_loss(q, played.adjacency, "none")[0] - by_pairs(q[0], played.adjacency))
        assert abs(gap) < 1e-5, gap
        ours = median_seconds(our_step, played, batch)
        theirs = median_seconds(pairwise_step, played, batch)
        found |= {
            f"step at width {width}, seconds": ours,
            f"step at width {width} pair by pair, seconds": theirs,
            f"step at width {width}, ratio": theirs / ours,
        }
    drawn = make_domain_graph_spiral(15, preset="shipped")
    started = time.perf_counter()
    GRDAClassifier("network", 1.0, device="cpu").fit(
        drawn.X, drawn.y, domain=drawn.domain, graph=drawn.graph, sources=drawn.sources
    )
    fit = time.perf_counter() - started
    paper = PAPER_STEPS * float(found["step at width 512 pair by pair, seconds"])  # pyright: ignore[reportArgumentType]
    found |= {
        "whole fit with our defaults, seconds": fit,
        "500 epochs pair by pair at width 512, seconds (from one step)": paper,
        "whole fit, ratio": paper / fit,
    }
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<64} {value:.4g}")


if __name__ == "__main__":
    main()
