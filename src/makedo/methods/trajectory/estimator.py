"""Which cues does a trajectory predictor really use: its target's past, or the neighbours too?

O. Makansi, J. von Kügelgen, F. Locatello, P. Gehler, D. Janzing, T. Brox, B. Schölkopf, "You mostly
walk alone: Analyzing feature attribution in trajectory prediction", ICLR 2022,
https://arxiv.org/abs/2110.05304.

A prediction of agent i at time t is a game.  Its players are the cues: the target's past and each
neighbour.  v(S) is minus the error of the prediction when only the cues of S are shown, an absent
past standing still and an absent neighbour being gone; the Shapley value

    φ_j = Σ_{S ∌ j} |S|! (N - |S| - 1)! / N! · [v(S ∪ j) - v(S)]

is what cue j brings, in the unit of the error.  :mod:`.game` has the values, :mod:`.absent` the
rows that coalitions become, :mod:`.value` v, :mod:`.nulls` the neighbours that cannot matter,
:mod:`.explaining` the loop over targets, :mod:`.attribution` what comes out.

What differs from the paper, and why:

* Shapley values, exact or with standard errors.  The official code averages ten random coalitions,
  which is a Banzhaf value and does not add up; ``index="banzhaf"`` has it.
* Coalitions that are compared see the same random draws.  Without that the noise of the best of 20
  samples is larger than what neighbours bring.  Sampled orders have a draw for each pair of them:
  one draw for all would leave its own noise in every value.
* The largest of n noisy values is above zero where there is nothing to be found.  So beside the
  largest value of n neighbours stands that of n random ones of the same target, and their
  difference; and past against all neighbours as two players, which needs no largest.
* Neighbours of another time: whether neighbours merely give the place away.
* Intervals are over games, scenes or stretches of time, not over overlapping windows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, Function, Having, MakedoInputError, Number
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.core.progress import Progress
from makedo.data.tracks import Tracks
from makedo.data.windows import Cues, Windows, cut
from makedo.methods.trajectory import absent, explaining, game, named, nulls
from makedo.methods.trajectory.attribution import Attribution
from makedo.methods.trajectory.explaining import Rules
from makedo.methods.trajectory.nulls import Donors
from makedo.methods.trajectory.value import METRICS, UNITS, Value, as_predictor

if TYPE_CHECKING:
    from makedo.report import Report

STEPS = 20  # of the progress of an explanation


class TrajectoryAttributor(Estimator):
    r"""Say what each cue brings to a trajectory prediction: the target's past, every neighbour.

    .. math:: \phi_j = \sum_{S \not\ni j} \frac{|S|!\,(N-|S|-1)!}{N!}\,[v(S \cup j) - v(S)]

    over coalitions S of cues, with v(S) minus the error of the prediction from the cues of S
    alone [1]_.  :math:`\sum_j \phi_j` is the error without any cue less the error with all.

    Parameters
    ----------
    predictor : str, object or function, default="attention"
        What is explained.  By name, trained by ``fit``: "static", "constant_velocity", "kalman",
        "ridge", "ridge_social", "lstm" (a network, own past only), "attention" (one that looks at
        neighbours), "attention_alone" (it without them); or one of
        :mod:`makedo.methods.trajectory`.  An object with ``predict(cues, *, n_samples,
        n_steps, seeds)`` or a function ``(past, neighbors, present, n_samples, seeds)`` is taken as
        it is: it gives positions (rows, samples, steps, 2), with randomness only from the seeds.
    metric : str, default="minade"
        The error: "minade" and "minfde" of the best of the samples, "ade" and "fde" their means,
        all in metres; "miss", 1 where every sample ends over two metres off; "nll", minus the
        log-density of what happened; "change", the distance from the prediction with all cues,
        which says what moves a prediction, not what makes it better.
    n_samples : int, default=20
        K of each prediction.
    absent_past : str, default="static"
        What stands for an absent past: "static", "constant_velocity", "random" (that of another
        target), "resample" (of several, averaged).
    absent_neighbor : str, default="removed"
        An absent neighbour is "removed"; replaced by a "random" one, or by who was in the scene at
        another time ("other_time"); or loses only its motion ("static") or its manoeuvres
        ("constant_velocity").
    n_resamples : int, default=10
        Pasts that are averaged with ``absent_past="resample"``.
    players : str, default="each"
        Who the neighbours are in the game: "each" one, each "kind" of agent, or "all" as one.
    index : str, default="shapley"
        "shapley"; "banzhaf" as in the official code; "loo", what is lost without the cue; "first",
        what the cue brings alone.
    estimator : str, default="auto"
        "exact" up to 12 players; "permutation" (antithetic), "kernel", "stratified" sample.
        "auto": exact where all coalitions fit ``budget``, else permutations.
    budget : int, default=1024
        Coalitions a target.
    n_permutations : int, default=64
        Pairs of an order and its reverse, each under random draws of its own; for a sampled Banzhaf
        value coalitions a player.
    tolerance : float, default=None
        Stop drawing permutations when all standard errors are below this.
    n_repeats : int, default=1
        Draws of noise over which an exact (or kernel) value is averaged, at so many times the cost;
        from 2 on its standard error knows the noise, also that of a predictor that does not take
        its random numbers from the seeds.  Values from sampled orders have many draws anyhow.
    null : str, default="random_neighbor"
        What neighbours are compared with: "random_neighbor" from elsewhere, "other_time", those of
        another time at the same place, "both", or "none".
    null_mode : str, default="separate"
        Random neighbours in a game of their own; "swap": one at a time in the seat of each real one
        while all others stay; or "extra": one of them as one more player, as in the official code.
    radius : float, default=None
        Metres within which an agent is a neighbour; None: the whole scene.
    max_neighbors : int, default=12
        The nearest ones that are looked at.
    n_past : int, default=8
        Steps that are seen.
    n_future : int, default=12
        Steps that are predicted.
    stride : int, default=1
        Targets begin at each so many steps.
    max_epochs : int, default=None
        Of a network that is given by name; None: its own default.
    device : str, default="auto"
        Of such a network.
    verbose : int, default=0
        1 shows progress.
    random_state : int, default=0
        Of training, samples, coalitions and random neighbours.

    Attributes
    ----------
    predictor_ : the trained predictor, if it is one of ours
    baselines_ : dict, simpler predictors learnt from the same tracks
    donors_ : Donors, the random neighbours
    kinds_ : list of str, kinds of agent
    seconds_per_step_ : float
    history_ : DataFrame, of the training

    Shapes
    ------
    X: Tracks, or Windows of n targets · explain -> a value for each target and cue · predict ->
    (n, n_future, 2), for Tracks a table

    Cost
    ----
    explain: 2^N predictions a target for N = 1 + neighbours up to 10 (else about 128 N + 128),
    twice with random neighbours, (N + 1) / 2 times as many (else twice) in the seats of real ones.
    Calls have up to 16,384 rows; ``benchmarks/trajectory_throughput.py`` has rates.

    Requirements
    ------------
    A predictor that can do without any neighbour: one that never saw a missing one in training
    answers for a world it does not know.  Tracks at a steady rate, in metres.

    Relations
    ---------
    It explains what the *predictor* uses, not what moves people.  captum and shap explain one input
    of fixed size; here cues are agents that come and go.  Is there interaction in the data at all?
    ``diagnose`` asks that with closed-form predictors.

    References
    ----------
    .. [1] Makansi et al., "You mostly walk alone: Analyzing feature attribution in trajectory
       prediction", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import TrajectoryAttributor
    >>> from makedo.methods.trajectory import Tracks
    >>> xy = np.random.default_rng(0).normal(size=(60, 3, 2)).cumsum(0)      # three wanderers
    >>> tracks = Tracks.from_arrays(xy, seconds_per_step=1.0)
    >>> def repeat_last_step(past, neighbors, present, n_samples, seeds):
    ...     step = past[:, -1] - past[:, -2]
    ...     return (past[:, -1:] + np.arange(1, 13)[:, None] * step[:, None])[:, None]
    >>> found = TrajectoryAttributor(repeat_last_step, null="none").fit(tracks).explain(tracks)
    >>> found.scores()["interaction"].max()          # neighbours do not enter: exactly 0
    np.float64(0.0)
    """

    _parts: ClassVar[Mapping[str, type]] = named.OURS
    _constraints: ClassVar = {
        "predictor": Either(
            (
                Choice(tuple(named.PREDICTORS)),
                Having("predict", "an object with predict(cues, *, n_samples, n_steps, seeds)"),
                Function("(past, neighbors, present, n_samples, seeds)"),
            )
        ),
        "metric": Choice(METRICS),
        "n_samples": Number(1, integer=True),
        "absent_past": Choice(absent.PASTS),
        "absent_neighbor": Choice(absent.NEIGHBORS),
        "n_resamples": Number(1, integer=True),
        "players": Choice(("each", "kind", "all")),
        "index": Choice(game.INDICES),
        "estimator": Choice(game.ESTIMATORS),
        "budget": Number(8, integer=True),
        "n_permutations": Number(2, integer=True),
        "tolerance": Number(0, open_low=True, none=True),
        "n_repeats": Number(1, integer=True),
        "null": Choice(nulls.NULLS),
        "null_mode": Choice(explaining.NULL_MODES),
        "radius": Number(0, open_low=True, none=True),
        "max_neighbors": Number(1, integer=True),
        "n_past": Number(2, integer=True),
        "n_future": Number(1, integer=True),
        "stride": Number(1, integer=True),
        "max_epochs": Number(1, integer=True, none=True),
        "verbose": Number(0, integer=True),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        predictor: str | Any = "attention",
        *,
        metric: str = "minade",
        n_samples: int = 20,
        absent_past: str = "static",
        absent_neighbor: str = "removed",
        n_resamples: int = 10,
        players: str = "each",
        index: str = "shapley",
        estimator: str = "auto",
        budget: int = 1024,
        n_permutations: int = 64,
        tolerance: float | None = None,
        n_repeats: int = 1,
        null: str = "random_neighbor",
        null_mode: str = "separate",
        radius: float | None = None,
        max_neighbors: int = 12,
        n_past: int = 8,
        n_future: int = 12,
        stride: int = 1,
        max_epochs: int | None = None,
        device: str = "auto",
        verbose: int = 0,
        random_state: int = 0,
    ):
        self.predictor = predictor
        self.metric = metric
        self.n_samples = n_samples
        self.absent_past = absent_past
        self.absent_neighbor = absent_neighbor
        self.n_resamples = n_resamples
        self.players = players
        self.index = index
        self.estimator = estimator
        self.budget = budget
        self.n_permutations = n_permutations
        self.tolerance = tolerance
        self.n_repeats = n_repeats
        self.null = null
        self.null_mode = null_mode
        self.radius = radius
        self.max_neighbors = max_neighbors
        self.n_past = n_past
        self.n_future = n_future
        self.stride = stride
        self.max_epochs = max_epochs
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @classmethod
    def from_paper(cls, **changes: Any) -> TrajectoryAttributor:
        """As the official code does it: Banzhaf from ten coalitions, a random neighbour as player.

        Two coalitions that are compared see the same noise; there it is drawn anew for each.
        """
        theirs = {
            "index": "banzhaf", "estimator": "permutation", "n_permutations": 10,
            "null_mode": "extra", "radius": 3.0,
        }  # fmt: skip
        return cls(**(theirs | changes))

    # --- fitting ----------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        *,
        on_step: Callable[[dict[str, Any]], Any] | None = None,
        checkpoint_dir: str | Path | None = None,
    ) -> TrajectoryAttributor:
        """Train the predictor, if it is one of ours, and remember whom to draw neighbours from.

        Parameters
        ----------
        X : Tracks or Windows
            To learn from; not those that are explained, if the answer is to hold for others.
        on_step, checkpoint_dir
            Handed to the training of a network.

        Raises
        ------
        MakedoInputError
            A parameter is wrong, or no target has a full window.
        """
        self._check_parameters()
        if self.tolerance is not None and self.estimator == "kernel":
            raise MakedoInputError(
                'tolerance is for estimators that can stop early; estimator="kernel" has all its '
                'coalitions at once. Take estimator="permutation", or leave tolerance out.'
            )
        windows = self._windows(X)
        self.kinds_, self.seconds_per_step_ = list(windows.kinds), float(windows.seconds_per_step)
        started = time.perf_counter()
        self.donors_ = Donors.of(windows, self.random_state)
        self.baselines_ = named.baselines(windows)
        names = ("max_epochs", "device", "verbose", "random_state")
        ours = named.ours(self.predictor, **{name: getattr(self, name) for name in names})
        if ours is not None:
            more = {"on_step": on_step, "checkpoint_dir": checkpoint_dir}
            self.predictor_ = (
                ours if named.is_fitted(ours) else named.trained(ours, windows, **more)
            )
        elif hasattr(self, "predictor_"):
            del self.predictor_
        history = getattr(getattr(self, "predictor_", None), "history_", None)
        if history is None:
            spent = {"phase": ["fit"], "epoch": [1], "seconds": [time.perf_counter() - started]}
            history = pd.DataFrame(spent)
        self.history_ = history
        self.fingerprint_ = fingerprint(windows.past, windows.future, windows.neighbors)
        return self

    # --- using ------------------------------------------------------------------------------------

    def explain(self, X: Any) -> Attribution:
        """Value every cue of every target.

        Parameters
        ----------
        X : Tracks or Windows
            With futures: a target needs ``n_past + n_future`` steps.

        Raises
        ------
        MakedoInputError
            The predictor's answers are not what was asked for; more players than can be done;
            another rate, or other kinds of agent, than those of the fit.

        Warns
        -----
        MakedoWarning
            The predictor does not give the same answer twice.
        """
        check_is_fitted(self, "donors_")
        windows, rules, started = self._seen(X), self._rules(), time.perf_counter()
        value = Value(self._predictor, self.metric, self.n_samples)
        with Progress("explain", STEPS, self.verbose) as progress:
            done, total = 0, len(windows) * (1 + len(rules.nulls))

            def on_targets(n: int) -> None:
                nonlocal done
                done += n
                while progress.done < done * STEPS // total:
                    progress.advance()

            tables = explaining.explain(windows, value, rules, self.donors_, on_targets)
            on_targets(total - done)  # games that nobody has to play are done too
        found = {
            "common_noise": value.common_noise,
            "rows": value.n_rows,
            "seconds": time.perf_counter() - started,
            "block_unit": windows.block_unit,
        }
        return Attribution(*tables, self.settings() | found)

    def predict(self, X: Any, *, n_samples: int = 1) -> Any:
        """Where targets will be.

        Parameters
        ----------
        X : Tracks, Windows or Cues
        n_samples : int, default=1
            1: the single best guess.

        Returns
        -------
        ndarray of shape (n, n_future, 2), or DataFrame
            With several samples (n, n_samples, n_future, 2).  For Tracks a table: scene, frame (of
            the last position seen), agent, sample, step, x, y.
        """
        check_is_fitted(self, "donors_")
        value = Value(self._predictor, "ade", n_samples)
        if isinstance(X, Cues):
            found = value.samples(X, np.zeros(len(X), np.uint64), self.n_future)
            return found[:, 0] if n_samples == 1 else found
        windows = self._seen(X)
        found = value.samples(windows.cues(), windows.seeds(self.random_state), self.n_future)
        if isinstance(X, Windows):
            return found[:, 0] if n_samples == 1 else found
        return windows.table(found)

    def evaluate(self, X: Any) -> pd.DataFrame:
        """Judge the predictor with and without neighbours, beside simpler ones.

        Parameters
        ----------
        X : Tracks or Windows
            Best ones that ``fit`` did not see.

        Returns
        -------
        DataFrame
            candidate, metric, mean, low, high (95 % over blocks), n_targets, n_blocks.  ``ade`` and
            ``fde`` are those of the single best guess.
        """
        check_is_fitted(self, "donors_")
        from makedo.methods.trajectory.judging import judged

        return judged(self, self._seen(X)).table()

    def diagnose(self, X: Any) -> Diagnosis:
        """Ask by ridge regression whether neighbours in X, Tracks or Windows, tell anything."""
        self._check_parameters()
        from makedo.methods.trajectory.diagnose import diagnose

        return diagnose(self, X)

    def report(self, X: Any = None, *, show_rows: bool = False) -> Report:
        """Show what the predictor uses, as one page.

        Parameters
        ----------
        X : Tracks, Windows or Attribution, optional
            To explain; without it, what ``fit`` stored.
        show_rows : bool, default=False
            Whether ids and places of agents may stand in the report.
        """
        check_is_fitted(self, "donors_")
        from makedo.methods.trajectory.page import report

        return report(self, X, show_rows=show_rows)

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _predictor(self) -> Any:
        """What is explained, ready to predict."""
        return self.predictor_ if hasattr(self, "predictor_") else as_predictor(self.predictor)

    def _windows(self, X: Any) -> Windows:
        if isinstance(X, Windows):
            return X
        if not isinstance(X, Tracks):
            raise MakedoInputError(
                f"TrajectoryAttributor: X is a {type(X).__name__}. Read it first, so that frame "
                'rate and unit are known: Tracks.read("data.csv", seconds_per_frame=0.1).'
            )
        names = ("n_past", "n_future", "stride", "radius", "max_neighbors")
        return cut(X, **{name: getattr(self, name) for name in names})

    def _seen(self, X: Any) -> Windows:
        """Windows as fit has seen them: rate, kinds."""
        learnt = (self.kinds_, self.seconds_per_step_, self.donors_.track.shape[1])
        return self._windows(X).as_learnt(*learnt)

    def _rules(self) -> Rules:
        return Rules(**{name: getattr(self, name) for name in Rules.__dataclass_fields__})

    def settings(self) -> dict[str, Any]:
        """How explanations are made, in plain values, for their reader."""
        names = (
            "metric", "n_samples", "absent_past", "absent_neighbor", "players", "index",
            "estimator", "budget", "n_permutations", "tolerance", "null", "null_mode", "radius",
            "max_neighbors", "n_past", "n_future", "stride", "n_repeats", "random_state",
        )  # fmt: skip
        return {
            "predictor": named.called(self.predictor),
            **{name: getattr(self, name) for name in names},
            "unit": UNITS.get(self.metric, "m"),
        }

    def _card(self) -> str:
        return (
            f"Explains what the trajectory predictor {named.called(self.predictor)!r} uses.\n\n"
            "weights.safetensors holds short stretches of tracks of the fit, relative to other "
            "agents, to draw random neighbours from, tables.parquet the names of their scenes: "
            "keep this directory as private as the tracks."
        )

    def _restore(self, state: dict[str, Any]) -> None:
        state["donors_"] = Donors.from_state(state["donors_"])
        state["baselines_"] = named.restored_baselines(state["baselines_"])
        if "predictor_" in state:
            state["predictor_"] = named.restored(state["predictor_"])
        super()._restore(state)
