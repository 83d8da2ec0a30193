"""SportVU: errors for players of games that were not learnt from, with and without neighbours.

Every fifth game is for testing; windows begin every eight steps, those to learn from every four;
only players are targets, and all others on the court are neighbours, the ball too.

The network's settings were chosen on every fifth of the games to learn from, by the ADE of the
network with neighbours, one seed; its twin without them has the same.  In the order in which they
were tried, ADE in metres after six epochs.  On windows that begin every sixteen steps: hidden 64,
learning rate 0.002 (1.68), 0.004 (1.66), hidden 128 with sums and largest values beside attention
(1.64).  Every eight, hidden 128, 0.004: the network alone (1.61, its twin 1.70); neighbours that
attend to each other before the target attends to them (1.63 and 1.64: left out); layer
normalisation (1.64: left out); one quarter of the court instead of mirrored scenes (1.56, its twin
1.66); beside that places of neighbours on the court (1.56: left out), also with sums beside
attention (1.56: left out), learning rate 0.008 (1.58: left out), departures from standing still
instead of constant velocity (1.54), from the share of it that fits best (1.55: left out).  Every
four, before the last two gains (1.58).  Five epochs keep the table short; more were not tried.

The LSTM has the twin's epochs, samples, place and quarter of the court.  Of it two settings were
tried, on the same games, windows that begin every sixteen steps, six epochs: hidden 64 (1.711,
chosen) and 32 (1.723).  The twin has had more tries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from makedo.core.progress import logger
from makedo.core.results import Record, measured
from makedo.core.tables import Pair, Row
from makedo.data import catalog
from makedo.data.windows import Windows, cut
from makedo.methods.trajectory.attention import AttentionPredictor
from makedo.methods.trajectory.lstm import LSTMPredictor
from makedo.methods.trajectory.predictors import ConstantVelocity, LinearRidge, Static
from makedo.methods.trajectory.reproduce.walking import METRICS, judged

TITLE = "SportVU, games not learnt from, 14,080 targets, the whole court"
PLAYERS = ("team 1", "team 2")
STRIDE, TRAIN_STRIDE = 8, 4
SETTINGS: dict[str, Any] = {
    "place": True, "zoom": 0.0, "hidden": 128, "n_heads": 8, "neighbor_dropout": 0.1,
    "n_train_samples": 5, "dropout": 0.0, "max_epochs": 5,
}  # fmt: skip
LSTM_SETTINGS: dict[str, Any] = {
    "place": True, "zoom": 0.0, "hidden": 64, "n_train_samples": 5, "dropout": 0.0, "max_epochs": 5,
}  # fmt: skip
SETTINGS_OF = {"network": SETTINGS, "LSTM": LSTM_SETTINGS}  # by how a row's name begins
PREDICTORS: dict[str, Callable[[int], Any]] = {  # by the seed
    "standing still": lambda seed: Static(),
    "constant velocity": lambda seed: ConstantVelocity(),
    "ridge, own past": lambda seed: LinearRidge(),
    "ridge, own past and place": lambda seed: LinearRidge(place=True),
    "ridge, neighbours": lambda seed: LinearRidge(place=True, social=True),
    "LSTM, own past and place": lambda seed: LSTMPredictor(
        random_state=seed, device="cpu", **LSTM_SETTINGS
    ),
    "network, own past and place": lambda seed: AttentionPredictor(
        neighbors=False, random_state=seed, device="cpu", **SETTINGS
    ),
    "network, neighbours": lambda seed: AttentionPredictor(
        random_state=seed, device="cpu", **SETTINGS
    ),
}
PAIRS = (
    ("ridge, neighbours", "ridge, own past and place"),
    ("network, neighbours", "network, own past and place"),
    ("network, neighbours", "ridge, neighbours"),
)


def rows(seeds: Sequence[int]) -> list[Row | Pair]:
    """A row for each predictor, then the differences."""
    made: list[Row | Pair] = [
        Row(TITLE, "nba_sportvu", name, partial(compute, name, seeds), seeds) for name in PREDICTORS
    ]
    return [*made, *(Pair(TITLE, "nba_sportvu", *pair) for pair in PAIRS)]


def compute(name: str, seeds: Sequence[int]) -> list[Record]:
    """The four errors of one predictor."""
    found = {}
    for seed in seeds:
        found[seed] = judged(trained(name, seed), windows()[1], seed)
        logger.info("%s, seed %d: ADE %.3f m", name, seed, found[seed]["ade"])
    params = SETTINGS_OF.get(name.partition(",")[0])
    return [
        measured(metric, "games", {s: found[s][key] for s in seeds}, params=params)
        for key, metric in METRICS.items()
    ]


@lru_cache(maxsize=16)
def trained(name: str, seed: int) -> Any:
    """The predictor; once for all tables of a run."""
    return PREDICTORS[name](seed).fit(windows()[0])


@lru_cache(maxsize=1)
def windows() -> tuple[Windows, Windows]:
    """Windows for training and for testing."""
    train, test = catalog.load("nba_sportvu").split("games")
    return (
        cut(train, stride=TRAIN_STRIDE, targets=PLAYERS),
        cut(test, stride=STRIDE, targets=PLAYERS),
    )
