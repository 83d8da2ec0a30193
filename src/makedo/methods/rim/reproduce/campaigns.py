"""Who of those targeted by a campaign redeemed its coupons: Complete Journey, campaigns 8, 13, 18.

Households that a campaign of type A was sent to are ranked at its start; who redeemed one of its
coupons within it is the truth.  Nothing from the start on is learnt from: windows of a campaign's
length, one before the other, end there, with the coupons redeemed in each as counts.

Channels: purchases of the products that the campaign's coupons are for, whose rate is the sum over
these products of λ(x, y), or all purchases; purchases with a coupon of any kind; redemptions of
campaigns.  Few had redeemed anything before the first of the three campaigns, so a count of
redemptions is one great tie; the figures of the specification break it by activity.

This says who *will* redeem, among those who got the coupons.  Nothing here says what the coupons
changed: nobody was left out at random.  And the data are simulated, says the package that
redistributes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.core.paired import Metric, bootstrap_interval
from makedo.core.results import Record, measured
from makedo.core.seeds import generator
from makedo.core.tables import Row
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.log_sets import find_log
from makedo.data.times import seconds
from makedo.methods.rim.hawkes import activity
from makedo.methods.rim.intensities import EMA, HawkesPoisson

TITLE = (
    "Complete Journey (dunnhumby, simulated): which of the households that a campaign was sent to "
    "redeem its coupons, ranked at its start; in brackets 95 % intervals by bootstrap over "
    "households"
)
CAMPAIGNS = (8, 13, 18)  # of type A
REDEEMED = "coupon_redemptions"
DAY = 86_400.0
EMA_SCALE = 28 * DAY
LEAST_HISTORY = 14 * DAY  # before the earliest window
WINDOWS = 6  # at most
AUC = Metric("AUC", decimals=3)
FIRST_FIFTH = Metric("share of the redeemers among the first fifth", decimals=3)
SPECIFIED = {  # figures that the specification of the protocol gives
    "activity (EMA)": (0.700, 0.694, 0.696),
    "purchases of its products (EMA)": (0.692, 0.707, 0.707),
    "coupons redeemed so far, ties by activity (EMA)": (0.715, 0.770, 0.815),
}


def rows(data: str) -> list[Row]:
    """A row a score."""
    return [Row(TITLE, data, name, partial(compute, name)) for name in SCORES]


def compute(name: str) -> list[Record]:
    """AUC, and what calling on the first fifth would reach, of each campaign."""
    records = []
    for i, number in enumerate(CAMPAIGNS):
        one = campaign(number)
        score, truth = SCORES[name](one), one.redeemed
        paper = SPECIFIED.get(name, (None,) * len(CAMPAIGNS))[i]
        group = f"campaign {number} ({len(truth):,} households, {truth.sum()} redeemed)"
        interval = auc_interval(truth, score)
        records.append(measured(AUC, group, [auc(truth, score)], paper=paper, interval=interval))
        reached = first_fifth(truth, score)
        interval = bootstrap_interval(reached)
        value = float(reached.mean())
        records.append(measured(FIRST_FIFTH, group, [value], interval=interval))
    return records


# --- a campaign -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Campaign:
    """One campaign and what was known at its start.

    Parameters
    ----------
    start, length : float
        In seconds.
    targeted : Index of households
    redeemed : bool ndarray (n_targeted,)
    purchases, products, coupons, redemptions : InteractionLog
        All purchases; those of the campaign's products; those with a coupon; coupons of campaigns.
    """

    start: float
    length: float
    targeted: pd.Index
    redeemed: np.ndarray
    purchases: InteractionLog
    products: InteractionLog
    coupons: InteractionLog
    redemptions: InteractionLog

    @cached_property
    def asked(self) -> Requests:
        """The targeted households at the start."""
        return Requests.at(self.purchases, self.start, self.targeted)

    @cached_property
    def windows(self) -> Requests:
        """All households at the beginning of windows that end before the start."""
        earliest = float(self.purchases.time.min()) + LEAST_HISTORY
        times = self.start - self.length * np.arange(1, WINDOWS + 1)
        times = times[times > earliest]
        n = self.purchases.n_users
        user = np.tile(np.arange(n, dtype=np.int32), len(times))
        return Requests(self.purchases, user, np.repeat(times, n))


@lru_cache(maxsize=len(CAMPAIGNS))
def campaign(number: int) -> Campaign:
    """Read one campaign."""
    about = _table("campaign_descriptions").set_index("campaign_id").loc[number]
    sent, redeemed = (_of(name, number, "household_id") for name in ("campaigns", REDEEMED))
    start, last = float(seconds(about["start_date"])), float(seconds(about["end_date"]))
    purchases, with_coupon = _purchases()
    named = purchases.items.isin(_of("coupons", number, "product_id"))
    return Campaign(
        start,
        last + DAY - start,
        sent,
        sent.isin(redeemed),
        purchases,
        purchases.select(named[purchases.item]),
        purchases.select(with_coupon),
        _redemptions(),
    )


def _of(table: str, number: int, column: str) -> pd.Index:
    """The different ids in a column of a table that belong to one campaign, sorted."""
    frame = _table(table)
    return pd.Index(np.unique(frame[column].to_numpy()[frame["campaign_id"].to_numpy() == number]))


@lru_cache(maxsize=1)
def _purchases() -> tuple[InteractionLog, np.ndarray]:
    """All purchases, and which of them had a coupon."""
    events = _table("interactions").rename(columns=str.lower)
    events["value"] = (events["coupon_disc"] != 0).astype(float)
    events = events.groupby(["user_id", "item_id", "timestamp"], as_index=False)["value"].max()
    log = InteractionLog.read(events, value="value")
    return log, log.value > 0


@lru_cache(maxsize=1)
def _redemptions() -> InteractionLog:
    """Coupons of campaigns that were redeemed, by day."""
    frame = _table(REDEEMED).drop_duplicates(["household_id", "coupon_upc", "redemption_date"])
    names = {"user": "household_id", "item": "coupon_upc", "time": "redemption_date"}
    return InteractionLog.read(frame, **names)


def _table(name: str) -> pd.DataFrame:
    found = find_log("completejourney")
    file = None if found is None else found.with_name(f"{name}.parquet")
    if file is None or not file.is_file():
        raise MakedoInputError(
            f"completejourney has no {name}.parquet. Put the tables of Complete Journey into "
            "$MAKEDO_DATA/completejourney."
        )
    return pd.read_parquet(file)


# --- scores ---------------------------------------------------------------------------------------


def recent(kind: str) -> Callable[[Campaign], np.ndarray]:
    """Events of one kind, each worth less by 1/e every 28 days."""

    def score(one: Campaign) -> np.ndarray:
        asked = one.asked.in_log(getattr(one, kind))
        return EMA().fit(asked, None, EMA_SCALE).predict(asked)

    return score


def so_far(kind: str) -> Callable[[Campaign], np.ndarray]:
    """Number of events of one kind."""

    def score(one: Campaign) -> np.ndarray:
        none = np.zeros(0)
        return activity(one.asked.in_log(getattr(one, kind)), none, 1.0).count.astype(float)

    return score


def tied_by_activity(one: Campaign) -> np.ndarray:
    """Number of coupons redeemed; of equal ones, most of which have none, the more active first."""
    active = recent("purchases")(one)
    return so_far("redemptions")(one) + active / (2 * active.max())


def hawkes_poisson(*kinds: str) -> Callable[[Campaign], np.ndarray]:
    """Redemptions to be expected, of what was bought and redeemed."""

    def score(one: Campaign) -> np.ndarray:
        logs: list[Any] = [getattr(one, kind) for kind in kinds]
        windows, asked = (
            [one_log.in_log(log) for log in logs] for one_log in (one.windows, one.asked)
        )
        counts = one.windows.in_log(one.redemptions).counts(one.length)
        model = HawkesPoisson(shortest=DAY / one.length)
        model.fit(windows[0], counts, one.length, channels=windows[1:])
        return model.predict(asked[0], channels=asked[1:])

    return score


SCORES: dict[str, Callable[[Campaign], np.ndarray]] = {
    "activity (EMA)": recent("purchases"),
    "purchases of its products (EMA)": recent("products"),
    "coupons redeemed so far": so_far("redemptions"),
    "coupons redeemed so far, ties by activity (EMA)": tied_by_activity,
    "purchases with a coupon so far": so_far("coupons"),
    "HP, purchases of its products": hawkes_poisson("products"),
    "HP, redemptions": hawkes_poisson("redemptions"),
    "HP, purchases and redemptions": hawkes_poisson("products", "redemptions"),
    "HP, all purchases and redemptions": hawkes_poisson("purchases", "redemptions"),
    "HP, purchases with and without a coupon": hawkes_poisson("products", "coupons"),
    "HP, all three channels": hawkes_poisson("products", "coupons", "redemptions"),
}


# --- how good -------------------------------------------------------------------------------------


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Share of pairs, one of each kind, that are in the right order; ties count half."""
    from scipy.stats import rankdata

    n = int(truth.sum())
    rank_sum = rankdata(score)[truth].sum() - n * (n + 1) / 2
    return float(rank_sum / (n * (len(truth) - n)))


def auc_interval(truth: np.ndarray, score: np.ndarray, n_draws: int = 1000) -> tuple[float, float]:
    """95 % interval by bootstrap over households."""
    rng, n = generator(0, "auc"), len(truth)
    drawn = (rng.integers(n, size=n) for _ in range(n_draws))
    low, high = np.quantile([auc(truth[d], score[d]) for d in drawn], [0.025, 0.975])
    return float(low), float(high)


def first_fifth(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """What each household adds to the share of redeemers in the best fifth, which is the mean.

    Equal scores at the border share the places that are left.
    """
    n = round(len(score) / 5)
    border = np.sort(score)[-n]
    inside, equal = score > border, score == border
    place = inside + equal * (n - inside.sum()) / equal.sum()
    return place * truth * len(truth) / truth.sum()
