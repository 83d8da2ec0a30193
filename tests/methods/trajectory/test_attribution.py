"""What comes out of an explanation: scores, intervals over blocks, files, words."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import makedo
from makedo import TrajectoryAttributor
from makedo.core.checks import MakedoInputError
from makedo.methods.trajectory import wording
from makedo.methods.trajectory.attribution import Attribution, block_mean


def explained(predictor, windows, **how):
    return TrajectoryAttributor(predictor, **how).fit(windows).explain(windows)


@pytest.fixture(scope="module")
def found(world):
    w = world.windows(8, stride=12)
    return explained(world.pulled, w, n_samples=2, null="random_neighbor")


@pytest.fixture(scope="module")
def in_seats(world):
    w = world.windows(8, stride=12)
    return explained(world.pulled, w, n_samples=2, null_mode="swap")


# --- intervals ------------------------------------------------------------------------------------


def test_an_interval_over_blocks_holds_the_mean_as_often_as_it_says():
    """Values share their block's mean: an interval over rows would hold far less often."""
    rng = np.random.default_rng(0)
    for n_blocks in (6, 30):
        held, naive = [], []
        for _ in range(300):
            size = rng.integers(5, 40, n_blocks)
            block = np.repeat(np.arange(n_blocks), size)
            values = rng.normal(size=n_blocks)[block] + 0.5 * rng.normal(size=len(block))
            _, low, high, n, blocks = block_mean(values, block)
            assert (n, blocks) == (len(values), n_blocks)
            held.append(low < 0 < high)
            naive.append(abs(values.mean()) < 1.96 * values.std() / np.sqrt(len(values)))
        assert 0.88 < np.mean(held) <= 0.99 and np.mean(naive) < 0.6


@pytest.mark.parametrize(
    ("sizes", "between"),
    [
        ((7, 53, 1, 2, 9, 141, 94, 57), 1.0),  # of biwi_eth; it held 86 % with degrees of all eight
        ((7, 53, 1, 2, 9, 141, 94, 57), 0.05),
        ((300, 300, 20), 1.0),
        ((100, 90, 80, 1, 1, 1, 1, 1), 1.0),
        ((50,) * 8, 1.0),
    ],
)
def test_blocks_of_unequal_size_have_the_interval_of_fewer_blocks(sizes, between):
    rng, block, held = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes), []
    for _ in range(1000):
        values = between * rng.normal(size=len(sizes))[block] + 0.5 * rng.normal(size=len(block))
        _, low, high, _, _ = block_mean(values, block)
        held.append(low < 0 < high)
    assert 0.93 < np.mean(held) < 0.99


def test_blocks_of_one_size_have_the_interval_of_their_means():
    means = np.random.default_rng(0).normal(size=8)
    found = block_mean(np.repeat(means, 50), np.repeat(np.arange(8), 50))
    wanted = stats.ttest_1samp(means, 0).confidence_interval()
    np.testing.assert_allclose(found[1:3], wanted)


def test_one_large_block_and_crumbs_have_no_interval():
    values, block = np.random.default_rng(0).normal(size=496), np.repeat([0, 1], [490, 6])
    _, low, high, _, blocks = block_mean(values, block)
    assert blocks == 2 and np.isnan([low, high]).all()


def test_one_block_has_no_interval_and_missing_values_are_left_out():
    mean, low, high, n, blocks = block_mean(np.array([1.0, np.nan, 3.0]), np.zeros(3))
    assert (mean, n, blocks) == (2.0, 2, 1) and np.isnan([low, high]).all()
    assert block_mean(np.array([np.nan]), np.zeros(1))[3:] == (0, 0)


def test_the_bootstrap_is_of_a_mean_over_values_and_not_over_blocks():
    size = np.arange(1, 31)
    block = np.repeat(np.arange(30), size)
    np.testing.assert_allclose(block_mean(np.full(len(block), 5.0), block)[:3], 5.0)


def test_intervals_over_blocks_of_one_size_are_those_of_their_means():
    means = np.random.default_rng(1).normal(size=30)
    few = stats.ttest_1samp(means[:6], 0).confidence_interval(0.95)
    found = block_mean(np.repeat(means[:6], 4), np.repeat(np.arange(6), 4))
    np.testing.assert_allclose(found[1:3], few)
    _, low, high, *_ = block_mean(np.repeat(means, 4), np.repeat(np.arange(30), 4))
    np.testing.assert_allclose(high - low, 2 * 1.96 * means.std() / np.sqrt(30), rtol=0.05)


# --- scores ---------------------------------------------------------------------------------------


def test_scores_are_what_their_names_say(found):
    scores, local = found.scores(), found.local
    for target in range(0, len(found), 7):
        mine = local[local["target"] == target]
        near = mine[(mine["game"] == "real") & (mine["player"] != "past")]["phi"]
        null = mine[(mine["game"] == "random") & (mine["player"] != "past")]["phi"]
        row = scores.loc[target]
        assert len(null) == len(near) and row["interaction"] == near.max()
        assert row["corrected"] == near.max() - null.max()
        assert np.isclose(row["random"], null.mean()) and np.isclose(row["sum"], near.sum())
        assert np.isclose(row["mean_abs"], near.abs().mean())
        pairs = mine[(mine["game"] == "real") & (mine["player"] != "past")]["with_past"]
        assert np.isclose(row["with_past"], pairs.sum())
        t = found.targets.loc[target]
        v00, v10, v01, v11 = -t[["error_none", "error_past", "error_neighbors", "error_all"]]
        assert np.isclose(row["neighbors"], 0.5 * (v01 - v00 + v11 - v10))
        assert np.isclose(row["removal"], v11 - v10)


def test_a_neighbor_that_brings_a_centimetre_or_less_is_not_counted(found):
    for worth, touched in ((0.009, 0), (0.011, 1), (-0.5, 0)):
        local = found.local.assign(phi=np.where(found.local["player"] == "past", 1.0, worth))
        assert (replace(found, local=local).scores()["touched"] == touched).all()


def test_where_nobody_was_there_at_another_time_that_brings_nothing(world):
    w = world.windows(2)  # too short for another time
    scores = explained(world.pulled, w, n_samples=1, null="other_time").scores()
    assert (scores["interaction"] != 0).any()
    np.testing.assert_array_equal(scores["beyond_other_time"], scores["interaction"])


def test_with_fewer_random_neighbors_than_real_ones_nothing_is_corrected(found):
    local = found.local
    lost = local[(local["target"] == 3) & (local["game"] == "random") & (local["player"] != "past")]
    less = Attribution(local.drop(index=lost.index[0]), found.targets, found.settings)
    corrected = less.scores()["corrected"]
    assert np.isnan(corrected[3]) and corrected.drop(3).notna().all()


def test_scores_with_random_ones_in_seats_are_paired_and_have_no_game_of_all_random_ones(
    in_seats, found
):
    scores, local = in_seats.scores(), in_seats.local
    for target in range(0, len(in_seats), 7):
        mine = local[(local["target"] == target) & (local["player"] != "past")]
        near = mine[mine["game"] == "real"]["phi"].to_numpy()
        seat = mine[mine["game"] == "random"]["phi"].to_numpy()
        row = scores.loc[target]
        assert row["corrected"] == near.max() - seat.max() and np.isclose(
            row["random"], seat.mean()
        )
        assert np.isclose(row["each_beyond_random"], (near - seat).mean())
    assert in_seats.in_seats and not found.in_seats
    assert set(local.loc[local["game"] == "random", "player"]) == {
        f"random {p}" for p in range(1, 5)
    }
    lost = set(found.scores()) - set(scores)
    assert lost == {"neighbors_random", "neighbors_beyond_random"}
    for name in ("past", "interaction", "neighbors", "error_all"):
        np.testing.assert_allclose(scores[name], found.scores()[name], atol=1e-12)
    shared = set(in_seats.compare(found)["quantity"])
    assert "corrected" in shared and "neighbors_beyond_random" not in shared


def test_of_a_target_alone_no_seat_brings_anything(in_seats):
    local, targets = in_seats.local, in_seats.targets.copy()
    targets.loc[3, "n_neighbors"] = 0
    local = local[(local["target"] != 3) | (local["player"] == "past")]
    scores = replace(in_seats, local=local, targets=targets).scores()
    assert (scores.loc[3, ["interaction", "corrected", "each_beyond_random"]] == 0).all()


def test_random_ones_in_seats_have_their_words_on_the_page_and_in_files(in_seats, tmp_path):
    said = " ".join([in_seats.verdict(), *in_seats.sentences()])
    assert "random ones, one at a time in the seat of each" in said and "seat: the best" in said
    for name, kept in (("found.parquet", True), ("found.csv", False)):
        frame = in_seats.to_frame()
        if kept:
            in_seats.to_parquet(tmp_path / name)
            again = Attribution.from_parquet(tmp_path / name)
        else:  # a csv file has lost the settings
            frame.to_csv(tmp_path / name, index=False)
            again = Attribution.from_frame(pd.read_csv(tmp_path / name))
        assert again.in_seats and "in its seat" in again.verdict()
        pd.testing.assert_frame_equal(again.scores(), in_seats.scores())
    from makedo.methods.trajectory import page

    sections = page.explained_sections(in_seats)
    table = sections[0].table.set_index("what it is")
    words = "interaction less the largest of random ones, each in the seat of a real one"
    assert np.isclose(table.loc[words, "mean"], in_seats.value("corrected")[0])
    assert "takes the seat of a real one" in sections[0].note
    parts = [Attribution.concat([in_seats, in_seats]), in_seats]
    assert np.isclose(*(one.value("corrected")[0] for one in parts))


def test_verdicts_with_random_ones_in_seats(world):
    w = world.windows(8, stride=12)
    how = {"n_samples": 1, "null_mode": "swap"}
    dull = TrajectoryAttributor(world.constant_velocity, **how).fit(w).explain(w)
    assert dull.verdict().startswith("No neighbour clearly brings more than a random one in its")
    mine = w.take(w.agent == 1)
    found = TrajectoryAttributor(world.copycat, **how).fit(mine).explain(mine)
    assert found.verdict().startswith("The predictor uses neighbours")
    one = mine.take(mine.block == mine.block[0])
    found = TrajectoryAttributor(world.copycat, **how).fit(mine).explain(one)
    assert "how much of that is chance" in found.verdict()


@pytest.mark.parametrize(
    ("real", "best_random", "other_random", "said"),
    [
        (0.5, 0.0, 0.0, "The predictor uses neighbours: more"),
        (0.02, 0.0, 0.0, "The predictor uses neighbours, a little: more"),
        (0.5, 0.5, -0.5, "The predictor uses neighbours: more"),  # each does, the best does not
        (0.5, 0.5, 0.5, "No neighbour clearly"),
    ],
)
def test_the_best_or_each_must_beat_the_random_one_in_its_seat(
    in_seats, real, best_random, other_random, said
):
    local = in_seats.local.copy()
    noise = 0.01 * (-1.0) ** local["block"]
    worth = np.where(local["player"] == "random 1", best_random, other_random) + noise
    worth = np.where(local["game"] == "real", real, worth)
    local["phi"] = np.where(local["player"] == "past", 1.0, worth)
    assert replace(in_seats, local=local).verdict().startswith(said)


@pytest.mark.parametrize("null_mode", ["separate", "extra"])  # one more player is not counted
def test_the_words_say_for_how_many_absent_neighbors_nobody_stood_in(world, null_mode):
    w = world.windows(2)  # too short for another time
    how = {"n_samples": 1, "absent_neighbor": "other_time", "null_mode": null_mode}
    found = explained(world.pulled, w, **how)
    n = 4 * len(w)
    assert found.targets["n_removed"].sum() == n
    said = f"replaced by one of another time ({n} of {n} removed: nobody found)"
    assert said in found.sentences()[0]


def test_a_share_has_no_interval_beyond_all(found):
    most = found.local.assign(phi=np.where(found.local["block"] == 0, 0.0, 1.0))
    share = replace(found, local=most).summary().set_index("quantity").loc["touched"]
    assert 0.5 < share["low"] < share["mean"] < 1 and share["high"] == 1


def test_the_summary_has_all_targets_or_each_scene_s(found):
    whole = found.summary().set_index("quantity")
    assert whole.loc["past", "n_targets"] == len(found)
    assert np.isclose(whole.loc["past", "mean"], found.value("past")[0])
    assert whole.loc["touched", "unit"] == "share" and (whole["unit"].drop("touched") == "m").all()
    by = found.summary(by="scene")
    assert (found.summary(by="agent")["n_blocks"] == 8).all()
    parts = by[by["quantity"] == "past"]
    assert len(parts) == 8
    weights = found.targets.groupby("scene").size().loc[parts["scene"]].to_numpy()
    assert np.isclose(np.average(parts["mean"], weights=weights), found.value("past")[0])
    with pytest.raises(MakedoInputError, match="no column 'place'"):
        found.summary(by="place")
    with pytest.raises(MakedoInputError, match="no 'luck'"):
        found.value("luck")


def test_neighbors_by_rank_kind_and_distance(found):
    rank = found.by_rank()
    assert rank["rank"].tolist() == [1, 2, 3, 4] and (rank["n_values"] == len(found)).all()
    near = found.local[(found.local["game"] == "real") & (found.local["player"] != "past")]
    closest = near.loc[near.groupby("target")["distance"].idxmin()]
    assert np.isclose(rank["mean"][0], closest["phi"].mean())
    assert (found.local.loc[found.local["player"] == "past", "distance"] == 0).all()
    assert found.by_kind()["n_values"].tolist() == [4 * len(found)]
    table = found.by_distance(4)
    assert set(table["game"]) == {"real", "random"}
    real = table[table["game"] == "real"]
    assert len(real) == 4 and real["n_values"].sum() == 4 * len(found)
    assert real["distance"].is_monotonic_increasing


def test_two_explanations_of_the_same_targets_are_compared_pair_by_pair(found, world):
    w = world.windows(8, stride=12)
    other = TrajectoryAttributor(world.constant_velocity, n_samples=2).fit(w).explain(w)
    table = found.compare(other).set_index("quantity")
    expected = found.value("past")[0] - other.value("past")[0]
    assert np.isclose(table.loc["past", "difference"], expected)
    same = found.compare(found)
    assert (same["difference"] == 0).all()
    with pytest.raises(MakedoInputError, match="no target"):
        found.compare(Attribution(other.local, other.targets.assign(scene="elsewhere")))


def test_parts_explained_apart_are_the_whole(found, world):
    w = world.windows(8, stride=12)
    model = TrajectoryAttributor(world.pulled, n_samples=2).fit(w)
    parts = [model.explain(w.take(w.scene == name)) for name in np.unique(w.scene)]
    parts = [  # each counts its blocks from 0
        Attribution(one.local.assign(block=0), one.targets.assign(block=0), one.settings)
        for one in parts
    ]
    joined = Attribution.concat(parts)
    assert len(joined) == len(found)
    for name in ("past", "interaction", "corrected", "neighbors"):
        assert np.isclose(joined.value(name)[0], found.value(name)[0])
    assert joined.settings["rows"] == found.settings["rows"]
    assert joined.settings["seconds"] == sum(part.settings["seconds"] for part in parts)
    n_blocks = found.targets["block"].nunique()
    assert joined.targets["block"].nunique() == n_blocks == joined.local["block"].nunique() == 8
    np.testing.assert_allclose(joined.value("past"), found.value("past"))


# --- files ----------------------------------------------------------------------------------------


def test_a_file_holds_all_of_an_explanation(found, tmp_path):
    found.to_parquet(tmp_path / "found.parquet")
    again = Attribution.from_parquet(tmp_path / "found.parquet")
    assert dict(again.settings) == dict(found.settings)
    pd.testing.assert_frame_equal(again.scores(), found.scores())
    shuffled = Attribution.from_frame(found.to_frame().sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(shuffled.scores(), found.scores())
    others = np.where(found.local["player"] == "past", "agent", "ball")
    mixed = replace(found, local=found.local.assign(kind=others)).to_frame()
    again = Attribution.from_frame(mixed.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(again.targets[found.targets.columns], found.targets)
    with pytest.raises(MakedoInputError, match="no explanation"):
        Attribution.from_frame(pd.DataFrame({"x": [1]}))


def test_a_model_of_ours_is_saved_with_its_predictor_and_a_function_is_handed_back(world, tmp_path):
    w = world.windows(3)
    for predictor in ("ridge_social", "kalman"):
        model = TrajectoryAttributor(predictor, n_samples=2).fit(w)
        model.save(tmp_path / predictor)
        loaded = makedo.load(tmp_path / predictor)
        pd.testing.assert_frame_equal(loaded.explain(w).local, model.explain(w).local)
    model = TrajectoryAttributor(world.copycat, n_samples=1).fit(w)
    model.save(tmp_path / "mine")
    with pytest.raises(MakedoInputError, match="predictor was the function .?copycat"):
        makedo.load(tmp_path / "mine")
    loaded = makedo.load(tmp_path / "mine", predictor=world.copycat)
    pd.testing.assert_frame_equal(loaded.explain(w).local, model.explain(w).local)


def test_a_trained_predictor_is_taken_as_it_is_and_an_untrained_one_copied(world):
    from makedo.methods.trajectory import LinearRidge

    w = world.windows(3)
    trained = LinearRidge(social=True).fit(w)
    model = TrajectoryAttributor(trained).fit(w.take(slice(0, 20)))
    assert model.predictor_ is trained
    fresh = LinearRidge(social=True)
    model = TrajectoryAttributor(fresh).fit(w)
    assert not hasattr(fresh, "coef_")
    np.testing.assert_array_equal(model.predictor_.coef_, trained.coef_)


def test_no_torch_is_needed_without_a_network(tmp_path):
    code = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
from makedo import TrajectoryAttributor
from makedo.methods.trajectory import Tracks

tracks = Tracks.from_arrays(np.random.default_rng(0).normal(size=(80, 3, 2)).cumsum(0),
                            seconds_per_step=1.0, max_speed=None)
model = TrajectoryAttributor("ridge_social", n_samples=2).fit(tracks)
model.report(tracks).to_html("page.html")
model.evaluate(tracks), model.predict(tracks), model.diagnose(tracks)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ},
    )
    assert run.returncode == 0, run.stderr


# --- words ----------------------------------------------------------------------------------------


def test_the_words_say_what_was_found_and_nothing_of_causes(found, world):
    said = " ".join([found.verdict(), *found.sentences()])
    assert "Removing all neighbours changes minADE2 from" in said
    assert "; common random numbers" in said and "8 " in said
    for word in ("cause", "because", "effect", "due to"):
        assert word not in said.lower()
    w = world.windows(8, stride=12)
    dull = TrajectoryAttributor(world.constant_velocity, n_samples=1).fit(w).explain(w)
    assert dull.verdict().startswith("Only the past counts")
    long = world.windows(4, stride=10, n_steps=260)
    long = long.take(long.agent == 1)
    model = TrajectoryAttributor(world.copycat, n_samples=1, null="both").fit(long)
    assert model.explain(long).verdict().startswith("The predictor uses neighbours")
    assert wording.metric_name(dull) == "ADE"
    noisy = found.targets.assign(
        error_all=found.targets["error_all"] + 2.0 * np.resize([1, -1], len(found))
    )
    unsure = Attribution(found.local.assign(phi=0.0), noisy, found.settings).verdict()
    assert unsure.startswith("Whether neighbours count is not clear")
    worse = found.targets.assign(error_all=found.targets["error_past"] + 0.5)
    harmed = Attribution(found.local, worse, found.settings).verdict()
    assert harmed.endswith("Its error is lower without any neighbour, by 0.500 m (95 % interval "
                           "0.500 to 0.500).")  # fmt: skip
    assert "lower without" not in dull.verdict()
    one = long.take(long.block == long.block[0])  # no interval: nothing is ruled out
    model = TrajectoryAttributor(world.copycat, n_samples=1, null="both").fit(long)
    said = model.explain(one).verdict()
    assert "more than random ones and" in said and "how much of that is chance" in said


@pytest.mark.parametrize(
    ("beyond_random", "beyond_other_time", "noise", "best", "said"),
    [
        (0.5, None, 0.001, 0.5, "The predictor uses neighbours: together they bring 0.500 m"),
        (0.02, None, 0.001, 0.5, "The predictor uses neighbours, a little: together"),
        (0.0, None, 0.001, 0.5, "The predictor uses neighbours, a little"),  # but for the best one
        (0.0, None, 0.001, 0.0, "Only the past counts"),
        (0.0, None, 0.3, 0.0, "Whether neighbours count is not clear"),
        (0.5, 0.5, 0.001, 0.5, "The predictor uses neighbours: together"),
        (0.5, 0.02, 0.001, 0.5, "The predictor uses neighbours, a little"),
        (0.5, 0.0, 0.001, 0.0, "Neighbours bring more than random ones (0.500 m"),
    ],
)
def test_the_best_or_all_together_must_beat_random_ones_and_another_time(
    found, beyond_random, beyond_other_time, noise, best, said
):
    local, t = found.local, found.targets.copy()
    for game, beyond in (("random", beyond_random), ("other_time", beyond_other_time)):
        for name in ("error_all", "error_neighbors"):
            if beyond is not None:
                t[f"{name}_{game}"] = t[name] + beyond + noise * (-1.0) ** t["block"]
    worth = np.where(local["game"] == "real", best, 0.0) + 0.001 * (-1.0) ** local["block"]
    local = local.assign(phi=np.where(local["player"] == "past", 1.0, worth))
    assert replace(found, local=local, targets=t).verdict().startswith(said)


def test_the_words_have_the_figures_of_the_tables(found):
    """Errors of 12 and 10 m, in two blocks of the eight 11; in two others nobody is near."""
    t = found.targets.copy()
    first, last = t["block"] < 2, t["block"] >= 6
    t["error_all"], t["error_past"] = 12.0, 10.0 + first
    t["n_neighbors"], t["n_cut"] = np.where(last, 0, 1), np.where(first, 3, 0)
    found = replace(found, targets=t)
    mean, low, high = found.value("removal")
    assert low < mean < high < 0
    lower = f"by {-mean:.2f} m (95 % interval {-high:.2f} to {-low:.2f})."
    assert found.verdict().endswith(f"Its error is lower without any neighbour, {lower}")
    said = found.sentences()
    after = f"{t['error_past'].mean():.1f}"
    assert f"changes minADE2 from 12.0 to {after} m" in " ".join(said)
    has, cut = 100 * (1 - last.mean()), 100 * first.mean()
    assert said[-1].endswith(
        f"{has:.0f} % of targets had a neighbour, {cut:.0f} % more neighbours than were looked at."
    )


def test_figures_have_three_digits():
    assert wording.written(0.01234, 0.5) == ["0.012", "0.500"]
    assert wording.written(1.234) == ["1.23"] and wording.written(-9.994) == ["\N{MINUS SIGN}9.99"]
    assert wording.written(12.34, 0.5) == ["12.3", "0.5"] and wording.written(123.4) == ["123"]


@pytest.mark.parametrize(
    ("null_mode", "quantity"),
    [("separate", "neighbors_beyond_random"), ("swap", "each_beyond_random")],
)
def test_a_predictor_that_reads_the_place_from_neighbors_is_found_out(world, null_mode, quantity):
    """A post stands still; whoever sees it knows the place.  It stood there at another time too."""
    from makedo.data.tracks import Tracks

    rng = np.random.default_rng(0)
    walks = np.zeros((1200, 3, 2))  # everybody is drawn home, where the post is
    for t in range(1, len(walks)):
        walks[t] = 0.95 * walks[t - 1] + rng.normal(scale=0.5, size=(3, 2))
    post = np.zeros((1200, 1, 2))
    tracks = Tracks.from_arrays(np.concatenate([walks, post], axis=1), seconds_per_step=1.0)

    def homing(past, neighbors, present, n_samples, seeds):
        speed = np.nan_to_num(np.linalg.norm(np.diff(neighbors, axis=2), axis=-1).max(-1), nan=9)
        home = present & (speed < 1e-9)
        at = np.einsum("bm,bmd->bd", home, np.nan_to_num(neighbors[:, :, -1]))
        way = np.where(home.any(1)[:, None], at - past[:, -1], 0.0)
        return (past[:, -1:] + (1 - 0.95 ** np.arange(1, 13))[:, None] * way[:, None])[:, None]

    w = TrajectoryAttributor(homing, stride=9, n_samples=1)._windows(tracks)
    w = w.take(w.agent != 3)
    model = TrajectoryAttributor(homing, n_samples=1, null="both", null_mode=null_mode).fit(w)
    found = model.explain(w)
    assert found.value(quantity)[1] > 0  # as if it were interaction
    assert abs(found.value("neighbors_beyond_other_time")[0]) < 1e-6
    assert "give the place away" in found.verdict()
