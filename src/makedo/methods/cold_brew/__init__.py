"""Cold Brew: predictions for nodes that nothing links to (Zheng et al., ICLR 2022)."""

from makedo.methods.cold_brew.classifier import ColdBrewClassifier
from makedo.methods.cold_brew.fcr import FCR, feature_contribution_ratio
from makedo.methods.cold_brew.regressor import ColdBrewRegressor

__all__ = ["FCR", "ColdBrewClassifier", "ColdBrewRegressor", "feature_contribution_ratio"]
