"""Domains along a spiral, made to order: two classes whose boundary turns from domain to domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from makedo.core.checks import MakedoInputError, Number
from makedo.data.domains import DomainGraph

FULL, RADIUS_GROWTH = 60, 6.0  # domains of a full turn, and how far the radius grows over them
SHIPPED_TURN, SHIPPED_GROWTH, SHIPPED_LEAST = np.pi, 1.8, 0.2  # of the file of 15 domains
N_SOURCES = 6


@dataclass(frozen=True)
class SpiralDomains:
    """What :func:`make_domain_graph_spiral` draws.

    Attributes
    ----------
    X : float64 ndarray of shape (n_samples, 2)
    y : int64 ndarray of shape (n_samples,)
        0 or 1, as many of each in every domain.
    domain : int64 ndarray of shape (n_samples,)
    graph : DomainGraph
    angle : float64 ndarray of shape (n_domains,)
    sources : int64 ndarray
        The six domains of least angle.
    """

    X: np.ndarray
    y: np.ndarray
    domain: np.ndarray
    graph: DomainGraph
    angle: np.ndarray
    sources: np.ndarray


def make_domain_graph_spiral(
    n_domains: int = 15,
    *,
    preset: str = "formula",
    n_per_class: int = 50,
    random_state: int = 0,
) -> SpiralDomains:
    r"""Draw DG-15, DG-60 or one of another size.

    1. Angles :math:`a_i \sim U(0, 2\pi N / 60)`; radius :math:`r_i = 1 + 6 a_i / (2\pi N / 60)`.
    2. Class 0: points of :math:`N(m_i, I)` within 1 of :math:`m_i = r_i (\cos a_i, \sin a_i)`;
       class 1: the same about :math:`-m_i`.
    3. Edge between i and j: with chance :math:`\cos(a_i - a_j)`, if that is at least t; t = 0.5 up
       to 15 domains, else 0.2.

    Parameters
    ----------
    n_domains : int, default=15
    preset : {"formula", "shipped"}
        "formula" is the above, of the released code.  "shipped" is what the published file of 15
        domains was made by: angles from U(0, π), radius 1 + 1.8 a / π, t = 0.2.
    n_per_class : int, default=50
        Points of each class in each domain.
    random_state : int, default=0

    Returns
    -------
    SpiralDomains
        Rows in random order.
    """
    limits = {
        "n_domains": Number(N_SOURCES + 1, integer=True),
        "n_per_class": Number(1, integer=True),
    }
    for name, value in (("n_domains", n_domains), ("n_per_class", n_per_class)):
        if not limits[name].accepts(value):
            raise MakedoInputError(
                f"make_domain_graph_spiral: {name} must be {limits[name]}. Got {value!r}."
            )
    if preset not in ("formula", "shipped"):
        raise MakedoInputError(
            f"make_domain_graph_spiral: preset must be 'formula' or 'shipped'. Got {preset!r}."
        )
    rng = np.random.default_rng(random_state)
    shipped = preset == "shipped"
    turn = SHIPPED_TURN if shipped else 2 * np.pi * n_domains / FULL
    growth = SHIPPED_GROWTH if shipped else RADIUS_GROWTH
    least = SHIPPED_LEAST if shipped or n_domains > 15 else 0.5
    angle = rng.uniform(0, turn, n_domains)
    radius = 1 + growth * angle / turn
    center = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])  # (n_domains, 2)
    y = np.tile(np.repeat([0, 1], n_per_class), n_domains)
    domain = np.repeat(np.arange(n_domains), 2 * n_per_class)
    X = center[domain] * (1 - 2 * y)[:, None] + _in_disc(rng, len(y))
    chance = np.cos(angle[:, None] - angle[None])
    linked = np.triu((chance >= least) & (rng.random(chance.shape) < chance), 1)
    order = rng.permutation(len(y))
    return SpiralDomains(
        X[order],
        y[order],
        domain[order],
        DomainGraph(np.arange(n_domains), linked | linked.T),
        angle,
        np.argsort(angle)[:N_SOURCES],
    )


def _in_disc(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draws of N(0, I) in the plane that lie within 1 of the origin, (n, 2)."""
    found = np.empty((0, 2))
    while len(found) < n:
        drawn = rng.normal(size=(4 * n, 2))
        found = np.concatenate([found, drawn[(drawn**2).sum(1) < 1]])
    return found[:n]
