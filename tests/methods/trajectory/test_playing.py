"""Games: who plays them under which draws, and what is told of them on the way."""

from dataclasses import replace

import numpy as np
import pytest

from makedo import TrajectoryAttributor
from makedo.core.checks import MakedoInputError
from makedo.core.progress import Progress
from makedo.data.windows import cut
from makedo.methods.trajectory import estimator, explaining, nulls
from makedo.methods.trajectory.explaining import OTHER_TIME, REAL
from makedo.methods.trajectory.playing import play
from makedo.methods.trajectory.value import Value


def games_and_rules(predictor, windows, **how):
    """The real games of a model that is fitted to them, and its rules."""
    model = TrajectoryAttributor(predictor, **({"null": "none"} | how)).fit(windows)
    rules = model._rules()
    return explaining.games_of(windows, rules, model.donors_, None, REAL), rules


# --- draws ----------------------------------------------------------------------------------------


def test_what_a_neighbor_brings_only_with_the_past_is_a_mean_over_draws(world):
    w = world.windows(2, stride=30)
    games, rules = games_and_rules(world.pulled, w)

    def with_past(seeds, n_repeats):
        value = Value(world.pulled, "minade", 2)
        played = play(replace(games, seeds=seeds), value, replace(rules, n_repeats=n_repeats))
        return played.with_past[:, 1:]

    each = [with_past(games.seeds + np.uint64(draw), 1) for draw in (0, 1)]
    np.testing.assert_allclose(with_past(games.seeds, 2), np.mean(each, axis=0), atol=1e-12)
    assert np.abs(each[0] - each[1]).min() > 0


def test_orders_are_drawn_anew_for_each_target(world):
    w = world.windows(1)

    def steady(past, neighbors, present, n_samples, seeds):
        return world.pulled(past, neighbors, present, n_samples, 0 * seeds)

    games, rules = games_and_rules(steady, w, estimator="permutation", n_permutations=2)
    games = replace(games.take(np.zeros(6, int)), seeds=np.array([0, 1, 2, 3, 4, 4], np.uint64))
    phi = play(games, Value(steady, "minade", 1), rules).phi
    assert len(np.unique(phi[:, 1])) == 5 and np.array_equal(phi[4], phi[5])


def test_another_random_state_has_other_samples_and_donors_and_the_same_one_the_same(
    world, monkeypatch
):
    w = world.windows(2, stride=30)
    monkeypatch.setattr(nulls, "MOST_DONORS", 20)
    models = [
        TrajectoryAttributor("kalman", n_samples=2, null="none", random_state=state).fit(w)
        for state in (0, 0, 1)
    ]
    for found in ([m.explain(w).local["phi"] for m in models],
                  [m.predict(w, n_samples=2) for m in models],
                  [m.donors_.past for m in models]):  # fmt: skip
        one, same, other = found
        assert np.array_equal(one, same) and not np.allclose(one, other)


# --- who is there ---------------------------------------------------------------------------------


def test_each_target_has_random_pasts_and_a_random_neighbor_of_its_own(world):
    w = world.windows(6, stride=20)
    how = {"absent_past": "resample", "null": "random_neighbor", "null_mode": "extra"}
    games, _ = games_and_rules(world.constant_velocity, w, **how)
    donors = TrajectoryAttributor(world.copycat).fit(w).donors_
    np.testing.assert_array_equal(games.absent_past, donors.pasts(w, w.seeds(), 10))
    beside = games.cues.neighbors[:, -1] - w.past[:, -1:]
    far = np.linalg.norm(beside[:, -1], axis=1).round(6)  # whichever way it was turned
    assert len(np.unique(far)) > 0.5 * len(w)


def test_kinds_are_numbered_in_each_target_and_stand_where_their_nearest_agent_does(world):
    w = world.windows(2, stride=20)
    kinds = np.tile([1, 0, 1, 0], (len(w), 1))
    kinds[0] = 1  # this one has nobody of kind a
    w = replace(w, kinds=("a", "b"), neighbor_kind=kinds.astype(np.int32))
    player = explaining.players_of(w.cues(), "kind")
    assert player[0].tolist() == [1, 1, 1, 1] and (player[1:] == [2, 1, 2, 1]).all()
    model = TrajectoryAttributor(world.copycat, n_samples=1, null="none", players="kind").fit(w)
    local = model.explain(w).local
    local = local[(local["target"] > 0) & (local["player"] != "past")]
    far = np.linalg.norm(w.neighbors[1:, :, -1] - w.past[1:, None, -1], axis=2)
    for kind, slot in (("a", 1), ("b", 0)):
        np.testing.assert_allclose(local.loc[local["kind"] == kind, "distance"], far[:, slot])


def test_of_another_time_only_those_within_the_radius_come(world):
    w = cut(world.tracks(1, n_steps=350), stride=20)
    model = TrajectoryAttributor(world.copycat, radius=6.0, absent_neighbor="other_time").fit(w)
    how = (w, model._rules(), model.donors_, nulls.OtherTimes(w))
    for tracks in (
        explaining.games_of(*how, OTHER_TIME).cues.neighbors,
        explaining.games_of(*how, REAL).absent_neighbors,
    ):
        far = np.linalg.norm(tracks[:, :, -1] - w.past[:, None, -1], axis=2)
        assert np.isfinite(far).any() and np.nanmax(far) <= 6.0


def test_a_past_that_is_averaged_over_others_must_have_them_all(world, monkeypatch):
    w = world.windows(2)
    monkeypatch.setattr(nulls, "TRIES", 1)  # each second donor is of the same scene
    with pytest.raises(MakedoInputError, match="absent_past='resample': for"):
        games_and_rules(world.constant_velocity, w, absent_past="resample")


@pytest.mark.parametrize("how", [{}, {"estimator": "permutation", "n_permutations": 2}])
def test_a_seat_that_stays_empty_changes_no_other_seat_s_value(world, how):
    w = cut(world.tracks(3), stride=20, radius=6.0)  # targets with more and fewer neighbours
    games, rules = games_and_rules(world.pulled, w, **how)
    strangers = TrajectoryAttributor(world.copycat).fit(w).donors_.neighbors(w, w.seeds())
    lacking = w.present & (np.random.default_rng(0).random(w.present.shape) < 0.3)
    fewer = np.where(lacking[..., None, None], np.nan, strangers)
    every, some = (
        play(games, Value(world.pulled, "minade", 2), rules, strangers=tracks).in_seats.phi[:, 1:]
        for tracks in (strangers, fewer)
    )
    np.testing.assert_allclose(some, np.where(lacking, np.nan, every), atol=1e-12)
    assert np.array_equal(np.isfinite(every), w.present) and lacking.sum() > 5


# --- what is told ---------------------------------------------------------------------------------


def test_the_table_says_how_many_neighbors_were_not_looked_at(world):
    w = cut(world.tracks(2, n_agents=5), stride=20, max_neighbors=2)
    found = TrajectoryAttributor(world.copycat, n_samples=1).fit(w).explain(w)
    assert found.targets["n_cut"].tolist() == w.n_cut.tolist() == [2] * len(w)


@pytest.mark.parametrize("null", ["random_neighbor", "none"])
def test_progress_ends_at_its_end(world, monkeypatch, null):
    made, w = [], world.windows(3)
    monkeypatch.setattr(estimator, "Progress", lambda *how: made.append(Progress(*how)) or made[-1])
    TrajectoryAttributor(world.copycat, n_samples=1, null=null).fit(w).explain(w)
    assert [(one.done, one.total) for one in made] == [(20, 20)]


def test_a_fit_to_another_predictor_forgets_the_one_that_was_trained(world):
    w = world.windows(2)
    model = TrajectoryAttributor("kalman", n_samples=1, null="none").fit(w)
    model.set_params(predictor=world.constant_velocity).fit(w)
    expected = world.constant_velocity(w.past, None, None, 1, None)
    np.testing.assert_array_equal(model.predict(w), expected[:, 0])
