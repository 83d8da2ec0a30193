"""Users who come one by one: prices from the plan, decisions that are final.

A user gets the k best of s - v, of what is above 0.  v is the plan's price of an item, with three
rules that make it keep its promise under drift and ties:

* What is paid towards a minimum ends when the minimum is there.  So items that nobody can tell
  apart take turns: the one that is served drops out.
* A maximum, and money, are never overdrawn.  Wishes closer than ε are split at random.
* Scores may be rescaled as users come, so that their median user is as in the fit.  Of each user,
  there and here, the same number of best pairs is looked at, or as many as there are.

Adaptive prices are dual averaging (mirror descent with lazy projection): with j of n users served
and g contacts of the item given,

    v⁺ = max(0, v⁺ + η (g - c j/n)),   v⁻ = max(0, v⁻ + η (l j/n - g)),   v = v⁺ - v⁻

so that an item that is behind its pace by one contact costs η less.  When the users still to come
have no more room than minima are missing, they get nothing else.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, Number, count
from makedo.core.seeds import generator
from makedo.methods.rim.candidates import Candidates
from makedo.methods.rim.offers import Offer, read_offer

if TYPE_CHECKING:
    from makedo.methods.rim.matcher import BudgetMatcher

STEP = 0.1  # η, in typical scores for each contact behind or ahead
DOUBT = 50  # users after whom half of a drift in scale is believed


class Serving:
    """A campaign under way.

    Made by :meth:`BudgetMatcher.serving`.

    Attributes
    ----------
    delivered : ndarray (n_items,)
        Contacts so far.
    n_served : int
    spent : float
    scale : float
        What scores are multiplied by so far.
    """

    def __init__(
        self, matcher: BudgetMatcher, n_users: int, adaptive: bool, rescale: bool, step: float
    ):
        self.matcher, self.n_users = matcher, n_users
        self.adaptive, self.rescale, self.step = adaptive, rescale, step
        table = matcher.prices_
        self.items = pd.Index(table["item_id"])
        self._min, self._max = table["item_min"].to_numpy(), table["item_max"].to_numpy()
        price = table["price"].to_numpy() / matcher.unit_
        self._dear, self._cheap = np.maximum(price, 0), np.maximum(-price, 0)
        self._money = matcher.budget_price_ / matcher.unit_
        self._value = matcher._read("item_value", self.items)
        self._cost = matcher._read("item_cost", self.items)
        self._budget = np.inf if matcher.budget is None else float(matcher.budget)
        self._rng = generator(matcher.random_state, "serving")
        self._n_best = n_best(matcher.user_prices_["user_max"].to_numpy())
        self._sizes: list[float] = []  # logarithms, rising
        self.delivered, self.n_served, self.spent = np.zeros(len(self.items)), 0, 0.0
        self.scale = 1.0

    @property
    def prices(self) -> pd.Series:
        """The price of each item now, in points of score."""
        return pd.Series(self._prices() * self.matcher.unit_, self.items, name="price")

    @property
    def delivered_share(self) -> float:
        """Σ min(delivered, minimum) / Σ minimum; 1 without minima."""
        promised = self._min.sum()
        return float(np.minimum(self.delivered, self._min).sum() / promised) if promised else 1.0

    def serve(
        self, scores: Any, *, user_max: int | None = None, user_cost: float = 0.0
    ) -> pd.Index:
        """What one user gets, the best first; final.

        Parameters
        ----------
        scores : array (n_items,)
            In the order of ``prices_``; minus infinity where nothing may be given.
        user_max : int, optional
            Default: that of the matcher, if it is one for all.
        user_cost : float
            What a contact with this user costs.
        """
        scores = self._read(scores)
        for name, number, form in (
            ("user_max", user_max, Number(0, integer=True, none=True)),
            ("user_cost", user_cost, Number(0.0)),
        ):
            if not form.accepts(number):
                raise MakedoInputError(f"serve: {name} must be {form}. Got {number!r}.")
        k = self.matcher._one_user_max() if user_max is None else float(user_max)
        with np.errstate(invalid="ignore"):  # 0 · -inf
            worth = scores * self._value / self.matcher.unit_
        return self.items[self._give(worth, k, user_cost)]

    def _read(self, scores: Any) -> np.ndarray:
        """One user's scores as numbers, (n_items,)."""
        try:
            found = np.asarray(scores, np.float64)
        except (TypeError, ValueError):
            found = np.full(len(self.items), np.nan)
        if found.shape != self.items.shape or np.isnan(found).any() or np.isposinf(found).any():
            raise MakedoInputError(
                f"serve: scores must be {count(len(self.items), 'number')}, one for each item of "
                "prices_; minus infinity where nothing may be given. Got "
                + (f"shape {found.shape}." if found.shape != self.items.shape else "others.")
            )
        return found

    def serve_all(
        self, X: Any, requests: Any = None, *, users: Any = None, items: Any = None
    ) -> pd.DataFrame:
        """Serve many users in the order of their times, or of rows where there are none.

        Parameters
        ----------
        X, requests, users, items : as in :meth:`BudgetMatcher.fit`

        Returns
        -------
        DataFrame
            item_id, user_id, timestamp (of a request), score, price (when given), in the order in
            which contacts were given.
        """
        return self.serve_offer(read_offer(X, requests, users, items))

    def serve_offer(self, offer: Offer) -> pd.DataFrame:
        """The same of scores that were read."""
        column = offer.items.get_indexer(self.items)
        if (column < 0).any():
            raise MakedoInputError(
                f"The scores lack {count(int((column < 0).sum()), 'item')} of the plan. Give "
                "scores for the items of prices_."
            )
        names = ("user_max", "user_cost", "user_value")
        k, cost, value = (self.matcher._read(name, offer.users) for name in names)
        rows = np.arange(len(offer.users))
        if offer.times is not None:
            rows = np.argsort(offer.times, kind="stable")
        parts = []
        for part in np.array_split(rows, max(len(rows) // 1024, 1)):
            for x, scores in zip(part, offer.rows(part)[:, column], strict=True):
                with np.errstate(invalid="ignore"):  # 0 · -inf
                    worth = scores * value[x] * self._value / self.matcher.unit_
                given, price = self._give(worth, float(k[x]), float(cost[x])), self._prices()
                parts.append((x, given, worth[given], price[given]))
        return self._table(offer, parts)

    def _table(self, offer: Offer, parts: list[tuple]) -> pd.DataFrame:
        user = np.repeat([part[0] for part in parts], [len(part[1]) for part in parts]).astype(int)
        item, score, price = (
            np.concatenate([np.zeros(0, kind), *(part[i] for part in parts)])
            for i, kind in ((1, int), (2, float), (3, float))
        )
        columns: dict[str, Any] = {"item_id": self.items[item], "user_id": offer.users[user]}
        if offer.times is not None:
            columns["timestamp"] = offer.times[user]
        unit = self.matcher.unit_
        return pd.DataFrame(columns | {"score": score * unit, "price": price * unit})

    # --- one user ---------------------------------------------------------------------------------

    def _done(self) -> float:
        """Which share of the users was served; 1 if more come than were counted on."""
        return min(self.n_served / self.n_users, 1.0)

    def _prices(self) -> np.ndarray:
        """The prices v in units, (n_items,)."""
        dear, cheap = self._dear, self._cheap
        if self.adaptive:
            done = self._done()
            capped = np.isfinite(self._max)
            ahead = np.where(capped, self.delivered - np.where(capped, self._max, 0) * done, 0)
            dear = np.maximum(dear + self.step * ahead, 0)
            cheap = np.maximum(cheap + self.step * (self._min * done - self.delivered), 0)
        return dear - np.where(self.delivered < self._min, cheap, 0)

    def _money_price(self) -> float:
        if not self.adaptive or not 0 < self._budget < np.inf:
            return self._money
        ahead = self.spent / self._budget - self._done()
        return max(self._money * (1 + ahead * self.n_users * self.step), 0.0)

    def _give(self, worth: np.ndarray, k: float, user_cost: float) -> np.ndarray:
        """Positions of what the user gets, and the books kept."""
        cost = self._cost + user_cost
        open = np.isfinite(worth) & (cost <= self._budget)  # as in the fit
        if self.rescale and k and open.any():
            self._rescale(worth[open])
        most = self._budget * (1 + 1e-12)  # sums of costs are rounded
        open &= (self.delivered < self._max) & (self.spent + cost <= most)
        t = worth * self.scale - self._prices() - self._money_price() * cost
        t = t + self.matcher.temperature_ * self._rng.random(len(t))
        if self.adaptive and 0 < self._missing() and self._missing() >= self._room(k):
            open &= self.delivered < self._min
            t = t - t.min(initial=0, where=open) + 1
        wanted = np.flatnonzero(open & (t > 0))
        wanted = wanted[np.argsort(-t[wanted], kind="stable")][: int(min(k, len(t)))]
        given = wanted[self.spent + np.cumsum(cost[wanted]) <= most]
        self.delivered[given] += 1
        self.spent += float(cost[given].sum())
        self.n_served += 1
        return given

    def _missing(self) -> float:
        return float(np.maximum(self._min - self.delivered, 0).sum())

    def _room(self, k: float) -> float:
        """Contacts that the users still to come can take, if they are like this one."""
        return max(self.n_users - self.n_served, 0) * k

    def _rescale(self, worth: np.ndarray) -> None:
        """Make the median user so far like that of the fit; worth (m,) of this one's pairs."""
        for size in sizes_of(worth[None], min(self._n_best, len(worth))):
            insort(self._sizes, float(size))
        if n := len(self._sizes):
            median = (self._sizes[(n - 1) // 2] + self._sizes[n // 2]) / 2
            self.scale = float(np.exp((self.matcher.typical_ - median) * n / (n + DOUBT)))


def typical_size(pairs: Candidates) -> float:
    """Logarithm of the size of the median user who may get something; 0 where there is none."""
    k = np.where(pairs.user_max > 0, n_best(pairs.user_max), 0)
    sizes = [sizes_of(block.score, block.k) for block in replace(pairs, user_max=k).blocks]
    sizes = np.concatenate([np.zeros(0), *sizes])
    return float(np.median(sizes)) if len(sizes) else 0.0


def n_best(user_max: np.ndarray) -> int:
    """How many of a user's best pairs say how large the scores are: the median of the maxima."""
    limited = user_max[(user_max > 0) & np.isfinite(user_max)]
    return int(np.median(limited)) if len(limited) else 1


def sizes_of(worth: np.ndarray, k: int) -> np.ndarray:
    """Logarithms of the means of each row's k best; k is at most the width.

    A pair below 0 counts as 0.  A row of mean 0 is left out: whatever the scale, it is 0.
    """
    w = worth.shape[1]
    mean = np.maximum(np.partition(worth, w - k, axis=1)[:, w - k :], 0).mean(axis=1)
    return np.log(mean[mean > 0])
