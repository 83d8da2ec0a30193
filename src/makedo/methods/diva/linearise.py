r"""Features in which a torch network is linear: what DIVA needs of it.

Around its weights w₀ a network is f(x; w) ≈ f(x; w₀) + J(x) (w − w₀), with J its Jacobian
(Dukler et al., 2022, section 3.1).  Which weights may move decides what z is:

* only the last layer: z is the input of that layer (``"activations"``; what the paper's experiments
  use).  The layer is learnt from nothing, f(x; w₀) plays no part, and the targets stay Y.
* the last k layers, or all: z is a row of J (``"last_k_jacobian"``), of J projected at random
  (``"projected_gradients"``), or of a root of J Jᵀ (``"ntk"``).  The head then learns what the
  network lacks: its targets are Y − f(x; w₀), real numbers, and its predictions are added to
  f(x; w₀).  :func:`network_outputs` gives f(x; w₀).

The Jacobian has a row for each output.  The linear network itself has one vector w for all of them;
``outputs="each"`` gives all rows.  ``outputs="sum"`` gives the gradient of Σ_c f_c / √c instead,
one row a sample, as features of which every output has a head of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.seeds import derive

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Kind = Literal["activations", "last_k_jacobian", "projected_gradients", "ntk"]
KINDS = ("activations", "last_k_jacobian", "projected_gradients", "ntk")
MOST_NTK = 5_000  # rows of a kernel matrix
CHUNK = 2**22  # numbers of a random projection that are held at once


def linear_features(
    model: Module,
    loader: Any,
    layer: str = "auto",
    kind: Kind = "activations",
    *,
    last_k: int = 1,
    outputs: Literal["sum", "each"] = "sum",
    n_projections: int = 2048,
    random_state: int = 0,
) -> np.ndarray:
    """Features of every sample in which the network is linear, for a head of DIVA's.

    The network runs in ``eval`` mode on its own device, and is afterwards as it was.

    Parameters
    ----------
    model : torch.nn.Module
    loader : DataLoader that does not shuffle, other iterable of batches, or one tensor
        A batch is a tensor, a pair whose first part is one (labels may follow), or a dictionary of
        the model's keyword arguments ("labels" is left out; for "activations" only).
    layer : str, default="auto"
        For "activations": the layer whose input is taken, by its name in ``named_modules``; "auto"
        is the Linear layer that runs last.
    kind : {"activations", "last_k_jacobian", "projected_gradients", "ntk"}
        See the top of this module.  "ntk" gives Z with Z Zᵀ = J Jᵀ of all rows at once, so
        training, validation and pool must be in one ``loader``, of at most 5,000 rows.
    last_k : int, default=1
        For "last_k_jacobian": how many of the last layers that have parameters.
    outputs : {"sum", "each"}, default="sum"
        Rows of the Jacobian.  "each" gives n_outputs of them for every sample; leave them out
        together: ``groups=np.repeat(np.arange(n_samples), n_outputs)``.
    n_projections : int, default=2048
        For "projected_gradients": columns.  An inner product of two gradients is kept up to about
        the product of their lengths · √(2 / n_projections).
    random_state : int, default=0
        Draws the projections; the same for other rows if they are to be compared.

    Returns
    -------
    float32 ndarray (n_samples, n_features), or (n_samples · n_outputs, n_features) with "each"

    Raises
    ------
    MakedoInputError
        The loader shuffles or is empty; there is no such layer, or no Linear one; the layer runs
        more than once; too many rows for "ntk".

    References
    ----------
    Dukler et al., "DIVA", ICLR 2022, section 3.1; projections as in Park et al., "TRAK", ICML 2023;
    the summed outputs as in Mohamadi et al., "A Fast, Well-Founded Approximation to the Empirical
    Neural Tangent Kernel", ICML 2023.
    """
    if kind not in KINDS:
        raise MakedoInputError(
            f"linear_features: kind must be one of {first(KINDS, 4)}. Got {kind!r}."
        )
    batches = _Batches(model, loader)
    with evaluated(model):
        if kind == "activations":
            return _activations(model, batches, layer)
        if kind == "last_k_jacobian":
            of_batch = jacobian(model, last_layers(model, last_k), outputs)
            return _stacked(of_batch(batch) for batch in batches)
        of_batch = jacobian(model, list(dict(model.named_parameters())), outputs)
        if kind == "ntk":
            return _kernel_features(of_batch, batches)
        return _stacked(project(of_batch(batch), n_projections, random_state) for batch in batches)


def network_outputs(model: Module, loader: Any) -> np.ndarray:
    """What the network gives for every sample, f(x; w₀): float32 ndarray (n_samples, n_outputs).

    Parameters
    ----------
    model, loader : as for :func:`linear_features`
    """
    import torch

    batches = _Batches(model, loader)
    with evaluated(model), torch.inference_mode():
        return _stacked(batches.run(batch).flatten(1) for batch in batches)


# --- running the network --------------------------------------------------------------------------


@contextmanager
def evaluated(model: Module) -> Iterator[None]:
    """Run a block with every part of the model in ``eval`` mode; each goes back to its own.

    So does torch's random state, of which a DataLoader takes a number whether it shuffles or not.
    """
    import torch

    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


class _Batches:
    """The inputs of a loader, batch by batch, on the device of the model."""

    def __init__(self, model: Module, loader: Any):
        self._model, self._loader = model, loader
        if "Random" in type(getattr(loader, "sampler", None)).__name__:
            raise MakedoInputError(
                "linear_features: the DataLoader gives its samples in random order, so no row "
                "could be matched to its label. Build it with shuffle=False."
            )
        some = next(model.parameters(), None)
        self._device = None if some is None else some.device

    def __iter__(self) -> Iterator[Any]:
        import torch

        empty = True
        loader = self._loader
        for batch in [loader] if isinstance(loader, torch.Tensor) else loader:
            empty = False
            yield self._inputs(batch)
        if empty:
            raise MakedoInputError(
                "linear_features: the loader gives no batch. Give one with rows."
            )

    def run(self, batch: Any) -> Tensor:
        """The model's outputs for one batch; of a named output its ``logits``."""
        out = self._model(**batch) if isinstance(batch, dict) else self._model(batch)
        out = getattr(out, "logits", out)
        return out[0] if isinstance(out, (tuple, list)) else out

    def _inputs(self, batch: Any) -> Any:
        if isinstance(batch, dict) or hasattr(batch, "keys"):
            named = {key: batch[key] for key in batch.keys() if key != "labels"}
            return {key: value.to(self._device) for key, value in named.items()}
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        return x.to(self._device)


def _stacked(parts: Iterable[Tensor]) -> np.ndarray:
    """Batches as one float32 matrix."""
    return np.concatenate([part.detach().float().cpu().numpy() for part in parts])


# --- the input of a layer -------------------------------------------------------------------------


def _activations(model: Module, batches: _Batches, layer: str) -> np.ndarray:
    import torch

    parts: list[Tensor] = []
    named = dict(model.named_modules())
    with torch.inference_mode():
        for batch in batches:
            run = partial(batches.run, batch)
            if layer == "auto":
                layer = last_linear(model, run)
            if layer not in named:
                theirs = f"{first(list(named)[1:], 5)}{' …' if len(named) > 6 else ''}"
                raise MakedoInputError(
                    f"linear_features: the model has no layer {layer!r}. It has {theirs}."
                )
            seen = _inputs_of(named[layer], run)
            if len(seen) != 1:
                raise MakedoInputError(
                    f"linear_features: layer {layer!r} runs {count(len(seen), 'time')} for a "
                    "batch, so its input is not one row a sample. Name a layer that runs once."
                )
            parts.append(seen[0].flatten(1).clone())
    return _stacked(parts)


def _inputs_of(layer: Module, run: Callable[[], Any]) -> list[Tensor]:
    """What a layer is given while ``run`` runs."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        run()
    finally:
        hook.remove()
    return seen


def last_linear(model: Module, run: Callable[[], Any]) -> str:
    """The name of the Linear layer that runs last while ``run`` runs."""
    from torch.nn import Linear

    order: list[str] = []
    hooks = [
        part.register_forward_hook(lambda *_, name=name: order.append(name))
        for name, part in model.named_modules()
        if isinstance(part, Linear)
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    if not order:
        raise MakedoInputError(
            "linear_features: no Linear layer runs in this model. Name the layer whose input is to "
            "be taken, layer=."
        )
    return order[-1]


# --- the Jacobian ---------------------------------------------------------------------------------


def last_layers(model: Module, k: int) -> list[str]:
    """Names of the parameters of the last k layers that have parameters of their own."""
    owners = list(dict.fromkeys(name.rpartition(".")[0] for name, _ in model.named_parameters()))
    if not 1 <= k <= len(owners):
        raise MakedoInputError(
            f"linear_features: last_k must be from 1 to {len(owners)}, the layers with parameters. "
            f"Got {k!r}."
        )
    chosen = set(owners[-k:])
    return [name for name, _ in model.named_parameters() if name.rpartition(".")[0] in chosen]


def jacobian(model: Module, moving: list[str], outputs: str) -> Callable[[Tensor], Tensor]:
    """A function that gives the Jacobian of a batch by some parameters, (n, P) or (n · c, P)."""
    from torch.func import functional_call, jacrev, vmap

    state = {name: p.detach() for name, p in model.named_parameters()}
    buffers = {name: b.detach() for name, b in model.named_buffers()}
    fixed = {name: p for name, p in state.items() if name not in moving} | buffers
    free = {name: state[name] for name in moving}

    def of_one(free: dict[str, Tensor], x: Tensor) -> Tensor:
        f = functional_call(model, free | fixed, (x[None],))[0].flatten()  # (c,)
        return f if outputs == "each" else (f.sum() / len(f) ** 0.5)[None]

    rows = vmap(jacrev(of_one), in_dims=(None, 0))

    def of_batch(x: Tensor) -> Tensor:
        import torch

        parts = rows(free, x)  # name -> (n, c, *shape)
        return torch.cat([parts[name].flatten(2) for name in moving], 2).flatten(0, 1)

    return of_batch


def project(J: Tensor, n_projections: int, random_state: int) -> Tensor:
    """J R / √n_projections, for R (P, n_projections) of ±1 drawn by the seed, a part at a time."""
    import torch

    step = max(1, CHUNK // n_projections)
    out = torch.zeros(len(J), n_projections, device=J.device)
    for start in range(0, J.shape[1], step):
        part = J[:, start : start + step].float()
        draw = torch.Generator().manual_seed(derive(random_state, "projection", start))
        signs = torch.randint(2, (part.shape[1], n_projections), generator=draw) * 2.0 - 1.0
        out += part @ signs.to(J.device)
    return out / n_projections**0.5


def _kernel_features(of_batch: Callable[[Tensor], Tensor], batches: _Batches) -> np.ndarray:
    """Z with Z Zᵀ = J Jᵀ, by its eigenvectors; the Jacobian of two batches at once, never all."""
    parts = list(batches)
    if (n := sum(len(x) for x in parts)) > MOST_NTK:
        raise MakedoInputError(
            f"linear_features: {count(n, 'row')} are too many for kind='ntk' (at most "
            f"{count(MOST_NTK)}). Take 'projected_gradients'."
        )
    blocks = [[np.empty(0)] * len(parts) for _ in parts]
    for i, x in enumerate(parts):
        left = of_batch(x)
        for j in range(i + 1):
            right = left if i == j else of_batch(parts[j])
            blocks[i][j] = (left @ right.T).double().cpu().numpy()
            blocks[j][i] = blocks[i][j].T
    w, V = np.linalg.eigh(np.block(blocks))
    kept = w > w[-1] * len(w) * np.finfo(np.float32).eps  # the others are rounding
    return (V[:, kept] * np.sqrt(w[kept])).astype(np.float32)
