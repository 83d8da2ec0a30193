"""Games played: values of coalitions from the predictor, in bulk, and φ from them.

A random neighbour may be valued *in the seat* of a real one: in the game of the same target in
which it stands in for player j and everybody else stays.  With v' for that game,

    φ_j(seat) = Σ_{S ∌ j} w(|S|) [v'(S ∪ j) - v(S)],

since without j the two games are one: v(S) is taken from the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.methods.trajectory import absent, game
from makedo.methods.trajectory.absent import Games
from makedo.methods.trajectory.game import Marginals, Plan
from makedo.methods.trajectory.value import Value

if TYPE_CHECKING:
    from makedo.methods.trajectory.explaining import Rules

PORTION, MOST_GAMES = 1 << 17, 4096  # coalitions and games whose values are held at once
FIRST_ROUND = 8  # permutations before a tolerance is first looked at


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
    in_seats : Played, optional
        The same of a random neighbour in the seat of each player, one at a time; NaN for the past,
        where none was to be had, and for v.
    """

    phi: np.ndarray
    se: np.ndarray
    with_past: np.ndarray
    four: np.ndarray
    in_seats: Played | None = None

    @classmethod
    def empty(cls, n_games: int, n_players: int) -> Played:
        """To be filled in."""
        shapes = [(n_games, n_players)] * 3 + [(n_games, 4)]
        phi, se, with_past, four = (np.full(shape, np.nan) for shape in shapes)
        return cls(phi, se, with_past, four)


def play(
    games: Games,
    value: Value,
    rules: Rules,
    on_rows: Callable[[int], Any] = lambda n: None,
    strangers: np.ndarray | None = None,
) -> Played:
    """φ of every player of every game, and of strangers (B, M, n_past, 2) in their seats."""
    n_players = games.n_players
    shape = len(games), int(n_players.max(initial=1))
    found = Played.empty(*shape)
    if strangers is not None:
        found = replace(found, in_seats=Played.empty(*shape))
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
            values = _play_portion(part, plans, value, rules, found, some)
            if found.in_seats is not None and strangers is not None:
                portion = Portion(part, plans, values, strangers[some])
                _play_seats(portion, value, rules, found.in_seats, some)
            on_rows(len(some))
    return found


def _play_portion(
    games: Games, plans: list[Plan], value: Value, rules: Rules, found: Played, rows: np.ndarray
) -> list[np.ndarray]:
    """Games of the same number of players; what comes out goes into ``found`` at ``rows``.

    Returns the values of each game's coalitions.
    """
    n = plans[0].coalitions.shape[1]
    if rules.tolerance is None or plans[0].is_exact:
        values = _evaluated(games, plans, [slice(None)] * len(plans), value)
        solved = _solved(plans, values)
    else:
        values, solved = _until_sure(games, plans, value, rules)
    found.phi[rows, :n], found.se[rows, :n] = solved
    found.four[rows] = [np.nanmean(v[p.four], 0) for v, p in zip(values, plans, strict=True)]
    if plans[0].is_exact and rules.index == "shapley":
        v = _mean_over_draws(values, n)
        for j in range(1, n):
            found.with_past[rows, j] = v @ game.interaction_weights(n, 0, j)
    return values


def _mean_over_draws(values: list[np.ndarray], n: int) -> np.ndarray:
    """Values of all coalitions of n players, (games, 2^n)."""
    return np.stack(values).reshape(len(values), -1, 1 << n).mean(1)


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
    """φ and standard errors, (games, N), from the samples whose values are known."""
    if plans[0].is_exact:  # then all games share it
        return plans[0].solve(np.stack(values))
    pairs = [_solver(plan, v)(v) for plan, v in zip(plans, values, strict=True)]
    phi, se = zip(*pairs, strict=True)
    return np.stack(phi), np.stack(se)


def _solver(plan: Plan, values: np.ndarray) -> Any:
    known = np.isfinite(values)
    return plan.solve if known.all() else _first(plan.solve, int(plan.noise[known][-1]) + 1)


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


# --- a random neighbour in the seat of a real one -------------------------------------------------


@dataclass(frozen=True)
class Portion:
    """Games of the same number of players that were played, and who may take seats in them.

    Attributes
    ----------
    games : Games
    plans : list of Plan, one a game
    values : list of ndarray of shape (C,), one a game
        v of its coalitions; NaN where a tolerance was reached before.
    strangers : ndarray of shape (B, M, n_past, 2)
    """

    games: Games
    plans: list[Plan]
    values: list[np.ndarray]
    strangers: np.ndarray

    def take(self, rows: np.ndarray) -> Portion:
        """Some of the games."""
        plans, values = ([given[i] for i in rows] for given in (self.plans, self.values))
        return Portion(self.games.take(rows), plans, values, self.strangers[rows])

    def with_stranger(self, player: int) -> np.ndarray:
        """Games (B,) that have a stranger for each seat of a player."""
        lacking = np.isnan(self.strangers[..., -1, 0]) & (self.games.player == player)
        return ~lacking.any(1)


def _play_seats(
    portion: Portion, value: Value, rules: Rules, found: Played, rows: np.ndarray
) -> None:
    """φ of strangers in the seats of each player in turn, into ``found`` at ``rows``."""
    n = portion.plans[0].coalitions.shape[1]
    for player in range(1, n):
        had = np.flatnonzero(portion.with_stranger(player))
        if not len(had):
            continue
        some, at = portion.take(had), rows[had]
        values = _seat_values(some, player, value, rules)
        phi, se = _solved(some.plans, values)
        found.phi[at, player], found.se[at, player] = phi[:, player], se[:, player]
        if some.plans[0].is_exact and rules.index == "shapley":
            B = game.interaction_weights(n, 0, player)
            found.with_past[at, player] = _mean_over_draws(values, n) @ B


def _seat_values(portion: Portion, player: int, value: Value, rules: Rules) -> list[np.ndarray]:
    """Values v' of the coalitions of each game, right wherever φ of the player looks."""
    seated = portion.games.seated(player, portion.strangers)
    own = rules.absent_neighbor in absent.MOTIONS  # the stranger's own place stays without it
    if own:
        less = absent.of_neighbors(rules.absent_neighbor, seated.cues.neighbors)
        seated = replace(seated, absent_neighbors=less)
    # a change is against all cues, the stranger's among them: then no coalition is shared
    shared = not own and value.metric != "change"
    wanted = [
        np.isfinite(v) & _looked_at(plan, player, shared)
        for plan, v in zip(portion.plans, portion.values, strict=True)
    ]
    fresh = _evaluated(seated, portion.plans, wanted, value)
    return [
        np.where(new_rows, new, v)
        for new_rows, new, v in zip(wanted, fresh, portion.values, strict=True)
    ]


def _looked_at(plan: Plan, player: int, only_with: bool) -> np.ndarray:
    """Coalitions (C,) on which φ of a player depends; only those with it, or all."""
    if not isinstance(plan.solve, Marginals):
        return plan.coalitions[:, player] | (not only_with)
    found = np.zeros(len(plan), bool)
    found[plan.solve.after[..., player]] = True
    if not only_with:
        found[plan.solve.before[..., player]] = True
    return found
