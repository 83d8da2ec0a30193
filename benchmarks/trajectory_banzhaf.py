"""The official estimator beside ours at equal cost: how far is each from its own exact value?

The official code averages, for each cue, ten random coalitions with and without it, and draws new
noise for each of the 20 predictions: a Banzhaf value.  Ours takes ten pairs of an order and its
reverse, 20 N predictions for N cues as well, with one draw of noise for each pair: a Shapley value.
"one draw" shows all pairs the same noise.  The exact value of each index is the mean over many
draws; how far such a mean is off itself stands beside the errors.

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
N_DRAWS = 200  # of noise, for the exact values
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
    off: dict[str, list[np.ndarray]] = {"official": [], "ours": [], "one draw": []}
    for repeat in range(N_REPEATS):
        plan = game.permutations(n, N_COALITIONS, rng)
        first = N_DRAWS + N_COALITIONS * repeat  # draws that the exact values do not know
        ours = plan.solve(evaluated(value, games, plan.coalitions, first + plan.noise))[0]
        one_draw = plan.solve(evaluated(value, games, plan.coalitions, first))[0]
        theirs = official(value, games, n, rng)
        off["official"].append((theirs - exact["banzhaf"]) ** 2)
        off["ours"].append((ours - exact["shapley"]) ** 2)
        off["one draw"].append((one_draw - exact["shapley"]) ** 2)
    each = game.exact(n).solve(v)[0]  # (N_DRAWS, n)
    off["of the exact value"] = [each.var(0, ddof=1) / N_DRAWS]
    mean = {name: np.mean(values, axis=0) for name, values in off.items()}
    cue = np.where(np.arange(n) == 0, "past", "neighbour")
    return pd.DataFrame({"cue": cue, **mean})


def evaluated(
    value: Value, games: Games, members: np.ndarray, noise: np.ndarray | int
) -> np.ndarray:
    """Values of coalitions of one target, each under its draw of noise."""
    return value(games, np.zeros(len(members), int), members, noise)


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
    ratios = {f"ratio, {name}": found["official"] / found[name] for name in ("ours", "one draw")}
    return pd.Series({f"{name}, m": value for name, value in found.items()} | ratios)


if __name__ == "__main__":
    main()
