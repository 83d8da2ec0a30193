"""What part 2 of the student of links sees: a bank, and virtual neighbours without traces."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from makedo.methods.cold_brew.links.loss import CutOff, linked_nodes
from makedo.methods.cold_brew.links.serving import LinkServer
from makedo.methods.cold_brew.student import Bank, column_scale
from makedo.methods.cold_brew.teacher import embedding_bank
from makedo.nn.features import Features


class BankFiller:
    """Fill banks whose columns have one scale.

    Parameters
    ----------
    outputs : list of tensor (n_nodes, d)
        The teacher's layers, that of the last one z.
    rows : int64 ndarray
        The nodes whose mean and sd are the scale.
    which, score : str
        Which layers the bank holds, and how it is compared.
    """

    def __init__(self, outputs: list[Tensor], rows: np.ndarray, which: str, score: str):
        self.which, self.score = which, score
        there = torch.from_numpy(rows).to(outputs[-1].device)
        self.mean, self.scale = column_scale(embedding_bank(outputs, which)[there])

    def fill(self, outputs: list[Tensor], rows: np.ndarray) -> Bank:
        """The bank of some nodes."""
        there = torch.from_numpy(rows).to(self.mean.device)
        values = (embedding_bank(outputs, self.which)[there] - self.mean) / self.scale
        return Bank(there, values, self.score)

    def moments(self, width: int) -> np.ndarray:
        """Mean and sd (2, width) of the last columns, which hold z."""
        both = torch.stack([self.mean, torch.where(self.scale.isinf(), 0, self.scale)])
        return both[:, -width:].cpu().numpy()


@torch.no_grad()
def fold_look_up(
    server: LinkServer,
    x: Features,
    filler: BankFiller,
    cut_off: list[CutOff],
    asking: Tensor,
) -> Tensor:
    """[ẽ, ê] of nodes as if they were new, (n_nodes, 2 · width); zero for nodes that never ask.

    A node of a fold looks among nodes that its edges have not reached, the validation nodes
    ``asking``, which have none, in the bank of the server.
    """
    extra = torch.zeros(len(x), 2 * len(filler.mean), device=asking.device)
    extra[asking] = server.look_up(x.rows(asking), server.bank)
    for fold in cut_off:
        nodes = torch.from_numpy(fold.nodes).to(asking.device)
        bank = filler.fill(fold.outputs, linked_nodes(fold.graph))
        extra[nodes] = server.look_up(x.rows(nodes), bank)
    return extra
