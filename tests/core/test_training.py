"""The training loop: phases, optimisers, early stop, best state, Ctrl-C, checkpoints."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import makedo.core.training as training_module
from makedo.core.checks import InterruptedWarning, MakedoInputError
from makedo.core.training import Phase, Training, Update, full_batch, history_frame, shuffled

X = torch.linspace(-1, 1, 24).reshape(12, 2)
Y = X.sum(1, keepdim=True)


def line(seed=0, dropout=0.3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 4), nn.Dropout(dropout), nn.BatchNorm1d(4), nn.Linear(4, 1))


def fit_line(net, name="line", optimizer=torch.optim.Adam, epochs=12, batch_size=5, **more):
    step = optimizer(net.parameters(), lr=0.05)
    loss = Update(step, lambda rows: (net(X[rows]) - Y[rows]).square().mean())
    return Phase(name, {"net": net}, [loss], epochs, shuffled(len(X), batch_size), **more)


def negative_error(net):
    return lambda: -float((net(X) - Y).square().mean())


@pytest.fixture(autouse=True)
def own_random_state():
    """Building the networks above seeds torch; that is the tests' doing, not the library's."""
    with torch.random.fork_rng():
        yield


@pytest.fixture
def always_write(monkeypatch):
    """State is written after every epoch, as if each took long."""
    monkeypatch.setattr(training_module, "CHECKPOINT_SECONDS", -1.0)


def weights(*nets):
    return torch.cat(
        [t.detach().double().flatten() for net in nets for t in net.state_dict().values()]
    )


def train(*phases, **more):
    with Training("Owner", random_state=3, **more) as training:
        done = [training.run(phase) for phase in phases]
    return training, done


# --- batches and steps ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1, 4, 7, 100])
def test_an_epoch_takes_every_row_once(size):
    batches = list(shuffled(7, size)(np.random.default_rng(0)))
    assert sorted(torch.cat(batches).tolist()) == list(range(7))
    assert max(map(len, batches)) <= (size or 7)


def test_full_batches_of_plain_descent_follow_the_formula():
    weight = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        weight.weight.fill_(5.0)
    step = torch.optim.SGD(weight.parameters(), lr=0.1)
    phase = Phase(
        "p", {"w": weight}, [Update(step, lambda _: weight.weight.square().sum())], 10, full_batch
    )
    training, _ = train(phase)
    assert weight.weight.item() == pytest.approx(5 * 0.8**10)
    assert [row["loss"] for row in training.history] == pytest.approx(
        [25 * 0.64**k for k in range(10)]
    )


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches():
    net = nn.Linear(2, 1)
    seen = []

    def loss(rows):
        value = (net(X[rows]) - Y[rows]).square().mean()
        seen.append(value.item())
        return value

    step = torch.optim.SGD(net.parameters(), lr=0.1)
    training, _ = train(Phase("p", {"n": net}, [Update(step, loss, "error")], 1, shuffled(12, 5)))
    assert len(seen) == 3 and training.history[0]["error"] == pytest.approx(np.mean(seen))


def test_two_adversaries_take_turns_and_each_moves_only_its_own_weights():
    """A mean against a linear critic: w' = (2 - m) - 2w, m' = w, which ends at m = 2, w = 0."""
    mean, critic = nn.Linear(1, 1), nn.Linear(1, 1, bias=False)
    one, order = torch.ones(1, 1), []

    def critic_loss(_):
        order.append("critic")
        return (critic(mean(one).detach()) - critic(2 * one)).sum() + critic.weight.square().sum()

    def mean_loss(_):
        order.append("mean")
        return -critic(mean(one)).sum()

    updates = [
        Update(torch.optim.SGD(critic.parameters(), lr=0.1), critic_loss, "critic"),
        Update(torch.optim.SGD([mean.bias], lr=0.1), mean_loss, "mean"),
    ]
    slope = mean.weight.item()
    training, _ = train(Phase("game", {"mean": mean, "critic": critic}, updates, 300))
    assert order == ["critic", "mean"] * 300
    assert set(training.history[0]) == {"phase", "epoch", "critic", "mean", "seconds"}
    assert mean.weight.item() == slope  # no optimizer holds it, though gradients reach it
    assert mean(one).item() == pytest.approx(2, abs=1e-3)
    assert critic.weight.item() == pytest.approx(0, abs=1e-3)


def test_two_optimizers_on_one_batch_equal_the_loop_by_hand():
    def build():
        a, b = line(0, 0.0), line(1, 0.0)
        steps = torch.optim.SGD(a.parameters(), lr=0.1), torch.optim.SGD(b.parameters(), lr=0.1)
        losses = (
            lambda _: (a(X) - b(X)).square().mean(),
            lambda _: (a(X) + b(X) - Y).square().mean(),
        )
        return a, b, steps, losses

    a, b, steps, losses = build()
    train(
        Phase(
            "pair", {"a": a, "b": b}, [Update(*pair) for pair in zip(steps, losses, strict=True)], 5
        )
    )
    c, d, steps, losses = build()
    for _ in range(5):
        for step, loss in zip(steps, losses, strict=True):
            for net in (c, d):
                net.train()
                net.zero_grad()
            loss(None).backward()
            step.step()
    assert torch.equal(weights(a, b), weights(c, d))


def test_a_loss_that_is_no_number_is_an_error_that_says_what_to_do():
    net = line()
    step = torch.optim.SGD(net.parameters(), lr=1e-3)
    phase = Phase("bad", {"n": net}, [Update(step, lambda _: net(X).sum() * float("nan"))], 3)
    with pytest.raises(
        MakedoInputError, match="'bad' diverged: loss is nan. Lower the learning rate"
    ):
        train(phase)


# --- validation ----------------------------------------------------------------------------------


def test_the_state_with_the_best_score_is_kept_and_left_in_eval_mode():
    net, states = line(), []
    scores = iter([0.1, 0.7, 0.3, 0.7, 0.2])

    def validate():
        assert not net.training and not torch.is_grad_enabled()
        states.append(weights(net))
        return next(scores)

    training, done = train(fit_line(net, epochs=5, validate=validate))
    assert done == [True] and not net.training
    assert torch.equal(weights(net), states[1])  # the first of two equal ones
    assert [row["score"] for row in training.history] == [0.1, 0.7, 0.3, 0.7, 0.2]


def test_training_stops_when_the_score_has_not_risen_for_a_while():
    scores = iter([1.0, 2.0] + [0.0] * 50)
    training, _ = train(fit_line(line(), epochs=50, validate=lambda: next(scores), patience=3))
    assert len(training.history) == 5  # best in epoch 1, then three without a better one


def test_without_validation_the_last_state_is_kept():
    net = line()
    training, _ = train(fit_line(net, epochs=4))
    again = line()
    seen = []
    train(fit_line(again, epochs=4), on_step=lambda row: seen.append(weights(again)) and None)
    assert torch.equal(weights(net), seen[-1]) and len(training.history) == 4 and not net.training


def test_further_figures_of_the_validation_stand_in_the_history():
    training, _ = train(
        fit_line(line(), epochs=2, validate=lambda: {"score": 1, "accuracy": torch.tensor(0.5)})
    )
    assert training.history[0]["accuracy"] == 0.5


def test_history_is_a_frame_with_a_row_per_phase_and_epoch():
    training, _ = train(fit_line(line(), "a", epochs=2), fit_line(line(), "b", epochs=3))
    frame = history_frame(training.history)
    assert frame["phase"].tolist() == ["a"] * 2 + ["b"] * 3
    assert frame["epoch"].tolist() == [0, 1, 0, 1, 2] and (frame["seconds"] > 0).all()
    assert history_frame([]).columns.tolist() == ["phase", "epoch", "loss", "seconds"]


# --- random numbers, threads ---------------------------------------------------------------------


def test_the_same_random_state_gives_the_same_weights_whatever_was_drawn_before():
    results = []
    for draws in (0, 100):
        net = line()
        torch.rand(draws)
        np.random.default_rng().random(3)
        train(fit_line(net))
        results.append(weights(net))
    other = line()
    with Training("Owner", random_state=4) as training:
        training.run(fit_line(other))
    assert torch.equal(*results) and not torch.equal(results[0], weights(other))


def test_a_phase_draws_the_same_numbers_whatever_ran_before_it():
    alone, after = line(), line()
    train(fit_line(alone, "second"))
    train(fit_line(line(), "first"), fit_line(after, "second"))
    assert torch.equal(weights(alone), weights(after))


def test_global_random_and_thread_state_is_left_alone():
    net = line()
    handler = signal.getsignal(signal.SIGINT)
    before = (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
        random.getstate(),  # noqa: NPY002
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )
    train(fit_line(net, validate=negative_error(net)))
    after = (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
        random.getstate(),  # noqa: NPY002
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )
    assert before == after and signal.getsignal(signal.SIGINT) is handler


def test_state_is_put_back_when_a_loss_raises():
    before, handler = torch.get_rng_state(), signal.getsignal(signal.SIGINT)
    net = nn.Linear(1, 1)
    step = torch.optim.SGD(net.parameters(), lr=0.1)
    before = torch.get_rng_state()

    def loss(_):
        torch.rand(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(Phase("p", {"n": net}, [Update(step, loss)], 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert signal.getsignal(signal.SIGINT) is handler


# --- stopping early ------------------------------------------------------------------------------


def test_on_step_sees_every_row_and_stops_the_training_when_it_returns_true():
    rows, first, second = [], line(), line()

    def on_step(row):
        rows.append(row)
        return row["epoch"] == 2

    training, done = train(fit_line(first, "a"), fit_line(second, "b"), on_step=on_step)
    assert done == [True, False] and training.stopped
    assert [row["epoch"] for row in rows] == [0, 1, 2] == [row["epoch"] for row in training.history]
    assert torch.equal(weights(second), weights(line()))  # untouched
    assert not first.training


def test_what_on_step_returns_besides_true_does_not_stop():
    training, _ = train(fit_line(line(), epochs=3), on_step=lambda row: None)
    assert len(training.history) == 3 and not training.stopped


def test_on_step_cannot_change_the_history():
    training, _ = train(fit_line(line(), epochs=2), on_step=lambda row: row.clear())
    assert training.history[0]["epoch"] == 0


def test_ctrl_c_finishes_the_epoch_and_keeps_the_best_state_with_a_warning():
    net, best = line(), []

    def on_step(row):
        if row["epoch"] == 3:
            signal.raise_signal(signal.SIGINT)

    scores = iter([0.0, 5.0, 1.0, 2.0, 9.0, 9.0])

    def validate():
        best.append(weights(net))
        return next(scores)

    with pytest.warns(
        InterruptedWarning, match=r"Owner: interrupted after 4 epochs; the best state"
    ) as caught:
        training, done = train(
            fit_line(net, "a", epochs=6, validate=validate), fit_line(line(), "b"), on_step=on_step
        )
    assert done == [True, False] and len(training.history) == 4
    assert torch.equal(weights(net), best[1])
    assert len(caught) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_somebody_else_stays_in_place():
    calls = []
    old = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        mine = signal.getsignal(signal.SIGINT)
        training, _ = train(
            fit_line(line(), epochs=3), on_step=lambda row: signal.raise_signal(signal.SIGINT)
        )
        assert calls == [1, 1, 1] and len(training.history) == 3
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, old)


def test_training_runs_in_another_thread():
    results = []
    worker = threading.Thread(target=lambda: results.append(train(fit_line(line(), epochs=2))[1]))
    worker.start()
    worker.join(60)
    assert results == [[True]]


# --- checkpoints ---------------------------------------------------------------------------------

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "fused adam": lambda p, lr: torch.optim.Adam(p, lr=lr, fused=True, weight_decay=1e-3),
    "adamw amsgrad": lambda p, lr: torch.optim.AdamW(p, lr=lr, amsgrad=True),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "plain": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}


class Killed(Exception):
    pass


def stop_at(phase, epoch):
    def on_step(row):
        if (row["phase"], row["epoch"]) == (phase, epoch):
            raise Killed

    return on_step


def two_phases(nets, optimizer=torch.optim.Adam):
    a, b = nets
    return (
        fit_line(a, "a", optimizer, validate=negative_error(a), patience=8),
        fit_line(b, "b", optimizer),
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    optimizer, tmp_path, always_write
):
    whole = line(0), line(1)
    train(*two_phases(whole, optimizer))
    for phase, epoch in [("a", 4), ("b", 0), ("b", 7)]:  # killed three times on its way
        with pytest.raises(Killed):
            train(
                *two_phases((line(0), line(1)), optimizer),
                checkpoint_dir=tmp_path,
                key="k",
                on_step=stop_at(phase, epoch),
            )
    resumed = line(0), line(1)
    rows = []
    training, _ = train(
        *two_phases(resumed, optimizer), checkpoint_dir=tmp_path, key="k", on_step=rows.append
    )
    assert torch.equal(weights(*whole), weights(*resumed))
    assert rows[0]["phase"] == "b" and rows[0]["epoch"] > 0  # it did not begin anew
    epochs = [(row["phase"], row["epoch"]) for row in training.history]
    assert epochs == [("a", e) for e in range(epochs.index(("b", 0)))] + [
        ("b", e) for e in range(12)
    ]
    seconds = [row["seconds"] for row in training.history if row["phase"] == "b"]
    assert seconds == sorted(seconds)


def test_a_finished_phase_that_is_resumed_is_in_eval_mode_like_one_just_trained(tmp_path):
    for _ in range(2):
        net = line()
        train(fit_line(net), checkpoint_dir=tmp_path, key="k")
        assert not net.training


def test_a_finished_training_is_read_back_without_a_step(tmp_path):
    first, again = line(), line()
    before, _ = train(fit_line(first), checkpoint_dir=tmp_path, key="k")
    after, done = train(
        fit_line(again),
        checkpoint_dir=tmp_path,
        key="k",
        on_step=lambda row: pytest.fail("trained"),
    )
    assert done == [True] and torch.equal(weights(first), weights(again))
    assert before.history == after.history


def test_two_adversaries_resume_too(tmp_path, always_write):
    def game():
        a, b = line(0), line(1)
        updates = [
            Update(
                torch.optim.Adam(a.parameters(), lr=0.01),
                lambda _: (a(X) - b(X)).square().mean(),
                "a",
            ),
            Update(
                torch.optim.SGD(b.parameters(), lr=0.01, momentum=0.5),
                lambda _: -a(X).mean() + b(X).square().mean(),
                "b",
            ),
        ]
        return (a, b), Phase("game", {"a": a, "b": b}, updates, 9)

    nets, phase = game()
    train(phase)
    with pytest.raises(Killed):
        train(game()[1], checkpoint_dir=tmp_path, key="k", on_step=stop_at("game", 5))
    resumed, phase = game()
    train(phase, checkpoint_dir=tmp_path, key="k")
    assert torch.equal(weights(*nets), weights(*resumed))


def test_the_state_of_another_fit_is_refused(tmp_path):
    train(fit_line(line()), checkpoint_dir=tmp_path, key="these data")
    with pytest.raises(
        MakedoInputError, match=r"state of another fit .*Use an empty checkpoint_dir"
    ):
        train(fit_line(line()), checkpoint_dir=tmp_path, key="other data")


@pytest.mark.parametrize("damage", ["cut", "text", "other safetensors", "no rows", "other shapes"])
def test_a_damaged_checkpoint_is_refused_in_a_sentence(damage, tmp_path):
    from safetensors.torch import load_file, save_file

    train(fit_line(line()), checkpoint_dir=tmp_path, key="k")
    path = tmp_path / "line.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "text":
        path.write_text("hello")
    elif damage == "other safetensors":
        save_file({"a": torch.zeros(1)}, path)
    elif damage == "no rows":
        save_file(load_file(path), path, metadata={"makedo": json.dumps({"key": "k"})})
    else:
        header = {"key": "k", "done": True, "rows": [], "best_epoch": 0, "best_score": 0}
        tensors = {name: torch.zeros(9) for name in load_file(path)}
        save_file(tensors, path, metadata={"makedo": json.dumps(header)})
    with pytest.raises(MakedoInputError, match="checkpoint"):
        train(fit_line(line()), checkpoint_dir=tmp_path, key="k")


def test_only_whole_checkpoints_are_ever_there(tmp_path, always_write):
    names = set()

    def on_step(row):
        names.update(p.name for p in tmp_path.iterdir())

    train(fit_line(line(), "part 1"), checkpoint_dir=tmp_path, key="k", on_step=on_step)
    assert names == {"part 1.safetensors"}


# --- real processes ------------------------------------------------------------------------------

SCRIPT = """
import sys, time
import torch
import makedo.core.training as t
sys.path.insert(0, sys.argv[1])
import test_training as test

t.CHECKPOINT_SECONDS = -1.0
nets = test.line(0), test.line(1)

def on_step(row):
    print(row["phase"], row["epoch"], flush=True)
    time.sleep(float(sys.argv[3]))

folder = None if sys.argv[2] == "none" else sys.argv[2]
training, done = test.train(*test.two_phases(nets), checkpoint_dir=folder, key="k", on_step=on_step)
print("done", done, len(training.history), *(w.hex() for w in test.weights(*nets).tolist()))
"""


def start(folder, pause):
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(folder), str(pause)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(process, text):
    for row in process.stdout:
        if row.startswith(text):
            return
    pytest.fail(process.stderr.read())


def test_a_process_killed_in_the_middle_resumes_to_the_same_weights(tmp_path):
    killed = start(tmp_path / "state", 0.2)
    wait_for(killed, "b 3")
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    assert (tmp_path / "state" / "b.safetensors").exists()
    resumed, errors = start(tmp_path / "state", 0).communicate(timeout=120)
    whole = line(0), line(1)
    training, _ = train(*two_phases(whole))
    end = " ".join(w.hex() for w in weights(*whole).tolist())
    assert resumed.endswith(f"done [True, True] {len(training.history)} {end}\n"), errors
    assert len(resumed.splitlines()) < len(training.history)  # it went on where it was


def test_ctrl_c_in_a_process_keeps_what_was_learnt_and_says_so():
    process = start("none", 0.2)
    wait_for(process, "a 2")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1].startswith("done [True, False]")
    assert "InterruptedWarning: Owner: interrupted after" in errors and "Traceback" not in errors


def test_a_second_ctrl_c_stops_at_once():
    net = line()
    step = torch.optim.SGD(net.parameters(), lr=0.1)
    epochs = []

    def loss(_):
        epochs.append(1)
        if len(epochs) == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("went on after the second Ctrl-C")
        return net(X).square().mean()

    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training, done = train(Phase("p", {"n": net}, [Update(step, loss)], 50))
    assert done == [True] and len(training.history) == 2 and time.perf_counter() - started < 30
    assert [w.category for w in caught] == [InterruptedWarning]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_before_anything_was_learnt_is_a_keyboard_interrupt():
    net = line()
    step = torch.optim.SGD(net.parameters(), lr=0.1)

    def loss(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Phase("p", {"n": net}, [Update(step, loss)], 5))
