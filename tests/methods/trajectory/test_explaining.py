"""Values of cues where they are known: closed forms, a follower, invariances, brute force."""

import itertools
import math
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from makedo import TrajectoryAttributor
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.tracks import Tracks
from makedo.data.windows import cut
from makedo.methods.trajectory import absent, explaining, game, metrics, nulls
from makedo.methods.trajectory.attribution import Attribution
from makedo.methods.trajectory.explaining import PAST, REAL, STRANGER
from makedo.methods.trajectory.predictors import ConstantVelocity, Static
from makedo.methods.trajectory.value import Value

REAL_DATA = os.path.isdir(os.path.join(os.environ.get("MAKEDO_DATA", ""), "eth_ucy"))
needs_eth = pytest.mark.skipif(not REAL_DATA, reason="eth_ucy is not in $MAKEDO_DATA")


def explained(predictor, windows, **how):
    model = TrajectoryAttributor(predictor, **({"n_samples": 1} | how))
    return model.fit(windows).explain(windows)


def phi(found, game_name=REAL):
    """φ by (target, player)."""
    local = found.local[found.local["game"] == game_name]
    return local.set_index(["target", "player"])["phi"].sort_index()


# --- known answers --------------------------------------------------------------------------------


def test_neighbors_of_a_model_without_neighbors_get_exactly_nothing(world):
    w = world.windows()
    for how in ({}, {"index": "banzhaf"}, {"estimator": "permutation", "n_permutations": 3},
                {"null": "both"}, {"null_mode": "extra"}, {"null_mode": "swap"}):  # fmt: skip
        found = explained(world.constant_velocity, w, metric="ade", **how)
        assert (found.local.loc[found.local["player"] != PAST, "phi"] == 0).all()
        stands, goes = (m.predict(w.cues()) for m in (Static(), ConstantVelocity()))
        gain = metrics.ade(stands, w.future) - metrics.ade(goes, w.future)
        past = found.local[(found.local["player"] == PAST) & (found.local["game"] == REAL)]
        np.testing.assert_allclose(past["phi"], gain, atol=1e-12)
        assert found.value("interaction")[0] == found.value("removal")[0] == 0


@needs_eth
@pytest.mark.parametrize(
    ("scene", "n", "static", "cv", "past"),
    [
        ("biwi_eth", 364, 2.272, 1.075, 1.196),
        ("biwi_hotel", 1197, 1.128, 0.319, 0.809),
        ("crowds_zara01", 2356, 2.497, 0.427, 2.070),
    ],
)
def test_constant_velocity_on_walking_people_has_the_published_value(scene, n, static, cv, past):
    from makedo.data import catalog

    tracks = catalog.load("eth_ucy").tracks.of_scenes([scene])
    model = TrajectoryAttributor("constant_velocity", n_samples=1, radius=3.0, null="none")
    found = model.fit(tracks).explain(tracks)
    t = found.targets
    assert len(found) == n
    assert round(t["error_none"].mean(), 3) == static and round(t["error_all"].mean(), 3) == cv
    assert round(found.value("past")[0], 3) == past and found.value("interaction") == (0, 0, 0)


def test_the_leader_of_a_follower_has_nearly_all_that_neighbors_bring(world):
    w = world.windows(2, n_steps=260)  # long enough for another time
    w = w.take(w.agent == 1)
    found = explained(world.copycat, w, metric="ade", null="both")
    real = found.local[(found.local["game"] == REAL) & (found.local["player"] != PAST)]
    leader = real["player"] == "0"
    assert real.loc[leader, "phi"].sum() > 0.05 * len(w)
    assert real.loc[leader, "phi"].sum() >= 0.9 * real["phi"].sum()
    assert real.loc[~leader, "phi"].abs().max() < 1e-9
    for control in ("random", "other_time"):
        assert abs(found.scores()[control].mean()) < 1e-9
    assert found.value("corrected")[1] > 0 and found.value("beyond_other_time")[1] > 0
    assert (real.loc[leader, "with_past"] > 0).mean() > 0.9  # matters together with the past


def test_change_of_an_additive_predictor_is_each_cue_s_own_weight(world):
    w = world.windows(2)
    weights = np.array([0.7, 0.0, 0.4, 0.1])

    def additive(past, neighbors, present, n_samples, seeds):
        moved = np.linalg.norm(past[:, -1] - past[:, 0], axis=-1) > 1e-9
        right = 2.0 * moved + present @ weights[: present.shape[1]]
        end = past[:, -1] + np.stack([right, np.zeros(len(past))], axis=-1)
        return np.repeat(end[:, None, None], 12, axis=2)

    for how in ({}, {"index": "banzhaf"}, {"index": "loo"}, {"index": "first"},
                {"estimator": "kernel"}, {"estimator": "stratified"}):  # fmt: skip
        found = explained(additive, w, metric="change", null="none", **how)
        for t, row in enumerate(w.present):
            names = [PAST, *w.neighbor_agent[t][row].astype(str)]
            expected = [2.0, *weights[: row.sum()]]
            np.testing.assert_allclose(phi(found)[t][names], expected, atol=1e-9)


# --- where the error is a sum of what cues are worth ----------------------------------------------


class Worth:
    """A predictor whose error is 100 - Σ_j w_j - pull · Σ_{j<k} w_j w_k over who is there.

    w of a neighbour depends on where it is and how it moves; it knows the future by the place now.
    """

    def __init__(self, windows, pull=0.0):
        self.pull = pull
        self.future = {xy.tobytes(): y for xy, y in zip(windows.past[:, -1], windows.future)}  # noqa: B905

    @staticmethod
    def of(tracks):
        """w of tracks (..., n_past, 2); 0 where nobody is."""
        near = 1 / (1 + np.abs(np.nan_to_num(tracks[..., -1, :])).sum(-1))
        step = np.nan_to_num(tracks[..., -1, :] - tracks[..., -3, :])
        pace = np.linalg.norm(step, axis=-1) + 0.3 * np.abs(np.nan_to_num(tracks[..., 0, 0]))
        return np.where(np.isfinite(tracks[..., -1, 0]), near + pace, 0.0)

    def predict(self, cues, *, n_samples, n_steps, seeds):
        w = np.where(cues.present, self.of(cues.neighbors), 0.0)  # (rows, M)
        pairs = 0.5 * (w.sum(1) ** 2 - (w**2).sum(1))
        error = 1000 - w.sum(1) - self.pull * pairs
        truth = np.stack([self.future[xy.tobytes()] for xy in cues.past[:, -1]])
        truth[..., 0] += error[:, None]
        return truth[:, None]


def worth_of(present, tracks):
    return np.where(present, Worth.of(tracks), 0.0)


def by_seat(found, game_name, shape, column="phi"):
    """φ of neighbours as an array (targets, M), in the order of their seats; NaN where none."""
    local = found.local[(found.local["game"] == game_name) & (found.local["player"] != PAST)]
    values = np.full(shape, np.nan)
    place = local.groupby("target").cumcount()
    values[local["target"], place] = local[column]
    return values


@pytest.mark.parametrize("pull", [0.0, 0.2])
@pytest.mark.parametrize("estimator", ["exact", "permutation"])
def test_of_pairs_a_random_one_in_a_seat_has_its_own_worth_and_half_of_each_pair(
    world, pull, estimator
):
    w = world.windows(6, stride=20)
    how = {"null_mode": "swap", "metric": "ade", "estimator": estimator, "n_permutations": 2}
    found = explained(Worth(w, pull), w, **how)
    donors = TrajectoryAttributor(world.copycat).fit(w).donors_.neighbors(w, w.seeds())
    real, theirs = worth_of(w.present, w.neighbors), worth_of(w.present, donors)
    others = real.sum(1, keepdims=True) - real  # of all but the one in the seat
    for name, w_j in ((REAL, real), (explaining.RANDOM, theirs)):
        expected = w_j * (1 + 0.5 * pull * others)
        np.testing.assert_allclose(by_seat(found, name, w.present.shape), expected, atol=1e-9)
    far = np.linalg.norm(donors[:, :, -1] - w.past[:, None, -1], axis=2)
    distance = by_seat(found, explaining.RANDOM, w.present.shape, "distance")
    np.testing.assert_allclose(distance, far)
    scores = found.scores()
    gap = real * (1 + 0.5 * pull * others) - theirs * (1 + 0.5 * pull * others)
    np.testing.assert_allclose(scores["each_beyond_random"], gap.mean(1), atol=1e-9)
    largest = (real * (1 + 0.5 * pull * others)).max(1)
    largest = largest - (theirs * (1 + 0.5 * pull * others)).max(1)
    np.testing.assert_allclose(scores["corrected"], largest, atol=1e-9)


@pytest.mark.parametrize("players", ["kind", "all"])
def test_where_neighbors_play_together_random_ones_take_all_their_seats(world, players):
    w = world.windows(6, stride=20)
    kinds = np.where(np.arange(w.present.shape[1]) % 2, 1, 0)
    w = replace(w, kinds=("a", "b"), neighbor_kind=np.where(w.present, kinds, -1).astype(np.int32))
    found = explained(Worth(w), w, null_mode="swap", metric="ade", players=players)
    donors = TrajectoryAttributor(world.copycat).fit(w).donors_.neighbors(w, w.seeds())
    groups = [kinds == 0, kinds == 1] if players == "kind" else [kinds >= 0]
    for name, tracks in ((REAL, w.neighbors), (explaining.RANDOM, donors)):
        values = worth_of(w.present, tracks)
        expected = np.stack([values[:, group].sum(1) for group in groups], axis=1)
        np.testing.assert_allclose(by_seat(found, name, expected.shape), expected, atol=1e-9)


@pytest.mark.parametrize("rule", absent.NEIGHBORS)
@pytest.mark.parametrize("null_mode", ["separate", "swap"])
def test_a_neighbor_is_worth_what_it_has_beyond_what_stands_for_it(world, rule, null_mode):
    w = cut(world.tracks(4, n_steps=230, n_agents=4), stride=30, radius=6.0)  # then there are more
    kinds = np.where(w.present, w.neighbor_agent % 2, -1).astype(np.int32)
    w = replace(w, kinds=("a", "b"), kind=w.agent % 2, neighbor_kind=kinds)
    how = {"absent_neighbor": rule, "null_mode": null_mode, "metric": "ade", "null": "both"}
    found = explained(Worth(w), w, **how)
    donors, seeds = TrajectoryAttributor(world.copycat).fit(w).donors_, w.seeds()
    strangers, others = donors.neighbors(w, seeds), nulls.OtherTimes(w)
    tracks, there, kind = others.neighbors(w, seeds, None)
    then = replace(w, neighbors=tracks, present=there, neighbor_kind=kind)

    def gone(tracks, seats):
        if rule in absent.MOTIONS:
            return absent.of_neighbors(rule, tracks)
        if rule == "random":
            return donors.neighbors(seats, seeds + np.uint64(1))
        if rule == "other_time":
            return others.in_seats(seats, seeds + np.uint64(1), None)
        return np.full_like(tracks, np.nan)

    for name, tracks, seats in (
        (REAL, w.neighbors, w),
        (explaining.RANDOM, strangers, w),
        (explaining.OTHER_TIME, then.neighbors, then),
    ):
        there = seats.present
        expected = worth_of(there, tracks) - worth_of(there, gone(tracks, seats))
        values = by_seat(found, name, there.shape)
        np.testing.assert_allclose(values[there], expected[there], atol=1e-9)
        assert np.abs(values[there]).max() > 0.1 and np.isnan(values[~there]).all()
    n_removed = np.isnan(gone(w.neighbors, w)[..., -1, 0])[w.present].sum()
    if rule in absent.STAND_INS:
        assert found.targets["n_removed"].sum() == n_removed
    else:
        assert "n_removed" not in found.targets
    assert "seat" in found.sentences()[0] or null_mode == "separate"


# --- the same answer by other roads ---------------------------------------------------------------


def by_hand(w, predictor, metric="minade", n_samples=3, seed=0):
    """Shapley values of one target by all orders and single calls."""
    names = [PAST, *w.neighbor_agent[0][w.present[0]].astype(str)]
    seeds = w.seeds(seed)

    def v(S):
        past = w.past if 0 in S else np.repeat(w.past[:, -1:], w.past.shape[1], axis=1)
        present = np.array([[j + 1 in S for j in range(w.present.shape[1])]]) & w.present
        found = predictor(past, w.neighbors, present, n_samples, seeds)
        return -metrics.METRICS[metric](found, w.future)[0]

    values = {}
    for size in range(len(names) + 1):
        for S in itertools.combinations(range(len(names)), size):
            values[frozenset(S)] = v(frozenset(S))
    found = np.zeros(len(names))
    for order in itertools.permutations(range(len(names))):
        S = frozenset()
        for j in order:
            found[j] += values[S | {j}] - values[S]
            S = S | {j}
    return dict(zip(names, found / math.factorial(len(names)), strict=True))


def test_values_in_bulk_are_those_of_single_calls_over_all_orders(world):
    w = world.windows(3, stride=20)
    found = explained(world.pulled, w, n_samples=3)
    for t in range(0, len(w), 3):
        for name, expected in by_hand(w.take([t]), world.pulled).items():
            assert abs(phi(found)[t, name] - expected) < 1e-6
    t = found.targets
    total = found.local[found.local["game"] == REAL].groupby("target")["phi"].sum()
    np.testing.assert_allclose(total, t["error_none"] - t["error_all"], atol=1e-12)


@pytest.mark.parametrize("null_mode", ["separate", "swap"])
def test_progress_ends_at_the_end_also_where_nobody_is_near(world, caplog, null_mode):
    w = cut(world.tracks(2), stride=20, radius=1e-3)
    with caplog.at_level("INFO", logger="makedo"):
        explained(world.copycat, w, n_samples=1, null_mode=null_mode, verbose=1)
    assert "20/20" in caplog.text


def test_a_random_one_in_a_seat_has_the_value_of_all_orders_in_the_game_with_it(world):
    w = cut(world.tracks(3), stride=20, radius=6.0)  # targets with more and fewer neighbours
    assert len(np.unique(w.present.sum(1))) > 2
    found = explained(world.pulled, w, n_samples=3, null_mode="swap")
    strangers = TrajectoryAttributor(world.copycat).fit(w).donors_.neighbors(w, w.seeds())
    values = by_seat(found, explaining.RANDOM, w.present.shape)
    for t in range(0, len(w), 4):
        for j in np.flatnonzero(w.present[t]):
            tracks = w.neighbors[[t]]
            tracks[0, j] = strangers[t, j]
            game_with = by_hand(replace(w.take([t]), neighbors=tracks), world.pulled)
            name = str(w.neighbor_agent[t, j])  # whose seat it is
            assert abs(values[t, j] - game_with[name]) < 1e-12


@pytest.mark.parametrize(
    "how",
    [
        {}, {"index": "banzhaf"}, {"index": "loo"}, {"index": "first"}, {"n_repeats": 2},
        {"estimator": "permutation", "n_permutations": 3}, {"estimator": "kernel", "budget": 24},
        {"estimator": "stratified", "budget": 200}, {"metric": "change"},
        {"estimator": "permutation", "metric": "change", "n_permutations": 2},
        {"estimator": "permutation", "n_permutations": 16, "tolerance": 0.1},
        {"absent_neighbor": "static"}, {"absent_neighbor": "random"},
        {"absent_past": "resample", "n_resamples": 2},
    ],
)  # fmt: skip
def test_what_is_taken_from_the_real_game_is_what_playing_anew_would_give(world, how):
    w = world.windows(3, stride=40, n_agents=6)
    model = TrajectoryAttributor(world.pulled, n_samples=2, null_mode="swap", **how).fit(w)
    found, rules, donors = model.explain(w), model._rules(), model.donors_
    values, with_past = (
        by_seat(found, explaining.RANDOM, w.present.shape, name) for name in ("phi", "with_past")
    )
    strangers, n_anew = donors.neighbors(w, w.seeds()), 0
    everyone = np.arange(len(w))
    for j in range(w.present.shape[1]):
        value = Value(world.pulled, model.metric, 2)
        games = explaining.games_of(w, rules, donors, None, REAL).seated(j + 1, strangers)
        if rules.absent_neighbor == "static":
            still = absent.of_neighbors("static", games.cues.neighbors)
            games = replace(games, absent_neighbors=still)
        played = explaining.play(games.take(everyone), value, replace(rules, tolerance=None))
        if not rules.tolerance:
            np.testing.assert_allclose(values[:, j], played.phi[:, j + 1], rtol=0, atol=1e-12)
            np.testing.assert_allclose(with_past[:, j], played.with_past[:, j + 1], atol=1e-12)
        else:  # it stops when the real game does
            assert np.abs(values[:, j] - played.phi[:, j + 1]).max() < 0.3
        n_anew += value.n_rows
    if how.get("metric") != "change" and how.get("absent_neighbor") != "static":
        assert found.settings["rows"] < n_anew


def test_neither_the_size_of_calls_nor_hooks_nor_other_targets_change_a_value(world):
    w = world.windows(2)
    model = TrajectoryAttributor("attention", max_epochs=1, n_samples=4, null_mode="swap").fit(w)
    rules, donors = model._rules(), model.donors_
    whole = model.explain(w)
    reference = phi(whole)
    for how in ({"rows": 7}, {"hooks": False}, {"hooks": False, "rows": 100}):
        value = Value(model.predictor_, "minade", 4, **how)
        local, _ = explaining.explain(w, value, rules, donors)
        np.testing.assert_allclose(local["phi"], whole.local["phi"], atol=1e-5)
    few = model.explain(w.take([5, 2]))
    np.testing.assert_allclose(phi(few)[0], reference[5], atol=1e-5)
    seat = explaining.RANDOM
    np.testing.assert_allclose(phi(few, seat)[0], phi(whole, seat)[5], atol=1e-5)
    np.testing.assert_array_equal(reference, phi(model.explain(w)))  # the same bits


def test_turning_moving_and_relabelling_the_world_changes_nothing(world):
    w = world.windows(2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])

    def moved(xy):
        return xy @ turn.T + [100.0, -30.0]

    order = np.random.default_rng(0).permutation(w.present.shape[1])
    parts = ("neighbors", "present", "neighbor_kind", "neighbor_agent")
    shuffled = replace(w, **{name: getattr(w, name)[:, order] for name in parts})
    turned = replace(w, past=moved(w.past), future=moved(w.future), neighbors=moved(w.neighbors))
    reference = phi(explained(world.copycat, w))
    for other in (turned, shuffled):
        np.testing.assert_allclose(phi(explained(world.copycat, other)), reference, atol=1e-5)


def test_no_cue_knows_the_future(world):
    w = world.windows(2)
    seen = []

    def spy(past, neighbors, present, n_samples, seeds):
        seen.append((past.tobytes(), np.nan_to_num(neighbors).tobytes(), present.tobytes()))
        return world.constant_velocity(past, neighbors, present, n_samples, seeds)

    changed = replace(w, future=w.future + np.random.default_rng(0).normal(size=w.future.shape))
    explained(spy, w)
    first, seen[:] = list(seen), []
    explained(spy, changed)
    assert seen == first


@pytest.mark.parametrize("estimator", ["permutation", "kernel", "stratified"])
def test_sampled_values_agree_with_exact_ones_within_their_standard_errors(world, estimator):
    w = world.windows(1, stride=20, n_agents=10)

    def steady(past, neighbors, present, n_samples, seeds):  # the same noise in all draws
        return world.pulled(past, neighbors, present, n_samples, 0 * seeds)

    exact = explained(steady, w, null="none", estimator="exact")
    how = {"budget": 500 if estimator == "kernel" else 4000, "n_permutations": 20}
    found = explained(steady, w, null="none", estimator=estimator, **how)
    z = (found.local["phi"] - exact.local["phi"]) / found.local["se"]
    assert (exact.local["se"] == 0).all() and (found.local["se"] > 0).mean() > 0.9
    assert 0.7 < np.sqrt(np.nanmean(z[found.local["se"] > 1e-9] ** 2)) < 1.4


def test_permutations_stop_when_they_are_sure_enough(world):
    w = world.windows(1, stride=10, n_agents=9)
    how = {"estimator": "permutation", "null": "none", "n_permutations": 64}
    rough = explained(world.pulled, w, tolerance=0.05, **how)
    sure = explained(world.pulled, w, tolerance=1e-9, **how)
    whole = explained(world.pulled, w, **how)
    assert rough.settings["rows"] < sure.settings["rows"] == whole.settings["rows"]
    assert rough.local["se"].max() <= 0.05
    np.testing.assert_allclose(sure.local["phi"], whole.local["phi"], atol=1e-12)
    assert isinstance(game.permutations(4, 3, np.random.default_rng(0)).solve, game.Marginals)


def test_values_of_a_noisy_predictor_are_means_over_draws_and_say_how_sure_they_are(world):
    w = world.windows(2, stride=30, n_agents=4)
    how = {"n_samples": 3, "null": "none", "metric": "minade"}
    one = explained(world.pulled, w, **how)
    sure = explained(world.pulled, w, n_repeats=150, random_state=999, **how)
    assert (one.local["se"] == 0).all() and (sure.local["se"] > 0).all()
    spread = np.sqrt(((one.local["phi"] - sure.local["phi"]) ** 2).mean())
    expected = np.sqrt((sure.local["se"] ** 2).mean() * 151)  # of one draw, and of the mean
    assert 0.6 < spread / expected < 1.6
    sampled = explained(world.pulled, w, estimator="permutation", n_permutations=40, **how)
    z = (sampled.local["phi"] - sure.local["phi"]) / np.hypot(sampled.local["se"], sure.local["se"])
    assert 0.6 < np.sqrt((z**2).mean()) < 1.5
    for found in (one, sure, sampled):
        total = found.local.groupby("target")["phi"].sum()
        t = found.targets
        np.testing.assert_allclose(total, t["error_none"] - t["error_all"], atol=1e-9)


def test_a_change_is_against_the_prediction_under_the_same_noise(world):
    w = world.windows(2)

    def shaken(past, neighbors, present, n_samples, seeds):
        base = world.constant_velocity(past, neighbors, present, n_samples, seeds)
        noise = [np.random.default_rng(s).normal(size=(n_samples, 12, 2)) for s in seeds]
        return base + np.reshape(noise, (len(past), n_samples, 12, 2))

    for how in ({}, {"n_repeats": 3}, {"estimator": "permutation", "n_permutations": 4}):
        found = explained(shaken, w, n_samples=2, metric="change", null="none", **how)
        np.testing.assert_allclose(found.targets["error_all"], 0, atol=1e-12)
        assert (phi(found).drop(PAST, level="player") == 0).all()


# --- rules ----------------------------------------------------------------------------------------


def test_with_the_last_velocity_left_a_constant_velocity_model_misses_nothing(world):
    w = world.windows(2)
    found = explained(world.constant_velocity, w, absent_past="constant_velocity")
    assert np.abs(phi(found)).max() < 1e-12
    np.testing.assert_allclose(absent.static(w.past)[:, 0, 0], w.past[:, -1])


def test_other_pasts_end_where_the_target_is_and_are_averaged_over(world):
    w = world.windows(6)
    model = TrajectoryAttributor(world.constant_velocity, absent_past="resample", n_resamples=5)
    model.fit(w)
    games = explaining.games_of(w, model._rules(), model.donors_, None, REAL)
    assert games.absent_past.shape == (len(w), 5, 8, 2)
    np.testing.assert_allclose(games.absent_past[:, :, -1], np.repeat(w.past[:, None, -1], 5, 1))
    value = Value(world.constant_velocity, "ade", 1)
    rows = np.arange(len(w))
    v = value(games, rows, np.zeros((len(w), 5), bool))
    expected = np.zeros(len(w))
    for d in range(5):
        past = games.absent_past[:, d]
        guess = world.constant_velocity(past, None, None, 1, None)
        expected += metrics.ade(guess, w.future) / 5
    np.testing.assert_allclose(v, -expected, atol=1e-12)
    one = explained(world.constant_velocity, w, absent_past="random", metric="ade")
    assert np.abs(phi(one).xs(PAST, level="player")).min() > 0


@pytest.mark.parametrize("absent_past", ["static", "resample"])
def test_what_a_network_computes_once_is_right_for_each_way_of_an_absent_past(world, absent_past):
    w = world.windows(6, stride=30)
    how = {"absent_past": absent_past, "n_resamples": 3}
    model = TrajectoryAttributor("attention", max_epochs=1, n_samples=2, **how).fit(w)
    games = explaining.games_of(w, model._rules(), model.donors_, None, REAL)
    n = w.present.shape[1] + 1
    members = np.tile([[True] * n, [False] * n, [True] + [False] * (n - 1)], (len(w), 1))
    rows = np.repeat(np.arange(len(w)), 3)
    fast, plain = (
        Value(model.predictor_, "minade", 2, hooks=hooks)(games, rows, members)
        for hooks in (True, False)
    )
    np.testing.assert_allclose(fast, plain, atol=1e-5)
    own = metrics.minade(model.predict(w, n_samples=2), w.future)
    np.testing.assert_allclose(plain[::3], -own, atol=1e-5)  # with all cues nothing is averaged


def test_an_absent_neighbor_may_be_replaced_by_a_random_one(world):
    w = world.windows(6)
    found = explained(world.pulled, w, absent_neighbor="random", null="none")
    gone = explained(world.pulled, w, null="none")
    t, g = found.targets, gone.targets
    np.testing.assert_allclose(t["error_all"], g["error_all"], atol=1e-12)
    assert (t["error_past"] - g["error_past"]).abs().max() > 1e-3


def test_neighbors_may_play_as_kinds_or_as_one(world):
    w = world.windows(2)
    kinds = np.where(np.arange(w.present.shape[1]) % 2, 1, 0)
    w = replace(w, kinds=("a", "b"), neighbor_kind=np.where(w.present, kinds, -1).astype(np.int32))
    by_kind = explained(world.pulled, w, players="kind")
    names = set(by_kind.local.loc[by_kind.local["game"] == REAL, "player"])
    assert names == {PAST, "a", "b"}
    one = explained(world.pulled, w, players="all")
    together = one.scores()
    np.testing.assert_allclose(together["interaction"], together["neighbors"], atol=1e-12)


def test_the_random_neighbor_may_be_one_more_player(world):
    w = world.windows(6)
    found = explained(world.copycat, w, null_mode="extra", metric="ade")
    extra = found.local[found.local["player"] == STRANGER]
    assert len(extra) == len(w) and set(found.local["game"]) == {REAL}
    assert extra["phi"].abs().max() < 1e-9
    assert found.scores()["random"].abs().max() < 1e-9


@pytest.mark.parametrize("players", ["each", "kind", "all"])
def test_one_more_player_is_apart_and_does_not_count_among_all_neighbors(world, players):
    w = world.windows(6, stride=20)
    how = {"players": players, "n_samples": 2}
    alone = explained(world.pulled, w, null="none", **how)
    found = explained(world.pulled, w, null_mode="extra", **how)
    for name in ("error_none", "error_past", "error_neighbors", "error_all"):
        np.testing.assert_allclose(found.targets[name], alone.targets[name], atol=1e-12)
    assert (found.local["player"] == STRANGER).sum() == len(w)
    total = found.local.groupby("target")["phi"].sum()
    gap = found.targets["error_none"] - found.targets["error_stranger"]
    np.testing.assert_allclose(total, gap, atol=1e-12)
    assert (found.targets["error_stranger"] - found.targets["error_all"]).abs().max() > 1e-3
    assert "one random neighbour beside them brings" in found.verdict()
    back = type(found).from_frame(found.to_frame())
    np.testing.assert_array_equal(back.targets["error_stranger"], found.targets["error_stranger"])


def test_the_likelihood_can_be_what_is_explained(world):
    w = world.windows(3)
    found = explained("kalman", w, metric="nll")
    density = found.targets["error_all"]
    model = TrajectoryAttributor("kalman").fit(w)
    np.testing.assert_allclose(density, -model.predictor_.density(w.cues(), w.future, 6.0))
    assert found.unit == "nats" and found.value("interaction")[0] == 0

    class Sure:
        def predict(self, cues, *, n_samples, n_steps, seeds):
            return np.zeros((len(cues), 1, n_steps, 2))

        def density(self, cues, future, clamp):
            return np.full(len(cues), clamp)

    assert (explained(Sure(), w, metric="nll").targets["error_all"] == -6.0).all()


def test_the_paper_s_setting_is_a_banzhaf_value_of_ten_coalitions(world):
    model = TrajectoryAttributor.from_paper(predictor=world.pulled, n_samples=2)
    assert model.index == "banzhaf" and model.n_permutations == 10 and model.radius == 3.0
    w = world.windows(3)
    found = model.fit(w).explain(w)
    total = found.local.groupby("target")["phi"].sum()
    gap = (total - (found.targets["error_none"] - found.targets["error_all"])).abs()
    assert gap.max() > 1e-3  # it does not add up


def test_a_target_alone_among_others_has_no_game_of_random_neighbors_and_no_gain(world):
    xy = world.walkers(0, n_agents=3).to_frame()
    far = xy[xy["agent"] == 2].index
    xy.loc[far, ["x", "y"]] += 500.0  # nobody near
    frames = [xy.assign(scene=f"s{k}") for k in range(4)]
    w = cut(Tracks.read(pd.concat(frames), seconds_per_frame=0.4), radius=50.0, stride=8)
    alone = w.agent == 2
    assert (w.present.any(1) == ~alone).all()
    found = explained(world.pulled, w, n_samples=2, null="random_neighbor")
    rows = found.local[found.local["target"].isin(np.flatnonzero(alone))]
    assert set(rows["game"]) == {REAL} and set(rows["player"]) == {PAST}
    scores = found.scores()
    for name in ("interaction", "corrected", "neighbors", "neighbors_random",
                 "neighbors_beyond_random", "removal"):  # fmt: skip
        assert (scores.loc[alone, name] == 0).all(), name
        assert (scores.loc[~alone, name] != 0).any(), name


def test_the_distance_of_a_neighbor_is_that_of_now(world):
    w = world.windows(1)
    found = explained(world.constant_velocity, w, null="none")
    for t in (0, len(w) - 1):
        far = np.linalg.norm(w.neighbors[t, :, -1] - w.past[t, -1], axis=-1)
        names = w.neighbor_agent[t].astype(str)
        here = found.local[found.local["target"] == t].set_index("player")["distance"]
        np.testing.assert_allclose(here[list(names[w.present[t]])], far[w.present[t]])


def test_where_no_random_one_is_to_be_had_an_absent_neighbor_is_gone(world):
    w = cut(world.walkers(0))  # one short scene: nobody is far enough away in time
    swapped = explained(world.pulled, w, absent_neighbor="random", null="none")
    gone = explained(world.pulled, w, null="none")
    np.testing.assert_array_equal(phi(swapped), phi(gone))


def test_the_random_neighbor_that_is_a_player_is_of_the_nearest_one_s_kind(world):
    w = world.windows(6, stride=20)
    kinds = np.where(np.arange(w.present.shape[1]) % 2, 0, 1)
    w = replace(w, kinds=("a", "b"), neighbor_kind=np.where(w.present, kinds, -1).astype(np.int32))
    found = explained(world.constant_velocity, w, null_mode="extra")
    assert set(found.local.loc[found.local["player"] == STRANGER, "kind"]) == {"b"}


def test_the_substitute_of_an_absent_neighbor_is_not_the_random_one_of_the_null_game(world):
    w = world.windows(6, stride=20)
    model = TrajectoryAttributor(world.pulled, absent_neighbor="random").fit(w)
    rules, donors = model._rules(), model.donors_
    null = explaining.games_of(w, rules, donors, None, explaining.RANDOM)
    same = null.cues.neighbors == null.absent_neighbors
    assert same.all((2, 3)).mean() < 0.1


def test_the_leader_of_a_follower_stands_out_from_those_who_take_its_seat(world):
    w = world.windows(6)
    w = w.take(w.agent == 1)
    found = explained(world.copycat, w, metric="ade", null_mode="swap")
    seat = found.local[found.local["game"] == explaining.RANDOM]
    leader = found.local[(found.local["game"] == REAL) & (found.local["player"] == "0")]
    assert seat["phi"].abs().max() < 1e-9 < 0.01 < leader["phi"].mean()
    best, low, _ = found.value("corrected")
    assert low > 0 and best == pytest.approx(leader["phi"].mean(), abs=1e-9)


def test_a_seat_for_which_nobody_is_to_be_had_stays_empty_and_corrects_nothing(world):
    w = cut(world.walkers(0))  # one short scene
    found = explained(world.pulled, w, null_mode="swap")
    assert set(found.local["game"]) == {REAL} and "corrected" not in found.scores()
    assert "no random neighbours were there" in found.verdict()
    w = world.windows(6, stride=20)
    model = TrajectoryAttributor(world.pulled, n_samples=1, null_mode="swap").fit(w)
    donors, kinds = model.donors_, np.where(np.arange(4) == 2, 1, 0)
    w = replace(w, kinds=("agent", "b"), neighbor_kind=np.tile(kinds, (len(w), 1)).astype(np.int32))
    value = Value(world.pulled, "minade", 1)
    local, targets = explaining.explain(w, value, model._rules(), donors)  # none of kind b
    names = local.loc[local["game"] == explaining.RANDOM, "player"]
    assert set(names) == {"random 1", "random 2", "random 4"}
    scores = Attribution(local, targets).scores()
    assert scores[["corrected", "each_beyond_random"]].isna().all(axis=None)


# --- what cannot be, and what is missing ----------------------------------------------------------


def test_a_target_without_neighbors_has_no_interaction(world):
    tracks = Tracks.from_arrays(np.random.default_rng(0).normal(size=(40, 1, 2)).cumsum(0),
                                seconds_per_step=1.0, max_speed=None)  # fmt: skip
    w = cut(tracks)
    found = explained(world.pulled, w, null="both")
    assert (found.targets["n_neighbors"] == 0).all() and set(found.local["player"]) == {PAST}
    assert found.value("interaction") == (0.0, 0.0, 0.0) or found.value("interaction")[0] == 0
    assert "No target had a neighbour" in found.verdict()


def wrong_shape(past, neighbors, present, n_samples, seeds):
    return np.zeros((len(past), 12, 2))


def not_numbers(past, neighbors, present, n_samples, seeds):
    return np.full((len(past), 1, 12, 2), np.nan)


def uneven(past, neighbors, present, n_samples, seeds):
    return np.zeros((len(past), n_samples if present.all() else 1, 12, 2))


def text(past, neighbors, present, n_samples, seeds):
    return "nonsense"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (wrong_shape, r"shape \(\d+, 12, 2\)"),
        (not_numbers, "NaN or infinite positions in"),
        (uneven, "samples in one call"),
        (text, "a str, which is no array"),
    ],
)
def test_a_function_that_answers_wrongly_is_told_so(world, function, said):
    w = world.windows(1)
    with pytest.raises(MakedoInputError, match=said):
        explained(function, w, n_samples=3)


def test_a_predictor_that_ignores_the_seeds_is_noticed_and_averaged(world):
    w = world.windows(2)
    rng = np.random.default_rng(0)

    def noisy(past, neighbors, present, n_samples, seeds):
        base = world.constant_velocity(past, neighbors, present, n_samples, seeds)
        return base + rng.normal(scale=0.1, size=(len(past), n_samples, 12, 2))

    spread = []
    for repeats in (1, 25):
        with pytest.warns(MakedoWarning, match="asked again with the same seeds"):
            found = explained(noisy, w, n_samples=5, n_repeats=repeats, metric="ade")
        assert not found.settings["common_noise"]
        spread.append(found.local.loc[found.local["player"] != PAST, "phi"].std())
    assert spread[1] < 0.4 * spread[0]


@pytest.mark.parametrize("null_mode", ["separate", "swap"])
def test_of_pure_noise_the_largest_value_is_above_zero_and_the_corrected_one_is_not(
    world, null_mode
):
    w = world.windows(12, stride=4)
    rng = np.random.default_rng(0)

    def noisy(past, neighbors, present, n_samples, seeds):
        base = world.constant_velocity(past, neighbors, present, n_samples, seeds)
        speed = np.linalg.norm(past[:, -1] - past[:, 0], axis=-1)[:, None, None, None]
        return base + 0.1 * (0.5 + speed) * rng.normal(size=(len(past), n_samples, 1, 2))

    with pytest.warns(MakedoWarning):
        found = explained(noisy, w, n_samples=2, null_mode=null_mode)
    assert found.value("interaction")[1] > 0
    mean, low, high = found.value("corrected")
    assert low < 0 < high
    mean, low, high = found.value("neighbors")
    assert low < 0 < high
    if null_mode == "swap":
        mean, low, high = found.value("each_beyond_random")
        assert low < 0 < high


def test_what_counts_as_a_target_and_a_neighbor_is_cut_as_asked(world):
    tracks = world.tracks(2, n_agents=6)
    names = {"max_neighbors": 2, "radius": 4.0, "n_past": 6, "n_future": 5, "stride": 3}
    model = TrajectoryAttributor("ridge", random_state=3, device="cpu", verbose=0, **names)
    w = model._windows(tracks)
    expected = cut(tracks, **names)
    np.testing.assert_array_equal(w.neighbors, expected.neighbors)
    assert w.past.shape[1:] == (6, 2) and w.future.shape[1:] == (5, 2)
    assert model.fit(tracks).predict(w).shape == (len(w), 5, 2)
    table = model.predict(tracks, n_samples=2)
    assert len(table) == len(w) * 2 * 5
    with pytest.raises(MakedoInputError, match="Tracks.read"):
        model.fit("data.csv")


def test_too_many_players_for_exact_values_are_refused_and_sampled_by_default(world):
    w = world.windows(1, stride=20, n_agents=13)
    assert w.present.sum(1).max() == 12
    with pytest.raises(MakedoInputError, match="13 players"):
        explained(world.pulled, w, estimator="exact")
    found = explained(world.pulled, w, n_permutations=4, null="none")
    assert (found.local["se"] > 0).any()


def test_kinds_are_known_by_name_and_not_by_number(world):
    frames = [world.walkers(s, scene=f"s{s}").to_frame() for s in range(4)]
    table = pd.concat(frames, ignore_index=True)
    table["kind"] = np.where(table["agent"] < 2, "cyclist", "walker")
    both = cut(Tracks.read(table, seconds_per_frame=0.4), stride=8, targets=["walker"])
    model = TrajectoryAttributor("ridge_social", n_samples=1, n_past=8).fit(both)
    walkers = table[table["kind"] == "walker"]
    only = cut(Tracks.read(walkers, seconds_per_frame=0.4), stride=8)
    assert only.kinds == ("walker",) and both.kinds == ("cyclist", "walker")
    recoded = only.as_learnt(both.kinds, 0.4, 8)
    assert (recoded.kind == 1).all() and (recoded.neighbor_kind[recoded.present] == 1).all()
    assert (recoded.neighbor_kind[~recoded.present] == -1).all()
    np.testing.assert_array_equal(
        model.predict(only), model.predictor_.predict(recoded.cues())[:, 0]
    )
    assert (model.explain(only).local["kind"] == "walker").all()
    robots = replace(only, kinds=("robot",))
    with pytest.raises(MakedoInputError, match="a kind that fit has not seen \\('robot'\\)"):
        model.explain(robots)


def test_tracks_of_another_rate_or_length_than_those_of_the_fit_are_refused(world):
    w = world.windows(3)
    model = TrajectoryAttributor("ridge", n_samples=1).fit(w)
    slow = replace(w, seconds_per_step=0.5)
    for use in (model.explain, model.predict, model.evaluate, model.report):
        with pytest.raises(MakedoInputError, match="fit has seen steps of 0.4 s"):
            use(slow)
    model.explain(replace(w, seconds_per_step=0.41))  # clocks differ a little
    with pytest.raises(MakedoInputError, match="pasts of 6 steps"):
        model.explain(cut(world.tracks(2), n_past=6))
    model.fit(slow)  # a new fit may be of anything


def test_a_tolerance_for_an_estimator_that_cannot_stop_is_refused(world):
    with pytest.raises(MakedoInputError, match="kernel"):
        explained(world.pulled, world.windows(1), estimator="kernel", tolerance=0.1)


def test_one_short_scene_has_no_donors_and_says_so(world):
    w = cut(world.walkers(0))
    with pytest.raises(MakedoInputError, match="absent_past='random'"):
        explained(world.constant_velocity, w, absent_past="random")
    found = explained(world.pulled, w)
    assert found.scores()["corrected"].isna().all()


def test_the_past_of_constant_velocity_saves_the_misses_of_standing_still(world):
    w = world.windows(3)
    found = TrajectoryAttributor(world.constant_velocity, metric="miss", n_samples=1).fit(w)
    explained = found.explain(w)
    last = w.past[:, -1] + 12 * (w.past[:, -1] - w.past[:, -2])
    missed, missed_standing = (
        np.linalg.norm(end - w.future[:, -1], axis=1) > 2 for end in (last, w.past[:, -1])
    )
    saved = missed_standing.astype(float) - missed
    local = explained.local[explained.local["game"] == "real"]
    of_past = local["player"] == "past"
    assert 0.2 < missed.mean() < missed_standing.mean()
    assert local.loc[of_past, "phi"].to_numpy() == pytest.approx(saved)
    assert (local.loc[~of_past, "phi"] == 0).all()
    assert f"the past brings {saved.mean():.3f} misses a target" in explained.verdict()
