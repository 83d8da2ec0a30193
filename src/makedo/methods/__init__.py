"""The rooms of the house: one record of plain strings each, and no imports.

The command line, the lazy names of :mod:`makedo`, ``makedo list``, the root ``diagnose``, the
contract tests and the table of the README read these records; nothing else lists the methods.

A record: ``title`` the method's name; ``classes`` the public names, first the main estimator;
``trouble`` what falls short, as its owner would say it; ``gives`` and ``gets`` what goes in and
comes out; ``files`` the kinds of file that its ``diagnose`` takes, by the names of its parameters;
``extra`` the extra that must be installed for it, or nothing; ``paper`` authors, title, place.
"""

ROOMS: dict[str, dict[str, str]] = {
    "cold_brew": {
        "title": "Cold Brew",
        "classes": "ColdBrewClassifier ColdBrewRegressor ColdBrewLinkPredictor",
        "trouble": "new or rarely linked nodes of a graph have no edges to learn from",
        "gives": "a node table, an edge list, labels for some nodes",
        "gets": "predictions for nodes with no edges; whether the graph or the features carry the "
        "signal",
        "files": "nodes edges",
        "extra": "",
        "paper": "Zheng et al., Cold Brew: Distilling Graph Node Representations with Incomplete "
        "or Missing Neighborhoods, ICLR 2022",
    },
    "grda": {
        "title": "Graph-relational domain adaptation",
        "classes": "GRDAClassifier GRDARegressor",
        "trouble": "most domains (states, stores, years) have no labels, and a graph says which "
        "domains are neighbours",
        "gives": "rows with a domain column, labels in some domains, the graph of the domains",
        "gets": "predictions in the domains without labels, by whatever does best on hidden "
        "sources",
        "files": "rows edges",
        "extra": "",
        "paper": "Xu et al., Graph-Relational Domain Adaptation, ICLR 2022",
    },
    "diva": {
        "title": "DIVA",
        "classes": "DatasetDerivative DivaReweighter DivaSelector LabelIssueFinder "
        "AugmentationSelector",
        "trouble": "some training examples may be mislabelled, useless or harmful",
        "gives": "features and labels; perhaps a validation set or a pool",
        "gets": "a value for each example: keep, drop, reweight, relabel or acquire it",
        "files": "rows",
        "extra": "",
        "paper": "Dukler et al., DIVA: Dataset Derivative of a Learning Task, ICLR 2022",
    },
    "rim": {
        "title": "Recurrent intensity modelling",
        "classes": "RIM BudgetMatcher",
        "trouble": "who will act, and when: a recommender ranks items for a user, not users for an "
        "item",
        "gives": "a log of events: user, item, time",
        "gets": "items for users and users for an item, by how active each user will be; whether "
        "activity is predictable",
        "files": "log",
        "extra": "",
        "paper": "Ma et al., Bridging Recommendation and Marketing via Recurrent Intensity "
        "Modeling, ICLR 2022",
    },
    "trajectory": {
        "title": "Trajectory attribution",
        "classes": "TrajectoryAttributor",
        "trouble": "a trajectory predictor claims to look at the neighbours, and nobody knows "
        "whether it does",
        "gives": "a predictor (a function will do) and tracks: frame, agent, x, y",
        "gets": "what its own past and each neighbour bring to every prediction, beside random "
        "neighbours",
        "files": "tracks",
        "extra": "",
        "paper": "Makansi et al., You Mostly Walk Alone: Analyzing Feature Attribution in "
        "Trajectory Prediction, ICLR 2022",
    },
}
