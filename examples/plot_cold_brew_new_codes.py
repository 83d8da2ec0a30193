"""
Which chapter does a diagnosis code belong to that nothing links to yet?
========================================================================

ICD-10-CM names diagnoses by codes, in 22 chapters.  Codes refer to each other ("code first",
"excludes").  A code that was proposed today has a text, but nothing refers to it yet.  A graph
network has nothing to work with there; a classifier of texts ignores all references.  Cold Brew
learns from the references and then serves a code by its text alone.

The data are real: the 1,918 codes of three characters.  They install with
``pip install "makedo[demo]"``.
"""

# %%
# A fifth of the codes is new: we take them out, with all their references.  Of the others a fifth
# has a label, as if a clerk had begun to sort them.

import matplotlib.pyplot as plt
import pandas as pd

from makedo import ColdBrewClassifier
from makedo.data import catalog

codes = catalog.load("icd10cm", level=3)
table = pd.DataFrame({"text": codes.texts, "chapter": [codes.classes[c] for c in codes.y]})
new = table.sample(frac=0.2, random_state=0)
known = table.drop(index=new.index)
labelled = known["chapter"].sample(frac=0.2, random_state=0).reindex(known.index)
print(codes.graph, "-", labelled.notna().sum(), "labels,", len(new), "new codes")

# %%
# **Does it help here?**  ``diagnose`` hides labels and edges of known codes, and measures.  Rows
# are joined with the graph by code: a code that is no row is not in the graph either.

print(ColdBrewClassifier().diagnose(known[["text"]], labelled, graph=codes.graph))

# %%
# **Fit, and ask about the new codes.**  The model has trained a plain MLP, an MLP that imitates the
# graph network, and the Cold Brew student.  ``unlinked_pool_`` says how much each has to say, by
# what it knew of codes whose references were hidden.

model = ColdBrewClassifier().fit(known[["text"]], labelled, graph=codes.graph)
print({part: round(one["weight"], 2) for part, one in model.unlinked_pool_.items()})
answers = model.explain(new[["text"]])
print(pd.concat([new["text"], answers[["label", "probability"]]], axis=1).head())

# %%
# **Whom does a new code resemble?**  The student looks up known codes as stand-ins for the
# neighbours that a new one does not have.

ids, weights = model.virtual_neighbors(new[["text"]].head(1))
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
stand_ins = [f"{code} {known['text'][code][:60]}" for code in ids[0, :8]]
ax.barh(stand_ins[::-1], weights[0, :8][::-1])
ax.set_xlabel("weight")
fig.suptitle(f"Stand-ins for {new.index[0]} {new['text'].iloc[0][:60]}")

# %%
# **How many labels does it take until the text is enough?**  We fit again with fewer and with more
# labels, and count right answers on the new codes, with 95 % intervals.  The last mark is what
# ``fit`` chose: with few labels only a handful of validation codes chooses, and it may miss the
# best part.

models = {0.2: model}
for share in (0.05, 0.6):
    more_or_fewer = known["chapter"].sample(frac=share, random_state=0).reindex(known.index)
    models[share] = ColdBrewClassifier().fit(known[["text"]], more_or_fewer, graph=codes.graph)
shares = sorted(models)
scores = pd.concat({s: models[s].evaluate(new[["text"]], new["chapter"]) for s in shares})
scores = scores.reset_index(level=0, names="share").set_index(["candidate", "share"])

names = {
    "mlp": "plain MLP",
    "normed mlp": "plain MLP with normalisation",
    "distilled mlp": "MLP that imitates the graph network (GLNN)",
    "student": "Cold Brew student",
    "Cold Brew": "what fit chose",
}
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for i, (part, name) in enumerate(names.items()):
    found = scores.loc[part].loc[shares]
    ends = [found["mean"] - found["low"], found["high"] - found["mean"]]
    places = [j + 0.1 * (i - 2) for j in range(len(shares))]
    ax.errorbar(places, found["mean"], yerr=ends, fmt="ovsD*"[i], label=name)
ax.set_xticks(range(len(shares)), [f"{share:.0%}" for share in shares])
ax.set(xlabel="known codes with a label", ylabel="right answers on new codes, %")
ax.legend(frameon=False)

# %%
# **Did it pay?**  The report fits every baseline on the same labels and compares on the same new
# codes.  Its first line is the verdict, whichever way it goes.

report = model.report(new[["text"]], new["chapter"], budget=1)
print(report.verdict)
print(next(iter(report.tables.values())).to_string(index=False))

# %%
# When not to use it
# ------------------
# The references can add something while labels are few.  Once most codes have a label, the text
# says it all, and a plain classifier is as good and simpler.
#
# References alone are a weak graph: about half of them lead to another chapter (``homophily``
# above).  With the parents of longer codes the graph is better; that is what ``makedo demo`` runs.
#
# And look at the simple rivals in the last table.  An MLP that imitates the graph network, or a
# graph network that is asked about a code without edges, can be as good as the student.  If one of
# them is, use that.
