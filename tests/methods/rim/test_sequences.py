"""Sequence models: what they may look at, what they must learn, and that they come back alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import makedo
from makedo.core.checks import MakedoInputError
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim import RIM, RNN, Transformer
from makedo.methods.rim import sequence_networks as networks
from makedo.methods.rim.repeats import held_out
from makedo.methods.rim.sequence_examples import Examples, last_steps

KINDS = [RNN, Transformer]
SMALL = {"width": 16, "max_history": 8, "valid_share": 0.2, "max_epochs": 2, "device": "cpu"}
DAY = 86_400


def make_log(n_users=30, n_items=9, seed=0, n_times=40):
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), rng.integers(1, 25, n_users))
    item, time = rng.integers(0, n_items, len(user)), DAY * rng.integers(0, n_times, len(user))
    frame = pd.DataFrame({"user_id": user, "item_id": item, "timestamp": time})
    return InteractionLog.read(frame.drop_duplicates())


def walk_log(step, n_users, length, seed=0, n_items=5):
    """Users who each day go on from one item to the next, by ``step(items, rng)``."""
    rng = np.random.default_rng(seed)
    now, rows = rng.integers(0, n_items, n_users), []
    for day in range(length):
        rows.append(pd.DataFrame({"user_id": range(n_users), "item_id": now, "timestamp": day}))
        now = step(now, rng)
    return InteractionLog.read(pd.concat(rows).astype({"timestamp": "int64"}))


@pytest.fixture(scope="module")
def log():
    return make_log()


@pytest.fixture(scope="module")
def requests(log):
    return Requests.at(log, 30.0 * DAY)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def model(request, requests):
    return request.param(**SMALL).fit(requests, 7 * DAY)


# --- what a step may see --------------------------------------------------------------------------


def body(kind, **changes):
    model = kind(**{**SMALL, **changes})
    torch.manual_seed(0)
    share = torch.full((9,), -np.log(9.0))
    return networks.SequenceNetwork(share, model._body(), model.width, 0.5).eval()


def read(net, rows):
    """h (n, length, d) of rows of items, one a step."""
    tokens = torch.tensor(rows)
    return net(tokens.flatten(), torch.arange(tokens.numel()), tokens.shape).view(*tokens.shape, -1)


@pytest.mark.parametrize("post_norm", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_later_item_leaves_all_earlier_outputs_as_they_were_bit_for_bit(kind, post_norm):
    net = body(kind, **({"post_norm": post_norm} if kind is Transformer else {}))
    with torch.inference_mode():
        a = read(net, [[0, 3, 1, 4, 1, 5, 2, 6]])
        b = read(net, [[0, 3, 1, 4, 1, 9, 2, 6]])
    assert torch.equal(a[:, :5], b[:, :5])
    assert (a[:, 5:] != b[:, 5:]).any(2).all()


def test_other_histories_of_a_batch_and_their_padding_change_no_row(model, requests):
    whole = model.scores(requests).to_dense()
    for rows in ([3], [7, 3], range(10)):
        part = model.scores(requests.take(np.array(rows))).to_dense()
        np.testing.assert_allclose(part, whole[list(rows)], rtol=1e-5, atol=1e-6)


def test_what_happened_at_one_time_has_no_order_and_predicts_nothing_of_itself(log, requests):
    rng = np.random.default_rng(0)
    key = np.lexsort((rng.random(len(log)), log.time, log.user))
    mixed = InteractionLog.from_state({**log.to_state(), "item": log.item[key]})
    again = Requests(mixed, requests.user, requests.time)
    examples = Examples.of(requests, 8, 0.0)
    for name, one, other in zip(
        ("tokens", "begin"), last_steps(requests, 9, 8)[0], last_steps(again, 9, 8)[0], strict=False
    ):
        a, b = (one, other) if name == "begin" else (np.sort(one), np.sort(other))
        assert (a == b).all()
    for batch in examples.batches(rng, 4, 3):
        n = batch.steps.shape[1]
        steps = np.split(batch.steps.tokens, batch.steps.begin[1:])
        for row, target in zip(batch.rows, batch.targets, strict=True):
            if row % n and row + 1 in batch.rows and (row + 1) % n:
                assert set(target + 1) <= set(steps[row + 1])  # read only one step later


def brute_force_examples(requests, ahead):
    """(user, items before the step, items that it is asked for) of every step."""
    log, found = requests.log, []
    for user, begin, stop in zip(requests.user, requests.begin, requests.stop, strict=True):
        times, items = log.time[begin:stop], log.item[begin:stop]
        for t in np.unique(times):
            end = times == t if ahead <= 0 else (times >= t) & (times < t + ahead)
            found.append((user, sorted(items[times < t]), sorted(items[end])))
    return found


@pytest.mark.parametrize("ahead", [0.0, 1.0, 2.0 * DAY, 5.5 * DAY, 1e9])
def test_steps_are_asked_for_what_comes_within_the_window_and_before_the_cut_off(requests, ahead):
    examples = Examples.of(requests, 1000, ahead)
    expected = brute_force_examples(requests, ahead)
    assert len(examples.until) == len(expected)
    for step, (_, before, after) in enumerate(expected):
        window = examples.items[examples.first[step] : examples.until[step]]
        assert sorted(window) == after
        assert examples.opens[step] == (not before)


def test_all_that_comes_in_the_window_is_drawn_alike_often_and_nothing_else(requests):
    """A window of the model's own horizons; as many draws a step as it is told."""
    model = Transformer(**{**SMALL, "max_history": 100}, ahead=2.0, n_draws=400)
    model.horizon_, model.popularity_ = 3.0 * DAY, np.full(9, 1 / 9, np.float32)
    one = requests.take(np.flatnonzero(requests.lengths > 5)[:1])
    ((batch, _),) = model._batches(model._examples(one), np.random.default_rng(0))
    windows = [after for _, _, after in brute_force_examples(one, 6.0 * DAY)]
    assert batch.targets.shape == (len(windows), 400)
    for targets, window in zip(batch.targets, windows, strict=True):
        share = np.bincount(window, minlength=9) / len(window)
        np.testing.assert_allclose(np.bincount(targets, minlength=9) / 400, share, atol=0.09)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_reach_the_network_and_its_optimiser(kind):
    share = np.full(9, 1 / 9, np.float32)
    for name, least in (("adamw", 1e-8), ("adagrad", 1e-3)):
        model = kind(**SMALL, optimizer=name, learning_rate=0.5, weight_decay=0.25)
        model.popularity_ = share
        found = model._optimizer(model._fresh(torch.device("cpu")))
        assert type(found).__name__.lower() == name
        assert [found.defaults[n] for n in ("lr", "weight_decay", "eps")] == [0.5, 0.25, least]
    nets = []
    for seed in (0, 0, 1):
        model = kind(**SMALL, random_state=seed)
        model.popularity_ = share
        nets.append(model._fresh(torch.device("cpu")).embedding)
    assert torch.equal(nets[0], nets[1]) and not torch.equal(nets[0], nets[2])


def test_pieces_hold_every_step_once_and_the_last_of_a_user_is_full(requests):
    examples = Examples.of(requests, 4, 0.0)
    steps = np.concatenate(
        [np.arange(b, b + n) for b, n in zip(examples.begin, examples.length, strict=True)]
    )
    assert (np.sort(steps) == np.arange(len(examples.until))).all()
    ends = np.flatnonzero(np.r_[examples.opens[1:], True])
    for end in ends:
        piece = np.flatnonzero(examples.begin + examples.length == end + 1)
        whole = end - np.flatnonzero(examples.opens[: end + 1])[-1] + 1
        assert examples.length[piece] == min(whole, 4)


def test_an_answer_reads_the_last_steps_and_a_beginning_where_there_is_room(log, requests):
    for most in (1, 3, 100):
        steps, last = last_steps(requests, 9, most)
        rows = np.split(steps.tokens, steps.begin[1:])
        for i, (begin, stop) in enumerate(zip(requests.begin, requests.stop, strict=True)):
            times, items = log.time[begin:stop], log.item[begin:stop]
            whole = [[0], *(sorted(items[times == t] + 1) for t in np.unique(times))]
            got = rows[i * steps.shape[1] : last[i] + 1]
            assert [sorted(one) for one in got] == whole[-most:]


def changed_from(log, T, seed=1):
    """The log with other items and times from T on; before it all is the same."""
    rng = np.random.default_rng(seed)
    late = log.time >= T
    item, time = log.item.copy(), log.time.copy()
    item[late] = rng.integers(0, log.n_items, late.sum())
    time[late] += rng.integers(0, 2 * DAY, late.sum())
    order = np.lexsort((time, log.user))
    parts = {"user": log.user, "item": item, "time": time, "value": log.value}
    return InteractionLog.from_state(
        {**log.to_state(), **{name: part[order] for name, part in parts.items()}}
    )


@pytest.mark.parametrize("kind", KINDS)
def test_other_events_from_the_time_of_asking_on_change_no_score_and_no_weight(kind, log):
    """Also those at that very time: T is a time at which many did something."""
    T = 20.0 * DAY
    assert (log.time == T).sum() > 3
    other = changed_from(log, T)
    assert (other.item != log.item).any()
    found = []
    for one in (log, other):
        asked = Requests.at(one, T)
        model = kind(**SMALL).fit(asked, 7 * DAY)
        found.append((model.scores(asked).to_dense(), model.backoff_, model.history_["score"]))
    (a, *rest), (b, *others) = found
    assert (a == b).all() and rest[0] == others[0] and rest[1].equals(others[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_alone_reads_the_last_steps_and_no_earlier_ones(kind, log):
    model = kind(**SMALL, repeats=False).fit(Requests.at(log, 30.0 * DAY), 7 * DAY)
    asked = Requests.at(log, 40.0 * DAY)
    times = [np.unique(log.time[b:e]) for b, e in zip(asked.begin, asked.stop, strict=True)]
    ends = np.array([t[-8] if len(t) >= 8 else -1 for t in times])
    long = ends >= 0
    assert long.sum() > 5
    old = log.time < np.where(long, ends, 0)[log.user]
    item = np.where(old, (log.item + 4) % 9, log.item).astype(np.int32)
    assert old.sum() > 20
    again = InteractionLog.from_state({**log.to_state(), "item": item})
    a, b = (model.scores(Requests.at(one, 40.0 * DAY)).to_dense() for one in (log, again))
    assert (a == b).all()
    last = log.time == np.where(long, [t[-1] if len(t) else -1 for t in times], -1)[log.user]
    item = np.where(last, (log.item + 4) % 9, log.item).astype(np.int32)
    again = InteractionLog.from_state({**log.to_state(), "item": item})
    b = model.scores(Requests.at(again, 40.0 * DAY)).to_dense()
    assert (a[long] != b[long]).any(1).all()


def test_a_step_is_the_sum_of_its_embeddings_over_the_root_of_their_number():
    share = torch.zeros(5)
    net = networks.SequenceNetwork(share, torch.nn.Identity(), 3, 1.0)
    tokens, begin = torch.tensor([0, 2, 3, 5, 1]), torch.tensor([0, 1, 4, 5])
    h = net(tokens, begin, (2, 2))  # the last step of the second row is padding
    e = net.embedding.detach()
    expected = torch.stack([e[0], (e[2] + e[3] + e[5]) / 3**0.5, e[1], torch.zeros(3)])
    torch.testing.assert_close(h.detach(), expected)


@pytest.mark.parametrize("post_norm", [False, True])
def test_attention_knows_the_order_of_earlier_steps(post_norm):
    net = body(Transformer, post_norm=post_norm, n_layers=1)
    with torch.inference_mode():
        a, b = read(net, [[0, 3, 1, 4]]), read(net, [[0, 1, 3, 4]])
    assert (a[0, 3] - b[0, 3]).abs().max() > 1e-4


def test_without_blocks_attention_gives_embeddings_with_their_positions():
    x = torch.randn(2, 3, 4)
    after = networks.Attending(4, 0, 1, 8, 0.0, True, 5)
    torch.testing.assert_close(after(x), 2 * x + networks.sinusoids(5, 4)[:3])
    before = networks.Attending(4, 0, 1, 8, 0.0, False, 5)
    expected = torch.nn.functional.layer_norm(x + before.positions[:3], (4,))
    torch.testing.assert_close(before(x), expected)


def test_waves_are_those_of_the_formula():
    waves = networks.sinusoids(6, 5)
    for place in range(6):
        for i in range(5):
            angle = place / 10_000 ** (2 * (i // 2) / 5)
            expected = np.sin(angle) if i % 2 == 0 else np.cos(angle)
            assert waves[place, i] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_there_in_training_alone(kind, n_layers):
    for dropout, alike in ((0.0, True), (0.5, False)):
        net = body(kind, dropout=dropout, n_layers=n_layers)
        assert torch.equal(read(net, [[0, 3, 1]]), read(net, [[0, 3, 1]]))
        net.train()
        assert torch.equal(read(net, [[0, 3, 1]]), read(net, [[0, 3, 1]])) == alike


# --- chances --------------------------------------------------------------------------------------


def test_chances_of_a_row_sum_to_one_also_of_somebody_unknown(model, requests):
    nobody = Requests(requests.log, np.array([-1, 3], np.int32), np.array([5.0, 900.0 * DAY]))
    for asked in (requests, nobody):
        p = model.scores(asked).to_dense().astype(float)
        assert np.isfinite(p).all() and (p >= 0).all()
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)


def test_before_the_first_step_chances_are_popularity(requests):
    """Of embeddings at 0.02: what a log too small to teach anything leaves."""
    model = Transformer(**{**SMALL, "max_epochs": 1, "learning_rate": 1e-9, "repeats": False})
    model.fit(requests, 7 * DAY)
    p = model.scores(requests).to_dense()
    assert np.abs(p / model.popularity_ - 1).max() < 0.3


def test_an_item_that_training_did_not_see_has_no_chance(log):
    early = Requests.at(log.select(log.item != 4), 30.0 * DAY)  # nobody had it
    model = Transformer(**SMALL).fit(early, 7 * DAY)
    p = model.scores(early).to_dense()
    assert (p[:, 4] == 0).all()
    more = log.append(pd.DataFrame({"user_id": [3], "item_id": [99], "timestamp": [31 * DAY]}))
    scores = model.scores(Requests.at(more, 32.0 * DAY))
    assert scores.shape == (more.n_users, 9) and np.isfinite(scores.to_dense()).all()


def test_what_comes_after_the_cut_offs_changes_no_score(requests):
    past = Requests(requests.log.before(30.0 * DAY), requests.user, requests.time)
    a, b = (Transformer(**SMALL).fit(r, 7 * DAY).scores(r).to_dense() for r in (requests, past))
    assert (a == b).all()


# --- losses ---------------------------------------------------------------------------------------


def test_cross_entropy_in_chunks_has_the_slopes_of_the_plain_one(monkeypatch):
    monkeypatch.setattr(networks, "CHUNK", 14)  # two rows at a time
    rng = torch.Generator().manual_seed(0)
    h, items, term = (
        torch.randn(n, generator=rng, dtype=torch.float64, requires_grad=True)
        for n in ((5, 3), (7, 3), (7,))
    )
    assert torch.autograd.gradcheck(networks.LogSums.apply, (h, items, term))
    targets = torch.tensor([[0, 1], [2, 2], [3, 6], [5, 4], [1, 0]])
    plain = -(torch.log_softmax(h @ items.T + term, 1).gather(1, targets)).mean()
    assert torch.allclose(networks.cross_entropy(h, items, term, targets), plain)


def test_a_sampled_softmax_has_the_slope_of_the_full_one_in_the_mean():
    """Many draws by popularity; the logits are those of the full softmax less log share."""
    rng = torch.Generator().manual_seed(0)
    share = torch.softmax(torch.randn(50, generator=rng), 0)
    h = torch.randn(1, 4, generator=rng)
    items, bias = torch.randn(50, 4, generator=rng), torch.randn(50, generator=rng)
    targets = torch.tensor([[7]])
    slopes = []
    for n in (0, 200_000):
        x = h.clone().requires_grad_(True)
        if n:
            drawn = torch.multinomial(share, n, replacement=True, generator=rng)
            networks.sampled_cross_entropy(x, items, bias, targets, drawn).backward()
        else:
            networks.cross_entropy(x, items, bias + share.log(), targets).backward()
        slopes.append(x.grad)
    few = torch.tensor([3, 3, 9])  # the target is not among them, and is added
    s = (h @ items.T + bias)[0]
    found = networks.sampled_cross_entropy(h, items, bias, targets, few)
    assert torch.isclose(found, torch.logsumexp(s[[3, 3, 9, 7]], 0) - s[7], atol=1e-4)
    assert torch.allclose(*slopes, atol=0.03)


def test_items_are_drawn_by_popularity():
    model = Transformer(softmax="sampled")
    model.popularity_ = np.array([0.5, 0.0, 0.3, 0.2], np.float32)
    empty = Examples.of(Requests.at(make_log(), 0.0), 8, 0.0)
    assert not list(model._batches(empty, np.random.default_rng(0)))
    some = Examples.of(Requests.at(make_log(), 9e9), 8, 0.0)
    drawn = np.concatenate([d for _, d in model._batches(some, np.random.default_rng(0))])
    found = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(found, model.popularity_, atol=0.03)
    assert found[1] == 0


def test_many_items_are_sampled_and_few_are_not(monkeypatch, requests):
    from makedo.methods.rim import sequences

    for full, drawn in ((9, 0), (8, sequences.SAMPLED)):
        monkeypatch.setattr(sequences, "FULL", full)
        model = Transformer(**SMALL)
        model.horizon_, model.popularity_ = 1.0, np.full(9, 1 / 9, np.float32)
        batches = model._batches(model._examples(requests), np.random.default_rng(0))
        assert all(len(one) == drawn for _, one in batches)


# --- what is held out -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_of_an_epoch_is_what_answers_say_of_held_out_users(kind):
    """Mean log p of the next event at each time of theirs: training asks what using answers."""
    log = walk_log(lambda now, rng: (now + rng.integers(1, 3, len(now))) % 5, 40, 9)
    train = Requests.at(log, 9.0)
    model = kind(**{**SMALL, "max_history": 9, "max_epochs": 1}, ahead=0.0, repeats=False)
    model.fit(train, 1.0)
    held, _ = held_out(train, 0.2, 0)
    total = []
    for day in range(9):
        asked = Requests(log, held.user, np.full(len(held), float(day)))
        came = log.item[asked.stop]
        total.append(np.log(model.scores(asked).of_pairs(np.arange(len(held)), came)))
    assert model.history_["score"].iloc[0] == pytest.approx(np.mean(total), abs=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_users_teach_the_network_nothing(kind, log, requests):
    held, _ = held_out(requests, 0.2, 0)
    theirs = np.isin(log.user, held.user) & (log.time < 30 * DAY)
    item = log.item.copy()
    item[theirs] = np.random.default_rng(0).permutation(item[theirs])  # popularity stays
    again = InteractionLog.from_state({**log.to_state(), "item": item})
    settings = {**SMALL, "max_epochs": 1}
    a, b = (kind(**settings).fit(Requests.at(one, 30.0 * DAY), 7 * DAY) for one in (log, again))
    for x, y in zip(a.net_.parameters(), b.net_.parameters(), strict=True):
        assert torch.equal(x, y)
    assert a.history_["score"][0] != b.history_["score"][0]


def test_the_own_past_is_weighed_on_held_out_users_in_windows_of_the_horizon(monkeypatch, requests):
    from makedo.methods.rim import sequences

    seen = {}

    def spy(scores, held, horizon, rng):
        seen.update(held=held, horizon=horizon, sums=scores(held).to_dense().sum(1))
        return sequences.NO_PAST

    monkeypatch.setattr(sequences, "learn_own_past", spy)
    Transformer(**SMALL).fit(requests, 7 * DAY)
    held, _ = held_out(requests, 0.2, 0)
    assert (seen["held"].user == held.user).all() and seen["horizon"] == 7 * DAY
    np.testing.assert_allclose(seen["sums"], 1, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_users_to_hold_one_out_train_all_epochs_without_a_score(kind):
    log = make_log(3)
    model = kind(**{**SMALL, "valid_share": 0.1}).fit(Requests.at(log, 30.0 * DAY), 7 * DAY)
    assert len(model.history_) == 2 and np.isinf(model.backoff_)
    assert np.isfinite(model.scores(Requests.at(log, 30.0 * DAY)).to_dense()).all()


# --- what must be learnt --------------------------------------------------------------------------

QUICK = {"width": 32, "max_history": 30, "ahead": 0.0, "dropout": 0.0, "repeats": False,
         "n_draws": 1, "learning_rate": 1e-2, "device": "cpu", "batch_size": 32}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "softmax"), [(RNN, "full"), (Transformer, "auto"), (Transformer, "sampled")]
)
def test_a_cycle_of_five_is_learnt_exactly(kind, softmax):
    log = walk_log(lambda now, rng: (now + 1) % 5, 60, 12)
    model = kind(**QUICK, softmax=softmax, max_epochs=30).fit(Requests.at(log, 12.0), 1.0)
    for day in (3.0, 8.0, 12.0):
        asked = Requests.at(log, day)
        following = (log.item[asked.stop - 1] + 1) % 5
        assert (model.scores(asked).top_items(1).index[:, 0] == following).all()
        assert model.scores(asked).of_pairs(np.arange(60), following).min() > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_a_markov_chain_is_learnt_to_its_entropy_rate(kind):
    rng = np.random.default_rng(5)
    P = rng.dirichlet(np.full(5, 0.5), 5)
    cumulated = P.cumsum(1)

    def step(now, rng):
        return np.minimum((rng.random(len(now))[:, None] > cumulated[now]).sum(1), 4)

    model = kind(**QUICK, max_epochs=8).fit(Requests.at(walk_log(step, 300, 30), 30.0), 1.0)
    fresh = walk_log(step, 1500, 30, seed=9)
    asked = Requests.at(fresh, 29.0)  # the last step comes after it
    before, after = fresh.item[asked.stop - 1], fresh.item[asked.stop]
    found = -np.log(model.scores(asked).of_pairs(np.arange(1500), after)).mean()
    true = -np.log(P[before, after]).mean()  # of these steps: without the noise of which came
    values, vectors = np.linalg.eig(P.T)
    still = np.real(vectors[:, np.argmax(np.real(values))])
    rate = -(still / still.sum() * (P * np.log(P)).sum(1).T).sum()
    assert found - true < 0.02 * rate


def test_own_repeats_are_counted_where_people_repeat_and_left_out_where_they_do_not():
    rng = np.random.default_rng(0)
    own = rng.integers(0, 40, (200, 3))  # three things each
    time = DAY * np.arange(30)
    rows = [(u, own[u, rng.integers(3)], t) for u in range(200) for t in time]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    train = Requests.at(InteractionLog.read(frame), 30.0 * DAY)
    settings = {**SMALL, "max_epochs": 1}
    mixed = Transformer(**settings).fit(train, 7 * DAY)
    alone = Transformer(**settings, repeats=False).fit(train, 7 * DAY)
    assert np.isfinite(mixed.backoff_) and np.isinf(alone.backoff_)
    for model, least, most in ((mixed, 0.8, 1.0), (alone, 0.0, 0.4)):
        listed = model.scores(train).top_items(3).index
        hits = np.mean([np.isin(listed[u], own[u]).mean() for u in range(200)])
        assert least <= hits <= most
    once = frame.drop_duplicates(["user_id", "item_id"])
    train = Requests.at(InteractionLog.read(once), 30.0 * DAY)
    assert np.isinf(Transformer(**settings).fit(train, 7 * DAY).backoff_)


# --- in the estimator -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rnn", "transformer"])
def test_activity_changes_whom_an_item_is_for_but_no_list_of_items(log, name):
    plain, ours = (
        RIM(name, horizon=7 * DAY, intensity=rate, device="cpu", verbose=0).fit(log)
        for rate in ("constant", "ema")
    )
    columns = ["user_id", "item_id", "rank"]
    assert plain.recommend_items(top_k=5)[columns].equals(ours.recommend_items(top_k=5)[columns])
    a, b = (m.recommend_users([3], top_k=20)["user_id"].tolist() for m in (plain, ours))
    assert a != b


def test_a_saved_model_says_the_same(model, log, tmp_path):
    made = RIM(type(model)(**SMALL), horizon=7 * DAY).fit(log)
    made.save(tmp_path / "model")
    again = makedo.load(tmp_path / "model")
    for one in (made.recommend_items(top_k=4), made.recommend_users([1, 2], top_k=5)):
        other = again.recommend_items(top_k=4) if "rank" not in one.columns[:3] else None
        if "item_id" == one.columns[0]:
            other = again.recommend_users([1, 2], top_k=5)
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_other_events_is_not_gone_on_from(kind, log, requests, tmp_path):
    kind(**SMALL).fit(requests, 7 * DAY, checkpoint_dir=tmp_path)
    moved = InteractionLog.from_state({**log.to_state(), "time": log.time // 2})
    others = [Requests.at(changed_from(log, 29.0 * DAY), 30.0 * DAY), requests.take(range(29))]
    for other in (*others, Requests.at(moved, 15.0 * DAY)):
        with pytest.raises(MakedoInputError, match="state of another fit"):
            kind(**SMALL).fit(other, 7 * DAY, checkpoint_dir=tmp_path)
    with pytest.raises(MakedoInputError, match="state of another fit"):
        kind(**SMALL).fit(requests, 8 * DAY, checkpoint_dir=tmp_path)


def test_how_many_are_read_at_once_changes_no_answer(model, requests, monkeypatch):
    from makedo.methods.rim import sequences

    whole = model.scores(requests).to_dense()
    monkeypatch.setattr(sequences, "SCORED", 7)
    np.testing.assert_allclose(model.scores(requests).to_dense(), whole, rtol=1e-5, atol=1e-7)


def test_the_papers_setting_trains(requests):
    for kind in KINDS:
        model = kind.from_paper(max_epochs=1, max_history=8, device="cpu").fit(requests, 7 * DAY)
        assert model.width == 128 and model.optimizer == "adagrad" and model.ahead == 0
        assert np.isfinite(model.scores(requests).to_dense()).all()


def test_heads_must_divide_the_width(requests):
    with pytest.raises(MakedoInputError, match="n_heads .* width"):
        Transformer(10, n_heads=4).fit(requests)


def test_a_state_is_kept_in_a_folder(requests, tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(MakedoInputError, match="state is a file. The state is kept in a folder"):
        RNN(**SMALL).fit(requests, checkpoint_dir=tmp_path / "state")
