"""Cooperative games: what each player brings, exactly or from a sample of coalitions.

The players are the cues of a prediction, v(S) is how good the prediction is with the cues of S
alone.  For N players the Shapley value of player j is

    φ_j = Σ_{S ∌ j} |S|! (N - |S| - 1)! / N! · [v(S ∪ j) - v(S)],

the mean of what j adds over all orders in which players may come; Σ_j φ_j = v(all) - v(none).  The
Banzhaf value is the plain mean over all S without j, and does not add up to that.  "loo" is what is
lost when j leaves all, "first" what j brings when it comes alone.

A :class:`Plan` says which coalitions to evaluate and how their values become φ.  It knows no
model: values go in, (..., C) in the order of its coalitions, and φ and standard errors come out,
(..., N).  All plans are linear in v.

Where v is random (the best of 20 samples), a value is wanted of its mean.  Coalitions that are
compared see one draw of noise, so that it cancels in their difference; beyond that more draws are
better than one, which all coalitions would share: the variance of φ from P pairs of orders is

    [Var(φ of one draw) + mean over draws of Var(a pair given the draw)] / P

with a draw for each pair, and the first term is not divided by P with one draw for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any

import numpy as np

INDICES = ("shapley", "banzhaf", "loo", "first")
ESTIMATORS = ("auto", "exact", "permutation", "kernel", "stratified")
MOST_EXACT = 12  # players; 4,096 coalitions
N_JACKKNIFE = 10  # groups of sampled coalitions, for the standard error of the kernel estimator


# --- exact: all coalitions ------------------------------------------------------------------------


@lru_cache(maxsize=32)
def all_coalitions(n: int) -> np.ndarray:
    """Every coalition of n players, (2^n, n) bool; row S has player j if bit j of S is set."""
    found = (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=64)
def index_weights(index: str, n: int) -> np.ndarray:
    """A with φ = A v over all coalitions, (n, 2^n); each row sums to 0.

    A[j, S] is w(|S| - 1) where j is in S and -w(|S|) where it is not, w the weight of a coalition
    by its size.
    """
    members = all_coalitions(n)  # (2^n, n)
    size = members.sum(1)
    w = np.array([_weight(index, n, s) for s in range(n)] + [0.0])  # w[-1] is that of size -1, too
    A = np.where(members, w[size - 1][:, None], -w[size][:, None]).T.copy()
    A.setflags(write=False)
    return A


def _weight(index: str, n: int, size: int) -> float:
    """Weight of what a player adds to a coalition of this size."""
    if index == "shapley":
        return math.factorial(size) * math.factorial(n - 1 - size) / math.factorial(n)
    if index == "banzhaf":
        return 0.5 ** (n - 1)
    return float(size == {"loo": n - 1, "first": 0}[index])


@lru_cache(maxsize=32)
def interaction_weights(n: int, i: int, j: int) -> np.ndarray:
    """B with I_ij = B v, the Shapley interaction index of players i and j, (2^n,).

    I_ij = Σ_{S without i, j} |S|! (n - |S| - 2)! / (n - 1)! ·
    [v(S ∪ ij) - v(S ∪ i) - v(S ∪ j) + v(S)].
    """
    members = all_coalitions(n)
    sign = np.where(members[:, i] == members[:, j], 1.0, -1.0)
    size = members.sum(1) - members[:, i].astype(int) - members[:, j]
    w = [
        math.factorial(s) * math.factorial(n - 2 - s) / math.factorial(n - 1) for s in range(n - 1)
    ]
    return sign * np.array(w)[size]


# --- plans ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Coalitions to be evaluated, each once, and how their values become φ.

    Attributes
    ----------
    coalitions : bool ndarray of shape (C, N)
        First the empty one, last that of all players.
    noise : int ndarray of shape (C,)
        The draw of noise that each sees, from 0 and never falling.
    four : int ndarray of shape (D, 4)
        Of each draw the rows of nobody, the first player, all others, everybody.
    solve : callable (values of shape (..., C)) -> (φ, standard error), each (..., N)
        The standard error is that of sampling coalitions and noise; 0 for an exact plan of one
        draw, of which the noise cannot be known.
    is_exact : bool
    """

    coalitions: np.ndarray
    noise: np.ndarray
    four: np.ndarray
    solve: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    is_exact: bool

    def __len__(self) -> int:
        return len(self.coalitions)


@dataclass(frozen=True)
class Marginals:
    """What players add, as pairs of coalitions: the solver of all plans that sample.

    The square of a standard error is right on average; from few samples it is often too small.  So
    a 95 % interval is φ ± t · se, with Student's t of P - 1 degrees of freedom: 2.4 standard errors
    from 8 samples, 3.2 from 4, 12.7 from 2.

    Attributes
    ----------
    before, after : int ndarray of shape (P, R, N)
        Rows of the coalitions without and with each player.  The P samples are independent, each
        under a draw of noise of its own; the R pairs within one are averaged.
    """

    before: np.ndarray
    after: np.ndarray

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """φ is the mean over the samples, its standard error their spread over √P."""
        values = np.asarray(values, float)
        added = (values[..., self.after] - values[..., self.before]).mean(-2)  # (..., P, N)
        n_samples = added.shape[-2]
        if n_samples == 1:
            return added[..., 0, :], np.full(added[..., 0, :].shape, np.nan)
        return added.mean(-2), added.std(-2, ddof=1) / math.sqrt(n_samples)

    def first(self, n_samples: int) -> Marginals:
        """Only the first so many samples."""
        return Marginals(self.before[:n_samples], self.after[:n_samples])


@lru_cache(maxsize=64)
def exact(n: int, index: str = "shapley") -> Plan:
    """All 2^n coalitions; of "loo" and "first" only the n + 3 that matter."""
    A = index_weights(index, n)
    used = np.asarray(A.any(0))
    used[four_masks(n)] = True
    place = np.cumsum(used) - 1
    pairs = []  # of each player: rows with and without it, and the weights
    for j in range(n):
        masks = np.flatnonzero(A[j] > 0)
        pairs.append((place[masks], place[masks ^ (1 << j)], A[j, masks]))

    def solve(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(values, float)
        # differences first: of a player that changes nothing φ is 0, not nearly 0
        phi = [(values[..., after] - values[..., before]) @ w for after, before, w in pairs]
        return np.stack(phi, axis=-1), np.zeros((*values.shape[:-1], n))

    return Plan(
        all_coalitions(n)[used], np.zeros(used.sum(), int), place[[four_masks(n)]], solve, True
    )


def four_masks(n: int) -> np.ndarray:
    """Bit masks of nobody, the first player, all others, everybody."""
    every = (1 << n) - 1
    return np.array([0, 1, every - 1, every])


def repeated(plan: Plan, n_draws: int) -> Plan:
    """The same coalitions under each of several draws of noise, and the mean of their values."""
    C = len(plan)
    if n_draws == 1:
        return plan

    def solve(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        each = np.asarray(values, float).reshape(*np.shape(values)[:-1], n_draws, C)
        phi, se = plan.solve(each.mean(-2))
        of_noise = plan.solve(each)[0].std(-2, ddof=1) / math.sqrt(n_draws)
        return phi, np.hypot(se, of_noise)

    draws = np.arange(n_draws)
    return Plan(
        np.tile(plan.coalitions, (n_draws, 1)), np.repeat(draws, C), plan.four + C * draws[:, None],
        solve, plan.is_exact,
    )  # fmt: skip


def permutations(n: int, n_permutations: int, rng: np.random.Generator) -> Plan:
    """Chains along random orders, each with its reverse: every pair adds up to v(all) - v(none).

    One pair is exact where no more than two players interact at a time.
    """
    orders = rng.permuted(np.tile(np.arange(n), (n_permutations, 1)), axis=1)  # (P, n)
    orders = np.stack([orders, orders[:, ::-1]], axis=1)  # (P, 2, n)
    place = orders.argsort(-1)  # (P, 2, n): when each player comes
    after = place[..., None, :] <= place[..., :, None]  # (P, 2, player, members)
    return _from_marginals(after)


def banzhaf_sample(n: int, n_coalitions: int, rng: np.random.Generator) -> Plan:
    """For each player so many coalitions, in which every other one is with probability 1/2."""
    others = rng.random((n_coalitions, 1, n, n)) < 0.5
    return _from_marginals(others | np.eye(n, dtype=bool))


def stratified(n: int, n_samples: int, rng: np.random.Generator) -> Plan:
    """For each player and each size of coalition so many draws of who comes before.

    A sample has up to 2 (n - 1)² coalitions, so that a budget has few of them: 1,024 coalitions are
    8 samples for 8 players and 4 for 11.
    """
    keys: Any = rng.random((n_samples, n, n, n))  # (P, size before, player, members)
    keys[..., np.arange(n), np.arange(n)] = -1.0  # the player itself comes first
    rank = keys.argsort(-1).argsort(-1)
    return _from_marginals(rank <= np.arange(n)[:, None, None])


def _from_marginals(after: np.ndarray) -> Plan:
    """The plan of sampled pairs: each sample has its draw of noise, and each coalition once in it.

    after : (P, R, N, N) bool, for each sample, pair and player the members with the player.
    """
    P, _, _, n = after.shape
    bits = 1 << np.arange(n, dtype=np.int64)
    with_player = (after @ bits).reshape(P, -1)  # (P, R · N) bit masks
    without = with_player - np.tile(bits, after.shape[1])
    four = np.tile(four_masks(n), (P, 1))
    of_sample = np.concatenate([four, with_player, without], axis=1)
    masks, rank = np.unique(of_sample, return_inverse=True)
    keys = np.arange(P)[:, None] * len(masks) + rank.reshape(of_sample.shape)
    once, place = np.unique(keys, return_inverse=True)
    four, joined, before = np.split(
        place.reshape(keys.shape), [4, 4 + with_player.shape[1]], axis=1
    )
    solver = Marginals(before.reshape(after.shape[:-1]), joined.reshape(after.shape[:-1]))
    noise, rank = np.divmod(once, len(masks))
    return Plan(_members(masks[rank], n), noise, four, solver, False)


def _members(masks: np.ndarray, n: int) -> np.ndarray:
    return (masks[:, None] >> np.arange(n) & 1).astype(bool)


# --- kernel: weighted least squares ---------------------------------------------------------------


def kernel(n: int, budget: int, rng: np.random.Generator) -> Plan:
    """Weighted least squares over pairs of a coalition and its complement.

    min Σ_S k(S) (v(S) - v(none) - Σ_{j in S} φ_j)² with Σ φ = v(all) - v(none) and
    k(S) = (N - 1) / [C(N, |S|) |S| (N - |S|)].  Whole sizes are taken while the budget has room for
    them, smallest and largest first; the others are sampled.  With all of them it is exact.
    """
    budget = max(budget, 2 * N_JACKKNIFE + 4)
    if budget >= 1 << n:
        return exact(n)
    masks, weights, group = _kernel_coalitions(n, budget, rng)
    once, place = np.unique(masks, return_inverse=True)
    solver = Kernel(_members(masks, n), weights, group, place)
    four = np.searchsorted(once, four_masks(n))[None]
    return Plan(_members(once, n), np.zeros(len(once), int), four, solver, False)


def _kernel_coalitions(
    n: int, budget: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bit masks, weights, and the group of the jackknife of each (-1: always in)."""
    every = (1 << n) - 1
    masks, weights, left, size = [], [], budget - 4, 1
    while (both := len(_of_size(n, size))) + 2 * N_JACKKNIFE <= left:
        masks.append(_of_size(n, size))
        weights.append(np.full(both, _kernel_weight(n, size)))
        left, size = left - both, size + 1
    sizes = np.arange(size, n // 2 + 1)  # never empty: else the budget had room for all
    drawn = _draw_pairs(n, sizes, left // 2, rng)
    masks += [drawn, every - drawn]
    weights.append(np.full(2 * len(drawn), _mass(n, sizes).sum() / (2 * len(drawn))))
    group = np.full(budget - left, -1)
    of_pair = np.arange(len(drawn)) % N_JACKKNIFE
    return (
        np.concatenate([[0, every, 1, every - 1], *masks]),
        np.concatenate([np.zeros(4), *weights]),
        np.concatenate([group, of_pair, of_pair]),
    )


@lru_cache(maxsize=64)
def _of_size(n: int, size: int) -> np.ndarray:
    """Bit masks of all coalitions of a size, and of their complements."""
    found = np.array([sum(1 << j for j in S) for S in combinations(range(n), size)], np.int64)
    return np.union1d(found, (1 << n) - 1 - found)


def _kernel_weight(n: int, size: int) -> float:
    return (n - 1) / (math.comb(n, size) * size * (n - size))


def _mass(n: int, sizes: np.ndarray) -> np.ndarray:
    """Weight of all coalitions of each size and of their complements."""
    both = np.where(2 * sizes == n, 1, 2)
    return (n - 1) / (sizes * (n - sizes)) * both


def _draw_pairs(n: int, sizes: np.ndarray, n_pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Bit masks of coalitions of these sizes, by weight."""
    mass = _mass(n, sizes)
    size = rng.choice(sizes, n_pairs, p=mass / mass.sum())
    rank = rng.random((n_pairs, n)).argsort(1).argsort(1)
    return (rank < size[:, None]) @ (1 << np.arange(n, dtype=np.int64))


class Kernel:
    """The solver of :func:`kernel`: one player is eliminated by the constraint."""

    def __init__(
        self, coalitions: np.ndarray, weights: np.ndarray, group: np.ndarray, place: np.ndarray
    ):
        self.coalitions, self.weights, self.group = coalitions, weights, group  # as drawn, (R, …)
        self.place = place  # of each drawn one among those of the plan

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """φ from all; its standard error by leaving out a tenth of the sampled pairs at a time."""
        values = np.asarray(values, float)[..., self.place]
        phi = values @ self._matrix.T
        without = np.stack([values @ A.T for A in self._left_out])
        spread = (without - without.mean(0)) ** 2
        return phi, np.sqrt((N_JACKKNIFE - 1) / N_JACKKNIFE * spread.sum(0))

    @cached_property
    def _matrix(self) -> np.ndarray:
        return _least_squares(self.coalitions, self.weights)

    @cached_property
    def _left_out(self) -> list[np.ndarray]:
        found = []
        for g in range(N_JACKKNIFE):
            sampled = self.group >= 0
            kept = np.where(self.group == g, 0.0, self.weights)
            mass = self.weights[sampled].sum()
            kept[sampled] *= mass / kept[sampled].sum()
            found.append(_least_squares(self.coalitions, kept))
        return found


def _least_squares(coalitions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The matrix (n, C) that gives φ of the constrained weighted least squares from values."""
    # The first two rows are nobody and everybody.  With Δ = v(all) - v(none), φ_n = Δ - Σ φ_j:
    # v(S) - v(none) - z_n Δ = Σ_j (z_j - z_n) φ_j
    Z = coalitions.astype(float)
    last = Z[:, -1]
    X = Z[:, :-1] - last[:, None]
    weighted = weights[:, None] * X
    fit = np.linalg.lstsq(X.T @ weighted, weighted.T, rcond=None)[0]  # (n - 1, R)
    of_none, of_all = fit @ (last - 1), -fit @ last
    fit[:, 0] += of_none
    fit[:, 1] += of_all
    total = np.zeros(len(Z))
    total[:2] = -1.0, 1.0
    return np.vstack([fit, total - fit.sum(0)])


# --- which one ------------------------------------------------------------------------------------


def plan(
    n: int,
    rng: np.random.Generator,
    *,
    index: str = "shapley",
    estimator: str = "auto",
    budget: int = 1024,
    n_permutations: int = 64,
    n_draws: int = 1,
) -> Plan:
    """The plan for n players.

    "auto" is exact where all 2^n coalitions fit the budget, else it samples: antithetic
    permutations for Shapley, independent coalitions for Banzhaf.  ``n_draws`` of noise are for
    plans whose coalitions are the same in all; the others have a draw for each sample anyhow.
    """
    if index in ("loo", "first") or estimator == "exact" or _fits(n, estimator, budget):
        return repeated(exact(n, index), n_draws)
    if index == "banzhaf":
        return banzhaf_sample(n, n_permutations, rng)
    if estimator == "kernel":
        return repeated(kernel(n, budget, rng), n_draws)
    if estimator == "stratified":
        return stratified(n, max(2, budget // (2 * n * n)), rng)
    return permutations(n, n_permutations, rng)


def _fits(n: int, estimator: str, budget: int) -> bool:
    return estimator == "auto" and 1 << n <= budget


def shapley_of(
    value: Callable[[np.ndarray], np.ndarray], n: int, random_state: int = 0, **how: object
) -> tuple[np.ndarray, np.ndarray]:
    """φ and standard errors of any game of n players.

    Parameters
    ----------
    value : callable (coalitions of shape (C, n), bool) -> (C,)
        The same shape of call as that of other libraries of games.
    n : int
    random_state : int
    **how
        As for :func:`plan`.

    Examples
    --------
    >>> worth = lambda S: 3.0 * S[:, 0] + 1.0 * (S[:, 1] & S[:, 2])
    >>> shapley_of(worth, 3)[0].round(6).tolist()
    [3.0, 0.5, 0.5]
    """
    if n == 0:
        return np.zeros(0), np.zeros(0)
    made = plan(n, np.random.default_rng(random_state), **how)  # type: ignore[arg-type]
    once, place = np.unique(made.coalitions, axis=0, return_inverse=True)
    return made.solve(np.asarray(value(once), float)[place.ravel()])


# --- two players: the headline --------------------------------------------------------------------


def two_players(v: np.ndarray) -> dict[str, np.ndarray]:
    """Past against all neighbours, from v(none), v(past), v(neighbours), v(both), (..., 4).

    ``interaction`` is what the two bring together beyond what each brings alone.
    """
    v00, v10, v01, v11 = np.moveaxis(np.asarray(v, float), -1, 0)
    return {
        "past": 0.5 * ((v10 - v00) + (v11 - v01)),
        "neighbors": 0.5 * ((v01 - v00) + (v11 - v10)),
        "interaction": v11 - v10 - v01 + v00,
    }
