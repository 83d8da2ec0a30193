"""Sequence models of p(y|x): networks that read a history in its order.

    p(y|x) = softmax_y(h_x · W_y + b_y + log share(y))

with h_x what the network says after the last event of the history (:mod:`.sequence_networks`).  So
log λ(x, y) is an inner product, and both rankings are exact scans.

A network does not count well how often somebody had something, and where people repeat, counting
is hard to beat.  So its chances are mixed with the own past of the user (:mod:`.repeats`); how far,
is learnt on users whom the network did not train on.  The same users say when training ends.

What differs from the paper, and why:

* A step is asked for events of the coming horizon, drawn at random, and not for the next event
  alone: that is what λ(x) p(y|x) is about.  ``ahead=0`` asks for the next.
* All of one time is one step: it has no order, and none of it predicts the rest.
* Popularity stands in the logits from the start; small logs are learnt from it on.
* Norms before blocks and AdamW; ``from_paper`` has the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from makedo.core.checks import Choice, MakedoInputError, Number
from makedo.core.devices import pick_device
from makedo.core.persistence import fingerprint
from makedo.core.seeds import derive, generator, torch_seed
from makedo.data.interactions import Requests
from makedo.methods.rim.marks import Marks, shares
from makedo.methods.rim.repeats import NO_PAST, OwnPast, held_out, learn_own_past
from makedo.methods.rim.scores import ScoreOperator
from makedo.methods.rim.sequence_examples import Batch, Examples, Steps, last_steps

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from makedo.methods.rim.sequence_networks import SequenceNetwork

FULL = 30_000  # items up to which the softmax is over all of them
SAMPLED = 4_096  # items that stand for all of more
SCORED = 512  # histories that are read at once where nothing is learnt
SPREAD = 0.02  # of the embeddings at the start
DRAWS_JUDGED = 4  # events of held-out users that each step is judged by
PAPER: dict[str, Any] = {
    "width": 128,
    "max_history": 256,
    "ahead": 0.0,
    "repeats": False,
    "n_draws": 1,
    "dropout": 0.0,
    "optimizer": "adagrad",
    "weight_decay": 0.0,
    "max_epochs": 20,
    "patience": None,
    "valid_share": 0.2,
}
OnStep = Callable[[dict[str, Any]], bool | None]


class SequenceMarks(Marks):
    """Base of the sequence models: what they are asked for, how they train and answer.

    Parameters
    ----------
    width : int, default=64
        d.
    n_layers : int, default=2
    max_history : int, default=100
        Steps that are read at most, the last ones.
    ahead : float, default=1.0
        Horizons of events that a step is asked for; 0: what comes next.
    repeats : bool, default=True
        Mix with the own past, as far as that helps with held-out users.
    n_draws : int, default=4
        Events that are drawn for each step and epoch.
    dropout : float, default=0.2
    softmax : {"auto", "full", "sampled"}, default="auto"
        "auto": over all items up to 30,000, over 4,096 drawn by popularity where there are more.
    optimizer : {"adamw", "adagrad"}, default="adamw"
    learning_rate : float, default=1e-3
    weight_decay : float, default=0.01
    batch_size : int, default=64
        Pieces of histories of one length, about.
    max_epochs : int, default=10
    patience : int or None, default=3
        Epochs without a better score after which training ends.
    valid_share : float, default=0.1
        Users who are held out of training, to say when it ends and how far the own past counts.
    random_state : int, default=0
    device : str, default="auto"
        Where it trains; answers are computed on the CPU.
    verbose : int, default=0

    Attributes
    ----------
    net_ : Module
    backoff_, repeat_scale_ : float
        β in events (infinite: no own past) and s in horizons, of :mod:`.repeats`.
    history_ : DataFrame, one row an epoch
        ``score``: mean log p of what held-out users turned to.

    Cost
    ----
    3 · (n_steps · n_layers · 12 d² + n_steps · n_items · d) products an epoch; steps are times at
    which somebody did something.
    """

    _constraints: ClassVar = {
        "width": Number(1, integer=True),
        "n_layers": Number(1, integer=True),
        "max_history": Number(1, integer=True),
        "ahead": Number(0.0),
        "repeats": Choice((True, False)),
        "n_draws": Number(1, integer=True),
        "dropout": Number(0.0, 1.0, open_high=True),
        "softmax": Choice(("auto", "full", "sampled")),
        "optimizer": Choice(("adamw", "adagrad")),
        "learning_rate": Number(0.0, open_low=True),
        "weight_decay": Number(0.0),
        "batch_size": Number(1, integer=True),
        "max_epochs": Number(1, integer=True),
        "patience": Number(1, integer=True, none=True),
        "valid_share": Number(0.0, 0.5),
        "random_state": Number(0, integer=True),
        "verbose": Number(0, integer=True),
    }

    def __init__(
        self,
        width: int = 64,
        *,
        n_layers: int = 2,
        max_history: int = 100,
        ahead: float = 1.0,
        repeats: bool = True,
        n_draws: int = 4,
        dropout: float = 0.2,
        softmax: str = "auto",
        optimizer: str = "adamw",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        batch_size: int = 64,
        max_epochs: int = 10,
        patience: int | None = 3,
        valid_share: float = 0.1,
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.width = width
        self.n_layers = n_layers
        self.max_history = max_history
        self.ahead = ahead
        self.repeats = repeats
        self.n_draws = n_draws
        self.dropout = dropout
        self.softmax = softmax
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.valid_share = valid_share
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _body(self) -> Any:
        raise NotImplementedError

    # --- learning ---------------------------------------------------------------------------------

    def fit(
        self,
        train: Requests,
        horizon: float = 1.0,
        *,
        checkpoint_dir: str | Path | None = None,
        on_step: OnStep | None = None,
    ) -> SequenceMarks:
        """Train on the histories of training cut-offs.

        Parameters
        ----------
        train : Requests
        horizon : float
            In seconds.
        checkpoint_dir : str or Path, optional
            State is kept there; a killed fit, called again, ends in the same model bit for bit.
        on_step : callable, optional
            Gets each row of ``history_``; returning True stops early.
        """
        from makedo.core.training import Phase, Training, Update, history_frame

        self._check_parameters()
        self.horizon_, self.popularity_ = float(horizon), shares(train)
        held, others = held_out(train, self.valid_share, self.random_state)
        net = self._fresh(pick_device(self.device))
        examples, valid = self._examples(others), self._examples(held)
        phase = Phase(
            type(self).__name__,
            {"net": net},
            [Update(self._optimizer(net), lambda batch: self._loss(net, *batch))],
            self.max_epochs,
            lambda rng: self._batches(examples, rng),
            self._judge(net, valid) if len(valid) else None,
            self.patience,
        )
        with Training(
            type(self).__name__,
            random_state=self.random_state,
            verbose=self.verbose,
            key=fingerprint(self.get_params(), self.horizon_, *_told(train)),
            checkpoint_dir=checkpoint_dir,
            on_step=on_step,
        ) as training:
            training.run(phase)
        self.net_, self.history_ = net.cpu(), history_frame(training.history)
        self._learn_repeats(held)
        return self

    def _learn_repeats(self, held: Requests) -> None:
        rng = generator(self.random_state, "own past")
        found = learn_own_past(self._alone, held, self.horizon_, rng) if self.repeats else NO_PAST
        self.repeat_scale_, self.backoff_ = found

    def _examples(self, requests: Requests) -> Examples:
        return Examples.of(requests, self.max_history, self.ahead * self.horizon_)

    def _fresh(self, device: torch.device) -> SequenceNetwork:
        import torch

        from makedo.methods.rim import sequence_networks as networks

        share = self.popularity_.astype(np.float64)
        seen = share > 0
        log_share = np.where(seen, np.log(np.where(seen, share, 1.0)), networks.BEFORE_ALL)
        with torch_seed(derive(self.random_state, "start")):
            term = torch.from_numpy(log_share.astype(np.float32))
            net = networks.SequenceNetwork(term, self._body(), self.width, SPREAD)
        return net.to(device)

    def _optimizer(self, net: SequenceNetwork) -> torch.optim.Optimizer:
        import torch

        kinds = {"adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad}
        eps = {"adamw": 1e-8, "adagrad": 1e-3}[self.optimizer]
        return kinds[self.optimizer](
            net.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, eps=eps
        )

    @property
    def _samples(self) -> bool:
        return self.softmax == "sampled" or (self.softmax == "auto" and self.n_items > FULL)

    def _batches(self, examples: Examples, rng: np.random.Generator) -> Iterator[Any]:
        """Batches with the items drawn by popularity, where the softmax is sampled."""
        up_to = np.cumsum(self.popularity_, dtype=np.float64)
        for batch in examples.batches(rng, self.batch_size, self.n_draws):
            n = SAMPLED if self._samples else 0
            yield batch, np.searchsorted(up_to, rng.random(n) * up_to[-1], "right")

    def _loss(self, net: SequenceNetwork, batch: Batch, drawn: np.ndarray) -> Tensor:
        from makedo.methods.rim import sequence_networks as networks

        h, targets = _asked(net, batch)
        if len(drawn):
            sample = _tensor(drawn, net)
            return networks.sampled_cross_entropy(h, net.items, net.bias, targets, sample)
        return networks.cross_entropy(h, net.items, net.item_term, targets)

    def _judge(self, net: SequenceNetwork, valid: Examples) -> Callable[[], float]:
        """Mean log p of what came at the steps of held-out users; the same draws each time."""
        from makedo.methods.rim.sequence_networks import cross_entropy

        rng = generator(self.random_state, "judged")
        batches = list(valid.batches(rng, SCORED, DRAWS_JUDGED))

        def judge() -> float:
            total, n = 0.0, 0
            for batch in batches:
                h, targets = _asked(net, batch)
                total += float(cross_entropy(h, net.items, net.item_term, targets)) * len(targets)
                n += len(targets)
            return -total / n

        return judge

    # --- answering --------------------------------------------------------------------------------

    def _scores(self, requests: Requests) -> ScoreOperator:
        past = OwnPast(self.repeat_scale_, self.backoff_)
        return past.mixed(self._alone(requests), requests, self.horizon_)

    def _alone(self, requests: Requests) -> ScoreOperator:
        """p(y|x) of the network alone."""
        net = self.net_
        items = net.items.detach().numpy()
        raw = ScoreOperator(
            (len(requests), self.n_items),
            self._read(requests),
            items,
            item_term=net.item_term.detach().numpy(),
            link="exp",
        )
        return replace(raw, log_scale=-raw.log_sums())

    def _read(self, requests: Requests) -> np.ndarray:
        """What the network says after each history, h (n, d)."""
        import torch

        h = np.empty((len(requests), self.width), np.float32)
        order = np.argsort(requests.lengths, kind="stable")  # those of about one length together
        with torch.inference_mode():
            for begin in range(0, len(order), SCORED):
                rows = order[begin : begin + SCORED]
                steps, last = last_steps(requests.take(rows), self.n_items, self.max_history)
                h[rows] = self.net_(*_tensors(steps, self.net_))[torch.from_numpy(last)].numpy()
        return h

    # --- a model directory ------------------------------------------------------------------------

    def _restore(self, state: dict[str, Any]) -> None:
        import torch

        weights = state.pop("net_")
        super()._restore(state)
        net = self._fresh(torch.device("cpu"))
        net.load_state_dict(weights)
        self.net_ = net.eval()
        if not all(bool(torch.isfinite(part).all()) for part in net.state_dict().values()):
            raise ValueError("the network has numbers that are not finite")
        OwnPast(self.repeat_scale_, self.backoff_).check()


def _asked(net: SequenceNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    """At the steps of a batch that are asked h (r, d), and their targets (r, n_draws)."""
    h = net(*_tensors(batch.steps, net))
    return h[_tensor(batch.rows, net)], _tensor(batch.targets, net)


def _tensors(steps: Steps, net: SequenceNetwork) -> tuple[Tensor, Tensor, tuple[int, int]]:
    return _tensor(steps.tokens, net), _tensor(steps.begin, net), steps.shape


def _tensor(values: np.ndarray, net: SequenceNetwork) -> Tensor:
    import torch

    return torch.from_numpy(values).to(net.bias.device)


def _told(train: Requests) -> tuple[Any, ...]:
    """All that is learnt from."""
    indptr, events = train.history()
    return indptr, train.log.item[events], train.log.time[events], train.log.n_items


class RNN(SequenceMarks):
    """Choose by gated recurrent units that read the history step by step.

    Parameters, attributes and cost are those of :class:`SequenceMarks`.
    """

    @classmethod
    def from_paper(cls, **changes: Any) -> RNN:
        """The setting of the paper's code: 128 wide, Adagrad, asked for the next event.

        Of its code are left out: back-propagation cut at 32 steps, and learning rates that fall.
        """
        paper: dict[str, Any] = {"learning_rate": 0.1}
        return cls(**(PAPER | paper | changes))

    def _body(self) -> Any:
        from makedo.methods.rim.sequence_networks import Recurrent

        return Recurrent(self.width, self.n_layers, self.dropout)


class Transformer(SequenceMarks):
    """Choose by attention to the steps of the history.

    Parameters
    ----------
    n_heads : int, default=2
        A divisor of the width.
    hidden : int, default=256
        Width of the two layers at each step.
    post_norm : bool, default=False
        Norms after each block, waves for positions, ReLU: as in the paper.
    others : as of :class:`SequenceMarks`
    """

    _constraints: ClassVar = {
        **SequenceMarks._constraints,
        "n_heads": Number(1, integer=True),
        "hidden": Number(1, integer=True),
        "post_norm": Choice((True, False)),
    }

    def __init__(
        self,
        width: int = 64,
        *,
        n_layers: int = 2,
        n_heads: int = 2,
        hidden: int = 256,
        post_norm: bool = False,
        max_history: int = 100,
        ahead: float = 1.0,
        repeats: bool = True,
        n_draws: int = 4,
        dropout: float = 0.2,
        softmax: str = "auto",
        optimizer: str = "adamw",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        batch_size: int = 64,
        max_epochs: int = 10,
        patience: int | None = 3,
        valid_share: float = 0.1,
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        super().__init__(
            width,
            n_layers=n_layers,
            max_history=max_history,
            ahead=ahead,
            repeats=repeats,
            n_draws=n_draws,
            dropout=dropout,
            softmax=softmax,
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
            max_epochs=max_epochs,
            patience=patience,
            valid_share=valid_share,
            random_state=random_state,
            device=device,
            verbose=verbose,
        )
        self.n_heads = n_heads
        self.hidden = hidden
        self.post_norm = post_norm

    @classmethod
    def from_paper(cls, **changes: Any) -> Transformer:
        """The setting of the paper's code: 128 wide, norms after blocks, Adagrad, the next event.

        Of its code are left out the learning rates that fall.
        """
        paper: dict[str, Any] = {"learning_rate": 0.025, "hidden": 128, "post_norm": True}
        return cls(**(PAPER | paper | changes))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.width % self.n_heads:
            raise MakedoInputError(
                f"Transformer: n_heads must divide the width ({self.width}). Got {self.n_heads}."
            )

    def _body(self) -> Any:
        from makedo.methods.rim.sequence_networks import Attending

        return Attending(
            self.width,
            self.n_layers,
            self.n_heads,
            self.hidden,
            self.dropout,
            self.post_norm,
            self.max_history,
        )


NAMES: dict[str, type[Marks]] = {"rnn": RNN, "transformer": Transformer}
