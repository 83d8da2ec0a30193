"""The network: its hooks, what it must not depend on, and that it learns who follows whom."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from makedo.core.checks import MakedoInputError
from makedo.core.persistence import pack, unpack
from makedo.data.tracks import Tracks
from makedo.data.windows import Cues, cut
from makedo.methods.trajectory.attention import AttentionNet, AttentionPredictor
from makedo.methods.trajectory.local_frame import LocalFrame
from makedo.methods.trajectory.metrics import ade, minade
from makedo.methods.trajectory.networks import _Lesson, gaussian_log_density
from makedo.methods.trajectory.predictors import ConstantVelocity, LinearRidge, Static

SMALL = {"hidden": 16, "n_heads": 2, "n_train_samples": 5, "device": "cpu", "dropout": 0.0}


def scene(seed=0, n_steps=120):
    """A wanderer, one who copies its steps two steps later, and two who do as they like."""
    rng = np.random.default_rng(seed)
    steps = np.zeros((n_steps, 4, 2))
    wander = np.zeros((4, 2))
    for t in range(n_steps):
        wander = 0.8 * wander + rng.normal(scale=0.3, size=(4, 2))
        steps[t] = wander
        if t >= 2:
            steps[t, 1] = steps[t - 2, 0]
    places = steps.cumsum(0)
    places[:, 1] = places[:, 0] - steps[:, 0] - np.roll(steps[:, 0], 1, axis=0) + [0.5, 0.5]
    places[:2, 1] = np.nan
    places[:, 2:] -= places[:, 2:] - places[:, :1] - rng.normal(scale=3, size=(n_steps, 2, 2))
    return places


@pytest.fixture(scope="module")
def windows():
    xy = np.random.default_rng(0).normal(scale=0.3, size=(100, 5, 2)).cumsum(0)
    xy[:40, 4] = np.nan  # comes late
    return cut(Tracks.from_arrays(xy, seconds_per_step=0.4), radius=3.0)


@pytest.fixture(scope="module")
def model(windows):
    return AttentionPredictor(**SMALL, max_epochs=2, batch_size=64).fit(windows)


def test_coalitions_through_the_hooks_are_single_calls(model, windows):
    some, rng = windows.take(slice(0, 6)), np.random.default_rng(0)
    cues, seeds = some.cues(), some.seeds()
    rows = np.repeat(np.arange(6), 8)
    present = cues.present[rows] & (rng.random((48, cues.present.shape[1])) < 0.5)
    encoded = model.encode(cues)
    for n in (1, 20):
        together = model.decode(encoded, rows, present, n_samples=n, seeds=seeds[rows])
        for i in range(0, 48, 5):
            alone = replace(cues.take([rows[i]]), present=present[[i]])
            one = model.predict(alone, n_samples=n, seeds=seeds[[rows[i]]])
            assert together[i] == pytest.approx(one[0], abs=1e-5)


def test_who_is_absent_has_no_part(model, windows):
    cues, seeds = windows.cues(), windows.seeds()
    one = model.predict(cues, n_samples=20, seeds=seeds)
    wild = np.where(cues.present[..., None, None], cues.neighbors, 1e3)
    assert np.array_equal(
        model.predict(replace(cues, neighbors=wild), n_samples=20, seeds=seeds), one
    )
    more = Cues(
        cues.past, np.concatenate([cues.neighbors, cues.neighbors[:, :1]], 1),
        np.pad(cues.present, ((0, 0), (0, 1))), cues.kind,
        np.concatenate([cues.neighbor_kind, cues.neighbor_kind[:, :1]], 1), 0.4,
    )  # fmt: skip
    assert model.predict(more, n_samples=20, seeds=seeds) == pytest.approx(one, abs=1e-5)
    nobody = model.predict(cues.alone())
    assert np.isfinite(nobody).all() and not np.allclose(nobody, model.predict(cues))


def test_the_order_of_neighbours_does_not_matter(model, windows):
    cues = windows.cues()
    order = np.random.default_rng(0).permutation(cues.present.shape[1])
    other = replace(
        cues, neighbors=cues.neighbors[:, order], present=cues.present[:, order],
        neighbor_kind=cues.neighbor_kind[:, order],
    )  # fmt: skip
    assert model.predict(other) == pytest.approx(model.predict(cues), abs=1e-5)


def test_predictions_turn_and_move_with_the_scene(model, windows):
    c, s = np.cos(1.0), np.sin(1.0)
    turn, shift = np.array([[c, s], [-s, c]]), np.array([100.0, -50.0])
    cues, seeds = windows.cues(), windows.seeds()
    other = replace(cues, past=cues.past @ turn + shift, neighbors=cues.neighbors @ turn + shift)
    for n in (1, 20):
        one, two = (m.predict(c, n_samples=n, seeds=seeds) for m, c in (
            (model, cues), (model, other)))  # fmt: skip
        assert two == pytest.approx(one @ turn + shift, abs=1e-3)


def test_rows_of_one_seed_get_the_same_draws(model, windows):
    row = windows.take([3, 3]).cues()
    same = model.predict(row, n_samples=20, seeds=np.array([5, 5], np.uint64))
    other = model.predict(row, n_samples=20, seeds=np.array([5, 6], np.uint64))
    # Products of matrices round a row by its place in the call.
    assert same[0] == pytest.approx(same[1], abs=1e-6) and not np.allclose(other[0], other[1])
    assert np.array_equal(other, model.predict(row, n_samples=20, seeds=np.array([5, 6])))


def test_the_best_of_many_samples_is_nearer_than_one_guess(windows):
    settings = {**SMALL, "learning_rate": 5e-3, "max_epochs": 15, "batch_size": 32}
    model, cues = AttentionPredictor(**settings).fit(windows), windows.cues()
    many = model.predict(cues, n_samples=20, seeds=windows.seeds())
    one = model.predict(cues)
    assert minade(many, windows.future).mean() < 0.8 * ade(one, windows.future).mean()


def test_the_density_is_that_of_scipy(model, windows):
    some = windows.take(slice(0, 3))
    found = model.density(some.cues(), some.future)
    encoded = model.encode(some.cues())
    with torch.inference_mode():
        c = model._context(encoded.net, torch.from_numpy(some.present))
        sigma, rho = (t.numpy().astype(float) for t in model.net_.decode_spread(c))
    mean = model.predict(some.cues())[:, 0]
    frame = encoded.frame
    left = frame.enter(some.future) - frame.enter(mean)
    for b in range(3):
        logs = []
        for t in range(12):
            s = sigma[b, t] * model.scale_
            off = rho[b, t] * s.prod()
            cov = np.array([[s[0] ** 2, off], [off, s[1] ** 2]])
            logs.append(multivariate_normal([0, 0], cov).logpdf(left[b, t]))
        assert found[b] == pytest.approx(np.mean(logs), abs=1e-3)
    assert (model.density(some.cues(), some.future, clamp=-5.0) <= -5).all()


def test_a_correlated_gaussian_by_hand():
    left, sigma, rho = torch.tensor([0.3, -0.2]), torch.tensor([0.5, 0.4]), torch.tensor(0.6)
    cov = [[0.25, 0.12], [0.12, 0.16]]
    wanted = multivariate_normal([0, 0], cov).logpdf([0.3, -0.2])
    assert float(gaussian_log_density(left, sigma, rho)) == pytest.approx(wanted, rel=1e-5)


def test_with_nobody_present_attention_gives_zero_not_nan():
    net = AttentionNet(4, 3, 5, 8, 2, 0.0)
    encoded = net.encode(torch.randn(2, 4), torch.randn(2, 3, 3))
    nobody = torch.zeros(2, 3, dtype=torch.bool)
    found = net.fuse(encoded, nobody)
    zero = net.joined(torch.cat([torch.zeros(2, 8), encoded.own], 1))
    assert torch.equal(found, zero)


def test_without_neighbours_it_does_not_look_at_them(windows):
    model = AttentionPredictor(**SMALL, max_epochs=1, neighbors=False).fit(windows)
    cues = windows.cues()
    assert np.array_equal(model.predict(cues), model.predict(cues.alone()))


def test_it_learns_who_follows_whom():
    """The follower's next two steps are what its leader just did: only neighbours tell them."""
    train, test = (
        cut(Tracks.from_arrays(scene(seed, 600)[:, :2], seconds_per_step=0.4, max_speed=None),
            n_past=4, n_future=2)
        for seed in (1, 2)
    )  # fmt: skip
    train, test = (w.take(w.agent == 1) for w in (train, test))
    settings = {**SMALL, "hidden": 32, "zoom": 0.0, "neighbor_dropout": 0.1, "max_epochs": 25}
    errors = {}
    for neighbors in (False, True):
        model = AttentionPredictor(**settings, neighbors=neighbors, batch_size=64).fit(train)
        found = model.predict(test.cues(), n_steps=2)
        errors[neighbors] = ade(found, test.future).mean()
    linear = LinearRidge(social=True, alpha=0.1).fit(train).predict(test.cues(), n_steps=2)
    assert errors[True] < 0.6 * errors[False]
    assert errors[True] < ade(linear, test.future).mean()


def test_the_same_seed_gives_the_same_network_and_another_another(windows):
    cues = windows.cues()

    def trained(seed):
        settings = {**SMALL, "max_epochs": 1, "random_state": seed}
        return AttentionPredictor(**settings).fit(windows).predict(cues)

    assert np.array_equal(trained(0), trained(0)) and not np.allclose(trained(0), trained(1))


def test_an_interrupted_training_goes_on_where_it_stopped(windows, tmp_path):
    settings = {**SMALL, "max_epochs": 3, "batch_size": 64}
    whole = AttentionPredictor(**settings).fit(windows)
    import makedo.core.training as training

    old, training.CHECKPOINT_SECONDS = training.CHECKPOINT_SECONDS, -1.0
    try:
        AttentionPredictor(**settings).fit(
            windows, checkpoint_dir=tmp_path, on_step=lambda row: row["epoch"] == 1
        )
        again = AttentionPredictor(**settings).fit(windows, checkpoint_dir=tmp_path)
    finally:
        training.CHECKPOINT_SECONDS = old
    assert len(again.history_) == 3
    assert np.array_equal(again.predict(windows.cues()), whole.predict(windows.cues()))


def test_validation_windows_decide_which_epoch_is_kept(windows):
    valid = windows.take(slice(0, 50))
    model = AttentionPredictor(**SMALL, max_epochs=3).fit(windows, valid=valid)
    kept = ade(model.predict(valid.cues()), valid.future).mean()
    history = model.history_
    best = history.loc[history["score"].idxmax()]
    assert kept == pytest.approx(best["ade"], abs=1e-6)
    assert history["score"].to_numpy() == pytest.approx(-history["ade"] - history["minade20"])


def test_the_model_goes_through_its_state(model, windows):
    arrays, columns = {}, {}
    tree = pack(model, "p", arrays, columns)
    again = AttentionPredictor.from_state(unpack(tree, arrays, columns))
    cues, seeds = windows.cues(), windows.seeds()
    for n in (1, 20):
        one, two = (m.predict(cues, n_samples=n, seeds=seeds) for m in (model, again))
        assert np.array_equal(one, two)


def test_weights_have_the_names_of_models_that_were_saved_before(model):
    names = {name.rsplit(".", 1)[0] for name in model.net_.state_dict()}
    assert names == {
        "past.0", "past.3", "neighbor_in", "own_in", "neighbor.2", "asked", "offered", "score",
        "value", "joined.0", "joined.3", "from_latent", "sample.1", "sample.3", "best.1", "best.3",
        "spread.1", "spread.3",
    }  # fmt: skip


# --- what it reads, and the lesson ----------------------------------------------------------------


def test_features_of_a_neighbor_who_came_late_begin_where_it_was_first_seen(model, windows):
    cues = windows.cues()
    late = cues.present & np.isnan(cues.neighbors[:, :, 1, 0])
    row, slot = (place[0] for place in np.nonzero(late))
    frame = model._frame(cues)
    tensors = model._tensors(cues, frame)
    unseen = np.isnan(cues.neighbors[row, slot, :, 0])
    track = frame.enter(cues.neighbors)[row, slot] / model.scale_
    track[unseen] = track[~unseen][0]
    assert 2 <= unseen.sum() < 7
    assert tensors["neighbors"][row, slot].numpy() == pytest.approx(track, abs=1e-5)
    assert np.array_equal(tensors["seen"][row, slot].numpy(), ~unseen)
    features = model._features(tensors)[1][row, slot].numpy()
    steps = np.diff(track, axis=0).ravel() * 8
    metres = np.linalg.norm(cues.neighbors[row, slot, -1] - cues.past[row, -1])
    wanted = [*track.ravel(), *steps, *1.0 * ~unseen, 1 / (1 + metres)]
    assert features[: len(wanted)] == pytest.approx(wanted, abs=1e-5)


def test_in_a_lesson_neighbors_are_left_out_as_often_as_asked(model, windows, monkeypatch):
    cues, shown = windows.cues(), []
    monkeypatch.setattr(model.net_, "fuse", lambda encoded, present: shown.append(present))
    torch.manual_seed(0)
    for _ in range(20):
        model._lesson_context(model._tensors(cues, model._frame(cues)))
    shown = torch.stack(shown).numpy()
    assert not (shown & ~cues.present).any()
    assert shown[:, cues.present].mean() == pytest.approx(1 - 0.3, abs=0.02)


def test_a_lesson_is_mirrored_and_zoomed_as_a_whole(model, windows):
    lesson = _Lesson(model, windows)
    rows = torch.arange(len(windows))
    torch.manual_seed(0)
    cues, future = lesson._changed(lesson.cues, rows)
    factor = (future / lesson.future)[:, 0].numpy()  # (n, 2)
    assert (factor[:, 0] > 0).all() and 0.3 < (factor[:, 1] < 0).mean() < 0.7
    assert np.abs(factor[:, 1]) == pytest.approx(factor[:, 0], rel=1e-4)
    assert factor[:, 0].min() > 0.8 - 1e-4 and factor[:, 0].max() < 1.2 + 1e-4
    assert factor[:, 0].std() == pytest.approx(0.4 / np.sqrt(12), rel=0.2)
    for name in ("past", "neighbors"):
        whole = factor.reshape(len(rows), *(1,) * (cues[name].ndim - 2), 2)
        assert cues[name].numpy() == pytest.approx(lesson.cues[name].numpy() * whole, abs=1e-4)


def test_the_rate_rises_and_falls_and_no_step_is_longer_than_one(model, windows):
    lesson = _Lesson(model, windows)
    lesson.n_steps, rates = 200, []
    for _ in range(200):
        for weight in model.net_.parameters():
            weight.grad = torch.ones_like(weight)
        lesson._before_step()
        rates.append(lesson.optimizer.param_groups[0]["lr"] / model.learning_rate)
        length = sum(float(w.grad.square().sum()) for w in model.net_.parameters()) ** 0.5
        assert length == pytest.approx(1, abs=1e-3)
    cosine = (1 + np.cos(np.pi * np.arange(200) / 200)) / 2
    assert rates[4:] == pytest.approx(cosine[4:])
    assert rates[:4] == pytest.approx(cosine[:4] * np.arange(1, 5) / 5)
    model.net_.zero_grad()


def test_the_spread_is_learnt_and_pulls_at_nothing_that_others_share(model, windows):
    model, rows = copy.deepcopy(model), torch.arange(64)
    lesson, spread, gradients = _Lesson(model, windows), model.net_.spread, []
    before = model.density(windows.cues(), windows.future).mean()
    for shift in (0.0, 1.0):
        with torch.no_grad():
            spread[-1].bias.add_(shift)
        torch.manual_seed(0)
        model.net_.zero_grad()
        lesson.loss(rows).backward()
        gradients.append(
            [p.grad for name, p in model.net_.named_parameters() if not name.startswith("spread")]
        )
        with torch.no_grad():
            for weight in spread.parameters():
                weight.sub_(0.3 * weight.grad)
        if not shift:
            assert model.density(windows.cues(), windows.future).mean() > before + 1e-3
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


def test_the_middle_of_a_map_is_not_where_most_are(model, windows):
    crowd = windows.take(np.r_[np.arange(len(windows)), np.zeros(500, int)])
    other = AttentionPredictor(**SMALL)
    other._learn_sizes(crowd)
    assert other.middle_ == pytest.approx(model.middle_)
    other._learn_sizes(replace(windows, future=windows.future + [100.0, 0.0]))
    assert other.middle_ == pytest.approx(model.middle_ + [50, 0], abs=5)


def test_place_is_an_input_only_where_asked(windows):
    cues = windows.cues()
    moved = replace(cues, past=cues.past + 5, neighbors=cues.neighbors + 5)
    for place in (False, True):
        model = AttentionPredictor(**SMALL, place=place, zoom=0.0, max_epochs=1).fit(windows)
        same = np.allclose(model.predict(moved), model.predict(cues) + 5, atol=1e-3)
        assert same != place


@pytest.mark.parametrize("flip", [(-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
def test_a_mirrored_map_gives_mirrored_predictions_only_where_asked(windows, flip):
    cues, seeds = windows.cues(), windows.seeds()
    for mirror in (True, False):
        model = AttentionPredictor(**SMALL, place=True, mirror=mirror, max_epochs=1).fit(windows)

        def mirrored(xy, middle=model.middle_):
            return middle + (xy - middle) * flip

        other = replace(cues, past=mirrored(cues.past), neighbors=mirrored(cues.neighbors))
        for n in (1, 20):
            one, two = (model.predict(c, n_samples=n, seeds=seeds) for c in (cues, other))
            assert np.allclose(two, mirrored(one), atol=1e-4) == mirror


@pytest.mark.parametrize("place", [False, True])
def test_a_network_that_says_nothing_goes_on_or_with_place_stands_still(windows, place):
    model = AttentionPredictor(**SMALL, place=place, max_epochs=1).fit(windows)
    for head in (model.net_.best, model.net_.sample):
        torch.nn.init.zeros_(head[-1].weight)
        torch.nn.init.zeros_(head[-1].bias)
    simple, cues = Static() if place else ConstantVelocity(), windows.cues()
    for n in (1, 5):
        found = model.predict(cues, n_samples=n)
        assert found == pytest.approx(np.repeat(simple.predict(cues), n, axis=1), abs=1e-4)


def test_frames_that_turn_or_mirror_are_left_as_they_were_entered():
    rng = np.random.default_rng(0)
    past, xy = rng.normal(size=(20, 8, 2)), rng.normal(size=(20, 5, 3, 2))
    for frame in (LocalFrame.of(past), LocalFrame.of(past, turned=False, middle=np.zeros(2))):
        assert frame.leave(frame.enter(xy)) == pytest.approx(xy)
        some = np.array([3, 3, 7])
        assert frame.take(some).enter(xy[some]) == pytest.approx(frame.enter(xy)[some])
    inward = frame.enter(np.zeros((20, 1, 2)))  # the middle, from where each one stands
    assert (inward >= 0).all()


def test_what_cannot_be_is_refused(model, windows):
    cues = windows.cues()
    with pytest.raises(MakedoInputError, match="learnt 12 steps of the future"):
        model.predict(cues, n_steps=13)
    with pytest.raises(MakedoInputError, match="learnt from 8 steps of the past and got 6"):
        model.predict(replace(cues, past=cues.past[:, 2:], neighbors=cues.neighbors[:, :, 2:]))
    with pytest.raises(MakedoInputError, match="hidden must be a multiple of n_heads=3"):
        AttentionPredictor(hidden=16, n_heads=3).fit(windows)
    for name, value in {"zoom": 1.0, "neighbor_dropout": -0.1, "neighbors": 1}.items():
        with pytest.raises(MakedoInputError, match=f"parameter {name} must be"):
            AttentionPredictor(**{name: value}).fit(windows)
