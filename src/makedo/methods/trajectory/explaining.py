"""From targets to values of their cues: games, coalitions, predictions in bulk, and φ.

For each target a game of its past and its neighbours is played; beside it one in which the
neighbours are random ones, or stand where others stood at another time (see :mod:`.nulls`).  Games
are taken in portions whose rows fit into a few calls of the predictor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count
from makedo.data.windows import Cues, Windows
from makedo.methods.trajectory import absent, game
from makedo.methods.trajectory.absent import Games
from makedo.methods.trajectory.game import Marginals, Plan
from makedo.methods.trajectory.nulls import Donors, OtherTimes
from makedo.methods.trajectory.value import Value

PORTION, MOST_GAMES = 1 << 17, 4096  # coalitions and games whose values are held at once
REAL, RANDOM, OTHER_TIME = "real", "random", "other time"  # names of the games
PAST, NEIGHBORS, STRANGER = "past", "neighbors", "random neighbor"  # names of players
FIRST_ROUND = 8  # permutations before a tolerance is first looked at


@dataclass(frozen=True)
class Rules:
    """How games are made and played: parameters of the attributor, by their names there."""

    absent_past: str = "static"
    absent_neighbor: str = "removed"
    n_resamples: int = 10
    players: str = "each"
    null: str = "random_neighbor"
    null_mode: str = "separate"
    index: str = "shapley"
    estimator: str = "auto"
    budget: int = 1024
    n_permutations: int = 64
    n_repeats: int = 1
    tolerance: float | None = None
    radius: float | None = None
    random_state: int = 0

    @property
    def nulls(self) -> tuple[str, ...]:
        """The games beside the real one."""
        wanted = {"random_neighbor": (RANDOM,), "other_time": (OTHER_TIME,), "none": ()}
        found = wanted.get(self.null, (RANDOM, OTHER_TIME))
        return tuple(name for name in found if not (self.adds_stranger and name == RANDOM))

    @property
    def adds_stranger(self) -> bool:
        """Whether a random neighbour is one more player of the real game."""
        return self.null_mode == "extra" and self.null in ("random_neighbor", "both")

    def plan(self, n_players: int, seed: int) -> Plan:
        """The coalitions of a game."""
        if self.estimator == "exact" and n_players > game.MOST_EXACT:
            raise MakedoInputError(
                f'estimator="exact" would need {count(1 << n_players, "coalition")} of '
                f"{n_players} players (past and neighbours) for one target; up to "
                f"{game.MOST_EXACT} players it is done. Lower max_neighbors or radius, or take "
                'estimator="auto".'
            )
        names = ("index", "estimator", "budget", "n_permutations")
        how: dict[str, Any] = {name: getattr(self, name) for name in names}
        how["n_draws"] = self.n_repeats
        return game.plan(n_players, np.random.default_rng(seed), **how)


# --- games ----------------------------------------------------------------------------------------


def games_of(
    windows: Windows, rules: Rules, donors: Donors, others: OtherTimes | None, name: str
) -> Games:
    """The games of this name of all targets: the real ones, or with other neighbours."""
    seeds = windows.seeds(rules.random_state)
    cues = windows.cues()
    if name == RANDOM:
        cues = _with_neighbors(cues, donors.neighbors(windows, seeds))
    elif name == OTHER_TIME:
        assert others is not None
        tracks, present, kind = others.neighbors(windows, seeds, rules.radius)
        cues = replace(cues, neighbors=tracks, present=present, neighbor_kind=kind)
    player = players_of(cues, rules.players)
    if name == REAL and rules.adds_stranger:
        cues, player = _with_stranger(cues, player, windows, donors, seeds)
    swapped = None
    if rules.absent_neighbor == "random":
        other_seeds = seeds + np.uint64(1)  # not those of the random neighbours themselves
        swapped = donors.neighbors(windows, other_seeds)
        swapped = _padded(swapped, cues.present.shape[1])
    past = absent_pasts(windows, rules, donors, seeds)
    return Games(cues, past, swapped, player, seeds, windows.future)


def absent_pasts(windows: Windows, rules: Rules, donors: Donors, seeds: np.ndarray) -> np.ndarray:
    """What stands for the pasts of targets, (n, D, n_past, 2)."""
    if rules.absent_past == "static":
        return absent.static(windows.past)
    if rules.absent_past == "constant_velocity":
        return absent.constant_velocity(windows.past)
    n_draws = rules.n_resamples if rules.absent_past == "resample" else 1
    found = donors.pasts(windows, seeds, n_draws)
    lacking = np.isnan(found).any((1, 2, 3))
    if lacking.any():
        raise MakedoInputError(
            f"absent_past={rules.absent_past!r}: for {count(int(lacking.sum()), 'target')} of "
            f"{len(windows):,} no other target was found in another scene or "
            f'{donors.apart:g} s away. Fit on more tracks, or take absent_past="static".'
        )
    return found


def players_of(cues: Cues, players: str) -> np.ndarray:
    """The player of each neighbour, (n, M), from 1; 0 where there is none."""
    if players == "all":
        return cues.present.astype(int)
    if players == "each":
        return np.where(cues.present, cues.present.cumsum(1), 0)
    number = np.zeros(cues.present.shape, int)
    for k in np.unique(cues.neighbor_kind[cues.present]):
        of_kind = cues.present & (cues.neighbor_kind == k)
        number = np.where(of_kind, number.max(1, initial=0, keepdims=True) + 1, number)
    return number


def _with_neighbors(cues: Cues, tracks: np.ndarray) -> Cues:
    return replace(cues, neighbors=tracks, present=np.isfinite(tracks[:, :, -1, 0]))


def _with_stranger(
    cues: Cues, player: np.ndarray, windows: Windows, donors: Donors, seeds: np.ndarray
) -> tuple[Cues, np.ndarray]:
    """One more neighbour, a random one of the nearest one's kind, in a slot of its own.

    It is a player of its own, the last, whoever the other neighbours play with.
    """
    usual = windows.kinds.index(donors.kind[0]) if len(donors) else 0
    nearest = np.where(windows.present.any(1), windows.present.argmax(1), 0)
    kind = cues.neighbor_kind[np.arange(len(cues)), nearest]
    kind = np.where(windows.present.any(1), kind, usual)[:, None].astype(np.int32)
    one = replace(windows, present=np.ones((len(cues), 1), bool), neighbor_kind=kind)
    track = donors.neighbors(one, seeds)  # (n, 1, n_past, 2)
    there = np.isfinite(track[:, :, -1, 0])
    last = np.where(there, player.max(1, keepdims=True) + 1, 0)
    found = replace(
        cues,
        neighbors=np.concatenate([cues.neighbors, track], axis=1),
        present=np.concatenate([cues.present, there], axis=1),
        neighbor_kind=np.concatenate([cues.neighbor_kind, kind], axis=1),
    )
    return found, np.concatenate([player, last], axis=1)


def _without_stranger(games: Games) -> Games:
    """Past against the real neighbours as one player: the headline."""
    real = games.cues.present.copy()
    real[:, -1] = False
    return replace(games, cues=replace(games.cues, present=real), player=real.astype(int))


def _padded(tracks: np.ndarray, M: int) -> np.ndarray:
    more = ((0, 0), (0, M - tracks.shape[1]), (0, 0), (0, 0))
    return np.pad(tracks, more, constant_values=np.nan)


# --- playing --------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _plan_of_all(rules: Rules, n_players: int) -> Plan:
    """What games share whose plan is exact."""
    return rules.plan(n_players, 0)


@dataclass(frozen=True)
class Played:
    """What came out of games.

    Attributes
    ----------
    phi, se : ndarray of shape (B, N)
        NaN beyond a game's own players.
    with_past : ndarray of shape (B, N)
        Shapley interaction of each neighbour with the past; NaN where the plan is not exact.
    four : ndarray of shape (B, 4)
        v of nobody, of the past alone, of the neighbours alone, of all; means over draws of noise.
    """

    phi: np.ndarray
    se: np.ndarray
    with_past: np.ndarray
    four: np.ndarray

    @classmethod
    def empty(cls, n_games: int, n_players: int) -> Played:
        """To be filled in."""
        shapes = [(n_games, n_players)] * 3 + [(n_games, 4)]
        return cls(*(np.full(shape, np.nan) for shape in shapes))


def play(
    games: Games, value: Value, rules: Rules, on_rows: Callable[[int], Any] = lambda n: None
) -> Played:
    """φ of every player of every game."""
    n_players = games.n_players
    found = Played.empty(len(games), int(n_players.max(initial=1)))
    for n in np.unique(n_players).tolist():
        rows = np.flatnonzero(n_players == n)
        shared = _plan_of_all(rules, n)
        step = min(MOST_GAMES, max(1, PORTION // len(shared)))
        for begin in range(0, len(rows), step):
            some = rows[begin : begin + step]
            part = games.take(some)
            plans = (
                [shared] * len(some)
                if shared.is_exact
                else [rules.plan(n, int(seed)) for seed in part.seeds]
            )
            _play_portion(part, plans, value, rules, found, some)
            on_rows(len(some))
    return found


def _play_portion(
    games: Games, plans: list[Plan], value: Value, rules: Rules, found: Played, rows: np.ndarray
) -> None:
    """Games of the same number of players; what comes out goes into ``found`` at ``rows``."""
    n = plans[0].coalitions.shape[1]
    if rules.tolerance is None or plans[0].is_exact:
        values = _evaluated(games, plans, [slice(None)] * len(plans), value)
        solved = _solved(plans, values)
    else:
        values, solved = _until_sure(games, plans, value, rules)
    found.phi[rows, :n], found.se[rows, :n] = solved
    found.four[rows] = [np.nanmean(v[p.four], 0) for v, p in zip(values, plans, strict=True)]
    if plans[0].is_exact and rules.index == "shapley":
        v = np.stack(values).reshape(len(rows), -1, 1 << n).mean(1)  # over draws of noise
        for j in range(1, n):
            found.with_past[rows, j] = v @ game.interaction_weights(n, 0, j)


def _evaluated(
    games: Games, plans: list[Plan], wanted: list[Any], value: Value
) -> list[np.ndarray]:
    """Values of the wanted rows of each game's coalitions; NaN for the others."""
    parts = [plan.coalitions[rows] for plan, rows in zip(plans, wanted, strict=True)]
    noise = [plan.noise[rows] for plan, rows in zip(plans, wanted, strict=True)]
    sizes = [len(part) for part in parts]
    row = np.repeat(np.arange(len(plans)), sizes)
    flat = value(games, row, np.concatenate(parts), np.concatenate(noise))
    found = []
    pieces = np.split(flat, np.cumsum(sizes)[:-1])
    for plan, rows, piece in zip(plans, wanted, pieces, strict=True):
        whole = np.full(len(plan), np.nan)
        whole[rows] = piece
        found.append(whole)
    return found


def _solved(plans: list[Plan], values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """φ and standard errors, (games, N); at once where the plan is shared."""
    if plans[0].is_exact:
        return plans[0].solve(np.stack(values))
    pairs = [plan.solve(v) for plan, v in zip(plans, values, strict=True)]
    phi, se = zip(*pairs, strict=True)
    return np.stack(phi), np.stack(se)


def _until_sure(
    games: Games, plans: list[Plan], value: Value, rules: Rules
) -> tuple[list[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Samples in rounds, each twice as many, until standard errors are within tolerance."""
    values = [np.full(len(plan), np.nan) for plan in plans]
    n = plans[0].coalitions.shape[1]
    phi, se = np.zeros((len(plans), n)), np.full((len(plans), n), np.inf)
    open_, n_known, n_samples = np.arange(len(plans)), 0, FIRST_ROUND
    while len(open_):
        some = [plans[i] for i in open_]  # a sample is what shares a draw of noise
        wanted = [(plan.noise >= n_known) & (plan.noise < n_samples) for plan in some]
        fresh = _evaluated(games.take(open_), some, wanted, value)
        for new, plan, i in zip(fresh, some, open_, strict=True):
            values[i] = np.where(np.isfinite(new), new, values[i])
            phi[i], se[i] = _first(plan.solve, n_samples)(values[i])
        done = n_samples >= int(plans[0].noise[-1]) + 1
        open_ = open_[:0] if done else open_[~(se[open_].max(1) <= rules.tolerance)]
        n_known, n_samples = n_samples, 2 * n_samples
    return values, (phi, se)


def _first(solver: Any, n_samples: int) -> Marginals:
    assert isinstance(solver, Marginals), "a tolerance is for estimators that sample marginals"
    return solver.first(n_samples)


# --- tables ---------------------------------------------------------------------------------------


def explain(
    windows: Windows,
    value: Value,
    rules: Rules,
    donors: Donors,
    on_targets: Callable[[int], Any] = lambda n: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values of all cues of all targets, and what each target's predictions are worth.

    Returns
    -------
    local : DataFrame
        A row for each target, game and player: scene, frame, agent, block, game, player, kind,
        distance, phi, se, with_past.
    targets : DataFrame
        A row for each target: scene, frame, agent, kind, block, n_neighbors, n_cut, error_none,
        error_past, error_neighbors, error_all; of each null, error_neighbors_… and error_all_…;
        with one more random neighbour as a player, error_stranger of all and it.
    """
    others = OtherTimes(windows) if OTHER_TIME in rules.nulls else None
    with_stranger = np.zeros(len(windows))
    parts, all_played = [], {}
    for name in (REAL, *rules.nulls):
        games = games_of(windows, rules, donors, others, name)
        if name == REAL:
            value.check(games)
            rows = np.arange(len(windows))
        else:  # without neighbours it is the real game
            rows = np.flatnonzero(games.cues.present.any(1))
        played = play(games.take(rows), value, rules, on_targets)
        if name == REAL and rules.adds_stranger:
            only = replace(rules, index="shapley", estimator="exact")
            with_stranger = played.four[:, 3]
            played = replace(played, four=play(_without_stranger(games), value, only).four)
        parts.append(_local(windows.take(rows), games.take(rows), played, name, rules, rows))
        all_played[name] = (rows, played)
    targets = _targets(windows, all_played)
    if rules.adds_stranger:
        targets["error_stranger"] = -with_stranger
    return pd.concat(parts, ignore_index=True), targets


def _local(
    windows: Windows, games: Games, played: Played, name: str, rules: Rules, rows: np.ndarray
) -> pd.DataFrame:
    n_players = games.n_players
    target, player = np.nonzero(np.arange(played.phi.shape[1]) < n_players[:, None])
    slot = _first_slot(games.player, n_players)  # (B, N): of each player its nearest neighbour
    at = slot[target, player]
    neighbor = player > 0
    kinds = np.array([*windows.kinds, ""], object)
    kind = np.where(neighbor, games.cues.neighbor_kind[target, at], windows.kind[target])
    now = games.cues.past[target, -1]
    distance = np.linalg.norm(games.cues.neighbors[target, at, -1] - now, axis=1)
    frame = pd.DataFrame(
        {
            "target": rows[target],
            "scene": windows.scene[target],
            "frame": windows.frame[target],
            "agent": windows.agent[target],
            "block": windows.block[target],
            "game": name,
            "player": _names(windows, name, rules, target, player, at, kinds[kind]),
            "kind": kinds[kind],
            "distance": np.where(neighbor, distance, 0.0),
            "phi": played.phi[target, player],
            "se": played.se[target, player],
            "with_past": played.with_past[target, player],
        }
    )
    return frame


def _first_slot(player: np.ndarray, n_players: np.ndarray) -> np.ndarray:
    """The first slot of each player, (B, N)."""
    N = int(n_players.max(initial=1))
    found = np.zeros((len(player), N), int)
    for p in range(1, N):
        found[:, p] = (player == p).argmax(1)
    return found


def _names(
    windows: Windows,
    name: str,
    rules: Rules,
    target: np.ndarray,
    player: np.ndarray,
    at: np.ndarray,
    kind: np.ndarray,
) -> np.ndarray:
    """What each player is called: ids of real neighbours, else numbers."""
    M = windows.present.shape[1]
    inside = np.minimum(at, M - 1)
    if rules.players == "all":
        others = np.full(len(target), NEIGHBORS, object)
    elif rules.players == "kind":
        others = kind
    elif name == REAL:
        others = windows.neighbor_agent[target, inside].astype(str).astype(object)
    else:
        others = np.array([f"{name} {p}" for p in player.tolist()], object)
    others = np.where(at >= M, STRANGER, others)
    return np.where(player == 0, PAST, others)


def _targets(windows: Windows, played: dict[str, tuple[np.ndarray, Played]]) -> pd.DataFrame:
    errors = -played[REAL][1].four
    kinds = np.array(windows.kinds, object)
    frame = pd.DataFrame(
        {
            "scene": windows.scene,
            "frame": windows.frame,
            "agent": windows.agent,
            "kind": kinds[windows.kind],
            "block": windows.block,
            "n_neighbors": windows.present.sum(1),
            "n_cut": windows.n_cut,
            "error_none": errors[:, 0],
            "error_past": errors[:, 1],
            "error_neighbors": errors[:, 2],
            "error_all": errors[:, 3],
        }
    )
    for name in played.keys() - {REAL}:
        rows, null = played[name]
        for column, place in (("error_neighbors", 2), ("error_all", 3)):
            values = errors[:, place - 2].copy()  # without neighbours: as with no cue, as the past
            values[rows] = -null.four[:, place]
            frame[f"{column}_{name.replace(' ', '_')}"] = values
    return frame
