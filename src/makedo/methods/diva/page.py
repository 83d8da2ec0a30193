"""The report of a fitted model: which score to trust, whether acting on it helps, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import count
from makedo.core.seeds import generator
from makedo.methods.diva import diagnose, extension, pictures
from makedo.methods.diva.evidence import BROKEN, CONSTANT, HEAD, Evidence, gather
from makedo.methods.diva.issues import LabelIssueFinder
from makedo.methods.diva.listing import listing, targets_of, words
from makedo.methods.diva.scoring import METRICS
from makedo.methods.diva.study import Study, fitted_study

if TYPE_CHECKING:
    from makedo.methods.diva.estimator import DatasetDerivative
    from makedo.report import Report, Section

SHOWN = 12  # examples at each end
MOST_COLUMNS = 8  # of a row that is shown
SIDES = ("helps others", "harms others")
DIGITS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def report(
    model: DatasetDerivative,
    X: Any = None,
    y: Any = None,
    *,
    show_rows: bool = False,
    rows: pd.DataFrame | None = None,
    images: pd.Series | None = None,
    curve: pd.DataFrame | None = None,
) -> Report:
    """See :meth:`DatasetDerivative.report`.

    Parameters
    ----------
    model : DatasetDerivative
        Fitted.  With its rows in memory, all questions are measured; a loaded one shows what the
        fit stored.
    X, y : optional
        Labelled rows that took no part in the fit; then acting is tested on them.
    show_rows : bool
    rows : DataFrame, optional
        The columns of the training rows, to show with ``show_rows``.
    images : Series, optional
        A picture of each training row (path or bytes), shown in place of ``rows``.
    curve : DataFrame, optional
        What :func:`makedo.methods.diva.extension.extension_curve` gave for a pool.
    """
    from makedo.report import Report

    found = listing(model)
    n_wrong = _n_marked(model)
    examples = example_sections(model, found, rows, images) if show_rows else []
    study, evidence = None, None
    if hasattr(model, "_head"):
        test = None if X is None else (X, y)
        study = fitted_study(model, generator(0, "diagnose"), test=test)
        if len(study.train) >= diagnose.FEWEST and len(study.tested) >= 2:
            evidence = gather(study)
    sections: list[Section] = []
    if evidence is not None and study is not None:
        verdict, summary = _measured_verdict(study, evidence)
        sections += [
            acting_section(study, evidence),
            trust_section(study, evidence),
            heads_section(study, evidence),
        ]
    else:
        verdict, summary = _stored_verdict(model, n_wrong, study)
    if X is not None:
        sections.append(evaluation_section(model, X, y))
    if curve is not None:
        sections.append(extension_section(model, curve))
    sections += [
        derivative_section(model),
        leverage_section(model, found),
        *confusion_sections(model, found),
        *penalty_sections(model),
    ]
    sections += examples
    return Report(
        title="DIVA: the value of every training example",
        verdict=verdict,
        summary=summary,
        facts={
            "training rows": len(found),
            "features": len(model.mean_),
            "labels that look wrong": f"{n_wrong:,} ({100 * n_wrong / len(found):.1f} %)",
            "rows that harm others": f"{100 * float((model.gradient_ > 0).mean()):.0f} %",
            "penalty λ": model.penalty_,
        },
        sections=sections,
    )


def _n_marked(model: DatasetDerivative) -> int:
    """Rows whose label looks wrong."""
    labels = model.y_ if model.y_.ndim == 1 or model.y_.shape[1] > 1 else model.y_[:, 0]
    finder = LabelIssueFinder(targets=model.kind_)
    marked = finder.fit(y=labels, pred_probs=model.loo_predictions_).marked_
    return int((marked if marked.ndim == 1 else marked.any(1)).sum())


# --- the first lines ------------------------------------------------------------------------------


def _measured_verdict(study: Study, found: Evidence) -> tuple[str, list[str]]:
    said, advice = diagnose.judge(study, found)
    acting = diagnose.acting_in_words(study, found)
    if (
        found.heads.paired(HEAD, CONSTANT).clear <= 0
        or said == "does not apply"
        and (found.gap.clear > 0 and found.gap.gain >= diagnose.MUCH * study.metric.scale)
    ):
        return advice, [diagnose.trust(study, found) + diagnose.scaling_hint(found), acting]
    verdict = f"Trust the {found.finder} to find wrong labels. {acting}"
    return verdict, [diagnose.trust(study, found) + diagnose.scaling_hint(found)]


def _stored_verdict(
    model: DatasetDerivative, n_wrong: int, study: Study | None
) -> tuple[str, list[str]]:
    n = len(model.gradient_)
    verb = "looks" if n_wrong == 1 else "look"
    why = (
        "a saved model does not hold its rows"
        if study is None
        else f"{count(n, 'row')} are too few"
    )
    advice = (
        "Give the rows that it learnt from (`--rows`) to have it measured."
        if study is None
        else f"Label at least {diagnose.FEWEST} rows to have it measured."
    )
    verdict = (
        f"{count(n_wrong)} of {count(n, 'label')} {verb} wrong; whether acting on it helps was not "
        f"measured, as {why}."
    )
    return verdict, [advice]


# --- what was measured ----------------------------------------------------------------------------


def acting_section(study: Study, found: Evidence) -> Section:
    """What each way of acting gains over doing nothing."""
    from makedo.report import Section, figures

    metric = study.metric
    table = pd.DataFrame(
        [
            (one.ours, one.reference, one.group, one.gain, *(one.interval or (np.nan, np.nan)))
            for one in found.acting
        ],
        columns=["ours", "reference", "group", "gain", "low", "high"],
    )
    label = f"gain in {metric.name}" + (f", {metric.unit}" if metric.unit else "")
    by = "labels as given" if study.where == "held-back rows" else "labels"
    return Section(
        "Would acting help?",
        figure=figures.paired_differences(table, label=label, digits=metric.decimals),
        caption=f"{label.capitalize()}, over using all rows as given, on {study.where} by their "
        f"{by}, with 95 % intervals; λ was tuned anew for every arm.",
        table=table.drop(columns=["group", "reference"]).rename(columns={"ours": "way"}),
        formats=dict.fromkeys(("gain", "low", "high"), f"+.{metric.decimals}f"),
        note=f"Either score drops the same number of rows, {100 * found.dropped:.1f} %. The "
        "first way decides; it was chosen before anything was measured. Nothing was deleted.",
    )


def trust_section(study: Study, found: Evidence) -> Section:
    """How well each score finds labels that were broken on purpose, and foretells removal."""
    from makedo.core.paired import t_interval
    from makedo.report import Section, figures

    lines = []
    for name in found.found:
        values = found.found[name].to_numpy(float)
        low, high = t_interval(values) or (np.nan, np.nan)
        lines.append((name, "labels that we broke", values.mean(), low, high))
    table = pd.DataFrame(lines, columns=["candidate", "group", "mean", "low", "high"])
    shown = pd.DataFrame(
        {
            "finds broken labels (area under ROC)": found.found.mean(),
            "foretells removal (rank correlation)": pd.Series(found.removal),
        }
    ).rename_axis("score")
    return Section(
        "Which score to trust?",
        figure=figures.comparison(
            table, label="area under the ROC curve", ours=found.finder, digits=3
        ),
        caption="How often a label that we broke has a more suspicious score than one that we did "
        f"not: {100 * BROKEN:.0f} % of the labels, {count(len(found.found), 'time')}, 95 % "
        "intervals. Labels that were wrong before count as right, which lowers all scores alike.",
        table=shown,
        table_caption="The derivative answers another question than the margin: what the sample "
        "does to the others. Removal is exact, one sample at a time.",
        formats=dict.fromkeys(shown.columns, ".3f"),
    )


def heads_section(study: Study, found: Evidence) -> Section:
    """The linear head beside other models."""
    from makedo.report import Section, figures

    table = found.heads.table()
    gap, metric = found.gap, study.metric
    text = "The values are exact for a linear head. "
    if gap.clear > 0 and gap.gain >= diagnose.MUCH * metric.scale:
        text += f"Here {gap.words}: they describe a model that is not the one to use."
    elif gap.clear > 0:
        text += f"Here {gap.words}."
    else:
        text += "Nothing else is clearly better on these features."
    return Section(
        "Is a linear head good enough?",
        text=text,
        figure=figures.comparison(
            table, label=study.label, ours=HEAD, reference=CONSTANT, digits=metric.decimals
        ),
        caption=f"{study.label.capitalize()} on {study.where}, with 95 % intervals; the dotted "
        "line is a constant answer.",
    )


def evaluation_section(model: DatasetDerivative, X: Any, y: Any) -> Section:
    """The head on the rows that were given."""
    from makedo.report import Section

    return Section(
        "How good is the head on the rows given?",
        table=model.evaluate(X, y),
        table_caption="These rows took no part in the fit; low and high are a 95 % interval.",
    )


def extension_section(model: DatasetDerivative, curve: pd.DataFrame) -> Section:
    """Growing the training set from a pool: by derivative, and at random."""
    from makedo.report import Section, distributions

    metric = METRICS[model.kind_]
    label = f"{metric.name}, %" if metric.scale == 100 else metric.name
    gains = extension.gains(curve, metric.sign)
    helpful = gains["added"].to_numpy()[gains["helpful"].to_numpy(bool)]
    n_clear = int((gains["low"].to_numpy(float) > 0).sum())
    text = (
        f"DIVA beats uniform choice clearly at {count(n_clear, 'size')} of {len(gains)}."
        if n_clear
        else "DIVA is not clearly better than uniform choice at any size."
    )
    if len(helpful) < len(gains):
        last = int(helpful.max()) if len(helpful) else 0
        text += f" It sees no gain beyond about {count(last, 'added row')}: stop there."
    shown = extension.summary(curve)
    if metric.scale == 100:  # an interval of parts may reach beyond what a share can be
        shown[["low", "high"]] = shown[["low", "high"]].clip(0, 100)
    return Section(
        "Which rows of the pool to add?",
        text=text,
        figure=distributions.bands(
            shown.rename(columns={"added": "x"}),
            label=label,
            x_label="rows added from the pool",
            ours=extension.OURS,
        ),
        caption=f"{label.capitalize()} on rows that chose nothing, as rows of the pool are added, "
        "chosen by DIVA or at random; bands are 95 % intervals over parts of these rows, "
        "without how parts differ at large.",
        table=gains.rename(columns={"added": "rows added", "helpful": "DIVA still sees a gain"}),
        table_caption=f"What DIVA gains over uniform choice, in {label}, paired by part, with 95 % "
        "intervals.",
        formats=dict.fromkeys(("gain", "low", "high"), f"+.{metric.decimals}f"),
    )


# --- what the fit found ---------------------------------------------------------------------------


def derivative_section(model: DatasetDerivative) -> Section:
    """The derivative by class."""
    from makedo.report import Section, distributions

    values, unit = _in_powers(model.gradient_)
    groups = _groups_of(model)
    label = f"derivative of the loss by the weight of a row{unit}"
    return Section(
        "Who helps, who harms?",
        text="Negative: with more weight on the row, the loss on the others, or on trusted rows "
        "where fit had some, falls. "
        f"{100 * float((model.gradient_ < 0).mean()):.0f} % of the rows help.",
        figure=distributions.histograms(values, groups, label=label, ends=SIDES),
        caption="How the derivative is distributed"
        + (" in each class." if len(set(groups)) > 1 else "."),
    )


def _groups_of(model: DatasetDerivative) -> np.ndarray:
    if model.kind_ in ("classes", "soft"):
        return words(model, targets_of(model))
    return np.repeat("all rows", len(model.gradient_))


def _in_powers(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Values over a power of ten that makes them easy to write, and that power in words."""
    size = np.percentile(np.abs(values), 95)
    power = int(np.floor(np.log10(size))) if size > 0 else 0
    return values / 10.0**power, f", 10{str(power).translate(DIGITS)}" if power else ""


def leverage_section(model: DatasetDerivative, found: pd.DataFrame) -> Section:
    """Derivative, or weight where weights differ, against leverage."""
    from makedo.report import Section, distributions

    weighted = bool(np.ptp(model.sample_weight_) > 0)
    column = "weight" if weighted else "derivative"
    values, unit = _in_powers(found[column].to_numpy(float))
    # nearest to its wrong label first: the rows that look most wrong
    worst = found["margin"] < 0 if "margin" in found else found["residual"] > 3
    words_for = "another label is suggested" if "margin" in found else "more than 3 sd off"
    return Section(
        f"{column.capitalize()} against leverage",
        figure=distributions.cloud(
            found["leverage"],
            values,
            label=f"{column}{unit}",
            x_label="leverage",
            marked=worst,
            marked_label=words_for,
            log_x=True,
        ),
        caption="Rows of high leverage stand alone: their own label decides much of what is "
        "predicted for them, and a derivative says least of removing them.",
    )


def confusion_sections(model: DatasetDerivative, found: pd.DataFrame) -> list[Section]:
    """Given labels against those that are suggested without the row."""
    from makedo.report import Section, distributions

    if model.kind_ in ("classes", "soft"):
        names = list(model.output_names_)
        table = pd.crosstab(found["given"], found["suggested"]).reindex(
            index=names, columns=names, fill_value=0
        )
        figure = distributions.count_map(table, label="given", x_label="suggested")
        caption = "Rows by their label and by what is predicted without them."
    elif model.kind_ == "values" and "given" in found:
        figure = distributions.cloud(
            found["given"],
            found["suggested"] - found["given"],
            label="predicted without the row, minus given",
            x_label="given",
            marked=found["residual"] > 3,
            marked_label="more than 3 sd off",
        )
        caption = "How far off the prediction without the row is."
    else:
        return []
    return [Section("What is predicted without the row?", figure=figure, caption=caption)]


def penalty_sections(model: DatasetDerivative) -> list[Section]:
    """The leave-one-out loss of every penalty that was tried."""
    from makedo.report import Section, distributions

    path = model.history_
    if len(path) < 2:
        return []
    curve = pd.DataFrame(
        {"candidate": "path", "x": path["penalty"], "mean": path["loo_loss"]}
    ).replace([np.inf, -np.inf], np.nan)
    return [
        Section(
            "How was λ chosen?",
            figure=distributions.bands(
                curve,
                label="leave-one-out squared error",
                x_label="penalty λ",
                log_x=True,
                at=model.penalty_,
                at_label=f"chosen: {float(f'{model.penalty_:.2g}'):,g}",
            ),
            caption="Squared error of each row without itself, for every penalty that was tried.",
        )
    ]


# --- examples -------------------------------------------------------------------------------------


def example_sections(
    model: DatasetDerivative,
    found: pd.DataFrame,
    rows: pd.DataFrame | None,
    images: pd.Series | None,
) -> list[Section]:
    """The rows at either end of each score, as rows or as pictures."""
    doubt = -found["margin"] if "margin" in found else found["residual"]
    name = "margin" if "margin" in found else "residual"
    ends: Mapping[str, np.ndarray] = {
        f"Most likely wrong labels (by {name})": np.argsort(-doubt.to_numpy(), kind="stable"),
        "Rows that harm others most": np.argsort(-model.gradient_, kind="stable"),
        "Rows that help others most": np.argsort(model.gradient_, kind="stable"),
    }
    return [
        _examples(title, order[:SHOWN], found, rows, images, name) for title, order in ends.items()
    ]


def _examples(
    title: str,
    places: np.ndarray,
    found: pd.DataFrame,
    rows: pd.DataFrame | None,
    images: pd.Series | None,
    score: str,
) -> Section:
    from makedo.report import Section, distributions

    values, unit = _in_powers(found["derivative"].to_numpy(float))
    part = found.iloc[places].drop(columns=["leverage", "weight"])
    part["derivative"] = values[places]
    part = part.rename(columns={"derivative": f"derivative{unit}"})
    part.index = part.index.map(str).rename(part.index.name or "row")
    if images is None:
        if rows is not None:
            shown = rows.iloc[places, :MOST_COLUMNS].set_axis(part.index, axis=0)
            rest = shown[[c for c in shown.columns if c not in part]]
            part = pd.concat([part, rest], axis=1)
        return Section(title, table=part)
    captions = [
        [_labels_in_words(line), f"{score} {line[score]:.2f}", str(row)]
        for row, line in zip(part.index, part.to_dict("records"), strict=True)
    ]
    sheet = distributions.image_sheet(pictures.load(images.iloc[places]), captions)
    caption = "Given label → another label, where one is suggested without the row."
    return Section(title, figure=sheet, caption=caption, table=part)


def _labels_in_words(line: Mapping[Any, Any]) -> str:
    """``given → suggested``, or ``given`` where both are the same."""
    ends = [
        "; ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in values)
        for values in (
            [value for name, value in line.items() if str(name).split()[0] == side]
            for side in ("given", "suggested")
        )
    ]
    return " → ".join(dict.fromkeys(ends))
