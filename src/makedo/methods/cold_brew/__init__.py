"""Cold Brew: predictions for nodes that nothing links to (Zheng et al., ICLR 2022)."""

from makedo.methods.cold_brew.estimator import ColdBrewClassifier
from makedo.methods.cold_brew.links import ColdBrewLinkPredictor

__all__ = ["ColdBrewClassifier", "ColdBrewLinkPredictor"]
