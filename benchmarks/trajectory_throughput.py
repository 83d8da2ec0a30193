"""Values of coalitions per second: in bulk beside one at a time, with and without hooks.

The same network answers in all forms, and their values must agree.  A row is one coalition of one
target: v(S) of minADE over K samples.  Then what exact values cost at 5, 8 and 12 players.

    python benchmarks/trajectory_throughput.py [--targets 64] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import pandas as pd
import torch

from makedo.data.tracks import Tracks
from makedo.data.windows import Windows, cut
from makedo.methods.trajectory import AttentionPredictor, game
from makedo.methods.trajectory.explaining import REAL, Rules, explain, games_of
from makedo.methods.trajectory.nulls import Donors
from makedo.methods.trajectory.value import Value

N_NEIGHBORS = 5
REPEATS = 5
N_SINGLE = 128  # rows that are asked for one at a time
AGREE = 1e-4  # metres


def main() -> None:
    """Print both tables; write them with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=64)
    parser.add_argument("--json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rates = pd.DataFrame([rate(given.targets, K, hidden) for hidden in (64, 128) for K in (1, 20)])
    print(f"{given.targets} targets, {N_NEIGHBORS} neighbours, one thread; rows a second")
    print(rates.to_string(index=False, float_format="{:.1f}".format))
    costs = pd.DataFrame([cost(given.targets, n) for n in (5, 8, 12)])
    print("\nexact values of all cues, K = 1, hidden 64; and 64 pairs of orders")
    print(costs.to_string(index=False, float_format="{:.4g}".format))
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump({"rates": rates.to_dict("records"), "costs": costs.to_dict("records")}, file)


def crowd(n_targets: int, n_agents: int) -> Windows:
    """Targets of one crowd of smooth walkers, each with all others as neighbours."""
    rng = np.random.default_rng(0)
    turns = rng.normal(scale=0.2, size=(400, n_agents)).cumsum(0)
    xy = 0.5 * np.stack([np.cos(turns), np.sin(turns)], axis=-1).cumsum(0)
    tracks = Tracks.from_arrays(xy + rng.normal(size=(n_agents, 2)), seconds_per_step=0.4)
    windows = cut(tracks)
    return windows.take(np.linspace(0, len(windows) - 1, n_targets).astype(int))


def trained(hidden: int, windows: Windows) -> AttentionPredictor:
    """A network of this size; what it has learnt does not matter here."""
    return AttentionPredictor(hidden=hidden, max_epochs=1, device="cpu").fit(windows)


def rate(n_targets: int, K: int, hidden: int) -> dict[str, Any]:
    """Rows a second of the three forms, their ratios, and how far their values are apart."""
    windows = crowd(n_targets, N_NEIGHBORS + 1)
    model = trained(hidden, windows)
    games = games_of(windows, Rules(), Donors.of(windows), None, REAL)
    members = game.all_coalitions(N_NEIGHBORS + 1)
    rows = np.repeat(np.arange(len(games)), len(members))
    all_members = np.tile(members, (len(games), 1))
    found, seconds = {}, {}
    for name, hooks in (("hooks", True), ("plain", False)):
        value = Value(model, "minade", K, hooks=hooks)
        found[name], seconds[name] = timed(lambda value=value: value(games, rows, all_members))
    some = np.random.default_rng(0).permutation(len(rows))[:N_SINGLE]
    single = Value(model, "minade", K, hooks=False)

    def one_by_one() -> np.ndarray:
        parts = [single(games, rows[[i]], all_members[[i]]) for i in some]
        return np.concatenate(parts)

    alone, spent = timed(one_by_one)
    apart = max(
        np.abs(found["hooks"] - found["plain"]).max(), np.abs(found["plain"][some] - alone).max()
    )
    assert apart < AGREE, f"values differ by {apart}"
    one = len(some) / spent
    bulk = {name: len(rows) / seconds[name] for name in found}
    return {
        "hidden": hidden, "K": K, "one at a time": one, "in bulk": bulk["plain"],
        "with hooks": bulk["hooks"], "ratio in bulk": bulk["plain"] / one,
        "ratio with hooks": bulk["hooks"] / one, "largest difference, 1e-6 m": 1e6 * apart,
    }  # fmt: skip


def cost(n_targets: int, n_players: int) -> dict[str, Any]:
    """Seconds and rows a target, exact and sampled, and how far the sample is off."""
    windows = crowd(min(n_targets, 16), n_players)
    model = trained(64, windows)
    donors, found = Donors.of(windows), {}
    for name in ("exact", "permutation"):
        value = Value(model, "minade", 1)
        started = time.perf_counter()
        local, _ = explain(windows, value, Rules(null="none", estimator=name), donors)
        spent = time.perf_counter() - started
        found[name] = (local["phi"].to_numpy(), value.n_rows / len(windows), spent / len(windows))
    off = np.sqrt(np.mean((found["permutation"][0] - found["exact"][0]) ** 2))
    return {
        "players": n_players, "rows exact": found["exact"][1], "s a target": found["exact"][2],
        "rows sampled": found["permutation"][1], "s a target, sampled": found["permutation"][2],
        "RMSE of sampled, m": off,
    }  # fmt: skip


def timed(work: Any) -> tuple[np.ndarray, float]:
    """The result and the median time after a warm-up."""
    found, spent = work(), []
    for _ in range(REPEATS):
        started = time.perf_counter()
        found = work()
        spent.append(time.perf_counter() - started)
    return found, float(np.median(spent))


if __name__ == "__main__":
    main()
