r"""A campaign plan: who gets which item, under limits of users, items and money.

Y. Ma, G. Liu, A. Deoras, "Bridging Recommendation and Marketing via Recurrent Intensity Modeling",
ICLR 2022, https://openreview.net/forum?id=TZeArecH2Nf; the part on matching, offline and online.

The best plan is an assignment of whole contacts.  Its dual are prices: u of a user's attention, v
of an item's scarcity, negative where a minimum has to be paid for, μ of money.  With prices users
are served one by one: each gets what is best after prices, and so does one who comes later.

:mod:`.offers` has the scores and which pairs are looked at, :mod:`.dual` the prices and the bound
that they prove, :mod:`.annealing` the way to them, :mod:`.rounding` the plan of whole contacts,
:mod:`.serving` users who come one by one.

What differs from the paper, and why:

* One item may have a minimum and a maximum; users and items may cost money.
* Prices are found by L-BFGS on the smooth dual with user prices solved out, where the paper
  alternates between both sides: fewer passes, and it does not stall.
* The result is certified: the bound holds for all pairs, the value is that of whole contacts.
* The plan keeps every limit, where the paper's keeps them on average.
* Scores are divided by a typical one, not by the largest, which a single heavy user decides.
"""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import MakedoInputError, Number
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.methods.rim.annealing import Solution, anneal
from makedo.methods.rim.budgets import PerId
from makedo.methods.rim.dual import Limits
from makedo.methods.rim.feasibility import check_feasible, check_kept
from makedo.methods.rim.offers import Offer, read_offer
from makedo.methods.rim.serving import STEP, Serving, typical_size

if TYPE_CHECKING:
    from makedo.report import Report

# what ids have that are not named
UNLIMITED = {"user_max": np.inf, "item_max": np.inf, "user_value": 1.0, "item_value": 1.0}


class BudgetMatcher(Estimator):
    r"""Plan a campaign: who gets which item, with limits for users, items and money.

    .. math:: \max_\pi \sum_{x,y} s_{xy} \pi_{xy} \quad
        \sum_y \pi_{xy} \le k_x, \quad l_y \le \sum_x \pi_{xy} \le c_y, \quad
        \sum_{x,y} (a_x + b_y) \pi_{xy} \le B

    over whole contacts, with prices that tell what each limit costs, and a bound that says how far
    the plan may be from the best one [1]_.

    Parameters
    ----------
    user_max : int, sequence, Series, dict, or frame, default=1
        k, the most contacts of a user.  Here and below: one for all, one for each in the order of
        the scores, or by id; ids that are not named have no limit.
    item_min, item_max : int, sequence, Series, dict, frame, or None, default=None
        l and c, the least and the most contacts of an item.
    budget : float or None, default=None
        B, money for the whole campaign.
    user_cost, item_cost : float, sequence, Series, dict, frame, or None, default=None
        a and b, what a contact with the user, and with the item, costs.  With a budget and neither,
        each contact costs 1.
    user_value, item_value : float, sequence, Series, dict, frame, or None, default=None
        What scores are multiplied by.
    shortfall_cost : float or None, default=None
        What a missing contact of a minimum costs, in points of score.  None: minima must be met.
    tolerance : float, default=0.001
        Share of the bound that the plan may lie below it; then the search ends.
    random_state : int, default=0
        Splits equal wishes.

    Attributes
    ----------
    plan_ : DataFrame
        A row for each contact: item_id, user_id, timestamp (of a request), score, price (of the
        item), and cost where there are costs.
    prices_ : DataFrame
        A row for each item: item_id, price (what one more of its maximum would bring, or, negative,
        what one less of its minimum would), item_min, item_max, delivered.
    user_prices_ : DataFrame
        user_id, price (what one more contact of the user would bring), user_max, given.
    budget_price_ : float
        What one more unit of money would bring.
    value_, bound_ : float
        Sum of scores of the plan; what no plan exceeds.
    duality_gap_ : float
        How far the value lies below the bound, as a share of it.
    rounding_loss_ : float
        The part of the gap that is known to come from contacts being whole: what the money left
        over would bring if a contact could be bought in part.  0 without a budget.
    delivered_share_ : float
        Σ min(delivered, minimum) / Σ minimum; 1 without minima.
    violations_ : DataFrame
        Items below their minimum, with ``shortfall_cost``: item_id, item_min, delivered.
    spent_ : float
    unit_, typical_, temperature_ : float
        For users who come later: the mean score of users' best, by which scores are divided;
        logarithm of that of the median user; ε, in these units.
    history_ : DataFrame
        A row for each ε: dual, bound, value of the plan so far, candidates, passes, seconds.

    Shapes
    ------
    X: scores of n_users × n_items · plan_ -> (n_contacts, ·) · prices_ -> (n_items, ·)

    Cost
    ----
    O(passes · n_candidates), about 100 passes.  All pairs are candidates up to a million; beyond
    that some for each user and item, and all pairs are looked at again to certify the plan.
    ``benchmarks/rim_matching.py`` has ten million.

    Requirements
    ------------
    Scores that can be added up, such as expected events; not ranks.  Minima that the users' maxima
    have room for.

    Relations
    ---------
    Without limits of items and money the plan is the list of each user's best: any recommender
    does.  It maximises what the scores predict; for the effect of a contact give scores of an
    uplift model.

    References
    ----------
    .. [1] Ma et al., "Bridging Recommendation and Marketing via Recurrent Intensity Modeling",
       ICLR 2022.

    Examples
    --------
    >>> import pandas as pd
    >>> from makedo import BudgetMatcher
    >>> scores = pd.DataFrame([[9, 8], [7, 1]], index=["ann", "bob"], columns=["tea", "jam"])
    >>> BudgetMatcher(user_max=1, item_max=1).fit(scores).plan_[["item_id", "user_id"]]
      item_id user_id
    0     tea     bob
    1     jam     ann
    """

    _forms: ClassVar = {
        "user_max": PerId("user", whole=True, none=False),
        "item_min": PerId("item", whole=True),
        "item_max": PerId("item", whole=True),
        "user_cost": PerId("user"),
        "item_cost": PerId("item"),
        "user_value": PerId("user"),
        "item_value": PerId("item"),
    }
    _constraints: ClassVar = _forms | {
        "budget": Number(0.0, none=True),
        "shortfall_cost": Number(0.0, none=True),
        "tolerance": Number(0.0, open_low=True),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        user_max: Any = 1,
        item_min: Any = None,
        item_max: Any = None,
        *,
        budget: float | None = None,
        user_cost: Any = None,
        item_cost: Any = None,
        user_value: Any = None,
        item_value: Any = None,
        shortfall_cost: float | None = None,
        tolerance: float = 0.001,
        random_state: int = 0,
    ):
        self.user_max = user_max
        self.item_min = item_min
        self.item_max = item_max
        self.budget = budget
        self.user_cost = user_cost
        self.item_cost = item_cost
        self.user_value = user_value
        self.item_value = item_value
        self.shortfall_cost = shortfall_cost
        self.tolerance = tolerance
        self.random_state = random_state

    # --- fitting ----------------------------------------------------------------------------------

    def fit(
        self, X: Any, requests: Any = None, *, users: Any = None, items: Any = None
    ) -> BudgetMatcher:
        """Find prices and the plan.

        Parameters
        ----------
        X : RIM, ScoreOperator, frame, array, sparse matrix, pair of factors, or model with them
            Scores of users (rows) and items (columns).  Of a sparse matrix only stored pairs may be
            matched; elsewhere minus infinity forbids a pair.
        requests : Requests or sequence of user ids, optional
            Of a RIM: whom to plan for; default all users, now.  Else whose the rows are.
        users, items : sequence of ids, optional
            Of rows and columns that have none.  Default: positions.

        Raises
        ------
        MakedoInputError
            Scores that are not finite; budgets that are negative, of another length, or for unknown
            ids; minima that cannot be met, with what would do.
        """
        self._check_parameters()
        offer = read_offer(X, requests, users, items)
        limits = self._limits(offer)
        pairs = offer.candidates(limits, self.random_state)
        check_feasible(limits, offer.of_user, offer.of_item, offer.items)
        pairs, limits = offer.in_units(pairs, limits)
        found = anneal(offer, pairs, limits, self.tolerance, self.random_state)
        self._learn(offer, limits, found)
        self.typical_ = typical_size(pairs)
        return self

    def _limits(self, offer: Offer) -> Limits:
        """Budgets as arrays in the order of the scores; the offer learns what pairs are worth."""

        def read(name: str) -> np.ndarray:
            return self._read(name, offer.users if name.startswith("user") else offer.items)

        offer.user_value = read("user_value").astype(np.float32)
        offer.item_value = read("item_value").astype(np.float32)
        return Limits(
            user_max=read("user_max"),
            item_min=read("item_min"),
            item_max=read("item_max"),
            budget=np.inf if self.budget is None else float(self.budget),
            user_cost=read("user_cost"),
            item_cost=read("item_cost"),
            shortfall=np.inf if self.shortfall_cost is None else float(self.shortfall_cost),
        )

    def _read(self, name: str, ids: pd.Index) -> np.ndarray:
        """A parameter as one number for each id, (n,)."""
        otherwise = UNLIMITED.get(name, 0.0)
        if name == "item_cost" and self.budget is not None:
            without = self.user_cost is None and self.item_cost is None
            otherwise = float(without)  # then contacts are counted
        return self._forms[name].read(getattr(self, name), name, ids, otherwise)

    def _learn(self, offer: Offer, limits: Limits, found: Solution) -> None:
        contacts, unit = found.contacts, offer.unit
        self.unit_, self.temperature_ = float(unit), float(found.levels[-1][0])
        delivered = np.bincount(contacts.item, minlength=len(offer.items))
        check_kept(limits, delivered, offer.items)
        self.value_ = contacts.value * unit
        self.bound_ = max(found.bound, contacts.value) * unit  # but for rounding of float32
        scale = max(abs(self.bound_), 1e-12 * unit)
        self.duality_gap_ = (self.bound_ - self.value_) / scale
        self.rounding_loss_ = contacts.left_over * unit / scale
        self.budget_price_ = found.prices.money * unit
        self.prices_ = pd.DataFrame(
            {
                "item_id": offer.items,
                "price": found.prices.item * unit,
                "item_min": limits.item_min,
                "item_max": limits.item_max,
                "delivered": delivered,
            }
        )
        self.user_prices_ = pd.DataFrame(
            {
                "user_id": offer.users,
                "price": found.user_price * unit,
                "user_max": limits.user_max,
                "given": np.bincount(contacts.user, minlength=len(offer.users)),
            }
        )
        promised = limits.item_min.sum()
        kept = np.minimum(delivered, limits.item_min).sum()
        self.delivered_share_ = float(kept / promised) if promised else 1.0
        short = self.prices_.loc[delivered < limits.item_min, ["item_id", "item_min", "delivered"]]
        self.violations_ = short.reset_index(drop=True)
        cost = limits.user_cost[contacts.user] + limits.item_cost[contacts.item]
        self.spent_ = float(cost.sum())
        self.plan_ = self._table(offer, limits, contacts.user, contacts.item, contacts.score * unit)
        self.history_ = found.history
        self.fingerprint_ = fingerprint(contacts.user, contacts.item, contacts.score)

    def _table(
        self, offer: Offer, limits: Limits, user: np.ndarray, item: np.ndarray, score: np.ndarray
    ) -> pd.DataFrame:
        """Contacts by item, the best first."""
        order = np.lexsort((user, -score, item))
        user, item = user[order], item[order]
        columns: dict[str, Any] = {"item_id": offer.items[item], "user_id": offer.users[user]}
        if offer.times is not None:
            columns["timestamp"] = offer.times[user]
        columns |= {"score": score[order], "price": self.prices_["price"].to_numpy()[item]}
        if limits.user_cost.any() or limits.item_cost.any():
            columns["cost"] = limits.user_cost[user] + limits.item_cost[item]
        return pd.DataFrame(columns)

    # --- users who come later ---------------------------------------------------------------------

    def serving(
        self,
        n_users: int | None = None,
        *,
        adaptive: bool = True,
        rescale: bool | None = None,
        step: float = STEP,
    ) -> Serving:
        """Open the campaign for users who come one by one, with the limits of the plan.

        Parameters
        ----------
        n_users : int, optional
            How many will come.  Default: as many as were planned for.
        adaptive : bool, default=True
            Whether prices follow what was delivered; else they stay as they are.
        rescale : bool, optional
            Whether scores are brought to the scale of the fit by their median user.  Default: with
            adaptive prices only.
        step : float, default=0.1
            By how much an adaptive price moves for each contact that an item is behind or ahead, in
            typical scores.

        Returns
        -------
        Serving
        """
        check_is_fitted(self)
        for name, value, form in (
            ("n_users", n_users, Number(1, integer=True, none=True)),
            ("step", step, Number(0.0, open_low=True)),
        ):
            if not form.accepts(value):
                raise MakedoInputError(f"serving: {name} must be {form}. Got {value!r}.")
        planned = n_users or max(len(self.user_prices_), 1)
        return Serving(self, planned, adaptive, adaptive if rescale is None else rescale, step)

    def transform(
        self, X: Any, requests: Any = None, *, users: Any = None, items: Any = None, **how: Any
    ) -> pd.DataFrame:
        """Serve other users one after another at the prices of the plan.

        Parameters
        ----------
        X, requests, users, items : as in :meth:`fit`
        **how
            As in :meth:`serving`.

        Returns
        -------
        DataFrame
            See :meth:`Serving.serve_all`; :meth:`delivered` counts it.
        """
        check_is_fitted(self)
        offer = read_offer(X, requests, users, items)
        how.setdefault("n_users", max(len(offer.users), 1))
        return self.serving(**how).serve_offer(offer)

    def delivered(self, plan: pd.DataFrame) -> pd.DataFrame:
        """What a plan delivers of each item: item_id, item_min, item_max, delivered."""
        check_is_fitted(self)
        items = pd.Index(self.prices_["item_id"])
        place = items.get_indexer(pd.Index(plan["item_id"]))
        counts = np.bincount(place[place >= 0], minlength=len(items))
        return self.prices_.drop(columns="price").assign(delivered=counts)

    def report(self, X: Any = None, requests: Any = None, *, show_rows: bool = False) -> Report:
        """Show who gets what, prices, what is delivered, and what a tighter budget would cost.

        Parameters
        ----------
        X, requests : optional
            As in :meth:`fit`; then plans under other budgets are made, too.
        show_rows : bool, default=False
            Whether ids may stand in the report.
        """
        check_is_fitted(self)
        from makedo.methods.rim.campaign_page import report

        return report(self, X, requests, show_rows=show_rows)

    def _card(self) -> str:
        return (
            "A campaign plan: who gets which item, with prices for users who come later.\n\n"
            "tables.parquet holds every user, item and contact by id: keep this directory as "
            "private as they are."
        )

    def _one_user_max(self) -> float:
        if not isinstance(self.user_max, numbers.Real):
            raise MakedoInputError("serve: user_max differs between users. Give user_max=.")
        return float(self.user_max)
