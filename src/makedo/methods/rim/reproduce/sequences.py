"""Sequence models beside EASE and counting, with and without λ, over three seeds.

Settings are chosen inside the training data (:func:`.protocols.within_training`), among five of
each method, with one seed, by the precision of items for users: the table of settings has all that
were tried, and ``CHOSEN`` the best of it, the first of equals, where that is not the default.
"Network alone" is the same network without the own past of users.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from makedo.core.paired import difference
from makedo.core.results import Record, measured
from makedo.core.tables import Pair, Row
from makedo.methods.rim.marks import EASE, Marks, PersonalRepeat
from makedo.methods.rim.ranking import PRECISION, Ranked, rank
from makedo.methods.rim.repeats import EASERepeat
from makedo.methods.rim.reproduce.protocols import (
    NO_LAMBDA,
    PROTOCOLS,
    Protocol,
    within_training,
)
from makedo.methods.rim.reproduce.with_and_without import CALLED
from makedo.methods.rim.sequences import RNN, Transformer

TITLE = "{}: sequence models, three seeds"
GAINS = "{}: what sequence models gain in precision, the mean over three seeds paired by user; in "
GAINS += "brackets 95 % intervals by bootstrap over users"
SETTINGS = "{}: settings of sequence models, judged inside the training data, one seed"
SEEDS = (0, 1, 2)
RATES = (NO_LAMBDA, "EMA", "HP")
ALONE = "Transformer, network alone"
KINDS: dict[str, Callable[..., Marks]] = {
    "EASE": EASE,  # with the penalty that the specification gives
    "EASE, tuned": EASE,
    "PersonalRepeat": PersonalRepeat,
    "EASE with own past": EASERepeat,
    "RNN": RNN,
    "Transformer": Transformer,
}
PENALTIES = [{"penalty": p} for p in (200.0, 1e3, 5e3, 2e4, 1e5)]
GRIDS: dict[str, Sequence[Mapping[str, Any]]] = {
    "EASE, tuned": PENALTIES,
    "EASE with own past": PENALTIES,
    "RNN": [
        {},
        {"ahead": 0.0},
        {"learning_rate": 3e-3},
        {"learning_rate": 3e-3, "ahead": 0.0},
        {"learning_rate": 1e-2},
    ],
    "Transformer": [
        {},
        {"ahead": 0.0},
        {"learning_rate": 2e-3, "dropout": 0.3},
        {"learning_rate": 3e-3},
        {"learning_rate": 3e-3, "ahead": 0.0},
    ],
}
CHOSEN: dict[tuple[str, str], Mapping[str, Any]] = {  # (data, kind) -> settings; else defaults
    ("ml-100k", "EASE, tuned"): {"penalty": 2e4},
    ("ml-100k", "RNN"): {"learning_rate": 3e-3, "ahead": 0.0},
    ("ml-100k", "Transformer"): {"ahead": 0.0},
    ("completejourney", "EASE, tuned"): {"penalty": 1000.0},
    ("completejourney", "EASE with own past"): {"penalty": 2e4},
    ("completejourney", "RNN"): {"learning_rate": 3e-3},
    ("completejourney", "Transformer"): {"learning_rate": 2e-3, "dropout": 0.3},
}
NAMES = {
    "ml-100k": ("EASE", "EASE, tuned", "RNN", "Transformer"),  # seen pairs are left out
    "completejourney": (
        "PersonalRepeat",
        "EASE",
        "EASE, tuned",
        "EASE with own past",
        ALONE,
        "RNN",
        "Transformer",
    ),
}


def rows(data: str, seeds: int | None = None) -> list[Row | Pair]:
    """A row a model, then differences by seed, then gains by user."""
    chosen = SEEDS if seeds is None else tuple(range(seeds))
    title, of_gains = TITLE.format(CALLED[data]), GAINS.format(CALLED[data])
    names = NAMES[data]
    found: list[Row | Pair] = [
        Row(title, data, name, partial(precision, data, name, chosen), chosen) for name in names
    ]
    pairs = [
        (a, b)
        for i, b in enumerate(names)
        for a in names[i + 1 :]
        if a in ("RNN", "Transformer") and (a, b) != ("RNN", ALONE)
    ]
    found += [Pair(title, data, a, b) for a, b in pairs]
    gains = [("EASE with own past", "PersonalRepeat"), *pairs]
    gains = [pair for pair in gains if set(pair) <= set(names)]
    found += [
        Row(of_gains, data, f"{a} over {b}", partial(gained, data, a, b, chosen), chosen)
        for a, b in gains
    ]
    return found


def setting_rows(data: str) -> list[Row]:
    """A row for each setting that was tried."""
    return [
        Row(SETTINGS.format(CALLED[data]), data, called(kind, one), partial(tried, data, kind, one))
        for kind in GRIDS
        if kind in NAMES[data]
        for one in GRIDS[kind]
    ]


def chosen(data: str, name: str) -> Mapping[str, Any] | None:
    """What is set of the one of a row; None: its defaults."""
    return CHOSEN.get((data, "Transformer" if name == ALONE else name))


def called(kind: str, settings: Mapping[str, Any]) -> str:
    """``'RNN, ahead=0.0'``."""
    return ", ".join([kind, *(f"{name}={value:g}" for name, value in settings.items())])


# --- what a row computes --------------------------------------------------------------------------


def precision(data: str, name: str, seeds: Sequence[int]) -> list[Record]:
    """Precision of both rankings, of users for items without and with λ."""
    records = []
    for task, side, rate, length in tasks(PROTOCOLS[data]()):
        values = {s: lists(data, name, s, side, rate).precision(length) for s in seeds}
        records.append(measured(PRECISION, task, values, params=chosen(data, name)))
    return records


def gained(data: str, ours: str, reference: str, seeds: Sequence[int]) -> list[Record]:
    """Gains of the mean over seeds, paired by user."""
    records = []
    for task, side, rate, length in tasks(PROTOCOLS[data]()):
        both = (
            np.mean([lists(data, name, s, side, rate).by("users", length) for s in seeds], axis=0)
            for name in (ours, reference)
        )
        d = difference(*both, names=(ours, reference), group=task, metric=PRECISION)
        records.append(measured(PRECISION, task, [d.gain], interval=d.interval))
    return records


def tried(data: str, kind: str, settings: Mapping[str, Any]) -> list[Record]:
    """Precision inside the training data, of users by EMA."""
    protocol = within_training(data)
    split = protocol.split
    fitted = KINDS[kind](**settings).fit(split.train, split.horizon)
    scores = protocol.scores_of(fitted)
    records = []
    for task, side, rate, length in tasks(protocol):
        if rate == "HP" or (side == "users" and rate == NO_LAMBDA):
            continue  # HP has its windows where the test is here
        ranked = rank(scores.scaled(protocol.rate(rate)), protocol.targets, length, side, 1)
        records.append(measured(PRECISION, task, [ranked.precision(length)]))
    return records


def tasks(protocol: Protocol) -> list[tuple[str, str, str, int]]:
    """(name, side, λ, length) of each column; lengths are those of the specification."""
    k, c = (15, 25) if not protocol.exclude_seen else (17, 5)
    found = [(f"ItemRec@{k}", "items", NO_LAMBDA, k)]
    for rate in RATES:
        name = f"UserRec@{c}" + ("" if rate == NO_LAMBDA else f" × {rate}")
        found.append((name, "users", rate, c))
    return found


def lists(data: str, name: str, seed: int, side: str, rate: str) -> Ranked:
    """The lists of one model; those of marks without random numbers once for all seeds."""
    drawn = name == ALONE or "random_state" in KINDS[name]().get_params()
    return _lists(data, name, seed if drawn else 0, side, rate)


@lru_cache(maxsize=256)
def _lists(data: str, name: str, seed: int, side: str, rate: str) -> Ranked:
    protocol = PROTOCOLS[data]()
    scores = _scores(data, name, seed).scaled(_rate(data, rate))
    longest = max(length for _, s, _, length in tasks(protocol) if s == side)
    return rank(scores, protocol.targets, longest, side)


@lru_cache(maxsize=4)
def _scores(data: str, name: str, seed: int):
    protocol = PROTOCOLS[data]()
    if name != ALONE:
        return protocol.scores_of(_fitted(data, name, seed))
    alone = copy.copy(_fitted(data, "Transformer", seed))
    alone.backoff_ = np.inf
    return protocol.scores_of(alone)


@lru_cache(maxsize=8)
def _fitted(data: str, name: str, seed: int) -> Any:
    split = PROTOCOLS[data]().split
    model = KINDS[name](**(chosen(data, name) or {}))
    if "random_state" in model.get_params():
        model.set_params(random_state=seed)
    return model.fit(split.train, split.horizon)


@lru_cache(maxsize=8)
def _rate(data: str, rate: str) -> np.ndarray:
    return PROTOCOLS[data]().rate(rate)
