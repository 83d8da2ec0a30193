"""scikit-learn's own checks of an estimator."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from makedo import DatasetDerivative


def expected(_):
    ours = "the error says the same in our own words"
    return {
        "check_n_features_in_after_fitting": ours,
        "check_estimators_empty_data_messages": ours,
        "check_fit2d_1sample": ours,
        "check_fit2d_predict1d": ours,
        "check_dtype_object": "an object that is no number is a MakedoInputError, so a ValueError",
    }


# At a given penalty and scale a weight of 2 is two copies, and a weight of 0 is none.
@parametrize_with_checks([DatasetDerivative(1.0, scale=None)], expected_failed_checks=expected)
@pytest.mark.filterwarnings("ignore")  # the checks test warnings by themselves
def test_it_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)
