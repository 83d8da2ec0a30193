"""The official estimator beside ours at equal cost: how far is each from its own exact value?

The official code averages, for each cue, ten random coalitions with and without it, and draws new
noise for each of the 20 predictions: a Banzhaf value.  Ours takes ten pairs of an order and its
reverse, 20 N predictions for N cues as well, and shows all coalitions the same noise: a Shapley
value.  "by pairs" draws new noise for each pair, the same within it.  The exact value of each index
is the mean over many draws of common noise.

    python benchmarks/trajectory_banzhaf.py [--targets 24] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from makedo.data import catalog
from makedo.data.windows import Windows, cut
from makedo.methods.trajectory import LinearRidge, game
from makedo.methods.trajectory.absent import Games
from makedo.methods.trajectory.explaining import REAL, Rules, games_of
from makedo.methods.trajectory.nulls import Donors
from makedo.methods.trajectory.value import Value

K = 20
PLAYERS = (5, 10)
N_DRAWS = 60  # of noise, for the exact values
N_REPEATS = 25
N_COALITIONS = 10


def main() -> None:
    """Print the table; write it with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=24)
    parser.add_argument("--json")
    given = parser.parse_args()
    train, test = windows(given.targets)
    value = Value(LinearRidge(social=True).fit(train), "minade", K)
    games = games_of(test, Rules(), Donors.of(train), None, REAL)
    errors = pd.concat([of_target(value, games.take([i])) for i in range(len(games))])
    table = errors.groupby("cue", sort=False).apply(rmse, include_groups=False)
    print(f"{len(games)} targets of {PLAYERS[0]} to {PLAYERS[1]} players, K = {K}, "
          f"{N_REPEATS} repeats, exact over {N_DRAWS} draws of noise")  # fmt: skip
    print(table.to_string(float_format="{:.4f}".format))
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(table.reset_index().to_dict("records"), file)


def windows(n_targets: int) -> tuple[Windows, Windows]:
    """Walking people: learn from four recordings, explain crowded targets of another."""
    tracks = catalog.load("eth_ucy").tracks
    train = cut(tracks.of_scenes(lambda s: not s.startswith("students")), radius=3.0)
    test = cut(tracks.of_scenes(["students003"]), radius=3.0)
    n = test.present.sum(1) + 1
    fit = np.flatnonzero((n >= PLAYERS[0]) & (n <= PLAYERS[1]))
    return train, test.take(fit[np.linspace(0, len(fit) - 1, n_targets).astype(int)])


def of_target(value: Value, games: Games) -> pd.DataFrame:
    """Squared errors of both estimators for the past and for neighbours, mean over repeats."""
    n = int(games.n_players[0])
    v = np.stack(
        [evaluated(value, games, game.all_coalitions(n), noise) for noise in range(N_DRAWS)]
    )
    exact = {i: game.exact(n, i).solve(v.mean(0))[0] for i in ("shapley", "banzhaf")}
    rng = np.random.default_rng(0)
    off: dict[str, list[np.ndarray]] = {"official": [], "ours": [], "by pairs": []}
    for repeat in range(N_REPEATS):
        plan = game.permutations(n, N_COALITIONS, rng)
        ours = plan.solve(evaluated(value, games, plan.coalitions, 10_000 + repeat))[0]
        theirs = official(value, games, n, rng)
        pairs = np.mean([one_pair(value, games, n, rng) for _ in range(N_COALITIONS)], axis=0)
        off["by pairs"].append((pairs - exact["shapley"]) ** 2)
        off["ours"].append((ours - exact["shapley"]) ** 2)
        off["official"].append((theirs - exact["banzhaf"]) ** 2)
    mean = {name: np.mean(values, axis=0) for name, values in off.items()}
    cue = np.where(np.arange(n) == 0, "past", "neighbour")
    return pd.DataFrame({"cue": cue, **mean})


def evaluated(value: Value, games: Games, members: np.ndarray, noise: int) -> np.ndarray:
    """Values of coalitions, all under the same draw of noise."""
    return value(noisy(games, noise), np.zeros(len(members), int), members)


def noisy(games: Games, noise: int) -> Games:
    """The same games under another draw."""
    return replace(games, seeds=games.seeds + np.uint64(1_000 * noise))


def one_pair(value: Value, games: Games, n: int, rng: np.random.Generator) -> np.ndarray:
    """Shapley values from one order and its reverse, under noise of their own."""
    plan = game.permutations(n, 1, rng)
    return plan.solve(evaluated(value, games, plan.coalitions, int(rng.integers(2**30))))[0]


def official(value: Value, games: Games, n: int, rng: np.random.Generator) -> np.ndarray:
    """Ten coalitions a cue, and noise of its own for each of 20 n predictions."""
    plan = rng.random((n, N_COALITIONS, n)) < 0.5
    without, joined = plan.copy(), plan.copy()
    for j in range(n):
        without[j, :, j], joined[j, :, j] = False, True
    members = np.concatenate([joined.reshape(-1, n), without.reshape(-1, n)])
    each = games.take(np.zeros(len(members), int))
    fresh = rng.integers(0, 2**62, len(members)).astype(np.uint64)
    v = value(replace(each, seeds=fresh), np.arange(len(members)), members).reshape(2, n, -1)
    return (v[0] - v[1]).mean(1)


def rmse(part: Any) -> pd.Series:
    """Roots of the mean squared errors, and ratios to the official one."""
    found = {name: float(np.sqrt(part[name].mean())) for name in part}
    ratios = {f"ratio, {name}": found["official"] / found[name] for name in ("ours", "by pairs")}
    return pd.Series({f"{name}, m": value for name, value in found.items()} | ratios)


if __name__ == "__main__":
    main()
