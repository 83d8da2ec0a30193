"""What serves which node: temperatures, pools, the degree from which the teacher serves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from makedo.core.checks import MakedoInputError
from makedo.methods.cold_brew.routing import PARTS, THRESHOLDS, choose_threshold
from makedo.methods.cold_brew.tasks import (
    Classification,
    Regression,
    asked,
    fit_pool,
    in_words,
    pooled,
)

CLASSES = Classification(np.array(["a", "b", "c"]), np.empty(0, np.int64))
NUMBERS = Regression(10.0, 2.0)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.fixture
def said():
    """Probabilities of four parts for 200 nodes; the first two know something of the truth."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=200)
    knowledge = [2.0, 1.0, 0.0, 0.0]
    logits = [k * np.eye(3)[y] + rng.normal(size=(200, 3)) for k in knowledge]
    return y, dict(zip(PARTS, map(softmax, logits), strict=True))


def test_the_weights_of_a_pool_are_the_most_likely_ones(said):
    y, answers = said
    columns = np.stack([answer[np.arange(200), y] for answer in answers.values()])

    def cost(z):
        w = np.exp(z) / np.exp(z).sum()
        return -np.log(w @ columns).mean()

    best = min(
        (minimize(cost, start, method="Nelder-Mead", options={"maxiter": 20_000, "maxfev": 20_000})
         for start in (np.zeros(4), np.array([2.0, 0, -4, -4]))),
        key=lambda found: found.fun,
    )  # fmt: skip
    w = CLASSES.weights(list(answers.values()), y)
    assert w.sum() == pytest.approx(1) and (w >= 0).all()
    assert -np.log(w @ columns).mean() == pytest.approx(best.fun, abs=2e-4)


def test_a_temperature_undoes_overconfidence():
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=2, size=(4000, 3))
    y = np.array([rng.choice(3, p=p) for p in softmax(logits)])
    for heat in (0.5, 1.0, 2.0):  # as if the network had said this many times less
        assert CLASSES.temperature(softmax(logits / heat), y) == pytest.approx(1 / heat, rel=0.1)
        flat = CLASSES.tempered(softmax(logits / heat), 1 / heat)
        np.testing.assert_allclose(flat, softmax(logits), atol=1e-6)


def test_a_few_right_answers_are_no_certainty():
    sure = softmax(np.tile([2.0, 0.0, 0.0], (24, 1)))
    assert CLASSES.temperature(sure, np.zeros(24, dtype=int)) == 1
    more = softmax(np.tile([2.0, 0.0, 0.0], (200, 1)))
    assert CLASSES.temperature(more, np.zeros(200, dtype=int)) < 0.5


def test_tempering_keeps_the_order_of_classes_and_their_sum(said):
    for answer in said[1].values():
        for temperature in (0.3, 1.0, 4.0):
            flat = CLASSES.tempered(answer, temperature)
            np.testing.assert_allclose(flat.sum(1), 1)
            assert (flat.argmax(1) == answer.argmax(1)).all()


def test_a_class_that_is_never_predicted_stays_impossible():
    task = Classification(np.array([0, 1, 2]), np.array([2]))
    answer = task.answer(torch.tensor([[0.0, 1.0, 50.0]]))
    assert answer[0, 2] == 0 and task.tempered(answer, 3.0)[0, 2] == 0
    assert task.tempered(answer, 3.0).sum() == pytest.approx(1)


def test_a_pool_asks_only_those_who_have_something_to_say(said):
    y, answers = said
    pool = fit_pool(CLASSES, answers, y)
    assert "mlp" in asked(pool) and pool["mlp"]["weight"] > 0.5
    assert sum(one["weight"] for one in pool.values()) == pytest.approx(1)
    without = {part: answers[part] for part in asked(pool)}
    mixed = pooled(CLASSES, pool, answers)
    np.testing.assert_array_equal(pooled(CLASSES, pool, without), mixed)
    np.testing.assert_allclose(mixed.sum(1), 1)
    by_hand = sum(
        one["weight"] * CLASSES.tempered(answers[part], one["temperature"])
        for part, one in pool.items()
    )
    np.testing.assert_allclose(mixed, by_hand, atol=1e-12)
    assert "mlp" in in_words(pool)


def test_a_pool_of_validated_parts_beats_each_of_them_on_other_nodes():
    """Three parts that know different things: together they know more."""
    rng = np.random.default_rng(2)
    y = rng.integers(3, size=3000)
    answers = {part: softmax(1.2 * np.eye(3)[y] + rng.normal(size=(3000, 3))) for part in PARTS[:3]}
    some, rest = np.split(np.arange(3000), [300])
    pool = fit_pool(CLASSES, {p: a[some] for p, a in answers.items()}, y[some])
    mixed = pooled(CLASSES, pool, {p: a[rest] for p, a in answers.items()})
    accuracy = (mixed.argmax(1) == y[rest]).mean()
    assert accuracy > max((a[rest].argmax(1) == y[rest]).mean() for a in answers.values()) + 0.03


def test_too_few_nodes_to_fit_on_leave_the_last_part_alone(said):
    y, answers = said
    few = {part: answer[:4] for part, answer in answers.items()}
    pool = fit_pool(CLASSES, few, y[:4])
    assert asked(pool) == ["student"] and in_words(pool) == "the student"
    assert all(one["temperature"] == 1 for one in pool.values())


def test_numbers_are_pooled_by_least_squares_on_the_simplex():
    rng = np.random.default_rng(3)
    y = rng.normal(10, 2, size=300)
    answers = [y[:, None] + rng.normal(0, sd, size=(300, 1)) for sd in (1.0, 1.5, 6.0)]
    w = NUMBERS.weights(answers, y)
    assert w.sum() == pytest.approx(1) and (w >= 0).all()

    def cost(weights):
        return ((np.column_stack(answers) @ weights - y) ** 2).mean()

    best = cost(w)
    for step in np.eye(3):
        for toward in (0.02, -0.02):
            other = np.clip(w + toward * step, 0, None)
            assert cost(other / other.sum()) >= best - 1e-9


def test_credits_of_numbers_average_to_r_squared():
    rng = np.random.default_rng(4)
    y, said = rng.normal(size=50), rng.normal(size=(50, 1))
    r2 = 1 - ((said[:, 0] - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert NUMBERS.credit(said, y).mean() == pytest.approx(r2)
    y[3] = np.nan
    assert np.isnan(NUMBERS.credit(said, y)[3]) and np.isfinite(NUMBERS.credit(said, y)[4])


def test_text_is_no_number():
    with pytest.raises(MakedoInputError, match=r"1 label of 2 are not numbers \(first: 'many'\)"):
        NUMBERS.match("Model", ["3", "many"], 2)


def test_the_teacher_serves_always_or_never_unless_another_degree_is_clearly_better():
    rng = np.random.default_rng(0)
    degree = rng.integers(1, 9, 400)
    good, bad = rng.exponential(0.2, 400), rng.exponential(1.5, 400)
    assert choose_threshold(degree, good, bad) == 1
    assert choose_threshold(degree, bad, good) > degree.max()
    split = choose_threshold(
        degree, np.where(degree >= 4, good, bad), np.where(degree < 4, good, bad)
    )
    assert split == 4 and split in THRESHOLDS
    assert choose_threshold(degree, good, good) == 1
    assert choose_threshold(degree[:0], good[:0], good[:0]) == 1
    noise = good + rng.normal(0, 0.5, 400) - (degree == 4) * 0.02  # a gain within its error
    assert choose_threshold(degree, noise, good + 0.01) in (1, np.inf)
