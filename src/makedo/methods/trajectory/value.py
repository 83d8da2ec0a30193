"""v(S): how good predictions are with the cues of S alone, for many coalitions in one call.

v is minus an error against what happened ("minade", "minfde", "ade", "fde", in metres, "nll" in
nats), or minus the change against the prediction with all cues ("change", in metres), which needs
no future.  The least error of K samples depends on K, so K is the same everywhere, and all
coalitions of one target see the same random draws.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.data.windows import Cues
from makedo.methods.trajectory.absent import Games

METRICS = ("minade", "minfde", "ade", "fde", "nll", "change")
UNITS = {"nll": "nats"}  # all others are lengths
ROWS = 16_384  # coalitions a call of the predictor, at K = 1
FEWEST_ROWS = 512
LOG_DENSITY_MOST = 6.0  # clamp of the log-density of a step, as in the official code
SAME = 1e-5  # relative: what a row may change by standing beside other rows
N_CHECKED = 8  # targets that are predicted alone as well


# --- errors of samples ----------------------------------------------------------------------------


def error(metric: str, samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Error of each row in metres.

    samples (R, K, n_steps, 2), truth (R, n_steps, 2), or of "change" (R, K, n_steps, 2) -> (R,).
    """
    if metric == "change":
        return np.linalg.norm(samples - truth, axis=-1).mean((1, 2))
    if metric in ("minfde", "fde"):
        samples, truth = samples[:, :, -1:], truth[:, -1:]
    distance = np.linalg.norm(samples - truth[:, None], axis=-1).mean(-1)  # (R, K)
    return distance.min(1) if metric.startswith("min") else distance.mean(1)


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
    n_repeats : int
        Values are averaged over so many calls: for a predictor that ignores the seeds.
    rows : int, optional
        Coalitions a call.  Default: 16,384 at one sample, fewer at more.  Results do not depend
        on it.

    Attributes
    ----------
    n_rows : int
        Rows that were predicted.
    seconds : float
        What the predictor took for them.
    common_noise : bool
        Whether a target's row is the same each time, so that its noise cancels in differences.
    """

    def __init__(
        self,
        predictor: Any,
        metric: str = "minade",
        n_samples: int = 20,
        n_repeats: int = 1,
        rows: int | None = None,
    ):
        self.predictor, self.metric = as_predictor(predictor), metric
        self.n_samples, self.n_repeats = n_samples, n_repeats
        self.rows = rows or max(FEWEST_ROWS, ROWS // n_samples)
        self.n_rows, self.common_noise = 0, True
        self._n_answered: int | None = None  # K that the predictor gives
        if metric == "nll" and not hasattr(self.predictor, "density"):
            raise MakedoInputError(
                'metric="nll" needs a predictor with density(cues, future), which gives the '
                'log-density of what happened. Take metric="minade".'
            )

    def __call__(
        self, games: Games, game: np.ndarray, members: np.ndarray, reference: Any = None
    ) -> np.ndarray:
        """Give v of coalitions.

        Parameters
        ----------
        games : Games
        game : int ndarray of shape (R,)
        members : bool ndarray of shape (R, N)
        reference : ndarray (n_games, K, n_steps, 2), optional
            Of "change": the predictions with all cues; see :meth:`reference`.

        Returns
        -------
        ndarray of shape (R,)
        """
        n_draws = games.absent_past.shape[1]
        row, draw = _each_draw(members[:, 0], n_draws)
        total = np.zeros(len(game))
        encoded = self._encoded(games)
        for begin in range(0, len(row), self.rows):
            part = slice(begin, begin + self.rows)
            lines = row[part]
            found = self._error(games, game[lines], draw[part], members[lines], reference, encoded)
            np.add.at(total, lines, found)
        return -total / np.where(members[:, 0], 1, n_draws)

    def reference(self, games: Games) -> np.ndarray | None:
        """The predictions with all cues, for "change"; else None."""
        if self.metric != "change":
            return None
        return self._predict(games.cues, games.seeds, games.future.shape[1])

    def check(self, games: Games) -> None:
        """Predict a few targets alone and among others: noise and batch must not matter."""
        few = games.take(np.arange(min(N_CHECKED, len(games))))
        n_steps = few.future.shape[1]
        if not len(few) or self.metric == "nll":
            return
        together = self._predict(few.cues, few.seeds, n_steps)
        alone = np.concatenate(
            [self._predict(few.cues.take([i]), few.seeds[[i]], n_steps) for i in range(len(few))]
        )
        scale = np.abs(together - few.cues.past[:, None, -1:]).max() + 1.0
        worst = float(np.abs(together - alone).max())
        self.common_noise = worst <= SAME * scale
        if not self.common_noise:
            warnings.warn(
                f"The predictor gives one target other positions (by up to {worst:.2g}) when it is "
                "asked again with the same seeds. If it draws random numbers, take them from the "
                "seeds; if it is a network, put it into evaluation mode (no dropout, no batch "
                "norm). Until then noise is part of every value: raise n_repeats.",
                MakedoWarning,
                stacklevel=4,
            )

    # --- inside -----------------------------------------------------------------------------------

    def _error(
        self,
        games: Games,
        game: np.ndarray,
        draw: np.ndarray,
        members: np.ndarray,
        reference: np.ndarray | None,
        encoded: Any,
    ) -> np.ndarray:
        """Errors of rows (r,)."""
        self.n_rows += len(game)
        seeds, future = games.seeds[game], games.future[game]
        if self.metric == "nll":
            cues = games.compose(game, draw, members)
            return -np.asarray(self.predictor.density(cues, future), float)
        truth = future if reference is None else reference[game]
        total = np.zeros(len(game))
        for repeat in range(self.n_repeats):
            noise = seeds + np.uint64(repeat)
            if encoded is None:
                cues = games.compose(game, draw, members)
                samples = self._predict(cues, noise, future.shape[1])
            else:
                samples = self._decode(encoded, games, game, draw, members, noise)
            total += error(self.metric, samples, truth)
        return total / self.n_repeats

    def _predict(self, cues: Cues, seeds: np.ndarray, n_steps: int) -> np.ndarray:
        answer = self.predictor.predict(
            cues, n_samples=self.n_samples, n_steps=n_steps, seeds=seeds
        )
        return self._same_samples(checked(answer, len(cues), self.n_samples, n_steps))

    def _same_samples(self, found: np.ndarray) -> np.ndarray:
        if self._n_answered is None:
            self._n_answered = found.shape[1]
        if found.shape[1] != self._n_answered:
            raise MakedoInputError(
                f"The predictor gave {self._n_answered} samples in one call and {found.shape[1]} "
                "in another. The least error of more samples is smaller: always give the same "
                "number."
            )
        return found

    def _encoded(self, games: Games) -> Any:
        """What a predictor with hooks computes once for all coalitions of a target, or None."""
        return None

    def _decode(self, encoded: Any, games: Games, *rows: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def _each_draw(has_past: np.ndarray, n_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of coalitions, those without a past once for each way it may be absent."""
    times = np.where(has_past, 1, n_draws)
    row = np.repeat(np.arange(len(times)), times)
    draw = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
    return row, draw
