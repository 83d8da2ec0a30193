"""What the encoder plays against: the graph discriminator, and those of the older methods.

Each has ``discriminator_loss``, which its own weights lower, and ``encoder_loss``, which the
encoder lowers with weight λ, in most the negative of the former.  Both are (n_models,).  The two
are never back-propagated in one pass: in the released code the encoder's pass also writes into the
discriminator's gradients and cancels them, wholly where λ = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from makedo.methods.grda.networks import chain, discriminator

MOST_LOGIT = 10.0
LEAST_CHANCE = 1e-4  # as in the released code: no logarithm of 0


@dataclass(frozen=True)
class Step:
    """What an adversary may know of a batch: ``n`` = n_domains · n_rows rows, domain by domain.

    Attributes
    ----------
    domains : int64 (n_domains,)
        Positions in the graph.
    adjacency : bool (n_domains, n_domains)
        Among them.
    source : bool (n_models, n)
        Rows whose label the model sees.
    scores : (n_models, n, n_outputs)
        What the predictor says of them, without gradient.
    """

    domains: Tensor
    adjacency: Tensor
    source: Tensor
    scores: Tensor

    @property
    def n_rows(self) -> int:
        """Rows a domain."""
        return self.scores.shape[1] // len(self.domains)

    @property
    def row_domains(self) -> Tensor:
        """Domain of each row, (n,)."""
        return self.domains.repeat_interleave(self.n_rows)


def graph_loss(q: Tensor, adjacency: Tensor, self_pairs: str) -> Tensor:
    r"""How badly nodes q tell neighbours from others, section 3.2 of the paper, balanced.

    .. math:: \tfrac12 \bigl( \mathrm{mean}_{A_{ij}=1} \ell_{ij} + \mathrm{mean}_{A_{ij}=0}
       \ell_{ij} \bigr), \quad \ell_{ij} = \tfrac1B \sum_b \mathrm{BCE}(\sigma(q_{ib} \cdot q_{jb}),
       A_{ij})

    Parameters
    ----------
    q : (n_models, n_domains, n_rows, n_out)
        The b-th rows of two domains must be independent draws.
    adjacency : bool (n_domains, n_domains)
    self_pairs : {"none", "negative"}
        "negative" counts two different rows of one domain among the pairs that are no neighbours,
        with weight ½: of ordered pairs (i, j), which the theorem is about, there is one (i, i) and
        two of {i, j}.

    Returns
    -------
    (n_models,) : ln 2 where q = 0
    """
    n = len(adjacency)
    logits = torch.einsum("kibd,kjbd->kijb", q, q)
    upper = torch.ones(n, n, dtype=q.dtype, device=q.device).triu(1)
    edges, others = upper * adjacency, upper * ~adjacency  # weights of pairs
    as_other = functional.softplus(logits).mean(3)  # (n_models, n_domains, n_domains)
    as_edge = as_other - logits.mean(3)  # softplus(-x) = softplus(x) - x
    if self_pairs == "negative":
        own = (q * q.roll(1, 2)).sum(3)  # never a row with itself: two rows or more
        as_other = torch.diagonal_scatter(
            as_other, functional.softplus(own).mean(2), dim1=1, dim2=2
        )
        others = others + torch.eye(n, dtype=q.dtype, device=q.device) / 2
    sides = [
        (losses * weight).sum((1, 2)) / weight.sum().clamp(min=0.5)
        for losses, weight in ((as_edge, edges), (as_other, others))
    ]
    return (sides[0] + sides[1]) / 2


class Adversary(nn.Module):
    """Base of the adversaries: the encoder wants what the discriminator does not."""

    fair = math.log(2)  # the loss of a discriminator that knows nothing

    def discriminator_loss(self, e: Tensor, step: Step) -> Tensor:
        """Loss of the discriminator, (n_models,)."""
        raise NotImplementedError

    def encoder_loss(self, e: Tensor, step: Step) -> Tensor:
        """What the encoder lowers with weight λ, (n_models,)."""
        return -self.discriminator_loss(e, step)


class GraphAdversary(Adversary):
    """The paper's: is it possible to tell from two encodings whether their domains are neighbours?

    Parameters
    ----------
    n_models, hidden, n_out : int
    init : str
    scaled : bool
        Divide dot products by √n_out.
    self_pairs : {"none", "negative"}
    """

    def __init__(
        self, n_models: int, hidden: int, n_out: int, init: str, scaled: bool, self_pairs: str
    ):
        super().__init__()
        self.net = discriminator(n_models, hidden, n_out, init)
        self.scale = n_out**-0.25 if scaled else 1.0  # of each factor of the dot product
        self.self_pairs = self_pairs

    def discriminator_loss(self, e: Tensor, step: Step) -> Tensor:
        """The balanced loss; ln 2 is a discriminator that knows nothing."""
        q = self.net(e).unflatten(1, (len(step.domains), step.n_rows)) * self.scale
        return graph_loss(q, step.adjacency, self.self_pairs)


class DomainAdversary(Adversary):
    """DANN with many domains: which of them does the row come from?"""

    def __init__(self, n_models: int, hidden: int, n_domains: int, init: str):
        super().__init__()
        self.net = discriminator(n_models, hidden, n_domains, init)
        self.fair = math.log(n_domains)

    def logits(self, e: Tensor, step: Step) -> Tensor:
        """Scores of the domains, (n_models, n, n_domains)."""
        return self.net(e)

    def discriminator_loss(self, e: Tensor, step: Step) -> Tensor:
        """−log of the probability of the right domain."""
        n_models = len(e)
        target = step.row_domains.expand(n_models, -1)
        losses = functional.cross_entropy(
            self.logits(e, step).flatten(0, 1), target.flatten(), reduction="none"
        )
        return losses.view(n_models, -1).mean(1)


class ConditionalAdversary(DomainAdversary):
    """CDANN: as DANN, and it also sees what the predictor says of the row."""

    def __init__(self, n_models: int, hidden: int, n_domains: int, n_outputs: int, init: str):
        super().__init__(n_models, hidden, n_domains, init)
        self.branch = chain(n_models, [n_outputs, hidden, hidden], init, last_relu=True)
        self.first = chain(n_models, [hidden, hidden], init, last_relu=True)
        self.net = chain(n_models, [2 * hidden, *[hidden] * 4, n_domains], init)

    def logits(self, e: Tensor, step: Step) -> Tensor:
        """Scores of the domains, (n_models, n, n_domains)."""
        said = self.branch(torch.sigmoid(step.scores))
        return self.net(torch.cat([self.first(e), said], 2))


class IndexAdversary(Adversary):
    """CIDA: where among the domains does the row come from, in numbers rather than by name?

    H. Wang, H. He, D. Katabi, "Continuously Indexed Domain Adaptation", ICML 2020, section 4.1.

    Parameters
    ----------
    n_models, hidden : int
    index : float32 (n_domains, k)
        Of each domain, standardised: 1 is then the loss of a discriminator that knows nothing.
    init : str
    """

    fair = 1.0
    index: Tensor

    def __init__(self, n_models: int, hidden: int, index: Tensor, init: str):
        super().__init__()
        self.net = discriminator(n_models, hidden, index.shape[1], init)
        self.register_buffer("index", index)

    def discriminator_loss(self, e: Tensor, step: Step) -> Tensor:
        """Mean squared error of the index."""
        return (self.net(e) - self.index[step.row_domains]).square().mean((1, 2))


class SourceAdversary(Adversary):
    """In the manner of ADDA: source or target?  Trained jointly, not in two stages.

    The encoder makes targets look like sources (−log D, which does not saturate); encodings of
    sources stay as the labels want them.
    """

    def __init__(self, n_models: int, hidden: int, init: str):
        super().__init__()
        self.net = discriminator(n_models, hidden, 1, init)

    def discriminator_loss(self, e: Tensor, step: Step) -> Tensor:
        """Mean of the two sides, each the mean over its rows."""
        logits, source = self.net(e).squeeze(2), step.source
        right = masked_mean(functional.softplus(-logits), source)
        return (right + masked_mean(functional.softplus(logits), ~source)) / 2

    def encoder_loss(self, e: Tensor, step: Step) -> Tensor:
        """−log D(target)."""
        return masked_mean(functional.softplus(-self.net(e).squeeze(2)), ~step.source)


class MarginAdversary(Adversary):
    """MDD: a second predictor that agrees with the first on sources and not on targets."""

    def __init__(self, n_models: int, hidden: int, n_outputs: int, init: str, classes: bool):
        super().__init__()
        self.net = chain(n_models, [hidden, hidden, hidden, n_outputs], init)
        self.classes = classes

    def discriminator_loss(self, e: Tensor, step: Step) -> Tensor:
        """Half the loss of agreeing on sources, half that of disagreeing on targets."""
        theirs, mine = step.scores, self.net(e)
        if self.classes:
            chance = mine.softmax(2).gather(2, theirs.argmax(2, keepdim=True)).squeeze(2)
            agree = -torch.log(chance.clamp(min=LEAST_CHANCE))
            differ = -torch.log((1 - chance).clamp(min=LEAST_CHANCE))
        else:  # numbers: a bounded distance in place of a probability
            chance = torch.exp(-((mine - theirs) ** 2).mean(2).clamp(max=MOST_LOGIT))
            agree = -torch.log(chance)
            differ = -torch.log((1 - chance).clamp(min=LEAST_CHANCE))
        return (masked_mean(agree, step.source) + masked_mean(differ, ~step.source)) / 2


def masked_mean(losses: Tensor, rows: Tensor) -> Tensor:
    """Mean over the rows that count, (n_models,); 0 where none does."""
    return (losses * rows).sum(1) / rows.sum(1).clamp(min=1)
