"""The link prediction variant of Cold Brew (paper: Table 4): whom will a new node link to?"""

from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor

__all__ = ["ColdBrewLinkPredictor"]
