"""Networks that read a history in its order, and the cross-entropy over all items.

    z_y = h · W_y + b_y + log share(y),   p(y|x) = exp(z_y) / Σ_y' exp(z_y')

with h (d,) what the network says after the last event of the history, W (m, d) the embeddings of
the items, which are those that the network reads (tied), b free, and share(y) the popularity of
item y.  Before the first step p is popularity, and what is learnt is what differs from it.

Token 0 stands before a history; item y is token y + 1.  Histories are padded on the right, and
nothing looks to the right: padding changes no output of a history.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BEFORE_ALL = -1e4  # logit of an item that training did not see: p is 0 in float32, and finite
CHUNK = 1 << 18  # logits that exist at once: they stay in the cache


class SequenceNetwork(nn.Module):
    """Embeddings, a body that reads them, and what turns its output into logits.

    Parameters
    ----------
    log_share : Tensor (m,)
        Logarithms of the popularity of items.
    body : Module
        (n, length, d) -> (n, length, d), each position from those up to it alone.
    width : int
        d.
    spread : float
        Standard deviation of the embeddings at the start.
    """

    log_share: Tensor

    def __init__(self, log_share: Tensor, body: nn.Module, width: int, spread: float):
        super().__init__()
        self.embedding = nn.Parameter(spread * torch.randn(len(log_share) + 1, width))
        self.bias = nn.Parameter(torch.zeros(len(log_share)))
        self.body = body
        self.register_buffer("log_share", log_share)

    def forward(self, tokens: Tensor, begin: Tensor, shape: tuple[int, int]) -> Tensor:
        """Tokens (n_tokens,) of steps that begin at (n · length,) -> h after each (n · length, d).

        A step is read as the sum of its k embeddings over √k.
        """
        many = torch.diff(begin, append=begin.new_tensor([len(tokens)]))  # (n · length,)
        weight = torch.repeat_interleave(many.clamp(min=1) ** -0.5, many)
        x = F.embedding_bag(
            tokens, self.embedding, begin, mode="sum", per_sample_weights=weight
        )  # (n · length, d), 0 in the padding
        return self.body(x.view(*shape, -1)).flatten(0, 1)

    @property
    def items(self) -> Tensor:
        """W (m, d)."""
        return self.embedding[1:]

    @property
    def item_term(self) -> Tensor:
        """What is added to h · W, (m,)."""
        return self.bias + self.log_share


# --- bodies ---------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """Gated recurrent units, layer above layer, and a norm."""

    def __init__(self, width: int, n_layers: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        between = dropout if n_layers > 1 else 0.0
        self.gru = nn.GRU(width, width, n_layers, batch_first=True, dropout=between)
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, length, d) -> (n, length, d)."""
        return self.last(self.dropout(self.gru(self.dropout(x))[0]))


class Attention(nn.Module):
    """Each position attends to itself and those before it."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, length, d) -> (n, length, d)."""
        n, length, d = x.shape
        qkv = self.project(x).view(n, length, 3, self.n_heads, d // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (n, heads, length, d / heads)
        p = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        return self.out(found.transpose(1, 2).reshape(n, length, d))


class Block(nn.Module):
    """Attention, then two layers at each position; norms before each part, or after its sum."""

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float, post_norm: bool):
        super().__init__()
        self.attention = Attention(width, n_heads, dropout)
        bend = nn.ReLU() if post_norm else nn.GELU()
        self.layers = nn.Sequential(nn.Linear(width, hidden), bend, nn.Linear(hidden, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout, self.post_norm = nn.Dropout(dropout), post_norm

    def forward(self, x: Tensor) -> Tensor:
        """(n, length, d) -> (n, length, d)."""
        for norm, part in zip(self.norms, (self.attention, self.layers), strict=True):
            if self.post_norm:
                x = norm(x + self.dropout(part(x)))
            else:
                x = x + self.dropout(part(norm(x)))
        return x


class Attending(nn.Module):
    """Blocks of a transformer over embeddings with their positions.

    Before-norm blocks have learnt positions; after-norm blocks, those of the paper, have waves and
    embeddings times √d.
    """

    waves: Tensor

    def __init__(
        self,
        width: int,
        n_layers: int,
        n_heads: int,
        hidden: int,
        dropout: float,
        post_norm: bool,
        max_history: int,
    ):
        super().__init__()
        self.post_norm, self.dropout = post_norm, nn.Dropout(dropout)
        if post_norm:
            self.register_buffer("waves", sinusoids(max_history, width), persistent=False)
        else:
            self.positions = nn.Parameter(0.02 * torch.randn(max_history, width))
            self.last = nn.LayerNorm(width)
        blocks = [Block(width, n_heads, hidden, dropout, post_norm) for _ in range(n_layers)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(n, length, d) -> (n, length, d)."""
        length, d = x.shape[1:]
        x = (
            x * math.sqrt(d) + self.waves[:length]
            if self.post_norm
            else x + self.positions[:length]
        )
        x = self.blocks(self.dropout(x))
        return x if self.post_norm else self.last(x)


def sinusoids(length: int, width: int) -> Tensor:
    """Sines and cosines of the position, of falling frequency, (length, width)."""
    place = torch.arange(length)[:, None]
    slow = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
    waves = torch.zeros(length, width)
    waves[:, 0::2] = torch.sin(place * slow)
    waves[:, 1::2] = torch.cos(place * slow)[:, : width // 2]
    return waves


# --- losses ---------------------------------------------------------------------------------------


def cross_entropy(h: Tensor, items: Tensor, term: Tensor, targets: Tensor) -> Tensor:
    """Mean of log Σ_y exp(z_y) − z_target, z = h · items + term.

    h (r, d) · items (m, d) · term (m,) · targets (r, n_draws) -> ()
    """
    z = (h[:, None] * items[targets]).sum(2) + term[targets]  # (r, n_draws)
    return (LogSums.apply(h, items, term) - z.mean(1)).mean()


class LogSums(torch.autograd.Function):
    """log Σ_y exp(h · W_y + b_y) of each row, (r,); some rows at a time, also on the way back."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, items: Tensor, term: Tensor) -> Tensor:  # noqa: D102
        parts = h.split(max(CHUNK // len(items), 1))
        sums = torch.cat([torch.logsumexp(part @ items.T + term, 1) for part in parts])
        ctx.save_for_backward(h, items, term, sums)
        return sums

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: D102
        h, items, term, sums = ctx.saved_tensors
        of_h, of_items, of_term = (
            torch.empty_like(h),
            torch.zeros_like(items),
            torch.zeros_like(term),
        )
        for rows in torch.arange(len(h), device=h.device).split(max(CHUNK // len(items), 1)):
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            p = torch.exp(h[some] @ items.T + term - sums[some, None]) * slopes[0][some, None]
            of_h[some] = p @ items
            of_items += p.T @ h[some]
            of_term += p.sum(0)
        return of_h, of_items, of_term


def sampled_cross_entropy(
    h: Tensor, items: Tensor, bias: Tensor, targets: Tensor, drawn: Tensor
) -> Tensor:
    """The same over each target and items that were drawn by popularity, the same for all rows.

    The logarithm of how likely an item is drawn comes off its logit; here that is log share, which
    the logits have as a term of their own, so that h · W + b is left.  A target that was not drawn
    is added.

    h (r, d) · items (m, d) · bias (m,) · targets (r, n_draws) · drawn (k,) -> ()
    """
    right = (h[:, None] * items[targets]).sum(2) + bias[targets]  # (r, n_draws)
    all_drawn = LogSums.apply(h, items[drawn], bias[drawn])[:, None]  # (r, 1)
    there = torch.isin(targets, drawn)
    return (torch.where(there, all_drawn, torch.logaddexp(all_drawn, right)) - right).mean()
