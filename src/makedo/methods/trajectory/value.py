"""v(S): how good predictions are with the cues of S alone, for many coalitions in one call.

v is minus an error against what happened ("minade", "minfde", "ade", "fde", in metres, "nll" in
nats, "miss", 0 or 1), or minus the change against the prediction with all cues ("change", in
metres), which needs no future.  The least error of K samples depends on K, so K is the same
everywhere, and coalitions that are compared see the same random draws.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.data.windows import Cues
from makedo.methods.trajectory import metrics
from makedo.methods.trajectory.absent import Games

METRICS = ("minade", "minfde", "ade", "fde", "miss", "nll", "change")
UNITS = {"nll": "nats", "miss": "misses a target"}  # all others are in metres
ROWS = 16_384  # coalitions a call of the predictor
MOST_LOG_DENSITY = 6.0  # of a step; a surer model gains nothing, as in the official code
SAME = 1e-5  # relative: what a row may change by standing beside other rows
N_CHECKED = 8  # targets that are predicted alone as well


# --- predictors -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Called:
    """A function of the user's as a predictor."""

    function: Callable[..., Any]

    def predict(
        self, cues: Cues, *, n_samples: int = 1, n_steps: int = 12, seeds: np.ndarray
    ) -> Any:
        """Call it with plain arrays."""
        return self.function(cues.past, cues.neighbors, cues.present, n_samples, seeds)


def as_predictor(given: Any) -> Any:
    """An object with ``predict`` as it is, a function wrapped."""
    return given if hasattr(given, "predict") else Called(given)


def checked(answer: Any, n_rows: int, n_samples: int, n_steps: int) -> np.ndarray:
    """A predictor's answer as (n_rows, K, n_steps, 2) floats, K either n_samples or 1.

    Raises
    ------
    MakedoInputError
        Another shape, another number of samples, or values that are no numbers.
    """
    if hasattr(answer, "detach"):  # a tensor
        answer = answer.detach().cpu().numpy()
    try:
        found = np.asarray(answer, float)
    except (TypeError, ValueError) as reason:
        raise MakedoInputError(
            f"The predictor gave a {type(answer).__name__}, which is no array of numbers. It must "
            f"give positions of shape {(n_rows, n_samples, n_steps, 2)}."
        ) from reason
    if found.ndim != 4 or found.shape not in {(n_rows, k, n_steps, 2) for k in (1, n_samples)}:
        raise MakedoInputError(
            f"The predictor gave positions of shape {found.shape} for {count(n_rows, 'row')}. It "
            f"must give {(n_rows, n_samples, n_steps, 2)}: rows, samples (or 1 if it has no "
            "randomness), steps, x and y; and the same number of samples whoever is present."
        )
    bad = ~np.isfinite(found).all((1, 2, 3))
    if bad.any():
        raise MakedoInputError(
            f"The predictor gave NaN or infinite positions in {count(int(bad.sum()), 'row')} of "
            f"{n_rows:,}. Neighbours that are not present are NaN in its input, and so are steps "
            "before a neighbour appeared: mask them by `present` and np.isfinite."
        )
    return found


# --- values of coalitions -------------------------------------------------------------------------


class Value:
    """v of coalitions of cues, in calls of many rows each.

    Parameters
    ----------
    predictor : object with ``predict``
    metric : str
        One of ``METRICS``.
    n_samples : int
        K.
    rows : int
        Coalitions a call; results do not depend on it.
    hooks : bool
        Whether to use ``encode`` and ``decode`` of a predictor that has them: then what coalitions
        of a target share is computed once.

    Attributes
    ----------
    n_rows : int
        Rows that were predicted.
    common_noise : bool
        Whether a target's row is the same each time, so that its noise cancels in differences.
    """

    def __init__(
        self,
        predictor: Any,
        metric: str = "minade",
        n_samples: int = 20,
        rows: int = ROWS,
        hooks: bool = True,
    ):
        self.predictor, self.metric = as_predictor(predictor), metric
        self.n_samples, self.rows = n_samples, rows
        self.has_hooks = hooks and all(hasattr(self.predictor, n) for n in ("encode", "decode"))
        self.n_rows, self.common_noise = 0, True
        self._n_answered: int | None = None  # K that the predictor gives

    def __call__(
        self, games: Games, game: np.ndarray, members: np.ndarray, noise: np.ndarray | int = 0
    ) -> np.ndarray:
        """Give v of coalitions.

        Parameters
        ----------
        games : Games
        game : int ndarray of shape (R,)
        members : bool ndarray of shape (R, N)
        noise : int ndarray of shape (R,), default=0
            The draw of noise that each row sees; rows of a game with the same number see the same.

        Returns
        -------
        ndarray of shape (R,)
        """
        n_draws = games.absent_past.shape[1]
        row, draw = _each_draw(members[:, 0], n_draws)
        total = np.zeros(len(game))
        seeds = games.seeds[game] + np.asarray(noise, np.uint64)
        encoded = self._encoded(games)
        for part in portions(len(row), self.rows):
            lines = row[part]
            rows = _Rows(game[lines], draw[part], members[lines], seeds[lines])
            np.add.at(total, lines, self._errors(games, rows, encoded))
        self.n_rows += len(row)
        return -total / np.where(members[:, 0], 1, n_draws)

    def check(self, games: Games) -> None:
        """Predict a few targets alone and among others: noise and batch must not matter."""
        few = games.take(np.arange(min(N_CHECKED, len(games))))
        n_steps = few.future.shape[1]
        if not len(few) or self.metric == "nll":
            return
        together = self.samples(few.cues, few.seeds, n_steps)
        alone = np.concatenate(
            [self.samples(few.cues.take([i]), few.seeds[[i]], n_steps) for i in range(len(few))]
        )
        scale = np.abs(together - few.cues.past[:, None, -1:]).max() + 1.0
        worst = float(np.abs(together - alone).max())
        self.common_noise = bool(worst <= SAME * scale)
        if not self.common_noise:
            warnings.warn(
                f"The predictor gives one target other positions (by up to {worst:.2g}) when it is "
                "asked again with the same seeds. If it draws random numbers, take them from the "
                "seeds; if it is a network, put it into evaluation mode (no dropout, no batch "
                "norm). Until then noise is part of every value: raise n_repeats.",
                MakedoWarning,
                stacklevel=4,
            )

    def samples(self, cues: Cues, seeds: np.ndarray, n_steps: int) -> np.ndarray:
        """Ask the predictor in calls of some rows, and check its answers, (B, K, n_steps, 2)."""
        parts = portions(len(cues), self.rows)
        found = [self._ask(cues.take(part), seeds[part], n_steps) for part in parts]
        return np.concatenate(found) if found else np.zeros((0, self.n_samples, n_steps, 2))

    # --- inside -----------------------------------------------------------------------------------

    def _errors(self, games: Games, rows: _Rows, encoded: Any) -> np.ndarray:
        """Errors of coalitions (r,), in one call of the predictor."""
        future = games.future[rows.game]
        if self.metric == "nll" and hasattr(self.predictor, "density"):
            return -log_density(self.predictor, _composed(games, rows), future)
        samples = self._of_coalitions(games, rows, encoded)
        if self.metric != "change":
            return metrics.METRICS[self.metric](samples, future)
        twins = self._with_all(games, rows)  # each sample against that with all cues
        return np.linalg.norm(samples - twins, axis=-1).mean((1, 2))

    def _with_all(self, games: Games, rows: _Rows) -> np.ndarray:
        """The predictions with all cues under the same noise, (r, K, n_steps, 2)."""
        pairs = np.stack([rows.game.astype(np.uint64), rows.seeds])
        (game, seeds), place = np.unique(pairs, axis=1, return_inverse=True)
        self.n_rows += len(game)
        cues = games.cues.take(game.astype(int))
        return self._ask(cues, seeds, games.future.shape[1])[place.ravel()]

    def _encoded(self, games: Games) -> Any:
        """What all coalitions of a target share, from a predictor that can split its work."""
        if not self.has_hooks or games.absent_neighbors is not None or self.metric == "nll":
            return None
        return self.predictor.encode(games.variants())

    def _of_coalitions(self, games: Games, rows: _Rows, encoded: Any) -> np.ndarray:
        """Positions (r, K, n_steps, 2)."""
        n_steps = games.future.shape[1]
        if encoded is None:
            return self._ask(_composed(games, rows), rows.seeds, n_steps)
        variant = np.where(rows.members[:, 0], 0, 1 + rows.draw)
        answer = self.predictor.decode(
            encoded, variant * len(games) + rows.game, games.shown(rows.game, rows.members),
            n_samples=self.n_samples, n_steps=n_steps, seeds=rows.seeds,
        )  # fmt: skip
        return self._checked(answer, len(rows.game), n_steps)

    def _ask(self, cues: Cues, seeds: np.ndarray, n_steps: int) -> np.ndarray:
        answer = self.predictor.predict(
            cues, n_samples=self.n_samples, n_steps=n_steps, seeds=seeds
        )
        return self._checked(answer, len(cues), n_steps)

    def _checked(self, answer: Any, n_rows: int, n_steps: int) -> np.ndarray:
        found = checked(answer, n_rows, self.n_samples, n_steps)
        if self._n_answered is None:
            self._n_answered = found.shape[1]
        if found.shape[1] != self._n_answered:
            raise MakedoInputError(
                f"The predictor gave {self._n_answered} samples in one call and {found.shape[1]} "
                "in another. The least error of more samples is smaller: always give the same "
                "number."
            )
        return found


class _Rows(NamedTuple):
    """Coalitions: which game, which way of an absent past, who is there, and the seed."""

    game: np.ndarray
    draw: np.ndarray
    members: np.ndarray
    seeds: np.ndarray


def _composed(games: Games, rows: _Rows) -> Cues:
    return games.compose(rows.game, rows.draw, rows.members)


def log_density(predictor: Any, cues: Cues, future: np.ndarray) -> np.ndarray:
    """Log-density of the futures under the predictor, (B,), clamped from above if it can."""
    clamps = "clamp" in inspect.signature(predictor.density).parameters
    found = predictor.density(cues, future, **({"clamp": MOST_LOG_DENSITY} if clamps else {}))
    found = np.asarray(found, float)
    if found.shape != (len(cues),) or not np.isfinite(found).all():
        raise MakedoInputError(
            f"The predictor's density gave shape {found.shape} or values that are not finite. It "
            f"must give one log-density a row: {(len(cues),)}."
        )
    return found


def portions(n: int, size: int) -> list[slice]:
    """Rows 0 … n in stretches of at most ``size``."""
    return [slice(begin, begin + size) for begin in range(0, n, size)]


def _each_draw(has_past: np.ndarray, n_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of coalitions, those without a past once for each way it may be absent."""
    times = np.where(has_past, 1, n_draws)
    row = np.repeat(np.arange(len(times)), times)
    draw = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
    return row, draw
