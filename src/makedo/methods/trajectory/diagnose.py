"""Is there anything in these tracks for a predictor with neighbours to use?

Asked by ridge regression in closed form, on blocks that were not learnt from: own past; with the
place on the map; with neighbours; and with the neighbours of another time, which give the place
away but cannot interact.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.checks import count
from makedo.core.diagnosis import Diagnosis
from makedo.core.seeds import generator
from makedo.data.windows import Cues, Windows
from makedo.methods.trajectory import metrics
from makedo.methods.trajectory.attribution import block_mean
from makedo.methods.trajectory.game import MOST_EXACT
from makedo.methods.trajectory.local_frame import LocalFrame, Relations
from makedo.methods.trajectory.nulls import OtherTimes
from makedo.methods.trajectory.predictors import ConstantVelocity, LinearRidge, Static, ahead

if TYPE_CHECKING:
    from makedo.methods.trajectory.estimator import TrajectoryAttributor

MOST_TARGETS = 8_000
FEWEST_TARGETS, FEWEST_BLOCKS = 200, 4
N_PLACES = 60  # bumps that the map is made of
ALPHA = 10.0
LITTLE = 0.005  # of the error: what is not worth a model of neighbours
RADII = (2.0, 5.0, 10.0, 50.0)
COMMAND = "makedo trajectory fit --tracks TRACKS --seconds-per-frame S --out model"
OWN, PLACE = "own past", "own past and place"
BOTH, OTHER = "these and neighbours", "these and neighbours of another time"


def diagnose(model: TrajectoryAttributor, X: Any) -> Diagnosis:
    """Compare ridge regressions with and without place and neighbours; 8,000 targets at most."""
    started = time.perf_counter()
    windows = _sampled(model._windows(X))
    figures = described(windows)

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        spent = time.perf_counter() - started
        return Diagnosis(verdict, figures=figures, advice=advice, seconds=spent, **more)

    if not windows.present.any():
        return answer("does not apply", "No target ever has a neighbour: there is only the past.")
    n_blocks = len(np.unique(windows.block))
    if len(windows) < FEWEST_TARGETS or n_blocks < FEWEST_BLOCKS:
        return answer(
            "cannot tell",
            f"{count(len(windows), 'target')} in {count(n_blocks, 'block')} "
            f"({windows.block_unit}) are too few to learn from some and judge on others; give at "
            f"least {FEWEST_TARGETS} in {FEWEST_BLOCKS}.",
        )
    errors = errors_of(windows, model.radius)
    for name, values in errors.items():
        figures[f"ADE, {name}, m"] = float(values.mean())
    gain, verdict, advice = judged(errors, windows.block)
    return answer(
        verdict,
        advice,
        expected_gain=100 * gain[0],
        interval=(100 * gain[1], 100 * gain[2]),
        unit="% of the ADE, from neighbours beyond the place",
        command=COMMAND if verdict in ("applies", "may help") else "",
    )


def judged(
    errors: dict[str, np.ndarray], block: np.ndarray
) -> tuple[tuple[float, float, float], str, str]:
    """Share of the error that neighbours take away beyond the place, the verdict, the advice."""
    base = min((OWN, PLACE), key=lambda name: errors[name].mean())
    scale = float(errors[base].mean()) or 1.0

    def share(a: str, b: str) -> tuple[float, float, float]:
        mean, low, high, _, _ = block_mean((errors[a] - errors[b]) / scale, block)
        return mean, low, high

    beyond_place, beyond_other, other = share(base, BOTH), share(OTHER, BOTH), share(base, OTHER)
    said = "{:+.1f} % ({:+.1f} to {:+.1f})".format(*(100 * v for v in beyond_place))
    if beyond_place[1] > LITTLE and beyond_other[1] > 0:
        return (
            beyond_place,
            "applies",
            (
                f"Neighbours carry information beyond the place: {said} of the error. Explain a "
                "predictor that looks at them."
            ),
        )
    if beyond_place[1] > 0 and beyond_other[1] <= 0:
        took = f"{100 * other[0]:+.1f} %"
        return (
            beyond_place,
            "does not apply",
            (
                f"Neighbours seem to help ({said} of the error), but those of another time do as "
                f"well ({took}): they carry only the place. Give the predictor the map."
            ),
        )
    if beyond_place[2] <= 2 * LITTLE:
        return (
            beyond_place,
            "does not apply",
            (
                f"Neighbours carry nothing that own past and place do not ({said} of the error): a "
                "predictor without neighbours is as good."
            ),
        )
    return (
        beyond_place,
        "may help",
        (
            f"Whether neighbours carry information beyond the place is not clear ({said} of the "
            "error)."
        ),
    )


# --- what the tracks are like ---------------------------------------------------------------------


def described(windows: Windows) -> dict[str, Any]:
    """Sizes, speeds, neighbours, and what an exact explanation would take."""
    n_neighbors = windows.present.sum(1) + windows.n_cut
    step = np.linalg.norm(np.diff(windows.past, axis=1), axis=-1) / windows.seconds_per_step
    speed = step.max(1)
    players = windows.present.sum(1) + 1
    feasible = players <= MOST_EXACT
    now = windows.past[:, None, -1]
    distance = np.linalg.norm(windows.neighbors[:, :, -1] - now, axis=-1)
    figures: dict[str, Any] = {
        "targets looked at": len(windows),
        "scenes": len(np.unique(windows.scene)),
        "kinds of agent": ", ".join(windows.kinds),
        "seconds a step": float(windows.seconds_per_step),
        f"{windows.block_unit}": len(np.unique(windows.block)),
        "median speed, m/s": float(np.median(step)),
        "highest speed of 99 % of targets, m/s": float(np.quantile(speed, 0.99)),
        "neighbours of a target, mean": float(n_neighbors.mean()),
        "neighbours of a target, most": int(n_neighbors.max()),
        "targets with more neighbours than are looked at, %": 100
        * float((windows.n_cut > 0).mean()),
        f"targets with more than {MOST_EXACT} players, %": 100 * float((~feasible).mean()),
        "coalitions of an exact explanation of these, million": float(
            (2.0 ** players[feasible]).sum() / 1e6
        ),
    }
    for radius in RADII:
        near = (windows.present & (distance <= radius)).any(1)
        figures[f"targets with a neighbour within {radius:g} m, %"] = 100 * float(near.mean())
    return figures


def _sampled(windows: Windows) -> Windows:
    if len(windows) <= MOST_TARGETS:
        return windows
    chosen = generator(0, "diagnose").permutation(len(windows))[:MOST_TARGETS]
    return windows.take(np.sort(chosen))


# --- regressions ----------------------------------------------------------------------------------


def errors_of(windows: Windows, radius: float | None) -> dict[str, np.ndarray]:
    """ADE of each target by each regression, in metres; every block is judged by the others."""
    cues, future = windows.cues(), windows.future
    tracks, present, kind = OtherTimes(windows).neighbors(windows, windows.seeds(), radius)
    other = replace(cues, neighbors=tracks, present=present, neighbor_kind=kind)
    parts = {
        "own": _own(cues),
        "place": _place(windows),
        "neighbors": _neighbors(windows, cues),
        "other": _neighbors(windows, other),
    }
    n_steps = future.shape[1]
    found = {
        "standing still": metrics.ade(Static().predict(cues, n_steps=n_steps), future),
        "last step again": metrics.ade(ConstantVelocity().predict(cues, n_steps=n_steps), future),
    }
    fold = _folds(windows)

    def errors(*names: str) -> np.ndarray:
        features = np.concatenate([parts[name] for name in names], axis=1)
        return _ridge_errors(features, windows, fold)

    found |= {OWN: errors("own"), PLACE: errors("own", "place")}
    # a map that does not help (several recordings in one) must not make neighbours look better
    base = ("own", "place") if found[PLACE].mean() < found[OWN].mean() else ("own",)
    return found | {BOTH: errors(*base, "neighbors"), OTHER: errors(*base, "other")}


def _folds(windows: Windows) -> np.ndarray:
    """Two halves (n,): stretches of two blocks in turn, so that few windows overlap across them."""
    rank = np.unique(windows.block, return_inverse=True)[1]
    return rank // 2 % 2


def _ridge_errors(features: np.ndarray, windows: Windows, fold: np.ndarray) -> np.ndarray:
    """ADE (n,) of regressions learnt on the other half, in the target's own frame."""
    frame = LocalFrame.of(windows.past)
    step = _last_step(windows.past)[:, None] * ahead(windows.future.shape[1])
    wanted = frame.turn(windows.future - windows.past[:, -1:] - step, back=False)
    wanted = wanted.reshape(len(features), -1)  # (n, 2 n_steps): beyond constant velocity
    scale = features.std(0) + 1e-9
    X = np.column_stack([features / scale, np.ones(len(features))])
    found = np.empty(len(X))
    for half in (0, 1):
        learn, judge = fold != half, fold == half
        gram = X[learn].T @ X[learn] + ALPHA * np.eye(X.shape[1])
        coef = np.linalg.solve(gram, X[learn].T @ wanted[learn])
        left = (wanted[judge] - X[judge] @ coef).reshape(int(judge.sum()), -1, 2)
        found[judge] = np.linalg.norm(left, axis=-1).mean(1)
    return found


def _last_step(past: np.ndarray) -> np.ndarray:
    return past[:, -1] - past[:, -2]


def _own(cues: Cues) -> np.ndarray:
    past = LocalFrame.of(cues.past).enter(cues.past)
    return past[:, :-1].reshape(len(past), -1)


def _place(windows: Windows) -> np.ndarray:
    """Bumps on the map times the direction there: where one is, what does one do? (n, 3 bumps)."""
    now = windows.past[:, -1]
    chosen = generator(0, "places").permutation(len(now))[:N_PLACES]
    width = 2 * np.median(np.linalg.norm(now - now.mean(0), axis=1)) / np.sqrt(N_PLACES) + 1e-9
    gap = np.linalg.norm(now[:, None] - now[chosen], axis=-1)  # (n, bumps)
    bump = np.exp(-0.5 * (gap / width) ** 2)
    moves = np.linalg.norm(_last_step(windows.past), axis=1)[:, None]
    heading = LocalFrame.of(windows.past).ahead  # (n, 2)
    return np.concatenate(
        [bump, bump * heading[:, :1], bump * heading[:, 1:], bump * moves], axis=1
    )


def _neighbors(windows: Windows, cues: Cues) -> np.ndarray:
    """Place and velocity of the nearest ones, as the social ridge regression has them."""
    model = LinearRidge(social=True)
    model.relations_ = Relations.learn(cues, len(windows.kinds)).of_kind
    frame = LocalFrame.of(cues.past)
    past = frame.enter(cues.past)
    return model._of_neighbors(cues, frame, past[:, -1] - past[:, -2])
