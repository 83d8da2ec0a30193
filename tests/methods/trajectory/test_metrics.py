"""Errors by hand, and a kernel density by scipy."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from makedo.methods.trajectory import metrics


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 20, 5, 2)), rng.normal(size=(3, 5, 2))


def test_errors_are_those_of_a_plain_loop(case):
    samples, future = case
    for b in range(3):
        d = [[np.hypot(*(samples[b, k, t] - future[b, t])) for t in range(5)] for k in range(20)]
        one = slice(b, b + 1)
        wanted = {
            "ade": np.mean(d),
            "fde": np.mean([row[-1] for row in d]),
            "minade": min(np.mean(row) for row in d),
            "minfde": min(row[-1] for row in d),
            "miss": float(min(row[-1] for row in d) > 2),
        }
        for name, value in wanted.items():
            assert metrics.METRICS[name](samples[one], future[one]) == pytest.approx(value), name


def test_a_miss_is_further_than_two_metres_with_every_sample():
    future = np.zeros((1, 2, 2))
    samples = np.full((1, 3, 2, 2), 1.5)  # 2.12 m away
    assert metrics.miss(samples, future) == 1
    samples[0, 2, 1] = 1.4  # 1.98 m
    assert metrics.miss(samples, future) == 0


def test_the_kernel_density_is_a_mixture_of_gaussians(case):
    samples, future = case
    wanted = []
    for t in range(5):
        width = samples[0, :, t].std(0) * 20 ** (-1 / 6)
        kernels = [multivariate_normal(s, np.diag(width**2)) for s in samples[0, :, t]]
        wanted.append(np.log(np.mean([k.pdf(future[0, t]) for k in kernels])))
    assert metrics.kernel_nll(samples[:1], future[:1])[0] == pytest.approx(-np.mean(wanted))


def test_a_future_far_from_every_sample_costs_no_more_than_twenty():
    samples = np.random.default_rng(0).normal(size=(1, 5, 3, 2))
    assert metrics.kernel_nll(samples, np.full((1, 3, 2), 1e4)) == pytest.approx(20)


def test_a_far_step_costs_no_more_than_twenty_and_the_others_what_they_cost():
    samples = np.random.default_rng(0).normal(size=(1, 5, 3, 2))
    future = np.zeros((1, 3, 2))
    near = metrics.kernel_nll(samples[:, :, 1:], future[:, 1:])
    future[0, 0] = 1e4
    assert metrics.kernel_nll(samples, future) == pytest.approx((20 + 2 * near) / 3)


def test_samples_that_are_all_the_same_have_kernels_of_a_centimetre():
    found = metrics.kernel_nll(np.zeros((1, 4, 1, 2)), np.array([[[0.01, -0.02]]]))
    wanted = multivariate_normal([0, 0], 1e-4 * np.eye(2)).logpdf([0.01, -0.02])
    assert found == pytest.approx(-wanted)
