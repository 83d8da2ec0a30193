"""The dual of a budgeted matching: prices of users, items and money, and what they prove.

The plan π(x, y) in [0, 1] is to maximise Σ s π under

    Σ_y π(x, y) <= k_x      l_y <= Σ_x π(x, y) <= c_y      Σ (a_x + b_y) π(x, y) <= B.

With an entropy of weight ε the best plan for given prices is a soft yes or no,

    π = σ((s - u_x - w_y - μ a_x) / ε),      w_y = v_y + μ b_y,

with u >= 0 the price of a user's attention, v > 0 that of a scarce item, v < 0 what is paid towards
a promise, and μ >= 0 the price of money.  The dual function

    d_ε = Σ_x k_x u_x + Σ_y (c_y v_y⁺ - l_y v_y⁻) + B μ + ε Σ softplus((s - u_x - w_y - μ a_x)/ε)

is above every plan's value whatever the prices are, if their signs are right; so is d_0, its limit
for ε -> 0, which is smaller.  User prices are solved for exactly given the others; what is left,
D_ε(v, μ) = min_u d_ε, is smooth and convex, and is lowered by L-BFGS while ε falls.  Its gradient
is the budgets less what the plan uses.

At ε = 0 a user simply takes the k best of what is left of s after prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from makedo.methods.rim.candidates import Block, Candidates

ROW_TOLERANCE = 1e-3  # contacts by which a row's sum may miss its maximum
ROW_STEPS = 40
GROUP = 64  # factors of at most 2 whose product float32 holds
DEAREST = 20.0  # largest subsidy of a hard minimum, in largest scores


@dataclass(frozen=True, eq=False)
class Limits:
    """Budgets as arrays; infinite where there is none.

    Parameters
    ----------
    user_max : ndarray (n_users,)
        k.
    item_min, item_max : ndarray (n_items,)
        l and c.
    budget : float
        B.
    user_cost, item_cost : float64 ndarray (n_users,) and (n_items,)
        a and b.
    shortfall : float
        The most that a missing contact of an item's minimum may cost; infinite: it must be there.
    """

    user_max: np.ndarray
    item_min: np.ndarray
    item_max: np.ndarray
    budget: float
    user_cost: np.ndarray
    item_cost: np.ndarray
    shortfall: float = np.inf


class Prices(NamedTuple):
    """v (n_items,) and μ."""

    item: np.ndarray
    money: float

    def of_items(self, limits: Limits) -> np.ndarray:
        """Prices w with a 0 for padding, float32 (n_items + 1,)."""
        return np.append(self.item + self.money * limits.item_cost, 0.0).astype(np.float32)

    def of_users(self, limits: Limits) -> np.ndarray | float:
        """Prices μ a, float32 (n_users,); 0 where nothing is paid for users."""
        if not self.money or not limits.user_cost.any():
            return 0.0
        return (self.money * limits.user_cost).astype(np.float32)


def fixed_part(prices: Prices, limits: Limits) -> float:
    """What budgets are worth at these prices: Σ (c v⁺ - l v⁻) + B μ."""
    dear, cheap = np.maximum(prices.item, 0), np.maximum(-prices.item, 0)
    total = float(limits.item_max[dear > 0] @ dear[dear > 0] - limits.item_min @ cheap)
    return total + (limits.budget * prices.money if prices.money else 0.0)


# --- one side solved exactly ----------------------------------------------------------------------


class Rows(NamedTuple):
    """Rows of a block at their best price."""

    price: np.ndarray  # u (b,)
    plan: np.ndarray  # π (b, w)
    value: float  # Σ k u + ε Σ softplus


def solve_rows(t: np.ndarray, k: int, epsilon: float, start: np.ndarray) -> Rows:
    """The price u >= 0 of each row at which Σ_y σ((t - u)/ε) is k, or below k with u = 0.

    Newton's steps between bounds: with t sorted downwards, the root of a row of width w lies from
    t_(k+1) - ε log k to t_(k) + ε log w.

    Parameters
    ----------
    t : float32 ndarray (b, w)
        Surplus before the row's price.
    k : int
    epsilon : float
    start : ndarray (b,)
        A guess of u.
    """
    b, w = t.shape
    base, a = np.zeros(b, np.float32), np.zeros(b, np.float32)
    if k < w:
        split = np.partition(t, w - k - 1, axis=1)
        base = np.maximum(split[:, w - k - 1], 0)
        widest = np.maximum(split[:, w - k :].min(axis=1) - base, 0)
    z = (t - base[:, None]) / np.float32(epsilon)  # exact near the price, however small ε is
    if k < w:
        floor = -base / np.float32(epsilon)  # u = 0
        low = np.maximum(np.float32(-np.log(k)), floor)
        high = np.asarray(widest / np.float32(epsilon) + np.float32(np.log(w)))
        a = np.clip(((start - base) / epsilon).astype(np.float32), low, high)
        _newton(z, k, a, low, high, floor)
    z -= a[:, None]
    e = np.abs(z)
    np.exp(np.negative(e, out=e), out=e)
    below = z < 0
    soft = float(np.maximum(z, 0, out=z).sum(dtype=np.float64))
    odds = np.add(e, 1, out=z)  # softplus(z) = max(z, 0) + log(1 + e), and logarithms add up
    parts = np.multiply.reduceat(odds, np.arange(0, w, GROUP), axis=1)
    soft += float(np.log(parts).sum(dtype=np.float64))
    plan = np.divide(np.where(below, e, np.float32(1)), odds, out=e)
    price = base + a * epsilon
    value = float(k * price.sum(dtype=np.float64) + epsilon * soft)
    return Rows(price.astype(np.float64), plan, value)


def _newton(
    z: np.ndarray, k: int, a: np.ndarray, low: np.ndarray, high: np.ndarray, floor: np.ndarray
) -> None:
    """Solve Σ σ(z - a) = k for a between low and high, in place; the floor where it stays below."""
    left, part = np.arange(len(a)), z
    untried = low == floor
    for _ in range(ROW_STEPS):
        now = a[left]
        p = sigmoid(part - now[:, None])
        total = p.sum(1)
        over = total - k
        low[left] = np.where(over > 0, now, low[left])
        high[left] = np.where(over < 0, now, high[left])
        slope = total - np.einsum("ij,ij->i", p, p)
        step = now + over / np.maximum(slope, 1e-12)
        outside = (step <= low[left]) | (step >= high[left])
        step = np.where(outside, (low[left] + high[left]) / 2, step)
        now_tried = untried[left] & (over < 0)
        step = np.where(now_tried, floor[left], step)  # once: is the maximum reached at all?
        untried[left[now_tried]] = False
        done = (np.abs(over) <= ROW_TOLERANCE) | ((now <= floor[left]) & (over <= 0))
        done |= high[left] - low[left] <= 1e-6 * np.maximum(np.abs(now), 1)
        a[left] = np.where(done, now, step)
        if done.all():
            return
        if done.mean() > 0.3:
            part = part[~done]
            left = left[~done]


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), over z."""
    np.negative(z, out=z)
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is the right 0
        np.exp(z, out=z)
    z += 1
    return np.reciprocal(z, out=z)


# --- the smooth dual ------------------------------------------------------------------------------


@dataclass(eq=False)
class Smooth:
    """D_ε as a function of the prices that are not fixed at 0.

    Parameters
    ----------
    pairs : Candidates
    limits : Limits

    Attributes
    ----------
    user_price : ndarray (n_users,)
        Where the search for u begins; kept up to date.
    n_passes : int
        Over all candidates, so far.
    """

    pairs: Candidates
    limits: Limits
    n_passes: int = 0

    def __post_init__(self) -> None:
        limits = self.limits
        self.user_price = np.zeros(self.pairs.n_users)
        self.capped = np.flatnonzero(np.isfinite(limits.item_max))
        self.promised = np.flatnonzero(limits.item_min > 0)
        self.paid = int(np.isfinite(limits.budget))
        self.typical_cost = self._typical_cost() if self.paid else 1.0

    def _typical_cost(self) -> float:
        """Mean cost of a pair, by which μ is measured: the search must not see the currency."""
        limits, pairs = self.limits, self.pairs
        of_users = float(limits.user_cost @ np.diff(pairs.start))
        of_items = float(limits.item_cost @ np.bincount(pairs.item, minlength=pairs.n_items))
        return (of_users + of_items) / max(len(pairs), 1) or 1.0

    def of(self, pairs: Candidates) -> Smooth:
        """The same over more candidates."""
        return Smooth(pairs, self.limits, self.n_passes)

    def prices(self, x: np.ndarray) -> Prices:
        """Prices of the variables: v⁺ of capped items, v⁻ of promised ones, μ typical costs."""
        item = np.zeros(self.pairs.n_items)
        n = len(self.capped)
        item[self.capped] = x[:n]
        item[self.promised] -= x[n : n + len(self.promised)]
        return Prices(item, float(x[-1]) / self.typical_cost if self.paid else 0.0)

    def bounds(self) -> list[tuple[float, float | None]]:
        """None below 0; a subsidy at most what a missing contact costs."""
        most = DEAREST * float(np.abs(self.pairs.score).max(initial=1.0))
        most = min(most, self.limits.shortfall)
        free: list[tuple[float, float | None]] = [(0.0, None)]
        return free * len(self.capped) + [(0.0, most)] * len(self.promised) + free * self.paid

    def __call__(self, x: np.ndarray, epsilon: float) -> tuple[float, np.ndarray]:
        """D_ε and its gradient."""
        limits, prices = self.limits, self.prices(x)
        weight, shift = prices.of_items(limits), prices.of_users(limits)

        def work(block: Block) -> tuple[float, np.ndarray, float]:
            t = block.surplus(weight, shift)
            found = solve_rows(t, block.k, epsilon, self.user_price[block.rows])
            self.user_price[block.rows] = found.price
            spent = found.plan.sum(1) @ limits.user_cost[block.rows] if self.paid else 0.0
            return found.value, block.by_item(found.plan, self.pairs.n_items), float(spent)

        found = list(self.pairs.each(work))
        values, spent = ([one[i] for one in found] for i in (0, 2))
        self.n_passes += 1
        used = sum((one[1] for one in found), np.zeros(self.pairs.n_items))
        n = len(self.capped)
        value = sum(values) + float(limits.item_max[self.capped] @ x[:n])
        value -= float(limits.item_min[self.promised] @ x[n : n + len(self.promised)])
        value += limits.budget * prices.money if self.paid else 0.0
        of_items = [limits.item_max[self.capped] - used[self.capped]]
        of_items.append(used[self.promised] - limits.item_min[self.promised])
        of_money = limits.budget - limits.item_cost @ used - sum(spent)
        of_money = [of_money / self.typical_cost][: self.paid]
        return value, np.concatenate([*of_items, of_money])

    def minimise(
        self, x: np.ndarray, epsilon: float, steps: int, tolerance: float
    ) -> tuple[np.ndarray, float]:
        """Lower D_ε by L-BFGS-B from x; gives x, and D_ε there, never above where it began."""
        if not len(x):
            return x, self(x, epsilon)[0]
        size = max(float(np.minimum(self.pairs.user_max, len(x) + 1).sum()), 1.0)

        def scaled(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self(x, epsilon)
            return value / size, gradient / size

        options = {"maxiter": steps, "ftol": tolerance, "gtol": 0.0, "maxcor": 20}
        found = minimize(scaled, x, jac=True, method="L-BFGS-B", bounds=self.bounds(),
                         options=options)  # fmt: skip
        return np.asarray(found.x), float(found.fun) * size


# --- at ε = 0 -------------------------------------------------------------------------------------


def bound(pairs: Candidates, limits: Limits, prices: Prices) -> tuple[float, np.ndarray]:
    """d_0 over the candidates, and the user prices u (n_users,) that give it.

    Σ_x of the k largest surpluses above 0, plus what budgets are worth: no plan has more.
    """
    weight, shift = prices.of_items(limits), prices.of_users(limits)
    user_price = np.zeros(pairs.n_users)

    def work(block: Block) -> float:
        total, price = best_of(block.surplus(weight, shift), block.k)
        user_price[block.rows] = price
        return total

    return sum(pairs.each(work)) + fixed_part(prices, limits), user_price


def best_of(t: np.ndarray, k: int) -> tuple[float, np.ndarray]:
    """Sum of the k largest positive entries of all rows, and the largest that is left out or 0."""
    w = t.shape[1]
    if k >= w:
        return float(np.maximum(t, 0).sum(dtype=np.float64)), np.zeros(len(t))
    split = np.partition(t, w - k - 1, axis=1)
    total = np.maximum(split[:, w - k :], 0).sum(dtype=np.float64)
    return float(total), np.maximum(split[:, w - k - 1], 0).astype(np.float64)
