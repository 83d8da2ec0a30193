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
    word, why = judged(model)
    chosen, verdict, summary = f"{model.served_}: {why}", "", []
    sections: list[Section] = []
    if X is not None:
        scores, domains, hops = credits(model, X, y, domain)
        comparison = compared(model, named(scores), hops, ours=model.served_)
        verdict, summary = measured(comparison), [f"What fit chose to serve is {chosen}"]
        sections = [
            *comparison_sections(model, comparison, hops),
            map_section(model, scores, domains),
        ]
        if show_rows:
            sections.append(domain_section(model, scores, domains))
    sections += [selection_section(model), *network_sections(model)]
    hops = model.graph_.hops(model.sources_)
    return Report(
        title="Graph-relational domain adaptation: domains without labels",
        verdict=verdict or f"Use {chosen}",
        summary=summary,
        facts={
            "domains": model.graph_.n_domains,
            "edges": model.graph_.n_edges,
            "sources": len(model.sources_),
            "mean hops of targets": round(model.target_hop_, 2),
            "hops of the farthest": int(hops.max()),
            "on hidden sources adaptation": word,
        },
        sections=sections,
    )


def named(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The candidates by name alone: what is served is one of them."""
    return {name: values for name, values in scores.items() if name != SERVED}


def measured(comparison: Comparison) -> str:
    """What to use by the rows that were given: the source-only model too has to stand the test."""
    if comparison.ours == LINEAR == comparison.pick():
        group = comparison.groups[0]
        n = count(comparison.paired(LINEAR, LINEAR).n, "row")
        return f"Use {LINEAR}: on {group} no candidate clearly beats it ({n})."
    return comparison.verdict(noun="")


def judged(model: GRDA) -> tuple[str, str]:
    """Helps, neutral, hurts or unknown, by the hidden sources; and why the served model serves."""
    if not len(model.selection_):
        return "unknown", "it was asked for, and nothing was compared."
    table: Any = model.selection_.set_index("candidate")
    loss, served = table["loss"], model.served_
    still = [name for name in (LINEAR, NETWORK) if name in table.index]
    if served in still:
        moving = [name for name in table.index if name not in still]
        rival = min(moving, key=lambda name: loss[name])
        clear = table["gap"][rival] > CLEARLY * table["gap_error"][rival] > 0
        word = "hurts" if clear else "neutral"
        text = "it does better than" if clear else "it is as good as"
        if loss[rival] < loss[served]:
            text = "it is simpler, and not clearly worse, than"
    else:
        rival = still[0]
        word = "helps" if loss[served] < min(loss[still]) else "neutral"
        text = "it does better than"
        if loss[served] >= loss[rival]:
            text = "it does better by log loss than"
    where = f"on {count(len(set(model.hidden_losses_['domain'])), 'hidden source')}"
    sentence = f"{where} {text} {rival} ({losses_of(table, served, rival)})"
    best = min(table.index, key=lambda name: loss[name])
    if best not in (served, rival):
        sentence += f"; {best} ({losses_of(table, best)}) is not clearly better, and less simple"
    return word, f"{sentence}."


def losses_of(table: pd.DataFrame, name: str, other: str | None = None) -> str:
    """``'loss 0.375 against 0.257 at the distance of the targets; log loss …'``."""
    parts = []
    for column, words in (("loss", "loss"), ("log_loss", "log loss")):
        if column in table:
            values: Any = table[column]
            against = "" if other is None else f" against {values[other]:.3f}"
            parts.append(f"{words} {values[name]:.3f}{against}")
    parts[0] += " at the distance of the targets" if other is not None else ""
    return "; ".join(parts)


# --- sections -------------------------------------------------------------------------------------


def comparison_sections(model: GRDA, scores: Comparison, hops: np.ndarray) -> list[Section]:
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
                main, label=task.label, ours=model.served_, reference=LINEAR, digits=metric.decimals
            ),
            caption=f"{task.label.capitalize()} with its 95 % interval over rows; the dotted line "
            f"is {LINEAR}.",
            table=shown.rename(columns={"mean": metric.name, "n": "rows"}),
            formats=dict.fromkeys((metric.name, "low", "high"), f",.{metric.decimals}f"),
            table_caption=f"{task.label.capitalize()}, by hops to the nearest source.",
        ),
    ]
    gains: Any = scores.differences()
    gains = gains[gains["group"].isin(["targets", "sources"])]
    if len(gains):
        sections.append(
            Section(
                "Does it pay?",
                figure=figures.paired_differences(
                    gains,
                    label=f"gain in {metric.name}" + (f", {metric.unit}" if metric.unit else ""),
                    digits=metric.decimals,
                ),
                caption="What the served model gains over each candidate on the same rows, with "
                "95 % intervals; left of zero it loses.",
            )
        )
    if len(np.unique(hops[hops >= 0])) > 1:
        bins = {"sources": "0"} | {
            name: name.removesuffix(" hop").replace(" hops", "")
            for name in hop_groups(hops)
            if name not in ("targets", "sources", "no path")
        }
        by_hop = table[table["group"].isin(list(bins))].assign(bin=table["group"].map(bins))
        order = {name: i for i, name in enumerate(bins.values())}
        by_hop = by_hop.sort_values("bin", key=lambda column: column.map(order), kind="stable")
        sections.append(
            Section(
                "How far does it carry?",
                figure=figures.score_against(
                    by_hop,
                    label=task.label,
                    bin_label="hops to the nearest source (0: a source)",
                    ours=model.served_,
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
            f"{metric.name} ({better}); squares: sources",
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
