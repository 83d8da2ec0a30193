"""The report of a fitted model: what serves, whether it pays, hop by hop, and how sure that is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import MakedoInputError, count
from makedo.core.compare import Comparison
from makedo.methods.grda.candidates import LINEAR, NETWORK
from makedo.methods.grda.scoring import SERVED, by_domain, compared, credits, hop_groups

if TYPE_CHECKING:
    from makedo.methods.grda.estimator import GRDA
    from makedo.report import Report, Section

CLEARLY = 2.0  # standard errors


def report(model: GRDA, X: Any, y: Any, *, domain: Any, show_rows: bool) -> Report:
    """See :meth:`GRDA.report`."""
    from makedo.report import Report

    check_is_fitted(model)
    if (X is None) != (y is None):
        raise MakedoInputError(
            f"{type(model).__name__}.report: give rows and their labels, or no data at all."
        )
    word, sentence = judged(model)
    sections, verdict = [], sentence
    if X is not None:
        scores, domains, hops = credits(model, X, y, domain)
        comparison = compared(model, scores, hops)
        if model.served_ != LINEAR:  # else there is nothing to compare
            verdict = comparison.verdict(noun="")
        sections = [
            *comparison_sections(model, comparison, scores, hops),
            map_section(model, scores, domains),
        ]
        if show_rows:
            sections.append(domain_section(model, scores, domains))
    sections += [selection_section(model), *network_sections(model)]
    hops = model.graph_.hops(model.sources_)
    return Report(
        title="Graph-relational domain adaptation: domains without labels",
        verdict=verdict,
        summary=[] if verdict == sentence else [sentence],
        facts={
            "domains": model.graph_.n_domains,
            "edges": model.graph_.n_edges,
            "sources": len(model.sources_),
            "mean hops of targets": round(model.target_hop_, 2),
            "farthest": int(hops.max()),
            "on hidden sources adaptation": word,
        },
        sections=sections,
    )


def judged(model: GRDA) -> tuple[str, str]:
    """Helps, neutral, hurts or unknown, by the hidden sources; and a sentence that says so."""
    selection = model.selection_
    if not len(selection):
        return "unknown", f"Use {model.served_}: it was asked for, and nothing was compared."
    table: Any = selection.set_index("candidate")
    still = [name for name in (LINEAR, NETWORK) if name in table.index]
    moving = [name for name in table.index if name not in still]
    nothing = min(still, key=lambda name: table["loss"][name])
    best = min(moving, key=lambda name: table["loss"][name])
    where = f"on {count(len(set(model.hidden_losses_['domain'])), 'hidden source')}"
    figures = (
        f"loss {table['loss'][best]:.3f} against {table['loss'][nothing]:.3f} at the distance of "
        "the targets"
    )
    if "log_loss" in table:
        logs = table["log_loss"]
        figures += f"; log loss {logs[best]:.3f} against {logs[nothing]:.3f}"
    if model.served_ not in still:
        return "helps", f"Use {model.served_}: {where} it does better than {nothing} ({figures})."
    clear = table["gap"][best] > CLEARLY * table["gap_error"][best] > 0
    if clear:
        return "hurts", f"Use {model.served_}: {where} {best} does worse ({figures})."
    return "neutral", (
        f"Use {model.served_}: {where} {best} is not clearly better, and simpler is safer "
        f"({figures})."
    )


# --- sections -------------------------------------------------------------------------------------


def comparison_sections(
    model: GRDA, scores: Comparison, rows: dict[str, np.ndarray], hops: np.ndarray
) -> list[Section]:
    """Every candidate by group, what the served one gains, and all of them hop by hop."""
    from makedo.report import Section, figures

    task, metric = model._task, model._task.metric
    table: Any = scores.table()
    shown = table[["candidate", "group", "mean", "low", "high", "n"]]
    main = table[table["group"].isin(["targets", "sources"])]
    better = "higher" if metric.higher_is_better else "lower"
    sections = [
        Section(
            "How good is it?",
            text=f"Served is {model.served_}. Measured on labelled rows that were given; "
            f"{better} is better.",
            figure=figures.comparison(
                main, label=task.label, ours=SERVED, reference=LINEAR, digits=metric.decimals
            ),
            caption=f"{task.label.capitalize()} with its 95 % interval over rows; the dotted line "
            f"is {LINEAR}.",
            table=shown.rename(columns={"mean": task.label, "n": "rows"}),
            table_caption=f"{task.label.capitalize()}, by hops to the nearest source.",
        ),
        Section(
            "Does it pay?",
            figure=figures.paired_differences(
                scores.differences().query("group == 'targets' or group == 'sources'"),
                label=f"gain in {metric.name}" + (f", {metric.unit}" if metric.unit else ""),
                digits=metric.decimals,
            ),
            caption="What the served model gains over each candidate on the same rows, with 95 % "
            "intervals; left of zero it loses.",
        ),
    ]
    if len(np.unique(hops[hops >= 0])) > 1:
        by_hop = table[~table["group"].isin(["targets", "no path"])].rename(
            columns={"group": "bin"}
        )
        order = {"sources": 0} | {name: i + 1 for i, name in enumerate(hop_groups(hops))}
        by_hop = by_hop.sort_values("bin", key=lambda column: column.map(order), kind="stable")
        sections.append(
            Section(
                "How far does it carry?",
                figure=figures.score_against(
                    by_hop, label=task.label, bin_label="hops to the nearest source", ours=SERVED
                ),
                caption=f"{task.label.capitalize()} by hops to the nearest source, with 95 % "
                "intervals.",
            )
        )
    return sections


def map_section(model: GRDA, scores: dict[str, np.ndarray], domains: np.ndarray) -> Section:
    """The graph, coloured by what the served model scores."""
    from makedo.report import Section
    from makedo.report.maps import graph_map

    metric = model._task.metric
    mean = np.full(model.graph_.n_domains, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a domain without labels: its mean is NaN
        for u in np.unique(domains):
            mean[u] = metric.scale * np.nanmean(scores[SERVED][domains == u])
    source = model.graph_.names.isin(model.sources_)
    better = "higher is better" if metric.higher_is_better else "lower is better"
    return Section(
        "Where is it good?",
        figure=graph_map(
            model.graph_.adjacency,
            mean,
            source,
            f"{model._task.label} ({better}); squares: sources",
        ),
        caption="The graph of domains, laid out so that neighbours lie close, coloured by "
        f"{model._task.label} of the served model; open circles have no labelled rows.",
    )


def domain_section(model: GRDA, scores: dict[str, np.ndarray], domains: np.ndarray) -> Section:
    """One line a domain."""
    from makedo.report import Section

    return Section(
        "Domain by domain",
        table=by_domain(model, scores, domains),
        table_caption=f"{model._task.label.capitalize()} of each candidate.",
    )


def selection_section(model: GRDA) -> Section:
    """The candidates on hidden sources."""
    from makedo.report import Section

    if not len(model.selection_):
        table = pd.DataFrame({"candidate": [model.served_], "why": ["asked for"]})
        return Section("What serves, and why?", table=table)
    n = len(set(model.hidden_losses_["domain"]))
    return Section(
        "What serves, and why?",
        text=f"{count(n, 'source')} took turns as targets. Losses were followed along the hops "
        f"towards {model.target_hop_:.2f}, the mean distance of the true targets; the simplest "
        "candidate within one standard error of the best serves; among models of one kind that "
        "are all so near, the log loss decides; and none whose log loss is greater than that of "
        "the first.",
        table=model.selection_.rename(
            columns={
                "loss": "loss at that distance",
                "seen": "mean loss",
                "gap": "behind the best",
                "gap_error": "standard error",
                "log_loss": "log loss at that distance",
            }
        ),
        table_caption="Share of wrong answers, or squared error over the variance of the source "
        "labels; the log loss is −log of the probability of the right class.",
    )


def network_sections(model: GRDA) -> list[Section]:
    """What the networks learnt, where there are any."""
    from makedo.report import Section, figures, maps

    sections = []
    if model.domain_encoding_ is not None:
        hops = np.clip(model.graph_.hops(model.sources_), 0, 3)
        names = ["sources", "1 hop", "2 hops", "3 hops or more"]
        label = "each mark is a domain; the two main directions"
        sections.append(
            Section(
                "How alike are the encodings?",
                figure=maps.points_by_group(model.domain_encoding_, hops, names, label),
                caption="Mean encoding of each domain along the two main directions, by hops to "
                "the nearest source.",
            )
        )
    if model.edge_chance_ is not None:
        i, j = np.triu_indices(model.graph_.n_domains, 1)
        chance, near = model.edge_chance_[i, j], model.graph_.adjacency[i, j]
        seen = ~np.isnan(chance)
        sections.append(
            Section(
                "What can the discriminator still see?",
                figure=maps.two_histograms(
                    chance[seen & near],
                    chance[seen & ~near],
                    ("neighbours", "other pairs"),
                    "chance of an edge, by D",
                ),
                caption="How probable the discriminator finds an edge, for pairs of neighbours and "
                "for other pairs: where the two agree, the encodings no longer tell the graph.",
            )
        )
    if len(model.history_):
        labels = {"loss": "loss of the encoder", "discriminator": "discriminator, 1 = chance"}
        sections.append(
            Section(
                "How did training go?",
                figure=figures.curves(model.history_, labels=labels),
                caption="Losses by epoch and phase, summed over the models that train together; "
                "the discriminator's is divided by that of pure chance (ln 2 for the graph's).",
            )
        )
    return sections
