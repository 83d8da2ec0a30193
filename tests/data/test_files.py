"""Tables in files, read whole and in batches, and written."""

import gzip
from contextlib import nullcontext

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.files import (
    read_batches,
    read_table,
    suffixes_readable,
    suffixes_writable,
    write_table,
)
from makedo.data.kinds import frame_from_arrow


@pytest.fixture
def file(tmp_path):
    """Writes text or bytes to a file of the name, gives its path."""

    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def column(frame, name="a"):
    return frame[name].astype(object).where(frame[name].notna(), None).tolist()


# --- what a csv column is --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["7", "12"], [7, 12]),
        (["7", "", "12"], [7, None, 12]),
        (["007", "012"], ["007", "012"]),
        (["7", "012"], ["7", "012"]),
        (["+49", "1"], ["+49", "1"]),
        (["0", "-3", "0.5", ".5", "1e3"], [0, -3, 0.5, 0.5, 1000]),
        (["00.5", "1"], ["00.5", "1"]),
        ([" 7", "8 "], [7, 8]),
        (["1,5"], ["1,5"]),
        (["true", "False", "TRUE"], [True, False, True]),
        (["true", "NA", "false"], [True, None, False]),
        (["true", "1"], ["true", "1"]),
        (["x", "NA", "nan", "N/A", "None", "null"], ["x", None, None, None, "None", "null"]),
        (["1", "None", "null", "n/a"], [1, None, None, None]),
        (["None", "None"], ["None", "None"]),
        (["NA", "NA"], [None, None]),
        (["9007199254740993", "1"], [9007199254740993, 1]),
        (["9007199254740993", "NA"], ["9007199254740993", None]),
        (["123456789012345678901", "1"], ["123456789012345678901", "1"]),
        (["2024-01-05", "2024-01-06"], ["2024-01-05", "2024-01-06"]),
        (["inf", "1"], [np.inf, 1]),
    ],
)
def test_csv_columns_become_what_all_their_values_are(file, values, expected):
    quoted = [f'"{value}"' if "," in value else value for value in values]
    frame = read_table(file("a,b\n" + "".join(f"{value},x\n" for value in quoted)))
    found = column(frame)
    assert found == expected
    assert [type(v) for v in found if isinstance(v, (str, bool))] == [
        type(v) for v in expected if isinstance(v, (str, bool))
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["3,14", "2,5"], [3.14, 2.5]),
        (["3,14", "2", "", "null"], [3.14, 2.0, None, None]),
        (["-0,5", " 1,5E+03 "], [-0.5, 1500.0]),
        (["1,234", "0,5"], [1.234, 0.5]),
        (["3,14", "2.5"], ["3,14", "2.5"]),
        (["3,14", "x"], ["3,14", "x"]),
        (["3,14", "true"], ["3,14", "true"]),
        (["1,2,3", "4,5"], ["1,2,3", "4,5"]),
        (["007,5", "1,5"], ["007,5", "1,5"]),
        (["1.234,5", "2,5"], ["1.234,5", "2,5"]),
        (["9007199254740993", "2,5"], ["9007199254740993", "2,5"]),
    ],
)
def test_a_decimal_comma_is_a_point_between_semicolons(file, values, expected):
    path = file("a;b\n" + "".join(f"{value};0\n" for value in values))
    notice = pytest.warns(MakedoWarning, match=r"t.csv: 1 column of numbers .*'a'.*read as 3\.14")
    with notice if isinstance(expected[0], float) else nullcontext():
        assert column(read_table(path)) == expected
    with notice if isinstance(expected[0], float) else nullcontext():
        assert column(pd.concat(read_batches(path, rows=1))) == expected


@pytest.mark.parametrize(
    ("name", "mark"), [("t.csv", ","), ("t.csv", "\t"), ("t.tsv", "\t"), ("t.csv", "|")]
)
def test_a_comma_in_a_value_is_no_decimal_sign_elsewhere(file, name, mark):
    path = file(f'a{mark}b\n"3,14"{mark}1\n"2,5"{mark}1\n', name)
    assert column(read_table(path)) == ["3,14", "2,5"]


def test_quoted_na_is_text_and_quoted_nothing_is_missing(file):
    assert column(read_table(file('a,b\n"NA",1\n"",2\nNA,3\n'))) == ["NA", None, None]


def test_quotes_hold_separators_and_line_breaks(file):
    frame = read_table(file('a,b\r\n"x, ""y""\nz",1\r\n\r\nw,2'))
    assert column(frame) == ['x, "y"\nz', "w"]
    assert column(frame, "b") == [1, 2]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_separator_is_found_in_the_header(file, mark):
    assert read_table(file(f"a{mark}b\n1{mark}x\n")).to_dict("list") == {"a": [1], "b": ["x"]}


def test_tsv_is_split_at_tabs_only(file):
    assert read_table(file("a\tb\n1,5\t2\n", "t.tsv")).to_dict("list") == {"a": ["1,5"], "b": [2]}


def test_a_byte_order_mark_is_no_part_of_the_first_name(file):
    assert list(read_table(file(b"\xef\xbb\xbfid,b\n1,2\n"))) == ["id", "b"]


def test_row_numbers_of_pandas_are_left_out_with_a_warning(file):
    with pytest.warns(MakedoWarning, match="t.csv: column 1 has no name"):
        assert list(read_table(file(",a\n0,5\n1,6\n"))) == ["a"]


# --- jsonl, parquet, npz ---------------------------------------------------------------------


def test_jsonl_columns_are_the_keys_of_all_lines(file):
    frame = read_table(file('{"a": 1, "b": "x"}\n\n{"a": null, "c": [1, 2], "b": 7}\n', "t.jsonl"))
    assert column(frame) == [1, None]
    assert column(frame, "b") == ["x", "7"]
    assert column(frame, "c") == [None, [1, 2]]


def test_large_jsonl_ids_stay_exact(file):
    lines = '{"a": 9007199254740993}\n{"a": null}\n'
    assert column(read_table(file(lines, "t.jsonl"))) == ["9007199254740993", None]


def test_parquet_types_of_other_tools_become_pandas_types(tmp_path):
    table = pa.table(
        {
            "dictionary": pa.array(["x", "y", None]).dictionary_encode(),
            "decimal": pa.array([1, 2, 3]).cast(pa.decimal128(25, 2)),
            "day": pa.array([0, 1, None], pa.date32()),
            "large": pa.array(["a", "b", None], pa.large_string()),
            "nothing": pa.nulls(3),
            "half": pa.array([1.0, 2.0, None], pa.float32()),
            "truth": [True, None, False],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet")
    assert column(frame, "dictionary") == ["x", "y", None]
    assert frame["decimal"].tolist() == [1, 2, 3]
    assert frame["day"].dtype.kind == "M"
    assert frame["large"].dtype == frame["dictionary"].dtype
    assert frame["nothing"].dtype == "float64"
    assert frame["half"].dtype == "float32"
    assert frame["truth"].tolist() == [True, None, False]


def test_a_named_parquet_index_is_a_column_and_an_unnamed_one_is_left_out(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="key"))
    frame.to_parquet(tmp_path / "t.parquet")
    assert column(read_table(tmp_path / "t.parquet"), "key") == ["p", "q"]
    frame.rename_axis(None).to_parquet(tmp_path / "t.parquet")
    with pytest.warns(MakedoWarning, match="column 2 has no name"):
        assert list(read_table(tmp_path / "t.parquet")) == ["a"]


def test_npz_arrays_are_columns_and_matrices_columns_of_vectors(tmp_path):
    np.savez(tmp_path / "t.npz", a=np.arange(3), v=np.eye(3, 2), s=np.array(["x", "y", "z"]))
    frame = read_table(tmp_path / "t.npz")
    assert column(frame) == [0, 1, 2]
    assert column(frame, "s") == ["x", "y", "z"]
    np.testing.assert_array_equal(np.stack(list(frame["v"])), np.eye(3, 2))


def test_polars_frames_are_read_like_their_parquet_file(tmp_path):
    frame = pl.DataFrame({"i": [1, None], "s": ["x", None], "c": ["u", "v"], "v": [[1.0], [2.0]]})
    frame = frame.with_columns(pl.col("c").cast(pl.Categorical))
    frame.write_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(
        frame_from_arrow(pa.table(frame)), read_table(tmp_path / "t.parquet")
    )


# --- batches ---------------------------------------------------------------------------------


def late(n=20):
    """A frame whose types show in its last rows only."""
    return pd.DataFrame(
        {
            "zip": [*map(str, range(10, 9 + n)), "007"],
            "number": [*range(n - 1), None],
            "real": [*map(float, range(n - 1)), 0.5],
            "truth": pd.Series([True] * (n - 1) + [None], dtype=object),
            "text": ["a"] * (n - 1) + [None],
            "nothing": [None] * n,
        }
    )


@pytest.mark.parametrize("suffix", suffixes_writable)
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_batches_have_the_types_and_values_of_the_whole(tmp_path, suffix, rows):
    path = tmp_path / f"t{suffix}"
    write_table(late(), path)
    whole = read_table(path)
    assert whole["zip"].iloc[0] == "10"
    assert whole["number"].dtype == "float64"
    batches = list(read_batches(path, rows=rows))
    assert [len(batch) for batch in batches] == [rows] * (20 // rows) + [20 % rows] * (
        20 % rows > 0
    )
    assert all(batch.dtypes.equals(whole.dtypes) for batch in batches)
    pd.testing.assert_frame_equal(pd.concat(batches), whole)


def test_batches_of_npz_are_its_rows(tmp_path):
    np.savez(tmp_path / "t.npz", a=np.arange(5))
    assert [b["a"].tolist() for b in read_batches(tmp_path / "t.npz", rows=2)] == [
        [0, 1],
        [2, 3],
        [4],
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_without_rows_is_one_empty_batch(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(pd.DataFrame({"a": pd.Series(dtype=float), "b": pd.Series(dtype=str)}), path)
    with pytest.raises(MakedoInputError, match=f"t{suffix}: has 2 columns but no rows"):
        read_table(path)
    assert list(read_table(path, allow_empty=True)) == ["a", "b"]
    (batch,) = read_batches(path)
    assert batch.shape == (0, 2)


def test_a_bad_file_is_refused_before_the_first_batch(file):
    with pytest.raises(MakedoInputError, match="line 3 has 3 values"):
        read_batches(file("a,b\n1,2\n1,2,3\n"), rows=1)


# --- writing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", suffixes_writable)
def test_what_is_written_is_read_again(tmp_path, suffix):
    frame = pd.DataFrame(
        {
            "i": [1, -2, 3],
            "f": [0.1 + 0.2, np.nan, 1e-300],
            "s": ["007", None, 'x "y", z\nw'],
            "na": ["NA", "None", "nan"],
            "b": [True, False, True],
        }
    )
    path = tmp_path / f"t{suffix}"
    write_table(frame, path)
    pd.testing.assert_frame_equal(read_table(path), frame)
    if suffix.endswith(".gz"):
        assert path.read_bytes()[:2] == b"\x1f\x8b"


@pytest.mark.parametrize("suffix", suffixes_writable)
def test_frames_one_after_another_are_one_table(tmp_path, suffix):
    frame = late()
    write_table((frame.iloc[i : i + 3] for i in range(0, 20, 3)), tmp_path / f"many{suffix}")
    write_table(frame, tmp_path / f"one{suffix}")
    pd.testing.assert_frame_equal(
        read_table(tmp_path / f"many{suffix}"), read_table(tmp_path / f"one{suffix}")
    )


def test_a_named_index_is_the_first_column(tmp_path):
    write_table(pd.DataFrame({"a": [1]}, index=pd.Index(["p"], name="id")), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "id,a\np,1\n"


def test_vectors_and_dates_are_written_to_text_files(tmp_path):
    frame = pd.DataFrame({"v": [np.array([1.5, 2.0])], "d": [pd.Timestamp("2024-01-05")]})
    write_table(frame, tmp_path / "t.jsonl")
    assert (tmp_path / "t.jsonl").read_text() == '{"v": [1.5, 2.0], "d": "2024-01-05T00:00:00"}\n'
    write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == 'v,d\n"[1.5, 2.0]",2024-01-05\n'


def test_the_format_of_a_temporary_file_is_that_of_its_final_name(tmp_path):
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.partial", suffix_from="out.csv")
    assert (tmp_path / "t.partial").read_text() == "a\n1\n"


def test_the_same_table_is_written_in_the_same_bytes(tmp_path):
    for name in ("one.csv.gz", "two.csv.gz"):
        write_table(late(), tmp_path / name)
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()


def test_bad_targets_are_refused(tmp_path):
    with pytest.raises(
        MakedoInputError, match=r"t.npz: a file of this suffix cannot be written. Accepted: .csv"
    ):
        write_table(late(), tmp_path / "t.npz")
    with pytest.raises(MakedoInputError, match="t.csv: cannot be written: No such file"):
        write_table(late(), tmp_path / "absent" / "t.csv")


def test_an_error_of_the_frames_passes_through(tmp_path):
    def frames():
        yield late()
        raise RuntimeError("stop")

    for suffix in suffixes_writable:
        with pytest.raises(RuntimeError, match="stop"):
            write_table(frames(), tmp_path / f"t{suffix}")


# --- bad files -------------------------------------------------------------------------------

PARQUET = b"PAR1" + bytes(range(250)) * 4
ROWS = "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(3000))


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "t.csv", "is empty"),
        ("", "t.parquet", "is empty"),
        (gzip.compress(b"", mtime=0), "t.csv.gz", "is empty"),
        ("\n\n", "t.csv", "has no columns"),
        ("a,b", "t.csv", "has 2 columns but no rows"),
        ("\n", "t.jsonl", "has no rows"),
        ("a,b\n1,2\n\n3,4,5\n", "t.csv", "line 4 has 3 values, the header has 2"),
        ('a,b\n"x\ny",2\n3\n', "t.csv", "line 4 has 1 value, the header has 2"),
        ("a,b,a\n1,2,3\n", "t.csv", r"1 column name twice \(first: 'a'\)"),
        (
            b"a,b\n1,2\n3,\xff\n",
            "t.csv",
            r"line 3 is not UTF-8 text \(byte 0xff, 'ÿ' in Windows-1252\); save",
        ),
        (b"\xe4,b\n1,2\n", "t.csv", r"line 1 is not UTF-8 text \(byte 0xe4, 'ä' in Wi"),
        (b'{"a": "\xe4"}\n', "t.jsonl", "line 1 is not UTF-8 text"),
        (b"a,b\n1,\x81\n", "t.csv", r"line 2 is not UTF-8 text \(byte 0x81\); save it as UTF-8"),
        ("a,b\n".encode("utf-16"), "t.csv", "looks like UTF-16 text .save it as UTF-8"),
        ("a\tb\n1\tä\n".encode("utf-16-le"), "t.tsv", "looks like UTF-16 text .save it as UTF-8"),
        ("a,b\n1,ä\n".encode("utf-16-be"), "t.csv", "looks like UTF-16 text .save it as UTF-8"),
        ('a,b\n1,"open\n2,3\n', "t.csv", "a quote .* is opened and never closed"),
        (bytes(range(256)) * 20, "t.csv", "holds bytes that no text has"),
        (PARQUET, "t.csv", "looks like parquet"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "t.csv", "looks like gzip"),
        (b"PK\x03\x04junk", "t.csv", "looks like a zip or a spreadsheet"),
        (PARQUET, "t.parquet", "is cut short, damaged, or not parquet"),
        (b"junk", "t.parquet", "is cut short, damaged, or not parquet"),
        (b"junk", "t.parquet.gz", "is cut short or damaged"),
        (gzip.compress(ROWS.encode(), mtime=0)[:-9], "t.csv.gz", "is cut short or damaged"),
        (gzip.compress(ROWS.encode(), mtime=0)[:2000], "t.csv.gz", "is cut short or damaged"),
        (b"\x1f\x8bjunkjunkjunk", "t.csv.gz", "is cut short or damaged"),
        ('{"a": 1}\n{"a":', "t.jsonl", "line 2 is not JSON"),
        ('{"a": "\\ud800"}\n', "t.jsonl", "holds text that is not valid Unicode"),
        ("[1, 2]\n", "t.jsonl", "line 1 is not a JSON object"),
        ("[" * 100_000, "t.jsonl", "line 1 is not JSON"),
        (b"junk", "t.npz", "is not an npz file"),
        (b"PKjunk", "t.npz", "is cut short or damaged|holds Python objects, .* or is damaged"),
        ("a,b\n1,2\n", "t.xlsx", r"a file of this suffix cannot be read. Accepted: \.csv, "),
        ("a,b\n1,2\n", "t", "a file of this suffix cannot be read"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(file, content, name, message):
    path = file(content, name)
    for read in (
        lambda: read_table(path),
        lambda: [len(b) or read_table(path) for b in read_batches(path)],
    ):
        with pytest.raises(MakedoInputError, match=rf"^{name}: .*({message})") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_cut_files_are_refused_wherever_they_are_cut(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=500), "s": rng.choice(["x", "y"], 500)})
    for name in ("t.parquet", "t.parquet.gz", "t.csv.gz", "t.jsonl.gz"):
        write_table(frame, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        for size in (10, len(content) // 2, len(content) - 5):
            (tmp_path / f"cut.{name}").write_bytes(content[:size])
            with pytest.raises(MakedoInputError, match=f"cut.{name}: is cut short"):
                read_table(tmp_path / f"cut.{name}")


def test_damaged_parquet_pages_are_refused(tmp_path):
    write_table(pd.DataFrame({"a": [f"text {i}" for i in range(5000)]}), tmp_path / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[300:3000] = bytes(2700)
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(MakedoInputError, match="t.parquet: is cut short, damaged"):
        read_table(tmp_path / "t.parquet")


def test_missing_files_and_directories_are_refused(tmp_path):
    with pytest.raises(MakedoInputError, match="absent.csv: there is no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(MakedoInputError, match="is a directory"):
        read_table(tmp_path)


def test_npz_of_other_things_than_one_table_are_refused(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, a=np.arange(3), b=np.arange(4))
    with pytest.raises(
        MakedoInputError, match=r"arrays of different lengths .* \('a': 3, 'b': 4\)"
    ):
        read_table(path)
    np.savez(path, a=np.zeros((2, 2, 2)))
    with pytest.raises(MakedoInputError, match=r"neither 1 nor 2 dimensions \(first: 'a'\)"):
        read_table(path)
    np.savez(path, a=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(MakedoInputError, match="holds Python objects, which are never loaded"):
        read_table(path)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.integers()),
        min_size=1,
    )
)
def test_any_text_survives_a_csv(tmp_path, rows):
    frame = pd.DataFrame({"s": ["x" + text for text, _ in rows], "i": [str(i) for _, i in rows]})
    write_table(frame, tmp_path / "t.csv")
    found = read_table(tmp_path / "t.csv")
    assert found["s"].tolist() == frame["s"].tolist()
    assert found["i"].astype(str).tolist() == frame["i"].tolist()
    assert suffixes_readable[-1] == ".npz"
