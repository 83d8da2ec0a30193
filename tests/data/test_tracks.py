"""Tracks: every form of file gives the same rows, and what cannot be used is said in one line."""

import gzip
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.tracks import Tracks

RATE = {"seconds_per_frame": 0.04}


def walk(agents=3, steps=5, every=10, begin=100):
    """Agents on straight lines, half a metre a step."""
    rows = [
        (begin + every * t, a, 0.5 * t + a, 2.0 * a) for a in range(1, agents + 1)
        for t in range(steps)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["frame", "agent", "x", "y"])


def same(a, b):
    """Whether two tracks hold the same positions at the same times."""
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("scene", "agent", "step", "xy", "kind")
    ) and np.isclose(a.seconds_per_step, b.seconds_per_step)


@pytest.fixture
def table():
    return walk()


@pytest.fixture
def tracks(table):
    return Tracks.read(table, **RATE)


def test_rows_are_sorted_by_agent_and_time_in_steps(tracks):
    assert tracks.agent.tolist() == [1] * 5 + [2] * 5 + [3] * 5
    assert tracks.step.tolist() == [0, 1, 2, 3, 4] * 3
    assert tracks.seconds_per_step == pytest.approx(0.4)
    assert tracks.speeds() == pytest.approx(np.full(12, 1.25))


def test_every_form_of_file_gives_the_same_tracks(tmp_path, table, tracks):
    text = "\n".join(" ".join(map(str, row)) for row in table.itertuples(index=False))
    (tmp_path / "a.txt").write_text(text)
    with gzip.open(tmp_path / "a.txt.gz", "wt") as file:
        file.write(text.replace(" ", "\t"))
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    lines = [{"scene": {"id": 0, "p": 1, "s": 100, "e": 140, "fps": 2.5}}] + [
        {"track": {"f": int(r.frame), "p": int(r.agent), "x": r.x, "y": r.y}}
        for r in table.itertuples()
    ]
    (tmp_path / "a.ndjson").write_text("\n".join(map(json.dumps, lines)))
    xy = table[["x", "y"]].to_numpy().reshape(3, 5, 2).swapaxes(0, 1)
    np.savez(tmp_path / "a.npz", xy=xy, agent=[1, 2, 3])
    np.savez(tmp_path / "b.npz", **{name: table[name].to_numpy() for name in table})
    for name in ("a.txt", "a.txt.gz", "a.csv", "a.parquet", "b.npz"):
        assert same(Tracks.read(tmp_path / name, **RATE), tracks), name
    assert same(Tracks.read(tmp_path / "a.ndjson"), tracks)  # it says its rate
    assert same(Tracks.read(tmp_path / "a.npz", seconds_per_frame=0.4), tracks)
    assert same(Tracks.from_arrays(xy, seconds_per_step=0.4, agent=[1, 2, 3]), tracks)


def test_other_tables_and_other_names_of_columns(table, tracks):
    assert same(Tracks.read(pl.from_pandas(table), **RATE), tracks)
    other = table.rename(columns={"frame": "t", "agent": "ID", "x": "px", "y": "py"})
    named = {"frame": "T", "agent": "id", "x": "px", "y": "py"}
    assert same(Tracks.read(other, **named, **RATE), tracks)
    assert Tracks.read(tracks) is tracks


def test_a_folder_is_a_scene_a_file(tmp_path, table, tracks):
    for name in ("b", "a"):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "README.md").write_text("not tracks")
    both = Tracks.read(tmp_path, **RATE)
    assert both.scenes == ("a", "b") and both.n_agents == 6 and len(both) == 30
    assert same(both.of_scenes(["a"]), tracks)
    assert same(both.of_scenes(lambda name: name == "b"), tracks)
    assert same(Tracks.read(str(tmp_path / "b*.csv"), **RATE), tracks)
    with pytest.raises(MakedoInputError, match="1 scene not in the tracks"):
        both.of_scenes(["c"])


def test_files_of_one_name_in_two_folders_are_two_scenes(tmp_path, table):
    """Agents of two recordings never meet, whether or not their ids are the same."""
    for folder, ids in (("monday", 0), ("tuesday", 10)):
        (tmp_path / folder).mkdir()
        table.assign(agent=table["agent"] + ids).to_csv(tmp_path / folder / "t.csv", index=False)
    both = Tracks.read(f"{tmp_path}/**/*.csv", **RATE)
    assert both.scenes == ("monday/t", "tuesday/t") and len(both) == 30
    assert set(both.agent[both.scene == 1]) == {11, 12, 13}
    table.to_csv(tmp_path / "gate.1.csv", index=False)
    table.to_csv(tmp_path / "gate.2.csv", index=False)
    assert Tracks.read(tmp_path, **RATE).scenes == ("gate.1", "gate.2")
    assert Tracks.read(tmp_path / "gate.1.csv", **RATE).scenes == ("gate",)
    with pytest.raises(MakedoInputError, match=r"Folders in it are not looked into: say '.*/\*/\*"):
        (tmp_path / "monday" / "more").mkdir()
        (tmp_path / "monday" / "t.csv").unlink()
        Tracks.read(tmp_path / "monday", **RATE)


def test_what_is_wrong_in_one_of_several_files_is_said_with_its_scene(tmp_path, table):
    table.to_csv(tmp_path / "good.csv", index=False)
    for frame in (100, 103):
        bad = pd.concat([table, table[:1].assign(frame=frame)]).sort_values(["agent", "frame"])
        bad.to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(MakedoInputError, match=r"\(first: .* in scene 'bad'"):
            Tracks.read(tmp_path, **RATE)


def test_agents_that_are_seen_too_seldom_are_told(table):
    """A bus that is seen at every third step is no target: its positions do not join."""
    seldom = walk(agents=1, steps=6, every=30).assign(agent=7)
    brief = walk(agents=1, steps=1).assign(agent=8)
    match = r"1 agent of 5 are never seen at two steps in a row, of 0.4 s \(first: '7 each 3 steps'"
    for step in (None, 0.4):
        with pytest.warns(MakedoWarning, match=match):
            Tracks.read(pd.concat([table, seldom, brief]), seconds_per_step=step, **RATE)


def test_scenes_kinds_and_groups_come_from_columns(table):
    table = pd.concat([table.assign(play="p2", game="g"), table.assign(play="p1", game="g")])
    table["what"] = np.where(table["agent"] == 3, "ball", "player")
    found = Tracks.read(table, scene="play", group="game", kind="what", **RATE)
    assert found.scenes == ("p1", "p2") and found.groups == ("g", "g")
    assert found.kinds == ("ball", "player") and found.kind[found.agent == 3].max() == 0
    table.loc[table["frame"] == 100, "game"] = "h"
    with pytest.raises(MakedoInputError, match="lies in two groups of 'game'"):
        Tracks.read(table, scene="play", group="game", **RATE)


def test_units_are_turned_into_metres(table, tracks):
    feet = table.assign(x=table["x"] / 0.3048, y=table["y"] / 0.3048)
    for unit in ("ft", 0.3048):
        found = Tracks.read(feet, unit=unit, **RATE)
        assert found.xy == pytest.approx(tracks.xy)
    for unit in ("feet", 0, -1.0, True):
        with pytest.raises(MakedoInputError, match="unit must be one of m, ft"):
            Tracks.read(table, unit=unit, **RATE)


def test_a_wrong_unit_is_noticed_by_its_speeds(table):
    in_feet = table.assign(x=table["x"] * 100)
    with pytest.warns(MakedoWarning, match=r"12 steps of 12 are faster than 15 m/s \(fastest 125"):
        Tracks.read(in_feet, **RATE)
    assert Tracks.read(in_feet, max_speed=None, **RATE).speeds().max() == pytest.approx(125)


def test_frames_in_milliseconds_are_noticed_by_speeds_that_nobody_has(table):
    in_ms = table.assign(frame=table["frame"] * 40)
    with pytest.warns(MakedoWarning, match=r"slower than 0.031 m/s, and a step lasts 16 s"):
        Tracks.read(in_ms, **RATE)
    assert Tracks.read(in_ms, seconds_per_frame=0.001).seconds_per_step == pytest.approx(0.4)


def test_a_rate_that_is_not_that_of_the_file_is_told(table):
    table["frame"] = pd.Timestamp("2020-12-01") + pd.to_timedelta(table["frame"] * 0.04, unit="s")
    with pytest.warns(MakedoWarning, match="a frame lasts 1 s by the file itself"):
        Tracks.read(table, seconds_per_frame=0.5)
    assert Tracks.read(table, seconds_per_frame=1).seconds_per_step == pytest.approx(0.4)


def test_columns_named_scene_and_kind_are_found(table):
    both = pd.concat([table.assign(Scene="b"), table.assign(Scene="a")])
    both["kind"] = np.where(both["agent"] == 3, "ball", "player")
    found = Tracks.read(both, **RATE)
    assert found.scenes == ("a", "b") and found.kinds == ("ball", "player")
    assert same(Tracks.read(found.to_frame(), **RATE), found)


def test_dates_are_times_whose_frame_is_a_second(table):
    table["frame"] = pd.Timestamp("2020-12-01") + pd.to_timedelta(table["frame"] * 6, unit="s")
    found = Tracks.read(table, max_speed=None)
    assert found.seconds_per_step == 60 and found.step.max() == 4
    again = Tracks.read(table.assign(frame=table["frame"].astype(str)), max_speed=None)
    assert np.array_equal(found.step, again.step)


def test_faults_of_dated_rows_are_said_with_their_dates(table):
    dated = table.assign(frame=pd.Timestamp("2021-03-20") + pd.to_timedelta(table["frame"], "min"))
    twice = pd.concat([dated[:1], dated])
    with pytest.raises(MakedoInputError, match="first: '1 at 2021-03-20 01:40:00'"):
        Tracks.read(twice)
    late = table.assign(frame=1_616_230_000 + table["frame"] * 60)
    with pytest.raises(MakedoInputError, match="first: '1 at 1616236000'"):
        Tracks.read(pd.concat([late[:1], late]), seconds_per_frame=1)


def test_frames_may_be_seconds(table, tracks):
    seconds = table.assign(frame=table["frame"] * 0.04)
    found = Tracks.read(seconds, seconds_per_frame=1)
    assert np.array_equal(found.step, tracks.step)
    assert found.seconds_per_step == pytest.approx(0.4)


def test_a_gap_stays_a_gap(table):
    gap = table.drop(index=2)
    found = Tracks.read(gap, **RATE)
    assert found.step[:4].tolist() == [0, 1, 3, 4]
    assert found.run_start[:4].tolist() == [0, 0, 2, 2]


def test_the_order_of_rows_does_not_matter_but_is_told(table, tracks):
    with pytest.warns(MakedoWarning, match="rows of 3 agents are not in the order of time"):
        assert same(Tracks.read(table.iloc[::-1], **RATE), tracks)
    by_time = table.sort_values("frame", kind="stable")
    assert same(Tracks.read(by_time, **RATE), tracks)  # no warning: each agent is in order


def test_one_agent_is_enough(table):
    assert Tracks.read(table[table["agent"] == 1], **RATE).n_agents == 1


def test_ids_may_be_text(table):
    found = Tracks.read(table.assign(agent="p" + table["agent"].astype(str)), **RATE)
    assert found.agent[0] == "p1" and found.n_agents == 3


BAD = {
    "nan": (lambda t: t.assign(x=t["x"].where(t.index != 3)), "x is missing or infinite in 1 row"),
    "inf": (lambda t: t.assign(y=np.inf), "y is missing or infinite in 15 rows of 15"),
    "no frame": (lambda t: t.assign(frame=np.nan), "frame is missing or infinite in 15 rows"),
    "twice": (
        lambda t: pd.concat([t, t.iloc[:2]]),
        r"2 rows of 17 give an agent a second position at the same frame \(first: '1 at 100'",
    ),
    "between": (
        lambda t: t.assign(frame=t["frame"] + 3 * (t.index == 3)),
        r"1 row of 15 lie between the steps \(first: frame 133 of agent 1",
    ),
    "no agent": (
        lambda t: t.assign(agent=t["agent"].astype(float).where(t.index != 4)),
        "1 row of 15 without an agent",
    ),
    "words": (lambda t: t.assign(x="here"), "column 'x' for x is not of numbers in 15 rows of 15"),
    "a word": (
        lambda t: t.assign(x=t["x"].astype(object).where(t.index != 3, "here")),
        r"column 'x' for x is not of numbers in 1 row of 15 \(first: 'here'\)",
    ),
    "no times": (lambda t: t.assign(frame="soon"), "holds neither numbers nor times"),
    "days first": (
        lambda t: t.assign(frame="21/03/2021 00:22"),
        r"pandas reads them by pd.to_datetime\(column, format='%d/%m/%Y %H:%M'\)",
    ),
    "no column": (lambda t: t.drop(columns="y"), "no column 'y' for y. There are 'frame'"),
    "empty": (lambda t: t.iloc[:0], "there are no rows"),
}


@pytest.mark.filterwarnings("ignore:.*not in the order of time")
@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_in_one_line(case, table):
    spoil, message = BAD[case]
    with pytest.raises(MakedoInputError, match=message) as error:
        Tracks.read(spoil(table), **RATE)
    assert "\n" not in str(error.value)


def test_the_rate_must_be_known(table):
    with pytest.raises(MakedoInputError, match="how long does a frame last"):
        Tracks.read(table)
    for wrong in (0, -1, np.nan, "fast", True):
        with pytest.raises(MakedoInputError, match="seconds_per_frame must be a number above 0"):
            Tracks.read(table, seconds_per_frame=wrong)


def test_scenes_of_two_rates_are_refused(table):
    slow = walk(every=12)
    both = pd.concat([table.assign(s="a"), slow.assign(s="b")])
    with pytest.raises(MakedoInputError, match="1 scene of 2 with steps of another length"):
        Tracks.read(both, scene="s", **RATE)


def test_damaged_files_are_said_to_be_damaged(tmp_path):
    cases = {
        "a.txt": (b"frame id x y\n1 2 3 4\n", "each line must be four numbers.* ending .csv"),
        "b.txt": (b"1 2 3\n", "each line must be four numbers"),
        "c.txt": (b"", "each line must be four numbers"),
        "d.txt.gz": (b"\x1f\x8b\x08 no", "is cut short or damaged"),
        "e.ndjson": (b'{"track": {"f": 1}}\n', "line 1 is not of TrajNet"),
        "f.ndjson": (b"[1]\n", "line 1 is not of TrajNet"),
        "g.npz": (b"PK no", "not an npz of plain arrays"),
        "h.xyz": (b"1", "cannot be read"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MakedoInputError, match=message) as error:
            Tracks.read(tmp_path / name, **RATE)
        assert "\n" not in str(error.value), name
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "no.txt", tmp_path / "empty", str(tmp_path / "*.none")):
        with pytest.raises(MakedoInputError):
            Tracks.read(path, **RATE)


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(MakedoInputError, match="n_steps, n_agents, 2"):
        Tracks.from_arrays(np.zeros((5, 2)), seconds_per_step=1)
    with pytest.raises(MakedoInputError, match="agent must name each of the 3 agents"):
        Tracks.from_arrays(np.zeros((5, 3, 2)), seconds_per_step=1, agent=[1, 2])


def test_tracks_go_through_their_state_and_their_table(tracks):
    from makedo.core.persistence import pack, unpack

    arrays, columns = {}, {}
    tree = pack(tracks, "t", arrays, columns)
    assert same(Tracks.from_state(unpack(tree, arrays, columns)), tracks)
    table = tracks.to_frame()
    assert same(Tracks.read(table, scene="scene", kind="kind", **RATE), tracks)
