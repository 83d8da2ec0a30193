"""The page of a campaign: who gets what, prices, what is delivered, what a tighter budget costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import count
from makedo.data.times import date

if TYPE_CHECKING:
    from makedo.methods.rim.matcher import BudgetMatcher
    from makedo.report import Report, Section

SHOWN = 15  # items and contacts named with show_rows
LEVELS = (0.5, 0.75, 1.25, 1.5)  # of a budget, in the curve
ROUGH = 0.005  # tolerance there
CUT = 0.1  # of each limit


def report(
    matcher: BudgetMatcher, X: Any = None, requests: Any = None, *, show_rows: bool = False
) -> Report:
    """See :meth:`BudgetMatcher.report`."""
    from makedo.report import Report

    verdict, summary = first_lines(matcher)
    sections = [items_section(matcher), users_section(matcher), prices_section(matcher)]
    if matcher.prices_["item_min"].to_numpy().any():
        sections.append(promises_section(matcher))
    sections.append(tighter_section(matcher))
    if X is not None:
        sections.append(curve_section(matcher, X, requests))
    sections.append(certificate_section(matcher))
    if show_rows:
        sections += rows_sections(matcher)
    return Report(
        title="Campaign plan under budgets",
        verdict=verdict,
        summary=summary,
        facts={
            "contacts": len(matcher.plan_),
            "users": len(matcher.user_prices_),
            "items": len(matcher.prices_),
            "value": matcher.value_,
            "best possible, at most": matcher.bound_,
        },
        sections=sections,
    )


def first_lines(matcher: BudgetMatcher) -> tuple[str, list[str]]:
    """What was planned, how good it is, whether promises are kept."""
    plan, items = matcher.plan_, int((matcher.prices_["delivered"].to_numpy() > 0).sum())
    users = int((matcher.user_prices_["given"].to_numpy() > 0).sum())
    kept = ""
    if len(matcher.violations_):
        kept = f"; {100 * matcher.delivered_share_:.1f} % of the minima are delivered"
    elif matcher.prices_["item_min"].to_numpy().any():
        kept = "; every minimum is met"
    verdict = (
        f"{count(len(plan), 'contact')} of {count(users, 'user')} with "
        f"{count(items, 'item')}, at most "
        f"{100 * matcher.duality_gap_:.2g} % below the best possible plan{kept}."
    )
    summary = [
        f"The plan's scores add up to {matcher.value_:,.4g}; no plan under these limits exceeds "
        f"{matcher.bound_:,.4g}.",
    ]
    if matcher.budget is not None:
        summary.append(
            f"It spends {matcher.spent_:,.4g} of {matcher.budget:,.4g}; one more unit of money "
            f"would bring about {matcher.budget_price_:.3g}."
        )
        if matcher.rounding_loss_ > 0:
            summary.append(
                f"{100 * matcher.rounding_loss_:.2g} % are lost because the money that is left "
                "over does not pay for one whole contact more."
            )
    return verdict, summary


# --- who gets what --------------------------------------------------------------------------------


def items_section(matcher: BudgetMatcher) -> Section:
    """How many contacts items get."""
    from makedo.report import Section, distributions

    most = np.sort(matcher.prices_["delivered"].to_numpy())[::-1]
    share = 100 * np.arange(1, len(most) + 1) / max(len(most), 1)
    drawn = pd.DataFrame({"candidate": "plan", "x": share, "mean": most})
    return Section(
        "What do items get?",
        figure=distributions.bands(
            thinned(drawn), label="contacts of the item", x_label="items, from the most, %"
        ),
        caption="Contacts of each item, from the one with the most to the one with the least.",
        table=quantiles(most, "contacts of an item"),
    )


def users_section(matcher: BudgetMatcher) -> Section:
    """How many contacts users get."""
    from makedo.report import Section

    given = matcher.user_prices_["given"].to_numpy()
    contacts, users = np.unique(given, return_counts=True)
    if len(contacts) > 12:
        return Section(
            "How often are users contacted?", table=quantiles(given, "contacts of a user")
        )
    table = pd.DataFrame({"contacts": contacts, "users": users})
    return Section("How often are users contacted?", table=table)


def quantiles(values: np.ndarray, name: str) -> pd.DataFrame:
    """Least, quartiles and most."""
    shares = {"least": 0, "a quarter at most": 0.25, "half at most": 0.5,
              "three quarters at most": 0.75, "most": 1}  # fmt: skip
    found = [
        float(np.quantile(values, share)) if len(values) else np.nan for share in shares.values()
    ]
    return pd.DataFrame({"": list(shares), name: found})


def thinned(table: pd.DataFrame, most: int = 300) -> pd.DataFrame:
    """Every so many rows, with the first and the last."""
    at = np.unique(np.linspace(0, len(table) - 1, most).astype(int))
    return table.iloc[at]


# --- prices ---------------------------------------------------------------------------------------


def prices_section(matcher: BudgetMatcher) -> Section:
    """Prices of items, from the scarcest to the one that costs most to promise."""
    from makedo.report import Section, distributions

    price = np.sort(matcher.prices_["price"].to_numpy())[::-1]
    share = 100 * np.arange(1, len(price) + 1) / max(len(price), 1)
    drawn = pd.DataFrame({"candidate": "price", "x": share, "mean": price})
    noise = 1e-9 * matcher.unit_
    scarce, paid = int((price > noise).sum()), int((price < -noise).sum())
    text = (
        f"Held back by a maximum: {count(scarce, 'item')}, with a price above 0, which is what one "
        f"more contact would bring. Lifted to a minimum: {count(paid, 'item')}, with a price below "
        "0, which is what the plan would gain if one contact less were promised."
    )
    return Section(
        "What do limits of items cost?",
        text=text,
        figure=distributions.bands(
            thinned(drawn), label="price, points of score", x_label="items, from the dearest, %"
        ),
        caption="Prices of items in points of score. A typical score that is planned is "
        f"{matcher.unit_:.3g}.",
    )


def promises_section(matcher: BudgetMatcher) -> Section:
    """Minima, and what is delivered of them."""
    from makedo.report import Section

    low, delivered = (matcher.prices_[name].to_numpy() for name in ("item_min", "delivered"))
    full = int(((low > 0) & (delivered >= low)).sum())
    return Section(
        "What is delivered of the promises?",
        table=pd.DataFrame(
            {
                "": ["items with a minimum", "fully served", "contacts promised",
                     "delivered of them", "delivered share, %"],
                "value": [int((low > 0).sum()), full, low.sum(), np.minimum(low, delivered).sum(),
                          100 * matcher.delivered_share_],
            }
        ),
        note="This is the plan for the users whose scores were given. Users who come later are "
        "served by `serving` or `transform`, which keep count.",
    )  # fmt: skip


# --- tighter budgets ------------------------------------------------------------------------------


def tighter(matcher: BudgetMatcher, cut: float = CUT) -> pd.DataFrame:
    """What each kind of limit, tightened by a share, is sure to cost: its price times the cut.

    By weak duality: at the same prices the bound of the tighter problem is lower by just that, and
    no plan exceeds it.
    """
    names = ("price", "item_min", "item_max")
    price, low, high = (matcher.prices_[name].to_numpy() for name in names)
    u, k = (matcher.user_prices_[name].to_numpy() for name in ("price", "user_max"))
    user, item = float(u[u > 0] @ k[u > 0]), float(price[price > 0] @ high[price > 0])
    lines = [
        ("contacts of a user", "lowered", user),
        ("maxima of items", "lowered", item),
        ("minima of items", "raised", float(np.maximum(-price, 0) @ low)),
    ]
    if matcher.budget is not None:
        lines.append(("money", "lowered", matcher.budget_price_ * matcher.budget))
    table = pd.DataFrame(lines, columns=["limit", "change", "loses at least"])
    table["change"] += f" by {100 * cut:g} %"
    slack = matcher.bound_ - matcher.value_  # the plan may have been so much worse than the best
    sure = np.maximum(cut * table["loses at least"] - slack, 0)
    scale = max(abs(matcher.value_), 1e-12)
    return table.assign(**{"loses at least": sure, "% of the value": 100 * sure / scale})


def tighter_section(matcher: BudgetMatcher) -> Section:
    """The sure cost of tighter limits."""
    from makedo.report import Section

    return Section(
        "What would tighter budgets cost?",
        table=tighter(matcher),
        note="Read off the prices, without planning again: no plan under the tighter limit "
        "does better. A limit that costs nothing does not bind. Numbers of contacts are taken as "
        "if they could be cut in part.",
    )


def curve(matcher: BudgetMatcher, X: Any, requests: Any = None) -> pd.DataFrame:
    """Plans anew with shares of the tightest budget: money, else minima, maxima, users' maxima.

    Returns
    -------
    DataFrame
        limit, share, value, bound, contacts; a share that cannot be met has no value.
    """
    from sklearn.base import clone

    from makedo.methods.rim.feasibility import CannotBeMetError

    name = next(
        (n for n in ("budget", "item_max", "item_min") if getattr(matcher, n) is not None),
        "user_max",
    )
    users, items = matcher.user_prices_["user_id"], matcher.prices_["item_id"]
    lines: list[tuple[str, float, float, float, float]]
    lines = [(name, 1.0, matcher.value_, matcher.bound_, len(matcher.plan_))]
    for share in LEVELS:
        fresh: Any = clone(matcher)
        fresh.tolerance = max(matcher.tolerance, ROUGH)
        fresh.set_params(**{name: scaled(matcher, name, share)})
        try:
            fresh.fit(X, requests, users=users, items=items)
        except CannotBeMetError:
            lines.append((name, share, np.nan, np.nan, np.nan))
            continue
        lines.append((name, share, fresh.value_, fresh.bound_, len(fresh.plan_)))
    table = pd.DataFrame(lines, columns=["limit", "share", "value", "bound", "contacts"])
    return table.sort_values("share", ignore_index=True)


def scaled(matcher: BudgetMatcher, name: str, share: float) -> Any:
    """A budget multiplied; numbers of contacts are rounded down."""
    if name == "budget":
        return share * float(matcher.budget or 0.0)
    table = matcher.user_prices_ if name == "user_max" else matcher.prices_
    return np.floor(share * table[name].to_numpy())


def curve_section(matcher: BudgetMatcher, X: Any, requests: Any) -> Section:
    """What other budgets would bring, planned anew."""
    from makedo.report import Section, distributions

    words = {"budget": "money", "item_max": "maxima of items", "item_min": "minima of items",
             "user_max": "contacts of a user"}  # fmt: skip
    table = curve(matcher, X, requests)
    name = words[table["limit"].iloc[0]]
    drawn = table.dropna().assign(candidate="plan", x=100 * table["share"], mean=table["value"])
    return Section(
        "What would other budgets bring?",
        figure=distributions.bands(
            drawn, label="value of the plan", x_label=f"{name}, % of today's"
        ),
        caption=f"The value of the best plan found with other amounts of {name}, planned anew each "
        "time.",
        table=table.drop(columns="limit").assign(share=100 * table["share"]),
        table_caption="Share in %. A line without a value cannot be met.",
    )


# --- how sure, and single rows --------------------------------------------------------------------


def certificate_section(matcher: BudgetMatcher) -> Section:
    """How the plan approached the bound."""
    from makedo.report import Section

    table = matcher.history_.drop(columns="dual")
    table[["bound", "plan"]] *= matcher.unit_
    table["gap, %"] = 100 * (1 - table["plan"] / table["bound"])
    return Section(
        "How sure is that?",
        table=table,
        formats={"epsilon": ".1e"},
        note="Prices are found while ε, the softness of decisions, falls. The bound of the first "
        "lines of this page holds for every plan and for all pairs of a user and an item; a line "
        "of this table that has fewer candidates than the last may be of these alone. The plan is "
        "of whole contacts that keep every limit.",
    )


def rows_sections(matcher: BudgetMatcher) -> list[Section]:
    """Items and contacts by name."""
    from makedo.report import Section, figures

    order = np.argsort(-np.abs(matcher.prices_["price"].to_numpy()), kind="stable")[:SHOWN]
    items = matcher.prices_.take(order)
    named = pd.Series(items["price"].to_numpy(), items["item_id"].astype(str).to_numpy())
    best = np.argsort(-matcher.plan_["score"].to_numpy(), kind="stable")[:SHOWN]
    contacts = matcher.plan_.take(best).reset_index(drop=True)
    if "timestamp" in contacts:
        contacts["timestamp"] = [date(time) for time in contacts["timestamp"]]
    return [
        Section(
            "Which limits cost most",
            figure=figures.ranked_bars(named, label="price, points of score", most=SHOWN),
            caption="Items whose limit costs most; below 0, what a promise costs.",
            table=items.reset_index(drop=True).astype({"item_id": str}),
        ),
        Section(
            "The contacts with the largest scores",
            table=contacts.astype({"item_id": str, "user_id": str}),
        ),
    ]
