"""The outer problem: the loss whose derivative is asked for, on a validation set or left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from makedo.methods.diva import changes, derivative
from makedo.methods.diva.derivative import Derivative, Groups
from makedo.methods.diva.outer_loss import OuterLoss
from makedo.methods.diva.ridge import Head
from makedo.methods.diva.rows import Rows


@dataclass(frozen=True)
class OnValidation:
    """The mean loss on validation samples with targets Y (V, c)."""

    loss: OuterLoss
    rows: Rows
    Y: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """ω (V,): a mean, so that scales do not depend on V."""
        return np.full(len(self.Y), 1 / len(self.Y))

    def derivative(self, head: Head) -> Derivative:
        """By the weight of every training sample."""
        return derivative.on_validation(head, self.rows, self.Y, self.loss, self.weights)

    def changed(self, head: Head, delta: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Of the loss, when α_i becomes α_i + δ_i, each i alone, (n,)."""
        return changes.on_validation(
            head, self.rows, self.Y, self.loss, self.weights, delta, indices
        )

    def of_each(self, head: Head, indices: np.ndarray) -> np.ndarray:
        """Derivatives of the loss of each validation sample, (n, V)."""
        return derivative.each_on_validation(head, self.rows, self.Y, self.loss, indices)


@dataclass(frozen=True)
class LeavingOut:
    """The mean loss of the training samples, each predicted without itself, or without its group.

    Its weights are 1/N, never α: with α they would be least where nothing is left to predict.
    """

    loss: OuterLoss
    groups: Groups | None = None

    def predictions(self, head: Head) -> np.ndarray:
        """Of each training sample by the head without it, (N, c)."""
        if self.groups is None:
            return derivative.left_out(head)
        return derivative.left_out_by_group(head, self.groups)

    def derivative(self, head: Head) -> Derivative:
        """By the weight of every training sample."""
        if self.groups is None:
            return derivative.by_leaving_one_out(head, self.loss, even(head))
        return derivative.by_leaving_groups_out(head, self.loss, even(head), self.groups)

    def changed(self, head: Head, delta: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Of the loss, when α_i becomes α_i + δ_i, each i alone, (n,)."""
        if self.groups is None:
            return changes.by_leaving_one_out(head, self.loss, even(head), delta, indices)
        return changes.by_leaving_groups_out(
            head, self.loss, even(head), self.groups, delta, indices
        )

    def of_each(self, head: Head, indices: np.ndarray) -> np.ndarray:
        """Derivatives of the loss of each left-out sample, (n, N)."""
        groups = singles(head) if self.groups is None else self.groups
        return derivative.each_by_leaving_out(head, self.loss, indices, groups)


def even(head: Head) -> np.ndarray:
    """Weights 1/N of the training samples in the outer loss."""
    return np.full(len(head.Y), 1 / len(head.Y))


def singles(head: Head) -> Groups:
    """Every sample as a group of its own."""
    n = len(head.Y)
    return [np.arange(s, min(s + head.rows.size, n))[:, None] for s in range(0, n, head.rows.size)]


def batch_groups(codes: np.ndarray, size: int) -> Groups:
    """Positions of the members of each group, groups of one length side by side, (g, n).

    codes : the group number of each row, (N,).
    size : rows of a batch, at least one group.
    """
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    lengths = np.array([len(m) for m in members])
    batches = []
    for n in np.unique(lengths):
        alike = np.stack([members[g] for g in np.flatnonzero(lengths == n)])
        step = max(1, size // n)
        batches += [alike[start : start + step] for start in range(0, len(alike), step)]
    return batches
