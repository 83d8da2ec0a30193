"""The verbs of rim on files: what they write, and one clear line for what cannot be."""

import json

import numpy as np
import pandas as pd
import pytest

import makedo

DAY, START = 86_400, 1_500_000_000
WEEK = ["--set", "horizon=7D"]


def test_split_cuts_the_log_into_its_parts(rim, table):
    line = ["split", "--log", "log.csv", "--test-start", START + 40 * DAY, "--horizon", "7D"]
    assert rim(*line, "--out", "whole.parquet")[0] == 0
    whole = pd.read_parquet("whole.parquet")
    assert len(whole) == len(table) and list(whole["part"].unique()) != ["test"]
    inside = whole["timestamp"].between(START + 40 * DAY, START + 47 * DAY - 1)
    assert (inside == (whole["part"] == "test")).all()
    assert (whole.loc[whole["part"] == "before", "timestamp"] < START + 40 * DAY).all()
    assert rim(*line, "--part", "after", "--out", "after.csv")[0] == 0
    assert len(pd.read_csv("after.csv")) == (whole["part"] == "after").sum() > 0


def test_an_event_at_the_test_start_is_tested_and_one_at_the_end_is_after(rim):
    times = [START, START + 7 * DAY - 1, START + 7 * DAY, START - 1]
    pd.DataFrame({"user_id": 1, "item_id": 2, "timestamp": times}).to_csv("edge.csv", index=False)
    line = ["split", "--log", "edge.csv", "--test-start", START, "--horizon", "7D", "--json"]
    parts = {row["timestamp"]: row["part"] for row in json.loads(rim(*line)[1])}
    assert [parts[t] for t in times] == ["test", "test", "after", "before"]


def test_items_are_listed_for_all_users_or_for_some(rim):
    assert rim("recommend-items", "model", "--top", 3, "--out", "all.csv")[0] == 0
    listed = pd.read_csv("all.csv")
    model = makedo.load("model")
    assert listed["user_id"].nunique() == model.log_.n_users
    assert (listed.groupby("user_id").size() == 3).all()
    a, b = model.log_.users[[7, 3]]
    code, out, _ = rim("recommend-items", "model", "--users", f"{a},{b}", "--top", 3, "--json")
    some = pd.DataFrame(json.loads(out))
    assert code == 0 and some["user_id"].tolist() == [a] * 3 + [b] * 3
    expected = listed.set_index("user_id").loc[[a, b], "item_id"].tolist()
    assert some["item_id"].tolist() == expected


def test_users_are_listed_for_some_items_or_for_all(rim):
    code, out, _ = rim("recommend-users", "model", "--items", "i3,i5", "--top", 4, "--json")
    some = pd.DataFrame(json.loads(out))
    assert code == 0 and some["item_id"].tolist() == ["i3"] * 4 + ["i5"] * 4
    assert (some.groupby("item_id")["score"].diff().dropna() <= 0).all()
    assert rim("recommend-users", "model", "--top", 2, "--out", "all.parquet")[0] == 0
    assert pd.read_parquet("all.parquet")["item_id"].nunique() == 60


def test_later_events_count_in_the_lists(rim, table):
    quiet = table[table["timestamp"] < START + 53 * DAY].groupby("user_id")["timestamp"].max()
    sleeper, items = quiet.idxmin(), [f"i{4 * i + 1}" for i in range(1, 11)]
    times = START + 53 * DAY + np.arange(30) * 600
    pd.DataFrame({"user_id": sleeper, "item_id": items * 3, "timestamp": times}).to_csv("new.csv")
    line = ["recommend-users", "model", "--items", "i1", "--top", 190, "--json"]
    ranks = []
    for more in ([], ["--later", "new.csv"]):
        listed = pd.DataFrame(json.loads(rim(*line, *more)[1]))
        ranks.append(int(listed.set_index("user_id")["rank"].get(sleeper, 999)))
    assert ranks[0] > 100 and ranks[1] <= 5


def test_evaluate_compares_both_rankings_and_items_stay_as_they_are(rim):
    code, out, _ = rim("evaluate", "model", "--log", "later.parquet", "--top-k", "2,5", "--json")
    found = pd.DataFrame(json.loads(out)).set_index(["ranking", "candidate", "top_k"])
    assert code == 0 and set(found.index.get_level_values("top_k")) == {2, 5}
    precision = found["precision"]
    assert precision["items", "RIM", 5] == precision["items", "without λ", 5]
    assert precision["users", "RIM", 5] > precision["users", "without λ", 5]


def test_diagnose_says_that_activity_which_differs_can_be_used(rim):
    code, out, _ = rim("diagnose", "--log", "log.csv", *WEEK)
    assert code == 0 and out.startswith("Applies. λ helps to say who")
    assert "makedo rim fit" in out


def test_diagnose_says_what_to_run_next_with_the_names_that_it_was_given(rim, table):
    odd = table.rename(columns={"user_id": "the user", "timestamp": "when"})
    odd.to_csv("odd.csv", index=False)
    line = ["--log", "odd.csv", "--user", "the user", "--time", "when", *WEEK, "--seed", 3]
    code, out, _ = rim("diagnose", *line, "--set", "marks=personal_repeat")
    fit = "makedo rim fit --log LOG --out model --set marks=personal_repeat --user 'the user'"
    assert code == 0 and f"{fit} --time when --set horizon=7D\n" in out, out


def test_report_judges_on_later_events_and_shows_ids_only_when_asked(rim, files):
    code, out, _ = rim("report", "model", "--log", "later.parquet", "--out", "page.html")
    assert code == 0 and out.startswith("λ pays: ")
    page = (files / "page.html").read_text(encoding="utf-8")
    for title in (
        "How good are both rankings?",
        "What does λ gain?",
        "How many must be contacted?",
    ):
        assert title in page
    assert ">u3<" not in page
    assert rim("report", "model", "--out", "stored.html", "--show-rows")[0] == 0
    assert "Whom the model names" in (files / "stored.html").read_text(encoding="utf-8")


def test_a_page_is_written_with_the_model(rim, files):
    line = ["fit", "--log", "before.csv", *WEEK, "--out", "again", "--report", "fit.html"]
    assert rim(*line)[0] == 0
    assert "was not measured" in (files / "fit.html").read_text(encoding="utf-8")


def test_the_names_of_columns_are_free(rim, table):
    odd = table.rename(columns={"user_id": "who", "item_id": "what", "timestamp": "when"})
    odd.to_csv("odd.csv", index=False)
    names = ["--user", "who", "--item", "what", "--time", "when"]
    assert rim("fit", "--log", "odd.csv", *names, *WEEK, "--out", "odd")[0] == 0
    assert makedo.load("odd").log_.n_items == 60


# --- bad files ------------------------------------------------------------------------------------


def write(name, **columns):
    def make(table):
        table.assign(**columns).to_csv(name, index=False)

    return make


def first_row(**values):
    def make(table):
        changed = table.astype(object)
        for name, value in values.items():
            changed.iloc[0, changed.columns.get_loc(name)] = value
        changed.to_csv("bad.csv", index=False)

    return make


def nothing(table):
    pass


FIT = ["fit", "--log", "bad.csv", "--out", "new"]
SPLIT = ["split", "--log", "log.csv", "--out", "parts.csv"]
BAD = {
    "null user": (first_row(user_id=None), FIT, "'user_id' for user has no value in 1 of"),
    "null item": (first_row(item_id=None), FIT, "'item_id' for item has no value"),
    "null time": (first_row(timestamp=None), FIT, "'timestamp' for time has no value"),
    "negative time": (first_row(timestamp=-7), FIT, "before 1970 in 1 of"),
    "two units": (first_row(timestamp=START * 1000), FIT, "mixes seconds and milliseconds"),
    "words as times": (write("bad.csv", timestamp="soon"), FIT, "holds no times"),
    "float ids": (write("bad.csv", item_id=1.5), FIT, "decimal point"),
    "one time": (write("bad.csv", timestamp=START), FIT, "all events have one time"),
    "no column": (
        lambda t: t.drop(columns="item_id").to_csv("bad.csv", index=False),
        FIT,
        "no column 'item_id' for item",
    ),
    "dates as numbers": (write("bad.csv", timestamp=20171130), FIT, "text such as 2017-11-30"),
    "one column twice": (nothing, ["fit", "--log", "log.csv", "--user", "item_id", "--out", "new"],
                         "must be three columns"),
    "milliseconds": (nothing, ["recommend-items", "model", "--at", START * 1000, "--out", "x.csv"],
                     "not milliseconds"),
    "split in milliseconds": (nothing, [*SPLIT, "--test-start", START * 1000, "--horizon", "7D"],
                              "not milliseconds"),
    "no time given": (nothing, ["recommend-items", "model", "--at", "", "--out", "x.csv"],
                      "'' is no time"),
    "item twice": (nothing, ["recommend-users", "model", "--items", "i3,i5,i3", "--out", "x.csv"],
                   "1 item named again (first: 'i3')"),
    "half a number": (nothing, ["evaluate", "model", "--log", "later.parquet", "--top-k", "²",
                                "--out", "x.csv"], "no whole number"),
    "no rows": (lambda t: t[:0].to_csv("bad.csv", index=False), FIT, "no rows"),
    "no file": (nothing, FIT, "does not exist"),
    "no table": (lambda t: open("bad.csv", "wb").close(), FIT, "empty"),
    "horizon": (nothing, ["fit", "--log", "log.csv", "--set", "horizon=soon", "--out", "new"],
                "length of time"),
    "horizon 0": (nothing, ["fit", "--log", "log.csv", "--set", "horizon=0", "--out", "new"],
                  "horizon"),
    "long horizon": (nothing, ["fit", "--log", "log.csv", "--set", "horizon=900D", "--out", "new"],
                     "shorter horizon"),
    "marks": (nothing, ["fit", "--log", "log.csv", "--set", "marks=magic", "--out", "new"],
              "marks"),
    "empty test": (nothing, [*SPLIT, "--test-start", "2031-01-01", "--horizon", "7D"],
                   "nothing to test on"),
    "early test": (nothing, [*SPLIT, "--test-start", "1971-01-01", "--horizon", "7D"],
                   "no event before"),
    "no such start": (nothing, [*SPLIT, "--test-start", "soon", "--horizon", "7D"], "no time"),
    "split horizon": (nothing, [*SPLIT, "--test-start", START + DAY, "--horizon", "-3"],
                      "longer than 0"),
    "unknown item": (nothing, ["recommend-users", "model", "--items", "i3,zzz", "--out", "x.csv"],
                     "1 item not in the log (first: 'zzz')"),
    "too many items": (nothing, ["recommend-items", "model", "--top", "99", "--out", "x.csv"],
                       "from 1 to the 60"),
    "top 0": (nothing, ["recommend-users", "model", "--top", "0", "--out", "x.csv"], "top_k"),
    "no such time": (nothing, ["recommend-items", "model", "--at", "soon", "--out", "x.csv"],
                     "is no time"),
    "no later events": (nothing, ["evaluate", "model", "--log", "before.csv", "--out", "x.csv"],
                        "nothing to judge by"),
    "no number": (nothing, ["evaluate", "model", "--log", "later.parquet", "--top-k", "few",
                            "--out", "x.csv"], "no whole number"),
    "long lists": (nothing, ["evaluate", "model", "--log", "later.parquet", "--top-k", "61",
                             "--out", "x.csv"], "from 1 to the 60 items"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::makedo.core.checks.MakedoWarning")
@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_one_line_and_exit_2_and_leaves_nothing(case, rim, files, table):
    make, line, words = BAD[case]
    make(table)
    before = sorted(files.rglob("*"))
    code, out, err = rim(*line, "--quiet")
    assert (code, out) == (2, "") and words in err, (code, out, err)
    assert err.count("\n") == 1 and sorted(files.rglob("*")) == before


@pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")
def test_what_is_repaired_is_said(rim, table):
    doubled = pd.concat([table, table[:3]])
    doubled.assign(timestamp=doubled["timestamp"] * 1000).to_csv("ms.csv", index=False)
    code, _, err = rim("fit", "--log", "ms.csv", *WEEK, "--out", "ms")
    assert code == 0 and "look like milliseconds" in err and "3 rows" in err
    code, out, err = rim("recommend-items", "model", "--users", "nobody", "--top", 2, "--json")
    assert code == 0 and "not in the log" in err and len(json.loads(out)) == 2


def test_whole_numbers_are_told_from_text(rim, table):
    numbers = table.assign(user_id=table["user_id"].str[1:], item_id=table["item_id"].str[1:])
    numbers.to_csv("numbers.csv", index=False)
    assert rim("fit", "--log", "numbers.csv", *WEEK, "--out", "n")[0] == 0
    code, out, _ = rim("recommend-users", "n", "--items", "3", "--top", 2, "--json")
    assert code == 0 and json.loads(out)[0]["item_id"] == 3
    for wrong in ("i3", "²", "--5", "3.0"):
        code, _, err = rim("recommend-users", "n", f"--items={wrong}")
        assert code == 2 and "names by whole numbers" in err


@pytest.mark.filterwarnings("error")
def test_ids_of_later_events_take_the_form_that_the_log_has(rim, table):
    """A file whose ids happen to lack leading zeros holds whole numbers, by themselves."""
    padded = table.assign(user_id=table["user_id"].str[1:].str.zfill(3))
    padded.to_csv("padded.csv", index=False)
    assert rim("fit", "--log", "padded.csv", *WEEK, "--out", "p")[0] == 0
    model = makedo.load("p")
    later = padded[padded["user_id"] >= "100"].assign(timestamp=int(model.now_) + 5)
    later.drop_duplicates().to_csv("short.csv", index=False)
    assert pd.read_csv("short.csv")["user_id"].dtype.kind == "i"
    line = ["recommend-items", "p", "--users", "100,007", "--later", "short.csv", "--json"]
    code, out, _ = rim(*line)
    assert code == 0 and {row["user_id"] for row in json.loads(out)} == {"100", "007"}
    assert json.loads(out)[0]["timestamp"] == int(model.now_) + 6


def test_whole_numbers_written_as_text_are_those_of_the_log(rim, table):
    """Another system exports 12 as text; 007 stays another id, and is shown beside the log's."""
    numbers = table.assign(user_id=table["user_id"].str[1:].astype(int))
    cut = START + 53 * DAY
    before, later = numbers[numbers["timestamp"] < cut], numbers[numbers["timestamp"] >= cut]
    before.to_csv("n.csv", index=False)
    assert rim("fit", "--log", "n.csv", *WEEK, "--out", "n")[0] == 0
    later.to_parquet("n.parquet")
    later.assign(user_id=later["user_id"].astype(str)).to_parquet("text.parquet")
    later.assign(user_id=later["user_id"].astype(str).str.zfill(4)).to_parquet("007.parquet")
    line = ["evaluate", "n", "--top-k", 2, "--json", "--log"]
    assert rim(*line, "text.parquet")[:2] == rim(*line, "n.parquet")[:2]
    code, _, err = rim(*line, "007.parquet")
    assert code == 2 and "string ids (first: '0002', '0004', '0006'), the log by integer" in err


@pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")
def test_why_there_is_nothing_to_judge_by_is_said(rim):
    now, later = makedo.load("model").now_, pd.read_parquet("later.parquet")
    n = int(later["timestamp"].between(now, now + 7 * DAY - 1).sum())
    later.assign(user_id="U-" + later["user_id"]).to_csv("other.csv", index=False)
    code, _, err = rim("evaluate", "model", "--log", "other.csv")
    assert code == 2 and f"of {n} events from 2017-09-05" in err
    assert "none is of a known user ('U-u102', 'U-u105', 'U-u106'; known are 'u0', 'u1" in err
    assert "known item" not in err and "in the form that they had for fit" in err
    later.assign(timestamp=later["timestamp"] + 90 * DAY).to_csv("late.csv", index=False)
    code, _, err = rim("evaluate", "model", "--log", "late.csv")
    assert (
        code == 2
        and "no event lies from 2017-09-05" in err
        and "The next one is at 2017-12-0" in err
    )


@pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")
def test_events_that_nobody_could_rank_are_counted(rim):
    later = pd.read_parquet("later.parquet")
    for share in (0.7, 0.3):
        new = np.arange(len(later)) < share * len(later)
        user = later["user_id"].where(~new, "new " + later["user_id"])
        later.assign(user_id=user).to_csv("news.csv", index=False)
        code, _, err = rim("evaluate", "model", "--log", "news.csv", "--top-k", 2)
        assert code == 0 and ("events in the horizon are of users or items" in err) == (share > 0.5)
    assert "RIM: " not in err


def test_lists_are_as_long_as_they_can_be_where_nobody_says_how_long(rim):
    few = pd.DataFrame({"user_id": [1, 2, 1, 2], "item_id": [1, 1, 2, 2], "timestamp": range(4)})
    few["timestamp"] += START
    few.to_csv("few.csv", index=False)
    assert rim("fit", "--log", "few.csv", "--set", "horizon=1", "--out", "few")[0] == 0
    for verb in ("recommend-items", "recommend-users"):
        code, out, _ = rim(verb, "few", "--json")
        assert code == 0 and len(json.loads(out)) == 4
