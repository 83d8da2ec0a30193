"""Graph-relational domain adaptation: predict where no labels are, along a graph of domains.

Z. Xu, H. He, G.-H. Lee, Y. Wang, H. Wang, "Graph-Relational Domain Adaptation", ICLR 2022,
https://arxiv.org/abs/2202.03628.

Ordinary adversarial adaptation makes the encodings of all domains alike.  Where the rule from
features to labels turns gradually from domain to domain, that destroys the signal.  Here a
discriminator looks at two encodings and says whether their domains are neighbours; the encoder
makes that impossible, and nothing more: a domain must look like its neighbours taken together, and
distant domains may differ.

Symbols: E encoder · F predictor · D discriminator, D(e_i) · D(e_j) the logit of an edge · A
adjacency · z_u embedding of domain u · λ weight of the game.

What differs from the paper and its released code, and why:

* Rows of domains are drawn independently.  The code pairs them in the order of its files, which are
  sorted by class: that leaks the labels of targets (see the page of this method).
* D takes its own gradient, whatever λ is.  In the code the encoder's backward pass writes into D's
  gradient too, which is then (1 − λ) times itself: D does not learn at λ = 1.
* Encodings are normalised, λ rises from 0, gradients are clipped, an average of the weights
  predicts: the game cannot be won by letting encodings grow.  ``from_paper`` turns these off.
* λ is chosen without target labels, by hiding sources along the graph.  "Do nothing" and
  self-training hop by hop are among the candidates.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, Having, MakedoInputError, MakedoWarning, Number
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.core.training import Training, history_frame
from makedo.data.features import RowScaler
from makedo.methods.grda.candidates import SIMPLE, Answers, Candidates
from makedo.methods.grda.embedding import embed_domains
from makedo.methods.grda.problem import Problem, flat_rows, read_domain_rows, read_problem
from makedo.methods.grda.sampling import Batches, domain_batches
from makedo.methods.grda.tasks import Task
from makedo.methods.grda.team import ADVERSARIES, Game, Rows

if TYPE_CHECKING:
    from typing import Self

    from makedo.report import Report

MOST_DOMAINS = 30  # of a batch, as in the paper for 60 domains: all pairs are compared
MOST_EMBEDDING = 8


class GRDA(Estimator):
    """The algorithm, for classes and for numbers alike; a subclass says which."""

    _game: ClassVar = Game  # what networks are trained by
    _constraints: ClassVar = {
        "method": Choice(("auto", "network", *SIMPLE)),
        "domain_weight": Either((Choice(("auto",)), Number(0))),
        "adversary": Choice(ADVERSARIES),
        "self_pairs": Choice(("none", "negative")),
        "loss_scale": Choice(("n_domains", "none")),
        "encoder": Either((Choice(("mlp",)), Having("forward", "a torch module"))),
        "hidden": Number(1, integer=True),
        "domain_embedding": Choice(("auto", "bce", "spectral", "none")),
        "n_embedding": Either((Choice(("auto",)), Number(1, integer=True))),
        "base_estimator": Either(
            (
                Choice(("auto", "linear", "domain-means", None)),
                Having("fit", "a scikit-learn estimator"),
            )
        ),
        "normalize_encoding": Choice((True, False)),
        "embedding_dropout": Number(0, 1, open_high=True),
        "ramp": Choice((True, False)),
        "stop_when_fooled": Choice((True, False)),
        "clip_norm": Number(0, open_low=True, none=True),
        "averaging": Number(0, 1, open_high=True),
        "init": Choice(("default", "paper")),
        "learning_rate": Number(0, open_low=True),
        "weight_decay": Number(0),
        "max_epochs": Number(1, integer=True),
        "batch_size": Number(2, integer=True),
        "domains_per_batch": Either((Choice(("auto",)), Number(2, integer=True))),
        "random_state": Number(0, integer=True),
        "verbose": Number(0, integer=True),
    }

    def __init__(
        self,
        method: str = "auto",
        domain_weight: float | str = "auto",
        *,
        adversary: str = "graph",
        self_pairs: str = "none",
        loss_scale: str = "n_domains",
        encoder: Any = "mlp",
        hidden: int = 64,
        domain_embedding: str = "auto",
        n_embedding: int | str = "auto",
        base_estimator: Any = "auto",
        normalize_encoding: bool = True,
        embedding_dropout: float = 0.5,
        ramp: bool = True,
        stop_when_fooled: bool = True,
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
        init: str = "default",
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        max_epochs: int = 100,
        batch_size: int = 10,
        domains_per_batch: int | str = "auto",
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.method = method
        self.domain_weight = domain_weight
        self.adversary = adversary
        self.self_pairs = self_pairs
        self.loss_scale = loss_scale
        self.encoder = encoder
        self.hidden = hidden
        self.domain_embedding = domain_embedding
        self.n_embedding = n_embedding
        self.base_estimator = base_estimator
        self.normalize_encoding = normalize_encoding
        self.embedding_dropout = embedding_dropout
        self.ramp = ramp
        self.stop_when_fooled = stop_when_fooled
        self.clip_norm = clip_norm
        self.averaging = averaging
        self.init = init
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.domains_per_batch = domains_per_batch
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @classmethod
    def from_paper(cls, **changes: Any) -> Self:
        """Build the paper's model for its 15 domains: slow, unstable, and without a choice of λ.

        λ = 1, 512 wide, 500 epochs, two-dimensional embeddings by cross-entropy, weights from
        N(0, 0.01²), no normalised encoding, no clipping, no average, no base model.  What still
        differs: rows are drawn independently, the discriminator takes its own gradient, the
        learning rate falls as a cosine, and the embedding is a free table.

        Parameters
        ----------
        **changes
            Parameters that are to be otherwise.
        """
        settings: dict[str, Any] = {
            "method": "network",
            "domain_weight": 1.0,
            "hidden": 512,
            "domain_embedding": "bce",
            "n_embedding": 2,
            "base_estimator": None,
            "normalize_encoding": False,
            "embedding_dropout": 0.0,
            "ramp": False,
            "stop_when_fooled": False,
            "clip_norm": None,
            "averaging": 0.0,
            "init": "paper",
            "learning_rate": 1e-4,
            "weight_decay": 0.0,
            "max_epochs": 500,
        }
        return cls(**settings | changes)

    # --- learning ---------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        domain: Any = None,
        graph: Any,
        sources: Any = None,
        sample_domain: Any = None,
        domain_features: Any = None,
        checkpoint_dir: str | Path | None = None,
        on_step: Callable[[dict[str, Any]], bool | None] | None = None,
    ) -> Self:
        """Learn from the rows of all domains and the labels of some.

        Parameters
        ----------
        X : data frame, ndarray or tensor of shape (n_samples, n_features)
            Rows of sources and of targets.  Of more dimensions where ``encoder`` is a module.
        y : array-like of shape (n_samples,), or for numbers also (n_samples, n_outputs)
            NaN, None and, for integer classes, -1 are unlabelled.  A domain with a label is a
            source.
        domain : column of X, or array-like of shape (n_samples,)
            The domain of each row, by name; a column is remembered for ``predict``.
        graph : DomainGraph, pairs of names, table of edges, square matrix or networkx graph
            Which domains are neighbours.
        sources : sequence of names, optional
            Only the labels of these are seen.
        sample_domain : int array-like of shape (n_samples,), optional
            Instead of ``domain`` and ``sources``: positive in sources, negative in targets.
        domain_features : array-like of shape (n_domains, k), optional
            Embeddings of the domains, such as latitude and longitude, in the order of
            ``graph.names``.
        checkpoint_dir : str or Path, optional
            State is kept there; a killed fit, called again, ends in the same model bit for bit.
        on_step : callable, optional
            Gets each row of ``history_``; returning True stops early.

        Raises
        ------
        MakedoInputError
            No label, one class, a domain that is not in the graph, a graph without edges, a
            checkpoint of another fit.
        """
        self._check_parameters()
        problem = read_problem(self, X, y, domain, graph, sources, sample_domain)
        self._learn_task(problem)
        self.graph_, self.sources_ = problem.graph, problem.graph.names[problem.sources]
        self.complete_ = bool(self._is_complete(problem))
        flat = flat_rows(problem.X)
        self.scaler_ = RowScaler("columns" if problem.X.ndim == 2 else "none").fit(flat)
        how = self._embedding if domain_features is None else domain_features
        z = embed_domains(problem.graph, how, self._n_embedding, self.random_state)
        self.domain_embedding_ = z
        self.fingerprint_ = fingerprint(
            problem.X, problem.y, problem.domain, problem.graph.adjacency, z
        )
        rows = Rows(self._scaled(problem.X), problem.domain, z, problem.graph.adjacency)
        self.row_shape_ = list(problem.X.shape[1:])
        self.row_counts_ = np.bincount(problem.domain, minlength=problem.graph.n_domains)
        with Training(
            type(self).__name__,
            random_state=self.random_state,
            verbose=self.verbose,
            key=fingerprint(self._key_parameters(), self.fingerprint_),
            checkpoint_dir=checkpoint_dir,
            on_step=on_step,
        ) as training:
            found = Candidates(self, problem, rows, training).fit()
        self.simple_, self.team_ = found.simple, found.team
        self.domain_weights_, self.served_ = found.weights, found.served
        self.selection_, self.hidden_losses_ = found.selection, found.hidden_losses
        self.target_hop_ = found.target_hop
        self.domain_encoding_, self.edge_chance_ = found.domain_encoding, found.edge_chance
        self.history_ = history_frame(training.history)
        return self

    # --- predicting -------------------------------------------------------------------------------

    def transform(self, X: Any, *, domain: Any = None) -> np.ndarray:
        """Encodings e = E(x, z) (n_samples, hidden) by the adapted network; as in ``predict``."""
        answers = self._answers(X, domain)
        if answers.encodings is None:
            raise MakedoInputError(
                f"{type(self).__name__}.transform: no network was trained "
                f"(method={self.method!r}, or the training was stopped). Fit with method='network'."
            )
        return answers.encodings

    def evaluate(self, X: Any, y: Any, *, domain: Any = None) -> pd.DataFrame:
        """How good each candidate is on labelled rows, by hops to the nearest source.

        Returns
        -------
        DataFrame
            candidate, group, mean (accuracy in per cent, or squared error over the variance of the
            source labels), low, high (its 95 % bootstrap interval over rows), n; where one number
            is predicted also rmse, the root of the mean squared error in the unit of the labels.
        """
        from makedo.methods.grda.scoring import evaluate

        return evaluate(self, X, y, domain)

    def diagnose(
        self, X: Any, y: Any, *, domain: Any = None, graph: Any, sources: Any = None
    ) -> Diagnosis:
        """Say whether neighbours are alike and adaptation pays, without target labels.

        Arguments as in :meth:`fit`; the estimator itself is not fitted.
        """
        from makedo.methods.grda.diagnose import diagnose

        return diagnose(self, X, y, domain=domain, graph=graph, sources=sources)

    def report(
        self, X: Any = None, y: Any = None, *, domain: Any = None, show_rows: bool = False
    ) -> Report:
        """Did it pay?  On labelled rows of targets; without data, what the selection found.

        Parameters
        ----------
        X, y, domain
            Labelled rows, as in :meth:`fit`.
        show_rows : bool, default=False
            Whether names of domains may stand in the report.
        """
        from makedo.methods.grda.page import report

        return report(self, X, y, domain=domain, show_rows=show_rows)

    # --- inside -----------------------------------------------------------------------------------

    @staticmethod
    def _encode(owner: str, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def _learn_task(self, problem: Problem) -> None:
        """Keep what ``_task`` needs to know of the labels."""
        raise NotImplementedError

    @property
    def _task(self) -> Task:
        raise NotImplementedError

    @property
    def _is_regressor(self) -> bool:
        raise NotImplementedError

    @property
    def _base(self) -> Any:
        """What the network corrects; None: nothing, by default where classes are predicted."""
        if isinstance(self.base_estimator, str) and self.base_estimator == "auto":
            return "domain-means" if self._is_regressor else None
        return self.base_estimator

    @property
    def _embedding(self) -> str:
        if self.domain_embedding != "auto":
            return self.domain_embedding
        return "none" if self._is_regressor else "bce"

    @property
    def _n_embedding(self) -> int:
        if not isinstance(self.n_embedding, str):
            return self.n_embedding
        return min(MOST_EMBEDDING, max(2, math.ceil(math.log2(self.graph_.n_domains))))

    @property
    def _self_pairs(self) -> str:
        return "negative" if self.complete_ else self.self_pairs

    def _batches(self, rows_of: dict[int, np.ndarray], adjacency: np.ndarray) -> Batches:
        """What an epoch goes through: rows of some domains, drawn independently."""
        wanted, n = self.domains_per_batch, len(rows_of)
        n_domains = min(MOST_DOMAINS if isinstance(wanted, str) else wanted, n)
        return domain_batches(rows_of, self.batch_size, n_domains, adjacency)

    def _is_complete(self, problem: Problem) -> bool:
        present = np.unique(problem.domain)
        adjacency = problem.graph.adjacency[np.ix_(present, present)]
        complete = adjacency.sum() == len(present) * (len(present) - 1)
        if complete and self.self_pairs == "none" and self.adversary == "graph":
            warnings.warn(
                f"{type(self).__name__}: every domain is a neighbour of every other, so the graph "
                "says nothing; two rows of one domain count as no neighbours, which makes all "
                "domains alike.",
                MakedoWarning,
                stacklevel=3,
            )
        return complete

    def _key_parameters(self) -> dict[str, Any]:
        """Parameters that the result depends on; objects by what they say of themselves."""
        given = self.get_params(deep=False)
        plain = (str, int, float, bool, type(None))
        return {n: v if isinstance(v, plain) else repr(v) for n, v in given.items()}

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        flat = self.scaler_.transform(flat_rows(X))
        return np.ascontiguousarray(flat, dtype=np.float32).reshape(X.shape)

    def _answers(self, X: Any, domain: Any) -> Answers:
        """What every candidate says of rows."""
        check_is_fitted(self)
        matrix, ids, given = read_domain_rows(self, X, domain)
        positions = self.graph_.positions(given, f"{type(self).__name__}: domain")
        unseen = np.flatnonzero(self.row_counts_[positions] == 0) if len(positions) else []
        if len(unseen):
            names = self.graph_.names[np.unique(positions[unseen])]
            warnings.warn(
                f"{type(self).__name__}: fit saw no rows of the domains {names[:3].tolist()}; they "
                "are predicted without adaptation to them.",
                MakedoWarning,
                stacklevel=4,
            )
        return Answers(self, self._scaled(matrix), positions, ids)

    def _score(self, X: Any, y: Any, domain: Any, sample_weight: Any) -> float:
        said = self._answers(X, domain).served
        owner = type(self).__name__
        credit = self._task.credit(said, self._task.match(owner, y, len(said)))
        labelled = ~np.isnan(credit)
        if not labelled.any():
            raise MakedoInputError(f"{owner}.score: no row has a label.")
        weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(credit[labelled], weights=weights))

    def _restore(self, state: dict[str, Any]) -> None:
        from makedo.methods.grda.restoring import restore

        super()._restore(state)  # in the order of the file; objects as their states, for now
        restore(self)

    def _card(self) -> str:
        from makedo.methods.grda.restoring import card

        return card(self)
