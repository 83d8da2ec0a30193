"""The LSTM: what it must not depend on, what it learns, and that neighbours are worth nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from makedo.core.checks import MakedoInputError
from makedo.data.tracks import Tracks
from makedo.data.windows import cut
from makedo.methods.trajectory import LSTMPredictor, TrajectoryAttributor
from makedo.methods.trajectory.lstm import StepByStep
from makedo.methods.trajectory.metrics import ade, minade
from makedo.methods.trajectory.named import class_of, made
from makedo.methods.trajectory.predictors import ConstantVelocity, Static
from makedo.methods.trajectory.value import Value

SMALL = {"hidden": 16, "n_train_samples": 5, "device": "cpu", "dropout": 0.0, "batch_size": 64}


@pytest.fixture(scope="module")
def xy():
    places = np.random.default_rng(0).normal(scale=0.3, size=(60, 4, 2)).cumsum(0)
    places[:25, 3] = np.nan  # comes late
    return places


@pytest.fixture(scope="module")
def windows(xy):
    return cut(Tracks.from_arrays(xy, seconds_per_step=0.4), radius=3.0)


@pytest.fixture(scope="module")
def model(windows):
    return LSTMPredictor(**SMALL, max_epochs=2).fit(windows)


def circles(seed, n_agents=150, n_steps=20):
    """Agents on circles of their own, to the left or to the right."""
    rng = np.random.default_rng(seed)
    turn = rng.uniform(0.1, 0.3, n_agents) * rng.choice([-1, 1], n_agents)
    angle = rng.uniform(0, 2 * np.pi, n_agents) + turn * np.arange(n_steps)[:, None]
    steps = 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (n_steps, n_agents, 2)
    places = steps.cumsum(0) + rng.uniform(-50, 50, size=(n_agents, 2))
    return cut(Tracks.from_arrays(places, seconds_per_step=0.4), radius=0.1)


# --- what it sees ---------------------------------------------------------------------------------


def test_the_future_changes_no_input(model, xy):
    other = xy.copy()
    other[30:] += np.random.default_rng(1).normal(size=other[30:].shape)
    both = [cut(Tracks.from_arrays(p, seconds_per_step=0.4), radius=3.0) for p in (xy, other)]
    now, later = (w.take(w.frame == 29) for w in both)  # the last step that both share
    assert len(now) == 3 and not np.allclose(now.future, later.future)
    features = []
    for w in (now, later):
        cues = w.cues()
        features.append(model._features(model._tensors(cues, model._frame(cues)))[0])
    assert torch.equal(*features)
    for n in (1, 20):
        assert np.array_equal(*(
            model.predict(w.cues(), n_samples=n, seeds=w.seeds()) for w in (now, later)
        ))  # fmt: skip


def test_of_each_step_of_the_past_it_sees_where_it_led_and_the_step(model, windows):
    cues = windows.cues()
    frame = model._frame(cues)
    (features,) = model._features(model._tensors(cues, frame))
    past = frame.enter(cues.past) / model.scale_
    assert features[..., :2].numpy() == pytest.approx(past[:, 1:], abs=1e-5)
    assert features[..., 2:].numpy() == pytest.approx(8 * np.diff(past, axis=1), abs=1e-4)


def test_neighbours_change_nothing_and_are_worth_exactly_nothing(model, windows):
    some = windows.take(slice(None, None, 12))
    cues, seeds = some.cues(), some.seeds()
    assert cues.present.any()
    for n in (1, 20):
        one, two = (model.predict(c, n_samples=n, seeds=seeds) for c in (cues, cues.alone()))
        assert np.array_equal(one, two)
    for metric, k in (("minade", 20), ("ade", 1)):
        attributor = TrajectoryAttributor(model, metric=metric, n_samples=k, null="none")
        local = attributor.fit(windows).explain(some).local
        past = local["player"] == "past"
        assert (local.loc[~past, "phi"] == 0).all() and (~past).sum() > 10
        assert (local.loc[past, "phi"] != 0).all()


def test_coalitions_that_differ_by_neighbours_alone_are_computed_once(model, windows):
    some, rng = windows.take(slice(0, 6)), np.random.default_rng(0)
    cues, seeds = some.cues(), some.seeds()
    rows = rng.permutation(np.repeat(np.arange(6), 8))
    present = rng.random((48, cues.present.shape[1])) < 0.5
    asked, decode = [], model.net_.decode
    model.net_.decode = lambda c, z: asked.append(len(c)) or decode(c, z)
    try:
        found = model.decode(model.encode(cues), rows, present, n_samples=20, seeds=seeds[rows])
    finally:
        del model.net_.decode
    assert asked == [6]
    single = [model.predict(cues.take([i]), n_samples=20, seeds=seeds[[i]])[0] for i in range(6)]
    assert found == pytest.approx(np.array(single)[rows], abs=1e-5)
    other = model.decode(model.encode(cues), rows, present, n_samples=20, seeds=np.arange(48))
    assert len(np.unique(other[:, 0, 0, 0])) == 48  # each seed has its own draws


def test_values_do_not_depend_on_how_many_rows_a_call_has(model, windows, monkeypatch):
    some = windows.take(slice(0, 10))
    attributor = TrajectoryAttributor(model, n_samples=20, null="none").fit(windows)
    many = attributor.explain(some).local["phi"]
    monkeypatch.setattr(LSTMPredictor, "_rows", 3)
    assert attributor.explain(some).local["phi"].to_numpy() == pytest.approx(many, abs=1e-5)


# --- what it must not depend on -------------------------------------------------------------------


def test_predictions_turn_and_move_with_the_world(model, windows):
    c, s = np.cos(1.0), np.sin(1.0)
    turn, shift = np.array([[c, s], [-s, c]]), np.array([100.0, -50.0])
    cues, seeds = windows.cues(), windows.seeds()
    other = replace(cues, past=cues.past @ turn + shift)
    for n in (1, 20):
        one, two = (model.predict(c, n_samples=n, seeds=seeds) for c in (cues, other))
        assert two == pytest.approx(one @ turn + shift, abs=1e-5)


def test_place_is_an_input_only_where_asked(windows):
    cues = windows.cues()
    moved = replace(cues, past=cues.past + 5)
    for place in (False, True):
        model = LSTMPredictor(**SMALL, place=place, mirror=False, max_epochs=1).fit(windows)
        assert np.allclose(model.predict(moved), model.predict(cues) + 5, atol=1e-4) != place


def test_a_mirrored_map_gives_mirrored_predictions_where_asked(windows):
    cues, seeds = windows.cues(), windows.seeds()
    for mirror in (True, False):
        model = LSTMPredictor(**SMALL, place=True, mirror=mirror, max_epochs=1).fit(windows)

        def mirrored(xy, middle=model.middle_):
            return middle + (xy - middle) * [-1.0, 1.0]

        other = replace(cues, past=mirrored(cues.past))
        one, two = (model.predict(c, n_samples=20, seeds=seeds) for c in (cues, other))
        assert np.allclose(two, mirrored(one), atol=1e-4) == mirror


def test_in_another_unit_it_learns_and_predicts_the_same(windows):
    few = windows.take(slice(0, 40))
    feet = replace(few, past=few.past * 3.28, future=few.future * 3.28)
    one, two = (LSTMPredictor(**SMALL, max_epochs=1).fit(w).predict(w.cues()) for w in (few, feet))
    assert two / 3.28 == pytest.approx(one, abs=1e-4)


def test_the_same_seeds_give_the_same_bits_and_others_do_not(model, windows):
    row = windows.take([3, 3]).cues()
    same = model.predict(row, n_samples=20, seeds=[5, 5])
    other = model.predict(row, n_samples=20, seeds=[5, 6])
    assert np.array_equal(same[0], same[1]) and not np.allclose(other[0], other[1])
    assert np.array_equal(other, model.predict(row, n_samples=20, seeds=[5, 6]))
    cues = windows.cues()
    first, again, third = (
        LSTMPredictor(**SMALL, max_epochs=1, random_state=s).fit(windows).predict(cues)
        for s in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.allclose(first, third)


def test_a_row_among_others_is_the_row_alone(model, windows):
    cues, seeds = windows.cues(), windows.seeds()
    for n in (1, 20):
        together = model.predict(cues, n_samples=n, seeds=seeds)
        for i in range(0, len(cues), 15):
            alone = model.predict(cues.take([i]), n_samples=n, seeds=seeds[[i]])
            assert alone[0] == pytest.approx(together[i], abs=1e-5)


# --- what it learns -------------------------------------------------------------------------------


def test_it_learns_to_turn_which_constant_velocity_cannot():
    train, test = circles(0), circles(1)
    settings = {**SMALL, "hidden": 32, "learning_rate": 1e-2, "max_epochs": 50}
    model = LSTMPredictor(**settings, mirror=False, zoom=0.0).fit(train)
    straight = ade(ConstantVelocity().predict(test.cues()), test.future).mean()
    assert straight > 1.0
    assert ade(model.predict(test.cues()), test.future).mean() < 0.2 * straight
    many = model.predict(test.cues(), n_samples=20, seeds=test.seeds())
    assert minade(many, test.future).mean() < 0.2 * straight


def test_only_the_nearest_of_the_samples_is_learnt_from_with_the_gradient_of_all(model):
    torch.manual_seed(0)
    c, z, truth = torch.randn(7, 16), torch.randn(7, 5, 2), torch.randn(7, 12, 2)
    gradients = []
    for tried in (z, model._worth_trying(c, z, truth)):
        model.net_.zero_grad()
        each = (model.net_.decode(c, tried) - truth[:, None]).norm(dim=3).mean(2)
        loss = each.min(1).values.mean()
        loss.backward()
        gradients.append([loss, *(p.grad for p in model.net_.sample.parameters())])
    assert tried.shape == (7, 1, 2)
    for one, two in zip(*gradients, strict=True):
        assert torch.allclose(one, two, atol=1e-6)


def test_the_decoder_is_an_lstm_cell_taken_step_by_step():
    """The first three steps by the equations of an LSTM."""
    torch.manual_seed(0)
    decoder, c = StepByStep(4, 12), torch.randn(1, 4)
    steps = decoder.steps
    h, memory = decoder.start(c).chunk(2, dim=1)
    h, place, found = torch.tanh(h), torch.zeros(1, 2), decoder(c)
    for t in range(3):
        gates = (
            torch.tensor([[t / 11]]) @ steps.weight_ih_l0.T + steps.bias_ih_l0
            + h @ steps.weight_hh_l0.T + steps.bias_hh_l0
        )  # fmt: skip
        i, f, g, o = gates.chunk(4, dim=1)
        memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(memory)
        place = place + decoder.out(h)
        assert torch.allclose(found[:, t], place, atol=1e-5)


@pytest.mark.parametrize("place", [False, True])
def test_a_network_that_says_nothing_goes_on_or_with_place_stands_still(windows, place):
    model = LSTMPredictor(**SMALL, place=place, max_epochs=1).fit(windows)
    for decoder in (model.net_.best, model.net_.sample):
        torch.nn.init.zeros_(decoder.out.weight)
        torch.nn.init.zeros_(decoder.out.bias)
    simple, cues = Static() if place else ConstantVelocity(), windows.cues()
    for n in (1, 5):
        found = model.predict(cues, n_samples=n)
        assert found == pytest.approx(np.repeat(simple.predict(cues), n, axis=1), abs=1e-4)


# --- density --------------------------------------------------------------------------------------


def test_the_density_is_that_of_scipy(model, windows):
    some = windows.take(slice(0, 3))
    found = model.density(some.cues(), some.future)
    encoded = model.encode(some.cues())
    with torch.inference_mode():
        sigma, rho = (t.numpy().astype(float) for t in model.net_.decode_spread(encoded.net))
    mean = model.predict(some.cues())[:, 0]
    left = encoded.frame.enter(some.future) - encoded.frame.enter(mean)
    for b in range(3):
        logs = []
        for t in range(12):
            s = sigma[b, t] * model.scale_
            off = rho[b, t] * s.prod()
            cov = np.array([[s[0] ** 2, off], [off, s[1] ** 2]])
            logs.append(multivariate_normal([0, 0], cov).logpdf(left[b, t]))
        assert found[b] == pytest.approx(np.mean(logs), abs=1e-3)
    assert (model.density(some.cues(), some.future, clamp=-5.0) <= -5).all()


def test_the_density_of_the_first_step_integrates_to_one(model, windows):
    row = windows.take([0]).cues()
    centre = model.predict(row, n_steps=1)[0, 0, 0]
    grid = np.linspace(-4, 4, 161)
    places = centre + np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 1, 2)
    many = row.take(np.zeros(len(places), int))
    total = np.exp(model.density(many, places)).sum() * (grid[1] - grid[0]) ** 2
    assert total == pytest.approx(1, abs=0.01)


# --- what it is made of ---------------------------------------------------------------------------


def test_saved_and_loaded_is_the_same_alone_and_inside_an_attributor(model, windows, tmp_path):
    cues, seeds = windows.cues(), windows.seeds()
    model.save(tmp_path / "alone")
    again = LSTMPredictor.load(tmp_path / "alone")
    for n in (1, 20):
        one, two = (m.predict(cues, n_samples=n, seeds=seeds) for m in (model, again))
        assert np.array_equal(one, two)
    few = windows.take(slice(0, 5))
    attributor = TrajectoryAttributor("lstm", max_epochs=1, n_samples=4, device="cpu").fit(windows)
    attributor.save(tmp_path / "inside")
    loaded = TrajectoryAttributor.load(tmp_path / "inside")
    one, two = (a.explain(few).local["phi"] for a in (attributor, loaded))
    assert np.array_equal(one, two)
    assert class_of("lstm") is LSTMPredictor and made("lstm", max_epochs=3).max_epochs == 3


def test_it_shares_what_explanations_ask_of_a_network(model):
    assert Value(model).has_hooks


def test_validation_windows_decide_which_epoch_is_kept(windows):
    valid = windows.take(slice(0, 30))
    model = LSTMPredictor(**SMALL, max_epochs=3).fit(windows, valid=valid)
    kept = ade(model.predict(valid.cues()), valid.future).mean()
    best = model.history_.loc[model.history_["score"].idxmax()]
    assert kept == pytest.approx(best["ade"], abs=1e-6) and len(model.history_) == 3


def test_what_cannot_be_is_refused(model, windows):
    cues = windows.cues()
    with pytest.raises(MakedoInputError, match="LSTMPredictor has learnt 12 steps of the future"):
        model.predict(cues, n_steps=13)
    shorter = replace(cues, past=cues.past[:, 2:], neighbors=cues.neighbors[:, :, 2:])
    with pytest.raises(MakedoInputError, match="learnt from 8 steps of the past and got 6"):
        model.predict(shorter)
    for name, value in {"zoom": 1.0, "hidden": 2, "place": 1, "max_epochs": 0}.items():
        with pytest.raises(MakedoInputError, match=f"parameter {name} must be"):
            LSTMPredictor(**{name: value}).fit(windows)
