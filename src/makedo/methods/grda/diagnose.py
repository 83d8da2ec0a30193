"""Does GRDA apply?  Are neighbours alike, and does anything beat the sources alone where hidden?"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from makedo.core.checks import MakedoWarning, count
from makedo.core.diagnosis import Diagnosis
from makedo.core.paired import t_interval
from makedo.core.seeds import generator
from makedo.methods.grda.candidates import LINEAR, NETWORK
from makedo.methods.grda.problem import flat_rows, read_problem
from makedo.methods.grda.relevance import DOUBTFUL, domain_distances, graph_relevance
from makedo.methods.grda.selection import FEWEST_SOURCES
from makedo.methods.grda.tasks import Classification

if TYPE_CHECKING:
    from makedo.methods.grda.estimator import GRDA

MOST_ROWS, MOST_EPOCHS = 100, 20  # of a domain, and of the networks: enough to see
COMMAND = "makedo grda fit --rows ROWS --edges EDGES --label LABEL --domain DOMAIN --out model/"


def diagnose(model: GRDA, X: Any, y: Any, *, domain: Any, graph: Any, sources: Any) -> Diagnosis:
    """Test the graph by permutation, then hide sources and see who finds them again."""
    started = time.perf_counter()
    copy: Any = clone(model)
    fresh: Any = copy.set_params(
        method="auto", max_epochs=min(model.max_epochs, MOST_EPOCHS), verbose=0
    )
    fresh._check_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)
        problem = read_problem(fresh, X, y, domain, graph, sources, None)
    names, rng = problem.graph.names, generator(model.random_state, "diagnose")
    hops = problem.graph.hops(names[problem.sources])[problem.targets]
    figures: dict[str, Any] = {
        "domains": problem.graph.n_domains,
        "edges": problem.graph.n_edges,
        "source domains": len(problem.sources),
        "target domains": len(problem.targets),
        "targets without a path to a source": int((hops < 0).sum()),
    }
    if (hops > 0).any():
        figures["hops from targets to sources, mean"] = float(hops[hops > 0].mean())

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        seconds = time.perf_counter() - started
        return Diagnosis(verdict, figures=figures, advice=advice, seconds=seconds, **more)

    if not len(problem.targets):
        return answer("does not apply", "Every domain has labels: nothing has to be carried over.")
    kept = some_rows(problem.domain, rng)
    flat = flat_rows(problem.X[kept])
    sd = flat.std(0)
    scaled = (flat - flat.mean(0)) / np.where(sd > 0, sd, 1)
    relevance = graph_relevance(
        problem.graph, *domain_distances(scaled, problem.domain[kept], rng), rng
    )
    if relevance is not None:
        figures["distance of neighbours over that of others"] = relevance.ratio
        figures["p-value of the graph"] = relevance.p_value
    if len(problem.sources) < FEWEST_SOURCES:
        few = count(len(problem.sources), "source domain")
        return answer(
            "cannot tell",
            f"{few}: at least {FEWEST_SOURCES} are needed to hide some and see what finds them "
            "again.",
        )
    given = problem.y[kept]
    y_kept = np.where(given >= 0, given, -1) if given.ndim == 1 else given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)
        fresh.fit(problem.X[kept], y_kept, domain=names[problem.domain[kept]], graph=problem.graph)
    wide = fresh.hidden_losses_.pivot_table("loss", "domain", "candidate")
    nothing = min((LINEAR, NETWORK), key=lambda name: wide[name].mean())
    table = fresh.selection_.set_index("candidate")
    others = [name for name in table.index if name not in (LINEAR, NETWORK)]
    best = min(others, key=lambda name: table["loss"][name])
    percent = isinstance(fresh._task, Classification)
    scale = 100.0 if percent else 1.0
    gain = scale * (wide[nothing] - wide[best]).to_numpy()
    figures |= {
        f"hidden sources, loss of {name}": scale * wide[name].mean() for name in table.index
    }
    unit = "points of accuracy" if percent else "of the variance of the source labels"
    interval = t_interval(gain)
    more: dict[str, Any] = {
        "expected_gain": float(gain.mean()),
        "interval": interval,
        "unit": f"{unit} on hidden sources, {best} over {nothing}",
    }
    doubt = relevance is None or relevance.p_value > DOUBTFUL
    doubts = (
        " The graph does not tell which domains are alike (permutation test): doubt it."
        if doubt
        else ""
    )
    low = interval[0] if interval else -np.inf
    if fresh.served_ in (LINEAR, NETWORK):
        return answer(
            "does not apply",
            f"On hidden sources nothing beats {nothing}: use that.{doubts}",
            **more,
        )
    more["command"] = COMMAND
    if low > 0 and not doubt:
        return answer("applies", f"{best} finds hidden sources better than {nothing}.", **more)
    return answer(
        "may help", f"What {best} adds is small or unsure: fit, and let it choose.{doubts}", **more
    )


def some_rows(domain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most a hundred rows of each domain, in their order."""
    kept = [
        rng.permutation(np.flatnonzero(domain == u))[:MOST_ROWS] for u in np.unique(domain).tolist()
    ]
    return np.sort(np.concatenate(kept))
