"""What a linear classifier reads from codes."""

import warnings

import numpy as np
from numpy.typing import ArrayLike

ITERATIONS = 200
TRAIN_CODES = 10_000


def linear_probe_accuracy(
    train_codes_NxD: ArrayLike,
    train_labels_N: ArrayLike,
    test_codes_MxD: ArrayLike,
    test_labels_M: ArrayLike,
) -> float:
    """The accuracy on test codes of a logistic regression on training codes.

    Multinomial, with scikit-learn's default L2 penalty (C = 1), at most 200 steps of L-BFGS, on at
    most the first 10,000 training codes. Codes are standardised by the training codes' moments; a
    dimension that does not vary there counts as zero.

    Args:
        train_codes_NxD, train_labels_N: what it is fitted on.
        test_codes_MxD, test_labels_M: what it is tried on.

    Returns:
        The fraction of test codes whose most probable class is their label.

    Raises:
        ValueError: codes and labels that do not fit together, or are not finite; a single class.

    Examples:
        >>> linear_probe_accuracy([[-1.0], [-2.0], [1.0], [2.0]], [0, 0, 1, 1], [[9.0]], [1])
        1.0
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train_NxD = np.asarray(train_codes_NxD, np.float64)[:TRAIN_CODES]
    scaler = StandardScaler().fit(train_NxD)
    classifier = LogisticRegression(max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(scaler.transform(train_NxD), np.asarray(train_labels_N)[:TRAIN_CODES])
    test_MxD = scaler.transform(np.asarray(test_codes_MxD, np.float64))
    return float(np.mean(classifier.predict(test_MxD) == np.asarray(test_labels_M)))
