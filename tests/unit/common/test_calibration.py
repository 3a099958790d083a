from __future__ import annotations

import numpy as np

from tasks.common.calibration import logistic, logit


def test_one_undoes_the_other() -> None:
    probabilities = np.array([0.01, 0.2, 0.5, 0.8, 0.99])
    np.testing.assert_allclose(logistic(logit(probabilities)), probabilities)


def test_certainty_and_huge_scores_stay_finite() -> None:
    assert np.isfinite(logit([0.0, 1.0])).all()
    np.testing.assert_allclose(logistic([-1e9, 1e9]), [0.0, 1.0], atol=1e-12)
