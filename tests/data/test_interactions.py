"""Logs of events: read from anything, cut, joined, and asked about times."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.interactions import NOBODY, InteractionLog, Requests
from makedo.data.times import date, duration, in_words, seconds

START = 1_500_000_000


def frame(n=200, seed=0, users=8, items=12):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in rng.integers(users, size=n)],
            "item_id": rng.integers(items, size=n) * 10,
            "timestamp": START + rng.integers(500, size=n),
            "weight": rng.random(n).astype(np.float32),
        }
    ).drop_duplicates(["user_id", "item_id", "timestamp"], ignore_index=True)


def as_frame(log):
    return pd.DataFrame(
        {"user_id": log.users[log.user], "item_id": log.items[log.item], "timestamp": log.time}
    )


def same(a, b):
    arrays = ("user", "item", "time", "value", "start")
    return (
        a.users.equals(b.users)
        and a.items.equals(b.items)
        and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)
    )


# --- reading --------------------------------------------------------------------------------------


def test_a_log_is_the_table_sorted_by_user_and_time_and_equal_times_keep_their_order():
    table = frame()
    log = InteractionLog.read(table)
    expected = table.sort_values(["user_id", "timestamp"], kind="stable", ignore_index=True)
    assert as_frame(log).astype(str).equals(expected.iloc[:, :3].astype(str))
    assert log.user.dtype == log.item.dtype == np.int32 and log.time.dtype == np.int64
    assert log.value.dtype == np.float32 and (log.value == 1).all()
    assert np.array_equal(log.start[1:], np.cumsum(table["user_id"].value_counts().sort_index()))
    weighted = InteractionLog.read(table, value="weight")
    assert np.array_equal(weighted.value, expected["weight"])


class Stream:
    """Something that gives Arrow batches, as a DuckDB relation does."""

    def __init__(self, table, rows):
        self.table, self.rows = table, rows

    def __arrow_c_stream__(self, requested_schema=None):
        batches = pa.Table.from_pandas(self.table).to_batches(self.rows)
        reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
        return reader.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "kind", ["polars", "arrow", "stream", "frames", "csv", "csv.gz", "parquet", "glob", "upper"]
)
def test_the_log_is_the_same_from_whatever_holds_the_rows(kind, tmp_path):
    table = frame()
    source = {
        "polars": lambda: pytest.importorskip("polars").from_pandas(table),
        "arrow": lambda: pa.Table.from_pandas(table),
        "stream": lambda: Stream(table, 7),
        "frames": lambda: (table[i : i + 30] for i in range(0, len(table), 30)),
        "upper": lambda: table.rename(columns=str.upper),
    }.get(kind)
    if source is None:
        parts = [table[:70], table[70:]] if kind == "glob" else [table]
        suffix = "parquet" if kind == "glob" else kind
        for i, part in enumerate(parts):
            path = tmp_path / f"part{i}.{suffix}"
            part.to_parquet(path) if suffix == "parquet" else part.to_csv(path, index=False)
        name = "part*.parquet" if kind == "glob" else f"part0.{suffix}"
        source = lambda: tmp_path / name  # noqa: E731
    assert same(InteractionLog.read(source()), InteractionLog.read(table))


def test_a_duckdb_relation_is_read():
    duckdb = pytest.importorskip("duckdb")
    events = frame()
    relation = duckdb.sql("select * from events")
    assert same(InteractionLog.read(relation), InteractionLog.read(events))


@pytest.mark.parametrize(
    ("unit", "factor"), [("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)]
)
def test_finer_units_are_told_by_their_size_with_a_warning(unit, factor):
    table = frame()
    fine = table.assign(timestamp=table["timestamp"] * factor + factor // 2)
    with pytest.warns(MakedoWarning, match=unit):
        assert same(InteractionLog.read(fine), InteractionLog.read(table))


@pytest.mark.parametrize("form", ["iso", "datetime", "zoned", "float"])
def test_dates_are_seconds_too(form):
    table = frame()
    dates = pd.to_datetime(table["timestamp"], unit="s")
    given = {
        "iso": dates.dt.strftime("%Y-%m-%dT%H:%M:%S"),
        "datetime": dates,
        "zoned": dates.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        "float": table["timestamp"].astype(float) + 0.25,
    }[form]
    assert same(InteractionLog.read(table.assign(timestamp=given)), InteractionLog.read(table))


def test_repeated_rows_are_left_out_with_a_warning():
    table = frame()
    with pytest.warns(MakedoWarning, match="3 rows of .* repeat"):
        again = InteractionLog.read(pd.concat([table, table[:3]]))
    assert same(again, InteractionLog.read(table))


def test_events_in_the_future_are_kept_with_a_warning():
    late = frame().assign(timestamp=4_000_000_000)
    with pytest.warns(MakedoWarning, match="future"):
        log = InteractionLog.read(late.drop_duplicates(["user_id", "item_id"]))
    assert log.time.max() == 4_000_000_000


def changed(**columns):
    return lambda: frame().assign(**columns)


def first_is(name, value, kind=object):
    def make():
        table = frame()
        column = table[name].astype(kind)
        column.iloc[0] = value
        return table.assign(**{name: column})

    return make


BAD = {
    "no user column": (
        lambda: frame().drop(columns="user_id"),
        "no column 'user_id' for user.*--user",
    ),
    "null user": (first_is("user_id", None), r"'user_id' for user has no value in 1 of .*row 0"),
    "null item": (first_is("item_id", np.nan, float), "'item_id' for item has no value in 1 of"),
    "null time": (first_is("timestamp", None, float), "'timestamp' for time has no value"),
    "no date": (changed(timestamp=pd.NaT), "no value"),
    "negative time": (first_is("timestamp", -5, int), r"before 1970 in 1 of .*row 0"),
    "two units": (first_is("timestamp", START * 1000, int), "mixes seconds and milliseconds"),
    "32-bit floats": (changed(timestamp=np.float32(START)), "32-bit floats"),
    "infinite time": (first_is("timestamp", np.inf, float), "infinite"),
    "words as times": (changed(timestamp="soon"), "holds no times"),
    "days first": (
        lambda: frame().assign(
            timestamp=pd.to_datetime(frame()["timestamp"], unit="s").dt.strftime("%d-%m-%Y %H:%M")
        ),
        r"holds no times .first: '.*column, format='%d-%m-%Y %H:%M'.",
    ),
    "another system's dates": (
        changed(timestamp="2017-11-30 12:00:00 UTC"),
        "format='%Y-%m-%d %H:%M:%S UTC'",
    ),
    "numbers as text": (changed(timestamp="1500000000"), "numbers as text: convert"),
    "days or months first": (
        changed(timestamp="3/4/2017"),
        r"format='%d/%m/%Y' or '%m/%d/%Y'., whichever is meant",
    ),
    "truth as times": (changed(timestamp=True), "holds no times"),
    "float ids": (changed(item_id=1.5), "with a decimal point"),
    "ids of two kinds": (first_is("user_id", 5), "ids of kind mixed-integer"),
    "lists as ids": (lambda: frame().assign(user_id=[[1]] * len(frame())), "ids of kind"),
    "words as values": (changed(weight="much"), "no numbers"),
    "null values": (changed(weight=np.nan), "no value"),
    "dates as numbers": (changed(timestamp=20171130), "dates as whole numbers .first: 20171130"),
    "ids beyond 64 bits": (
        changed(user_id=np.uint64(2**63)),
        "ids above 9,223,372,036,854,775,807",
    ),
    "no rows": (lambda: frame()[:0], "no rows"),
    "no columns": (lambda: pd.DataFrame(), "no rows"),
    "no table": (lambda: 5, "a table is needed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_refused_in_one_line(case):
    make, words = BAD[case]
    with pytest.raises(MakedoInputError, match=words) as caught:
        InteractionLog.read(make(), value="weight")
    assert "\n" not in str(caught.value) and str(caught.value).endswith((".", ")"))


def test_one_column_cannot_be_two_things():
    with pytest.raises(MakedoInputError, match="must be three columns. Got 'item_id', 'ITEM_ID'"):
        InteractionLog.read(frame(), user="item_id", item="ITEM_ID")


def test_batches_of_two_kinds_of_ids_are_refused():
    parts = [frame(), frame().assign(user_id=7)]
    with pytest.raises(MakedoInputError, match="numbers and ids that are text"):
        InteractionLog.read(parts)


def test_a_pattern_that_no_file_has_is_refused(tmp_path):
    with pytest.raises(MakedoInputError, match="no file has such a name"):
        InteractionLog.read(tmp_path / "*.parquet")


# --- cutting and joining --------------------------------------------------------------------------


def test_before_keeps_what_is_earlier_for_all_or_for_each_user():
    log = InteractionLog.read(frame())
    cut = START + 250
    earlier = log.before(cut)
    assert np.array_equal(earlier.time, log.time[log.time < cut])
    assert earlier.users is log.users and earlier.start[-1] == len(earlier)
    cuts = np.where(np.arange(log.n_users) % 2, np.inf, -np.inf)
    assert set(log.before(cuts).user) == set(range(1, log.n_users, 2))


def test_an_event_at_the_cut_is_not_before_it():
    log = InteractionLog.read(frame())
    cut = int(log.time[100])
    assert (log.time == cut).any() and log.before(cut).time.max() < cut
    assert len(log.before(cut)) == (log.time < cut).sum()
    assert log.before(cut + 1).time.max() == cut


def test_a_log_with_appended_events_is_the_log_of_all_events():
    table = frame(seed=1)
    whole = InteractionLog.read(table)
    late, early = table[:120], table[120:]
    grown = InteractionLog.read(late).append(early)
    assert len(grown) == len(whole)
    assert grown.users[: len(set(late["user_id"]))].is_monotonic_increasing
    key = ["user_id", "timestamp", "item_id"]
    a, b = (as_frame(x).astype({"item_id": int}).sort_values(key) for x in (grown, whole))
    assert np.array_equal(a.to_numpy(), b.to_numpy())
    new = grown.append(pd.DataFrame({"user_id": ["a new one"], "item_id": [990], "timestamp": [5]}))
    assert new.users[-1] == "a new one" and new.items[-1] == 990
    assert np.array_equal(new.users[:-1], grown.users)


def test_appended_events_that_are_there_already_are_left_out_and_other_ids_refused():
    table = frame()
    log = InteractionLog.read(table)
    with pytest.warns(MakedoWarning, match="5 rows"):
        assert same(log.append(table[:5]), log)
    with pytest.raises(MakedoInputError, match="items by string ids"):
        log.append(table.assign(item_id="x")[:1])


def test_the_matrix_of_users_and_items_counts_events():
    table = frame()
    log = InteractionLog.read(table)
    sums = table.groupby(["user_id", "item_id"]).size()
    for (user, item), total in sums.items():
        row, column = log.user_positions([user])[0], log.item_positions([item])[0]
        assert log.matrix()[row, column] == total
    assert log.matrix().nnz == len(sums)


def test_a_log_survives_a_model_directory():
    from makedo.core.persistence import pack, unpack

    log = InteractionLog.read(frame())
    arrays, columns = {}, {}
    tree = pack(log, "log", arrays, columns)
    columns = {name: pd.Series(column) for name, column in columns.items()}
    assert same(InteractionLog.from_state(unpack(tree, arrays, columns)), log)


# --- kinds of events ------------------------------------------------------------------------------


def with_kinds(seed=3):
    """The table with a kind in each row: every fourth a purchase, one of few returns."""
    table = frame(seed=seed)
    kinds = np.resize(["view", "buy", "view", "7"], len(table))
    return table.assign(Kind=np.where(np.arange(len(table)) == 5, "return", kinds))


def rows_of(log):
    return {*zip(log.users[log.user], log.items[log.item], log.time, strict=True)}


def rows_in(table):
    return {*zip(table["user_id"], table["item_id"], table["timestamp"], strict=True)}


def test_each_kind_has_its_rows_and_all_have_the_same_ids():
    table = with_kinds()
    log = InteractionLog.read(table, event="kind", target="buy")
    assert log.kind == "buy" and list(log.beside) == ["7", "return", "view"]
    for kind, one in {"buy": log, **log.beside}.items():
        assert rows_of(one) == rows_in(table[table["Kind"] == kind])
        assert one.users is log.users and one.items is log.items
        assert not one.beside or kind == "buy"
    assert set(log.users) == set(table["user_id"]) and log.last == table["timestamp"].max()
    assert log.n_of_users.sum() == sum(map(len, log.kinds)) == len(table)
    assert "beside 1 of 'return'" in repr(log)


def test_numbers_may_name_kinds_and_one_event_may_be_of_two():
    table = frame()[:9]
    both = pd.concat([table.assign(kind=1), table.assign(kind=2)])
    log = InteractionLog.read(both, event="kind", target="2")
    assert rows_of(log) == rows_of(log.beside["1"]) == rows_in(table)


def test_all_kinds_are_cut_chosen_and_appended_alike():
    table = with_kinds()
    log = InteractionLog.read(table, event="kind", target="buy")
    cut = START + 250
    early = InteractionLog.read(table[table["timestamp"] < cut], event="kind", target="buy")
    some = np.arange(log.n_users) % 2 == 0
    chosen = table[table["user_id"].isin(log.users[some])]
    for part, rows in ((log.before(cut), table[table["timestamp"] < cut]),
                       (log.of_users(some), chosen)):  # fmt: skip
        for kind, one in {"buy": part, **part.beside}.items():
            assert rows_of(one) == rows_in(rows[rows["Kind"] == kind])
    later = table[(table["timestamp"] >= cut) & (table["Kind"] != "buy")]
    grown = early.append(later, event="kind")  # none of the kind that is predicted
    rows = table[(table["timestamp"] < cut) | (table["Kind"] != "buy")]
    for kind, one in {"buy": grown, **grown.beside}.items():
        assert rows_of(one) == rows_in(rows[rows["Kind"] == kind])
        assert one.users is grown.users
    state = InteractionLog.from_state(grown.to_state())
    assert repr(state) == repr(grown) and state.kind == "buy"
    assert all(rows_of(state.beside[k]) == rows_of(grown.beside[k]) for k in grown.beside)


def test_events_of_any_kind_before_a_request_are_counted():
    table = with_kinds()
    log = InteractionLog.read(table, event="kind", target="buy")
    asked = Requests.at(log, START + 250)
    before = table[table["timestamp"] < START + 250]
    expected = before.groupby("user_id").size().reindex(log.users, fill_value=0)
    assert (asked.n_before == expected.to_numpy()).all() and (asked.lengths <= asked.n_before).all()
    assert (asked.in_log(log.beside["view"]).user == asked.user).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"event": "kind"}, "names 4 kinds of events .* predicted: target="),
        ({"event": "kind", "target": "sale"}, "no event of kind 'sale'. It has "),
        ({"target": "buy"}, "which column names kinds: event="),
        ({"event": "many", "target": "1"}, "names 150 kinds of events .* at most 20"),
        ({"event": "user_id", "target": "1"}, "user, item, time and event must be four columns"),
        ({"event": "gap", "target": "buy"}, "'gap' for event has no value in 1 of 150 rows"),
    ],
)
def test_kinds_that_cannot_be_are_refused(changes, words):
    table = with_kinds()[:150]
    table = table.assign(many=np.arange(150), gap=table["Kind"].where(np.arange(150) != 7))
    with pytest.raises(MakedoInputError, match=words):
        InteractionLog.read(table, **changes)


# --- requests -------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.sampled_from([START - 1, START, START + 133, START + 600]))
@settings(max_examples=30, deadline=None)
def test_histories_and_windows_are_those_of_a_double_loop(seed, T):
    table = frame(60, seed, users=4, items=5)
    log = InteractionLog.read(table)
    rng = np.random.default_rng(seed)
    times = T + rng.integers(-50, 50, log.n_users)
    asked = Requests.at(log, times)
    H = 40
    for row, (user, t) in enumerate(zip(log.users, times, strict=True)):
        own = table[table["user_id"] == user]
        past = own[own["timestamp"] < t]
        next_ = own[(own["timestamp"] >= t) & (own["timestamp"] < t + H)]
        assert asked.lengths[row] == len(past) and asked.counts(H)[row] == len(next_)
        seen = set(log.items[asked.seen()[row].indices])
        wanted = set(log.items[asked.targets(H)[row].indices])
        assert seen == set(past["item_id"]) and wanted == set(next_["item_id"])
        new = set(log.items[asked.targets(H, exclude_seen=True)[row].indices])
        assert new == wanted - seen


def test_an_event_at_the_very_time_of_a_request_is_a_target_and_one_at_the_end_is_not():
    table = pd.DataFrame({"user_id": 1, "item_id": [1, 2, 3], "timestamp": [10, 20, 30]})
    asked = Requests.at(InteractionLog.read(table), 20)
    assert asked.seen().indices.tolist() == [0] and asked.targets(10).indices.tolist() == [1]


def test_candidates_are_the_columns_in_the_order_given():
    log = InteractionLog.read(frame())
    all_items, some = Requests.at(log, START + 200), Requests.at(log, START + 200, items=[50, 0])
    place = log.item_positions([50, 0])
    assert (some.seen().toarray() == all_items.seen().toarray()[:, place]).all()
    assert some.restricted(place[::-1]).seen().toarray()[:, 1].tolist() == (
        some.seen().toarray()[:, 0].tolist()
    )


def test_infinite_times_ask_for_all_or_nothing():
    log = InteractionLog.read(frame())
    n = np.diff(log.start)
    everybody = np.arange(log.n_users, dtype=np.int32)
    assert np.array_equal(Requests(log, everybody, np.full(log.n_users, np.inf)).lengths, n)
    assert not Requests(log, everybody, np.full(log.n_users, -np.inf)).lengths.any()


def test_a_user_whom_the_log_does_not_know_has_an_empty_history():
    log = InteractionLog.read(frame())
    with pytest.warns(MakedoWarning, match="1 user not in the log .first: 'nobody'."):
        asked = Requests.at(log, START + 200, users=["u1", "nobody"])
    assert asked.user.tolist() == [1, NOBODY] and asked.lengths[1] == 0
    assert asked.user_ids.tolist() == ["u1", "nobody"] and asked.counts(1e9)[1] == 0
    assert asked.take([1]).user_ids.tolist() == ["nobody"]


def test_bad_requests_are_refused():
    log = InteractionLog.read(frame())
    for make, words in (
        (lambda: Requests.at(log, 5, users=["u1", "u1"]), "1 row name a user and time again"),
        (lambda: Requests.at(log, 5, items=[10, 7]), "1 item not in the log .first: 7"),
        (lambda: Requests.at(log, 5, items=[10, 20, 10]), "1 item named again .first: 10"),
        (lambda: Requests.at(log, "soon"), "'soon' is no time"),
        (lambda: Requests.at(log, ""), "'' is no time"),
        (lambda: Requests.at(log, "NaT"), "'NaT' is no time"),
        (
            lambda: Requests.at(log, pd.Series(["2017-01-01", None])),
            "^(nan|None) is no time",
        ),
        (lambda: Requests.at(log, START * 1000), "not milliseconds"),
        (lambda: Requests.at(log, "9999-01-01"), "after the year 5000|is no time"),
        (lambda: Requests.at(log, -5), "before 1970"),
        (lambda: Requests.at(log, "1969-12-31"), "before 1970"),
        (lambda: Requests.at(log, [1.0, np.nan], users=["u1", "u2"]), "missing"),
        (lambda: Requests.read(log, pd.DataFrame({"user_id": ["u1"]})), "no column 'timestamp'"),
    ):
        with pytest.raises(MakedoInputError, match=words):
            make()


def test_requests_are_read_from_a_table():
    log = InteractionLog.read(frame())
    table = pd.DataFrame({"USER_ID": ["u3", "u1"], "TIMESTAMP": ["2017-07-14 02:45:00"] * 2})
    asked = Requests.read(log, table)
    assert asked.user_ids.tolist() == ["u3", "u1"] and (asked.time == START + 300).all()


def test_lengths_of_time_and_times():
    assert (duration("28D"), duration("12h"), duration(5), duration("90")) == (
        28 * 86_400,
        43_200,
        5,
        90,
    )
    assert seconds("1970-01-02") == 86_400 and seconds(3) == 3
    assert [in_words(n) for n in (28 * 86_400, 90, 1)] == ["28 days", "1.5 minutes", "1 second"]
    assert date(86_400) == "1970-01-02 00:00:00"
    for bad in ("soon", 0, -1, "-1D", None, float("inf"), float("nan")):
        with pytest.raises(MakedoInputError):
            duration(bad)


def test_what_comes_later_changes_nothing_before():
    table = frame()
    T = START + 250
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = InteractionLog.read(table)
    past = InteractionLog.read(table[table["timestamp"] < T])
    users = past.users
    a, b = (Requests.at(one, T, users=users) for one in (log, past))
    assert np.array_equal(a.lengths, b.lengths)
    names = [[x.log.items[row.indices].tolist() for row in x.seen()] for x in (a, b)]
    assert names[0] == names[1]
