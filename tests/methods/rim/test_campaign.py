"""The page of a campaign, and its verbs on files."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import makedo
from makedo import BudgetMatcher
from makedo.core.checks import MakedoInputError
from makedo.methods.rim.campaign_page import curve, items_section, tighter

S = np.random.default_rng(0).pareto(1.1, (120, 20))
USERS, ITEMS = [f"someone{i}" for i in range(120)], [f"gizmo{j}" for j in range(20)]
FRAME = pd.DataFrame(S, USERS, ITEMS)


@pytest.fixture(scope="module")
def matcher():
    return BudgetMatcher(2, 4, 14).fit(FRAME)


def test_the_page_says_what_was_planned_and_names_nobody(matcher):
    page = matcher.report()
    assert page.verdict.startswith("240 contacts of 120 users with 20 items")
    assert "every minimum is met" in page.verdict
    html = page.to_html()
    for title in ("What do items get?", "What do limits of items cost?",
                  "What is delivered of the promises?", "What would tighter budgets cost?",
                  "How sure is that?"):  # fmt: skip
        assert title in html
    assert "someone" not in html and "gizmo" not in html
    named = matcher.report(show_rows=True).to_html()
    assert "someone" in named and "gizmo" in named
    json.dumps(page.to_dict())


def test_named_contacts_have_ids_and_dates_as_people_write_them(table):
    log = table.assign(user_id=table["user_id"].str[1:].astype(int) + 1000)
    model = makedo.RIM("personal_repeat", horizon="7D").fit(log)
    page = BudgetMatcher(1, item_max=9, budget=30.0).fit(model).report(show_rows=True)
    contacts = page.tables["The contacts with the largest scores"]
    assert contacts["timestamp"].str.match(r"\d{4}-\d\d-\d\d").all()
    assert contacts["user_id"].str.fullmatch("1[0-9]{3}").all()
    assert "It spends 30 of 30" in page.to_html() and "left over" not in page.to_html()


def test_the_page_escapes_what_the_data_say():
    odd = FRAME.set_axis([f"<script>{item}" for item in ITEMS], axis=1)
    html = BudgetMatcher(1, 2).fit(odd).report(show_rows=True).to_html()
    assert "<script>gizmo" not in html


def test_a_tighter_limit_costs_what_the_page_says_or_more(matcher):
    said = tighter(matcher, cut=0.5).set_index("limit")["loses at least"]
    fewer = BudgetMatcher(1, 4, 14).fit(FRAME)
    assert matcher.value_ - fewer.value_ >= said["contacts of a user"] - 1e-6 > 0
    lower = BudgetMatcher(2, 4, 7).fit(FRAME)
    assert matcher.value_ - lower.value_ >= said["maxima of items"] - 1e-6 > 0
    higher = BudgetMatcher(2, 6, 14).fit(FRAME)
    assert matcher.value_ - higher.value_ >= said["minima of items"] - 1e-6


def test_users_without_a_maximum_have_none_that_could_be_tightened():
    table = tighter(BudgetMatcher({"someone3": 1}, item_max=9).fit(FRAME)).set_index("limit")
    assert table.loc["maxima of items", "loses at least"] > 0
    assert table.loc["contacts of a user", "loses at least"] >= 0


def test_the_page_says_how_many_users_get_how_many_contacts():
    few, many = BudgetMatcher(2, budget=60.0).fit(FRAME), BudgetMatcher(np.arange(120) % 16).fit(S)
    tables = [m.report().tables["How often are users contacted?"] for m in (few, many)]
    given = few.user_prices_["given"]
    assert dict(tables[0].to_numpy()) == given.value_counts().to_dict() and given.nunique() > 1
    assert tables[1].iloc[[0, 2, 4], 1].tolist() == [0, 7, 15]  # sixteen lines would be too many


def test_contacts_of_items_are_drawn_over_the_share_of_items(matcher):
    line = items_section(matcher).figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), np.arange(5, 101, 5))
    assert line.get_ydata().tolist() == sorted(matcher.prices_["delivered"], reverse=True)


def test_money_that_buys_no_whole_contact_is_no_loss():
    """Of 2.5 two contacts are paid, and they still are of 2.25."""
    m = BudgetMatcher(1, budget=2.5, item_cost=1.0).fit(np.ones((4, 1)))
    assert m.budget_price_ == pytest.approx(1, rel=0.01)
    assert tighter(m).set_index("limit").loc["money", "loses at least"] == 0


def test_the_page_counts_what_holds_back_and_how_far_the_plan_may_be_from_the_best():
    m = BudgetMatcher(2, 0, 14, tolerance=0.01).fit(FRAME)
    page = m.report()
    said = float(re.search("at most (.*) % below", page.verdict).group(1))
    assert said == pytest.approx(100 * m.duality_gap_, rel=0.1) and said > 0
    scarce = int((m.prices_["price"] > 1e-6).sum())
    html = page.to_html()
    assert f"Held back by a maximum: {scarce} items" in html and scarce > 1
    assert "Lifted to a minimum: 0 items" in html
    last = page.tables["How sure is that?"].iloc[-1]
    assert last["bound"] == pytest.approx(m.bound_) and last["plan"] == pytest.approx(m.value_)
    assert last["gap, %"] == pytest.approx(100 * m.duality_gap_, rel=1e-6)


def test_what_is_promised_is_counted_of_items_with_a_minimum():
    page = BudgetMatcher(2, pd.Series({"gizmo3": 5, "gizmo4": 9}), 14).fit(FRAME).report()
    table = page.tables["What is delivered of the promises?"].set_index("")["value"]
    assert table[["items with a minimum", "fully served"]].tolist() == [2, 2]
    assert table["contacts promised"] == table["delivered of them"] == 14


def test_named_rows_are_those_that_cost_or_bring_most():
    m = BudgetMatcher(2, 11, 13).fit(FRAME)
    tables = m.report(show_rows=True).tables
    price, score = m.prices_["price"].abs(), m.plan_["score"]
    assert price.idxmin() != price.idxmax() and m.prices_["price"].min() < 0
    shown = tables["Which limits cost most"]["price"].abs()
    np.testing.assert_allclose(shown, price.nlargest(15))
    shown = tables["The contacts with the largest scores"]["score"]
    np.testing.assert_allclose(shown, score.nlargest(15))


def test_more_money_never_brings_less():
    m = BudgetMatcher(2, budget=60.0).fit(FRAME)
    table = curve(m, FRAME)
    assert (table["limit"] == "budget").all()
    assert table["contacts"].tolist() == [30, 45, 60, 75, 90]
    assert (table["value"].diff().dropna() > 0).all()
    assert (table["value"].diff().diff().dropna() < 0).all()  # each unit brings less than the last
    assert (table["bound"] >= table["value"] * (1 - 1e-6)).all()
    page = m.report(FRAME)
    assert "What would other budgets bring?" in page.to_html()
    assert page.tables["What would other budgets bring?"]["share"].tolist() == [
        50,
        75,
        100,
        125,
        150,
    ]


def test_other_budgets_are_planned_for_ids_that_came_beside_the_scores():
    low = pd.Series({"gizmo3": 5})
    m = BudgetMatcher(2, low, 14).fit(S, users=USERS, items=ITEMS)
    table = curve(m, S).set_index("share")
    assert table["value"].notna().all() and table.loc[1.0, "value"] == m.value_
    tight = curve(BudgetMatcher(2, 12, 14).fit(FRAME), FRAME).set_index("share")
    assert tight.loc[[0.5, 0.75], "value"].isna().all()  # a maximum below the minimum
    with pytest.raises(MakedoInputError, match="lines? for scores|users? for scores"):
        curve(m, S[:50])


# --- on files -------------------------------------------------------------------------------------


def test_match_plans_for_all_users_under_limits(rim):
    line = ["match", "model", "--user-max", 2, "--item-min", 3, "--item-max", 15]
    code, out, err = rim(*line, "--out", "plan.csv")
    plan = pd.read_csv("plan.csv")
    assert code == 0, err
    assert list(plan) == ["item_id", "user_id", "timestamp", "score", "price"]
    assert plan.groupby("user_id").size().max() <= 2
    assert plan.groupby("item_id").size().between(3, 15).all() and plan["item_id"].nunique() == 60


def test_match_takes_budgets_by_id_from_tables(rim, files):
    pd.DataFrame({"item_id": ["i3", "i5"], "item_min": [12, None], "item_cost": [2.0, 1.0]}).to_csv(
        files / "items.csv", index=False
    )
    barred = makedo.load(files / "model").log_.users[:2]
    pd.DataFrame({"user_id": barred, "user_max": 0}).to_csv(files / "users.csv", index=False)
    line = ["match", "model", "--item-budgets", "items.csv", "--user-budgets", "users.csv"]
    line += ["--budget", 40, "--items", "i3,i5,i9", "--json"]
    code, out, err = rim(*line)
    assert code == 0, err
    plan = pd.DataFrame(json.loads(out))
    assert set(plan["item_id"]) <= {"i3", "i5", "i9"} and (plan["item_id"] == "i3").sum() >= 12
    assert not plan["user_id"].isin(barred).any() and plan["cost"].sum() <= 40


def test_options_hold_for_all_that_a_table_does_not_name(rim, files):
    """Who is barred does not free the others of their maximum."""
    users = makedo.load(files / "model").log_.users
    pd.DataFrame({"user_id": users[:3], "user_max": [0, 3, None]}).to_csv("u.csv", index=False)
    pd.DataFrame({"item_id": ["i3"], "item_min": [9]}).to_csv("i.csv", index=False)
    line = ["match", "model", "--user-budgets", "u.csv", "--item-budgets", "i.csv"]
    code, _, err = rim(*line, "--user-max", 2, "--item-min", 1, "--out", "plan.csv")
    assert code == 0, err
    plan = pd.read_csv("plan.csv")
    given = plan.groupby("user_id").size().reindex(users, fill_value=0)
    assert given[:3].tolist() == [0, 3, 2] and (given[3:] == 2).all()
    of_item = plan.groupby("item_id").size()
    assert of_item["i3"] >= 9 and len(of_item) == 60


def test_ids_of_a_table_take_the_form_that_the_log_has(rim, table):
    padded = table.assign(user_id=table["user_id"].str[1:].str.zfill(3))
    padded.to_csv("padded.csv", index=False)
    assert rim("fit", "--log", "padded.csv", "--set", "horizon=7D", "--out", "p")[0] == 0
    barred = [user for user in makedo.load("p").log_.users if user >= "200"]
    pd.DataFrame({"user_id": barred, "user_max": 0}).to_csv("u.csv", index=False)
    code, _, err = rim("match", "p", "--user-budgets", "u.csv", "--out", "plan.csv")
    assert code == 0, err
    assert barred and pd.read_csv("plan.csv")["user_id"].max() < 200


def test_campaign_writes_a_page(rim, files):
    line = ["campaign", "model", "--user-max", 1, "--item-max", 10, "--out", "page.html"]
    code, out, err = rim(*line)
    assert code == 0 and "below the best possible plan" in out, err
    page = (files / "page.html").read_text(encoding="utf-8")
    assert "What would other budgets bring?" in page and ">u3<" not in page


BAD = {
    "promises": (["--item-min", 50], "add up to 3,000 contacts"),
    "negative": (["--item-max", -2], "item_max is negative"),
    "table": (["--item-budgets", "log.csv"], "needs a column"),
    "unknown": (["--items", "i3,zzz"], "not in the log (first: 'zzz')"),
    "money": (["--budget", -1], "budget must be"),
}


def test_a_budget_that_is_misspelt_is_no_budget(rim, files):
    pd.DataFrame({"item_id": ["i3"], "item_min": [2], "item_mx": [4]}).to_csv("b.csv", index=False)
    code, _, err = rim("match", "model", "--item-budgets", "b.csv", "--out", "plan.csv")
    assert code == 2 and "'item_mx' is no budget. If it is 'item_max'" in err
    assert not (files / "plan.csv").exists()


def test_a_time_before_all_events_is_warned_of(rim):
    code, _, err = rim("match", "model", "--at", "1999-01-01", "--out", "plan.csv")
    assert code == 0 and "lies before the first event" in err


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_matched_is_one_line_and_exit_2(case, rim, files):
    more, words = BAD[case]
    before = sorted(files.rglob("*"))
    code, out, err = rim("match", "model", *more, "--out", "plan.csv", "--quiet")
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1, err
    assert sorted(files.rglob("*")) == before
