import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import MakedoInputError, Number
from makedo.core.compare import compare_rows
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.labels import encode_labels, match_labels
from makedo.core.persistence import fingerprint
from makedo.data.features import read_rows
from makedo.data.table import TableEncoder


class NearestMean(Estimator):
    """Classify by the class whose mean is nearest [1]_.

    Parameters
    ----------
    random_state : int, default=0

    Attributes
    ----------
    classes_, means_, frequent_ : ndarray, ndarray, the most frequent class

    Shapes
    ------
    X (n_samples, n_features) · y (n_samples,) · predict -> (n_samples,)

    Requirements
    ------------
    Two classes; unlabelled rows are left out.

    Relations
    ---------
    Linear discriminant analysis also scales by the covariance.

    References
    ----------
    .. [1] Hastie et al., "The Elements of Statistical Learning", 2009.

    Examples
    --------
    >>> NearestMean().fit([[0.0], [1.0]], [5, 7]).predict([[0.2]])
    array([5])
    """

    _constraints = {"random_state": Number(0, integer=True)}

    def __init__(self, random_state: int = 0):
        self.random_state = random_state

    def fit(self, X, y):
        """Take the mean of each class; ``history_`` is how right they are on these rows."""
        self._check_parameters()
        rows = sp.csr_matrix(read_rows(self, X, reset=True)[0]).toarray()
        codes, self.classes_ = encode_labels("NearestMean", y, len(rows))
        self.means_ = np.stack([rows[codes == c].mean(0) for c in range(len(self.classes_))])
        self.frequent_ = self.classes_[np.bincount(codes[codes >= 0]).argmax()]
        self.history_, self.fingerprint_ = self.evaluate(X, y), fingerprint(rows, codes)
        return self

    def predict(self, X):
        """Classes (n_samples,)."""
        check_is_fitted(self)
        rows = sp.csr_matrix(read_rows(self, X, allow_empty=True)[0]).toarray()
        return self.classes_[((rows[:, None] - self.means_) ** 2).sum(2).argmin(1)]

    def evaluate(self, X, y):
        """Accuracy beside that of always naming the most frequent class."""
        answer = self.predict(X)
        labelled = match_labels("NearestMean", y, self.classes_, len(answer)) != -1
        if not labelled.any():
            raise MakedoInputError("NearestMean: no row has a label.")
        truth = np.asarray(y)[labelled]
        scores = {"one class": truth == self.frequent_, "means": truth == answer[labelled]}
        return compare_rows(scores, reference="one class", ours="means").table()

    def diagnose(self, X, y):
        """Compare on the rows themselves, which a mean hardly overfits."""
        naive, ours = NearestMean().fit(X, y).history_.itertuples()
        verdict = "applies" if ours.low > naive.high else "cannot tell"
        return Diagnosis(verdict, figures={"accuracy": ours.mean}, advice="Fit and compare.")

    def report(self, X=None, y=None, *, show_rows=False):
        """Say which to use; without data, by the rows of fit."""
        from makedo.report import Report, Section

        check_is_fitted(self)
        table = self.history_ if X is None else self.evaluate(X, y)
        best = table["candidate"][table["mean"].idxmax()]
        return Report("Nearest mean", f"Use {best}.", sections=[Section("Accuracy", table=table)])

    def _card(self):
        return "The directory holds means, no rows."

    def _restore(self, state):
        table = state.pop("table_")
        super()._restore(state | {"table_": table and TableEncoder.from_state(table)})
