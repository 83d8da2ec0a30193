"""Every mark with and without each λ: ItemRec stays as it is, UserRec gains."""

from __future__ import annotations

from functools import lru_cache, partial

from makedo.core.paired import Metric
from makedo.core.results import Record, measured
from makedo.core.tables import Row
from makedo.methods.rim.ranking import PRECISION, Ranked, gain, rank
from makedo.methods.rim.reproduce.protocols import MARKS, NO_LAMBDA, PROTOCOLS

CALLED = {
    "ml-100k": "MovieLens 100K, seen films left out",
    "completejourney": "Complete Journey (dunnhumby, simulated), types of product, four weeks",
}
TITLE = (
    "{}: items for users (ItemRec) and users for items (UserRec), with and without λ; in brackets "
)
TITLE += "95 % intervals by bootstrap over users"
GAIN = "{}: what λ adds to UserRec, paired; in brackets 95 % intervals by bootstrap over users"
GAINED = Metric("gain in precision", decimals=4)
NAMES = {
    "ml-100k": tuple(name for name in MARKS if name != "PersonalRepeat"),  # seen pairs are excluded
    "completejourney": tuple(MARKS),
}
INTENSITIES = (NO_LAMBDA, "UserPop", "EMA", "Hawkes", "HP")


def rows(data: str) -> list[Row]:
    """A row for each pair, then one for each gain over the same mark without λ."""
    pairs = [(mark, rate) for mark in NAMES[data] for rate in INTENSITIES]
    title, of_gains = TITLE.format(CALLED[data]), GAIN.format(CALLED[data])
    scores = [Row(title, data, name(*pair), partial(precision, data, *pair)) for pair in pairs]
    gains = [
        Row(of_gains, data, f"{name(*pair)} over {pair[0]}", partial(gained, data, *pair))
        for pair in pairs
        if pair[1] != NO_LAMBDA
    ]
    return [*scores, *gains]


def name(mark: str, rate: str) -> str:
    """``'EASE × HP'``, or the mark alone."""
    return mark if rate == NO_LAMBDA else f"{mark} × {rate}"


def precision(data: str, mark: str, rate: str) -> list[Record]:
    """Precision of both rankings at each length, with intervals."""
    protocol = PROTOCOLS[data]()
    sides = (("ItemRec", "items", protocol.k), ("UserRec", "users", protocol.c))
    return [
        measured(
            PRECISION,
            f"{task}@{length}",
            [found.precision(length)],
            interval=found.interval(length),
        )
        for task, side, lengths in sides
        for found in [ranked(data, mark, rate, side)]
        for length in lengths
    ]


def gained(data: str, mark: str, rate: str) -> list[Record]:
    """What λ adds to the precision of UserRec at each length, paired."""
    ours, alone = (ranked(data, mark, one, "users") for one in (rate, NO_LAMBDA))
    found = [
        (length, gain(ours, alone, length, (rate, NO_LAMBDA))) for length in PROTOCOLS[data]().c
    ]
    return [
        measured(GAINED, f"UserRec@{length}", [one.gain], interval=one.interval)
        for length, one in found
    ]


@lru_cache(maxsize=64)
def ranked(data: str, mark: str, rate: str, side: str) -> Ranked:
    """The lists of one pair; kept, since the gains are taken from the same."""
    protocol = PROTOCOLS[data]()
    scores = _marks(data, mark).scaled(_rate(data, rate))
    longest = max(protocol.k if side == "items" else protocol.c)
    return rank(scores, protocol.targets, longest, side)


@lru_cache(maxsize=8)
def _marks(data: str, mark: str):
    return PROTOCOLS[data]().scores(mark)


@lru_cache(maxsize=16)
def _rate(data: str, rate: str):
    return PROTOCOLS[data]().rate(rate)
