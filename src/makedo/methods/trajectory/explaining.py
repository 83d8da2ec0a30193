"""From targets to values of their cues: games, coalitions, predictions in bulk, and φ.

For each target a game of its past and its neighbours is played; beside it one in which the
neighbours are random ones, or stand where others stood at another time (see :mod:`.nulls`).
:mod:`.playing` takes games in portions whose rows fit into a few calls of the predictor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count
from makedo.data.windows import Cues, Windows
from makedo.methods.trajectory import absent, game
from makedo.methods.trajectory.absent import Games
from makedo.methods.trajectory.game import Plan
from makedo.methods.trajectory.nulls import Donors, OtherTimes
from makedo.methods.trajectory.playing import Played, play
from makedo.methods.trajectory.value import Value

NULL_MODES = ("separate", "swap", "extra")
REAL, RANDOM, OTHER_TIME = "real", "random", "other time"  # names of the games
PAST, NEIGHBORS, STRANGER = "past", "neighbors", "random neighbor"  # names of players


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
        return tuple(name for name in found if name != RANDOM or self.null_mode == "separate")

    @property
    def adds_stranger(self) -> bool:
        """Whether a random neighbour is one more player of the real game."""
        return self.null_mode == "extra" and self.null in ("random_neighbor", "both")

    @property
    def swaps(self) -> bool:
        """Whether random neighbours take the seats of real ones, one at a time."""
        return self.null_mode == "swap" and self.null in ("random_neighbor", "both")

    @property
    def needs_other_times(self) -> bool:
        """Whether anybody stands where others stood at another time."""
        return OTHER_TIME in self.nulls or self.absent_neighbor == "other_time"

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
    gone = absent_neighbors(cues, windows, rules, donors, others, seeds)
    past = absent_pasts(windows, rules, donors, seeds)
    return Games(cues, past, gone, player, seeds, windows.future)


def absent_neighbors(
    cues: Cues,
    windows: Windows,
    rules: Rules,
    donors: Donors,
    others: OtherTimes | None,
    seeds: np.ndarray,
) -> np.ndarray | None:
    """What stands for the neighbours of these cues, (n, M, n_past, 2); NaN where they are removed.

    A random neighbour beside the real ones is removed unless only motions are absent.
    """
    if rules.absent_neighbor == "removed":
        return None
    if rules.absent_neighbor in absent.MOTIONS:
        return absent.of_neighbors(rules.absent_neighbor, cues.neighbors)
    M = windows.present.shape[1]
    seats = replace(windows, present=cues.present[:, :M], neighbor_kind=cues.neighbor_kind[:, :M])
    seeds = seeds + np.uint64(1)  # not those of the neighbours of null games
    if rules.absent_neighbor == "random":
        found = donors.neighbors(seats, seeds)
    else:
        assert others is not None
        found = others.in_seats(seats, seeds, rules.radius)
    return _padded(found, cues.present.shape[1])


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
        error_past, error_neighbors, error_all; of each game of a null, error_neighbors_… and
        error_all_…; with one more random neighbour as a player, error_stranger of all and it; where
        others stand in for absent neighbours, n_removed for whom nobody was to be had.
    """
    others = OtherTimes(windows) if rules.needs_other_times else None
    everyone, seeds = np.arange(len(windows)), windows.seeds(rules.random_state)
    strangers = donors.neighbors(windows, seeds) if rules.swaps else None
    games = games_of(windows, rules, donors, others, REAL)
    value.check(games)
    played = play(games, value, rules, on_targets, strangers)
    parts = [_local(windows, games, played, REAL, rules, everyone)]
    if strangers is not None and played.in_seats is not None:
        seated = replace(games, cues=replace(games.cues, neighbors=strangers))
        parts.append(_local(windows, seated, played.in_seats, RANDOM, rules, everyone))
    more = _n_removed(games, rules)
    if rules.adds_stranger:
        more["error_stranger"] = -played.four[:, 3]
        only = replace(rules, index="shapley", estimator="exact")
        played = replace(played, four=play(_without_stranger(games), value, only).four)
    all_played = {REAL: (everyone, played)}
    for name in rules.nulls:
        games = games_of(windows, rules, donors, others, name)
        rows = np.flatnonzero(games.cues.present.any(1))  # without neighbours it is the real game
        played = play(games.take(rows), value, rules, on_targets)
        parts.append(_local(windows.take(rows), games.take(rows), played, name, rules, rows))
        all_played[name] = (rows, played)
    targets = _targets(windows, all_played).assign(**more)
    return pd.concat(parts, ignore_index=True), targets


def _local(
    windows: Windows, games: Games, played: Played, name: str, rules: Rules, rows: np.ndarray
) -> pd.DataFrame:
    target, player = np.nonzero(np.isfinite(played.phi))  # in a seat not all that play
    slot = _first_slot(games.player, games.n_players)  # (B, N): of each player its nearest one
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


def _n_removed(games: Games, rules: Rules) -> dict[str, np.ndarray]:
    """How many neighbours of each target have nobody to stand in, where somebody should."""
    if games.absent_neighbors is None or rules.absent_neighbor not in absent.STAND_INS:
        return {}
    nobody = np.isnan(games.absent_neighbors[..., -1, 0]) & games.cues.present
    real = nobody.shape[1] - int(rules.adds_stranger)
    return {"n_removed": nobody[:, :real].sum(1)}


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
