"""Random numbers: each stream comes from ``random_state`` and a path of names, none is global."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive(random_state: int, *path: str | int) -> int:
    """Seed of the stream named by ``path``, as an integer below 2**63.

    Streams of different names are independent, and adding one does not move the others: a phase of
    a fit draws the same numbers whatever ran before it, which is what makes a resumed fit equal to
    an uninterrupted one.
    """
    text = "/".join([str(int(random_state)), *map(str, path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(random_state: int, *path: str | int) -> np.random.Generator:
    """The numpy generator of the stream named by ``path``."""
    return np.random.default_rng(derive(random_state, *path))


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Run a block with torch's generators set to ``seed``; the global state comes back after it."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
