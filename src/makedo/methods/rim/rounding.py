"""From prices to a plan of whole contacts that keeps every limit.

1. Users ask for what is best after prices.  An item that too many ask for keeps those who would
   lose most by going without; the others ask for their next best, until nobody is turned down.
   Equal wishes are split at random.
2. An item below its minimum is given the users for whom that costs least; what they give up must be
   above its own minimum, or is replaced along a chain.
3. Money that is overspent is saved where it brings least; what any limit leaves is filled up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from makedo.core.seeds import generator
from makedo.methods.rim.candidates import Candidates
from makedo.methods.rim.dual import Limits, Prices

MOST_FAILURES = 3  # of searches for a chain that is worth a soft minimum: then there is none
MOST_WORK = 2e8  # pairs looked at for chains that bring more
REACHED_AGAIN = 6  # users of a chain, up to whom items may be reached a second time
FILLED_AT_ONCE = 4_096  # pairs, between looks at which of the others still have room


def rounded(
    pairs: Candidates, limits: Limits, prices: Prices, epsilon: float, random_state: int
) -> Plan:
    """The plan that prices lead to, repaired.

    Parameters
    ----------
    pairs, limits, prices
    epsilon : float
        Wishes that differ by less are split at random.
    random_state : int
    """
    surplus = pairs.score - prices.of_items(limits)[pairs.item]
    shift = prices.of_users(limits)
    if isinstance(shift, np.ndarray):
        surplus -= shift[pairs.user]
    noise = generator(random_state, "rounding").random(len(pairs), np.float32)
    wish = np.where(surplus > 0, surplus + np.float32(epsilon) * noise, -np.inf)
    plan = Plan(pairs, limits, accepted(pairs, limits, wish))
    plan.keep_promises()
    plan.save_money(surplus)
    plan.fill_up()
    return plan


def filled(pairs: Candidates, limits: Limits, taken: np.ndarray) -> Plan:
    """The plan of pairs that keep every limit, with what else there is room for."""
    plan = Plan(pairs, limits, taken)
    plan.fill_up()
    return plan


def improved(pairs: Candidates, limits: Limits, taken: np.ndarray, enough: float) -> Plan:
    """A plan of pairs that keep every limit, by chains that bring more, until that is enough."""
    plan = Plan(pairs, limits, taken)
    plan.improve(enough)
    plan.fill_up()
    return plan


# --- 1. asking and turning down -------------------------------------------------------------------


def accepted(pairs: Candidates, limits: Limits, wish: np.ndarray) -> np.ndarray:
    """Pairs that are asked for and not turned down, bool (n_pairs,)."""
    taken = np.zeros(len(pairs), bool)
    regret = np.zeros(len(pairs), np.float32)
    wish = np.append(wish, np.float32(-np.inf))  # the last for padding
    asking = np.flatnonzero(limits.user_max > 0)
    while len(asking):
        for block in pairs.blocks_of(asking):
            best, following = best_places(wish[block.place], block.k)
            place = np.take_along_axis(block.place, best, 1)  # (b, k)
            ours = np.isfinite(wish[place])
            taken[place[ours]] = True
            regret[place[ours]] = (wish[place] - np.maximum(following, 0)[:, None])[ours]
        refused = turned_down(pairs.item, limits.item_max, taken, regret)
        taken[refused] = False
        wish[refused] = -np.inf
        asking = np.unique(pairs.user[refused])
    return taken


def best_places(wish: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (b, k) of the k largest of each row, and the largest but these, (b,)."""
    w = wish.shape[1]
    if k >= w:
        return np.broadcast_to(np.arange(w), wish.shape), np.full(len(wish), -np.inf, np.float32)
    order = np.argpartition(wish, w - k - 1, axis=1)
    return order[:, w - k :], np.take_along_axis(wish, order[:, w - k - 1, None], 1)[:, 0]


def turned_down(
    item: np.ndarray, item_max: np.ndarray, taken: np.ndarray, regret: np.ndarray
) -> np.ndarray:
    """Of the pairs taken those beyond the maximum of their item, least regretted."""
    held = np.flatnonzero(taken)
    many = np.bincount(item[held], minlength=len(item_max))
    held = held[(many > item_max)[item[held]]]
    held = held[np.lexsort((-regret[held], item[held]))]
    begin = np.searchsorted(item[held], item[held])
    return held[np.arange(len(held)) - begin >= item_max[item[held]]]


# --- 2. and 3. repairs ----------------------------------------------------------------------------


class Plan:
    """A plan of whole contacts that is being repaired.

    Attributes
    ----------
    taken : bool ndarray (n_pairs,)
    of_user, of_item : int64 ndarray
        Contacts of each user and item.
    spent : float
    """

    def __init__(self, pairs: Candidates, limits: Limits, taken: np.ndarray):
        self.pairs, self.limits, self.taken = pairs, limits, taken
        self.of_user = np.bincount(pairs.user[taken], minlength=pairs.n_users)
        self.of_item = np.bincount(pairs.item[taken], minlength=pairs.n_items)
        self.cost = limits.user_cost[pairs.user] + limits.item_cost[pairs.item]
        self.spent = float(self.cost[taken].sum())
        self._work = 0.0
        self.most = limits.budget * (1 + 1e-12)  # sums of costs are rounded

    def add(self, place: int) -> None:
        """Take a pair in."""
        self._change(place, 1)

    def drop(self, place: int) -> None:
        """Leave a pair out."""
        self._change(place, -1)

    def _change(self, place: int, by: int) -> None:
        self.taken[place] = by > 0
        self.of_user[self.pairs.user[place]] += by
        self.of_item[self.pairs.item[place]] += by
        self.spent += by * self.cost[place]

    # --- minima ---

    def keep_promises(self) -> None:
        """Bring items to their minimum as cheaply as is found, unless missing it is cheaper."""
        short = np.flatnonzero(self.of_item < self.limits.item_min)
        if not len(short):
            return
        self._lost = self._least_of_all()
        failures, most = 0, MOST_FAILURES if np.isfinite(self.limits.shortfall) else 1
        for item in short.tolist():
            while self.of_item[item] < self.limits.item_min[item]:
                if self._swap(item):
                    continue
                source = np.where(np.arange(len(self.of_item)) == item, 0.0, np.inf)
                nobody = np.full(len(source), -1)
                if failures >= most or not self._chain(source, nobody, self.limits.shortfall):
                    failures += 1
                    break

    def _free(self) -> np.ndarray:
        """Which items have more than their minimum."""
        return self.of_item > self.limits.item_min

    def _least_of_all(self) -> np.ndarray:
        """What each user would have to give up for a further contact, (n_users,)."""
        lost = np.where(self.of_user < self.limits.user_max, 0.0, np.inf)
        own = np.flatnonzero(self.taken & self._free()[self.pairs.item])
        np.minimum.at(lost, self.pairs.user[own], self.pairs.score[own])
        return lost

    def _least(self, user: int) -> tuple[float, int]:
        """The same of one user as of now, and the pair; -1 where there is room or no such pair."""
        if self.of_user[user] < self.limits.user_max[user]:
            return 0.0, -1
        begin, stop = self.pairs.start[user], self.pairs.start[user + 1]
        own = begin + np.flatnonzero(self.taken[begin:stop])
        item = self.pairs.item[own]
        own = own[self.of_item[item] > self.limits.item_min[item]]
        if not len(own):
            return np.inf, -1
        place = int(own[np.argmin(self.pairs.score[own])])
        return float(self.pairs.score[place]), place

    def _swap(self, item: int) -> bool:
        """Give the item one user, who gives up at most one pair; False if nobody can."""
        order, begin = self.pairs.by_item
        places = order[begin[item] : begin[item + 1]]
        places = places[~self.taken[places]]
        users, score = self.pairs.user[places], self.pairs.score[places]
        loss = self._lost[users] - score
        while len(loss):
            i = int(np.argmin(loss))
            value, other = self._least(users[i])  # what others did may have changed it
            self._lost[users[i]] = value
            if value - score[i] > loss[i]:
                loss[i] = value - score[i]
                continue
            if not loss[i] <= self.limits.shortfall or np.isinf(loss[i]):
                return False
            if other >= 0:
                self.drop(other)
            self.add(int(places[i]))
            return True
        return False

    def improve(self, enough: float = np.inf) -> None:
        """Follow chains that bring more until it is enough, none is found, or time is up.

        For what prices leave open: among equal scores a user may go without whom a few others, by
        changing hands, would make room for.
        """
        least = 1e-6 * float(np.abs(self.pairs.score[self.taken]).sum()) / max(self.taken.sum(), 1)
        self._work, before = MOST_WORK, float(self.pairs.score[self.taken].sum(dtype=np.float64))
        while self._work > 0 and self._chain(*self._open_items(), -least):
            if self.pairs.score[self.taken].sum(dtype=np.float64) - before >= enough:
                return

    def _open_items(self) -> tuple[np.ndarray, np.ndarray]:
        """What one more contact of each item costs, and the pair to drop for it; -1: there is room.

        At its maximum an item turns away the user who brings least.
        """
        held = np.flatnonzero(self.taken)
        item = self.pairs.item[held]
        cost, place = _cheapest(item, self.pairs.score[held], held, self.pairs.n_items)
        room = self.of_item < self.limits.item_max
        return np.where(room, 0.0, cost), np.where(room, -1, place)

    def _chain(self, cost: np.ndarray, turned_away: np.ndarray, most: float) -> bool:
        """One more contact of an item along few users, for a loss of at most so much.

        One user takes it, a second what that one gives up, …  Where any loss will do every item
        enters once, so if no chain is found there is none.  Where a gain is sought an item may be
        reached again at less along a few users more.

        Parameters
        ----------
        cost : ndarray (n_items,)
            Of one more contact of the items that may begin; else infinite.
        turned_away : ndarray (n_items,)
            The pair that is dropped for it, or -1.
        most : float
        """
        pairs, front, gained, given = self.pairs, np.isfinite(cost), [], []
        while front.any():
            self._work -= len(pairs)
            taking = np.where(front, cost, np.inf)[pairs.item] - pairs.score
            taking[self.taken] = np.inf
            reach = pairs.least_of_rows(taking)
            gained.append(taking)
            total = reach + self._least_of_all()
            user = int(np.argmin(total))
            if np.isfinite(total[user]) and total[user] <= most:
                return self._follow(user, gained, given, turned_away)
            held = np.flatnonzero(self.taken & np.isfinite(reach[pairs.user]))
            paid, known = reach[pairs.user[held]] + self.pairs.score[held], cost[pairs.item[held]]
            again = most < 0 and len(gained) < REACHED_AGAIN
            open = paid < known - 1e-6 if again else np.isinf(known)
            given.append(_cheapest(pairs.item[held[open]], paid[open], held[open], pairs.n_items))
            front = np.isfinite(given[-1][0])
            cost = np.where(front, given[-1][0], cost)
        return False

    def _follow(self, user: int, gained: list, given: list, turned_away: np.ndarray) -> bool:
        """Carry out the chain that ends at a user; False where it crosses itself."""
        dropped, added = [self._least(user)[1]], []
        for layer in range(len(gained) - 1, -1, -1):
            begin, stop = self.pairs.start[user], self.pairs.start[user + 1]
            added.append(int(begin + np.argmin(gained[layer][begin:stop])))
            item = self.pairs.item[added[-1]]
            dropped.append(int(given[layer - 1][1][item] if layer else turned_away[item]))
            user = int(self.pairs.user[dropped[-1]])
        dropped = [place for place in dropped if place >= 0]
        if len(set(dropped)) < len(dropped) or len(set(added)) < len(added):
            return False
        for place in dropped:
            self.drop(place)
        for place in added:
            self.add(place)
        return True

    # --- money, and what is left ---

    def save_money(self, surplus: np.ndarray) -> None:
        """Drop what brings least for its cost until the budget holds; hard minima last."""
        hard = not np.isfinite(self.limits.shortfall)  # soft ones are in the surplus
        for spare_minima in (True, False) if hard else (False,):
            if self.spent <= self.most:
                return
            held = np.flatnonzero(self.taken & (self.cost > 0))
            for place in held[np.argsort(surplus[held] / self.cost[held], kind="stable")]:
                if self.spent <= self.most:
                    return
                item = self.pairs.item[place]
                if not spare_minima or self.of_item[item] > self.limits.item_min[item]:
                    self.drop(int(place))

    def fill_up(self) -> None:
        """Add pairs that all limits leave room for, the best first."""
        worth = self.worth()
        free = np.flatnonzero(self._fits() & (worth > 0))
        worth = worth[free]
        if np.isfinite(self.limits.budget):
            worth = worth / np.maximum(self.cost[free], 1e-12)
        free = free[np.argsort(-worth, kind="stable")]
        for begin in range(0, len(free), FILLED_AT_ONCE):
            part = free[begin : begin + FILLED_AT_ONCE]
            for place in part[self._fits(part)]:
                if self._fits(place):
                    self.add(int(place))

    def worth(self) -> np.ndarray:
        """What each pair that is not taken would bring, with the shortfall that it spares."""
        short = self.of_item < self.limits.item_min
        if not np.isfinite(self.limits.shortfall) or not short.any():
            return self.pairs.score
        return self.pairs.score + self.limits.shortfall * short[self.pairs.item]

    def _fits(self, place: Any = slice(None)) -> Any:
        """Whether pairs are not taken, and all limits leave room for each of them alone."""
        user, item = self.pairs.user[place], self.pairs.item[place]
        room = self.of_user[user] < self.limits.user_max[user]
        room &= self.of_item[item] < self.limits.item_max[item]
        return ~self.taken[place] & room & (self.spent + self.cost[place] <= self.most)

    def left_over(self) -> float:
        """What the money that is left would bring if a contact could be bought in part."""
        limits, pairs = self.limits, self.pairs
        if not np.isfinite(limits.budget):
            return 0.0
        user, item = self.of_user < limits.user_max, self.of_item < limits.item_max
        free = ~self.taken & user[pairs.user] & item[pairs.item] & (self.cost > 0)
        rate = float((pairs.score[free] / self.cost[free]).max(initial=0.0))
        return max(limits.budget - self.spent, 0.0) * rate


def _cheapest(
    end: np.ndarray, cost: np.ndarray, place: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each of n ends its least cost, and the pair that has it; infinity and -1 for none."""
    order = np.argsort(-cost, kind="stable")
    least, pair = np.full(n, np.inf), np.full(n, -1, np.int64)
    least[end[order]], pair[end[order]] = cost[order], place[order]
    return least, pair
