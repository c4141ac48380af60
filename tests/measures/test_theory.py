"""Closed forms against simulations, integrals and printed values."""

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from robeval.measures.theory import psi_transform, tsipras_svm
from robeval.measures.theory.spirals import ByDistance
from robeval.measures.theory.trades_example import Stairs, errors, exact_errors
from robeval.measures.theory.tsipras import accuracy, drawn


def agree(of):
    """Assert that every simulated number is within five standard errors of its closed form."""
    pairs = [(at.removesuffix(", simulated"), metric) for metric, at in of if at.endswith(", simulated")]
    assert pairs
    for name, metric in pairs:
        exact, found = of[metric, f"{name}, closed form"].value, of[metric, f"{name}, simulated"]
        assert abs(found.value - exact) <= 5 * np.sqrt(exact * (1 - exact) / found.n) + 5 / found.n
        assert found.low <= found.value <= found.high


# ── TRADES ──


def test_the_table_of_the_trades_example(theory):
    """Table 1: 0, 1, 1 of the Bayes classifier and 1/2, 0, 1/2 of the one that always says +1."""
    of = theory("trades_example", stairs=7, n=20_000)
    for name, printed in {"bayes": (0, 1, 1), "all_one": (0.5, 0, 0.5)}.items():
        kinds = ("natural", "boundary", "robust")
        assert [of[f"{kind}_error", f"{name}, closed form"].value for kind in kinds] == pytest.approx(printed)
    agree(of)


@pytest.mark.parametrize("seed", range(20))
def test_robust_error_is_natural_plus_boundary_error_of_any_classifier(seed):
    """Whether a point is robust is found by trying 401 points around it."""
    draw = np.random.default_rng(seed)
    truth = Stairs(np.sort(draw.random(6)), 1)
    classifier = Stairs(np.sort(draw.random(4)), -1)
    eps, x = 0.04, draw.random(2000)
    made = errors(classifier, x, truth(x), eps)
    assert np.array_equal(made["robust"], made["natural"] | made["boundary"])
    assert not (made["natural"] & made["boundary"]).any()
    tried = classifier((x[:, None] + eps * np.linspace(-1, 1, 401)).clip(0, 1)) != truth(x)[:, None]
    assert (tried.any(axis=1) <= made["robust"]).all()
    assert (tried.any(axis=1) != made["robust"]).mean() < 0.01
    for kind, value in exact_errors(classifier, truth, eps).items():
        assert made[kind].mean() == pytest.approx(value, abs=0.06)


@pytest.mark.parametrize("loss", psi_transform.LOSSES)
def test_the_psi_transforms_of_the_table(theory, loss):
    of, apart = theory("psi_transform", points=10), []
    for theta in np.linspace(0, 1, 11):
        exact, found = (of["psi", f"{loss}, theta={theta:.6g}, {how}"].value for how in ("closed form", "minimised"))
        assert found == pytest.approx(exact, abs=1e-6)
        apart.append(abs(found - exact))
    assert of["psi_difference", f"{loss}, largest of all theta"].value == max(apart)


def test_the_convex_function_below_is_convex_and_below():
    x = np.linspace(0, 1, 41)
    y = np.minimum(x**2, 0.3 + 0.1 * np.sin(20 * x))
    below = psi_transform.convex_below(x, y)
    assert (below <= y + 1e-15).all()
    assert (np.diff(below, 2) >= -1e-12).all()
    assert psi_transform.convex_below(x, x**2) == pytest.approx(x**2)


# ── Tsipras ──


@pytest.mark.parametrize("params", [{}, {"d": 25, "p": 0.7, "eta": 0.3, "eps": 0.2}, {"d": 1, "eta": 0.5}])
def test_formulas_and_points_of_the_distribution_agree(theory, params):
    agree(theory("tsipras", **params))


def test_the_printed_values_of_the_mean_and_of_one_feature(theory):
    """Phi(3) = 99.87 % natural at eta = 3 / sqrt(d), Phi(-3) robust at eps = 2 eta; x_1 alone has p and p."""
    of = theory("tsipras", d=900, n=100)
    assert of["natural_accuracy", "mean, closed form"].value == pytest.approx(norm.cdf(3))
    assert of["robust_accuracy", "mean, closed form"].value == pytest.approx(norm.cdf(-3))
    assert of["natural_accuracy", "first, closed form"].value == 0.95
    assert of["robust_accuracy", "first, closed form"].value == 0.95
    assert theory("tsipras", d=1, eta=0.6, n=100)["robust_accuracy", "first, closed form"].value == 0  # eps above 1


@pytest.mark.parametrize("p", [0.6, 0.95, 0.975])
@pytest.mark.parametrize("d", [4, 100])
def test_no_linear_classifier_beats_the_bound(p, d):
    """Theorem 2.1, for weights of all kinds."""
    eta = 1.5 / np.sqrt(d)
    for a in np.linspace(-2, 3, 11):
        for b in np.linspace(-1, 2, 13) / np.sqrt(d):
            natural, robust = (accuracy(a, b, d, p, eta, eps) for eps in (0.0, 2 * eta))
            assert robust <= p / (1 - p) * (1 - natural) + 1e-12


def test_the_points_have_the_moments_of_the_distribution():
    first, rest = drawn(np.random.default_rng(0), 30_000, 64, 0.8, 0.1)
    assert first.mean() == pytest.approx(0.6, abs=0.02)
    assert rest.mean() == pytest.approx(6.4, abs=0.2)
    assert rest.std() == pytest.approx(8, abs=0.15)


def test_training_of_the_support_vector_machine(theory):
    """Theorem 2.2: more than 99 % and less than 1 %; adversarially p and p, by x_1 alone."""
    of = theory("tsipras_svm")
    agree(of)
    assert of["natural_accuracy", "standard, closed form"].value > 0.99
    assert of["robust_accuracy", "standard, closed form"].value < 0.01
    assert of["weight_of_x1", "adversarial"].value == pytest.approx(1, abs=1e-6)
    assert of["natural_accuracy", "adversarial, closed form"].value == pytest.approx(0.95)
    assert of["robust_accuracy", "adversarial, closed form"].value == pytest.approx(0.95)


@pytest.mark.parametrize(("angle", "eps"), [(0.0, 0.3), (0.4, 0.0), (1.2, 0.1)])
def test_the_expected_hinge_loss_is_the_integral(angle, eps):
    d, p, eta = 9, 0.8, 0.7
    a, b = np.cos(angle), np.sin(angle) / 3
    moved = eps * (a + d * b)

    def integrand(z, side):
        return max(0.0, 1 - (side * a + b * (d * eta + 3 * z) - moved)) * norm.pdf(z)

    exact = sum(
        share * integrate.quad(integrand, -10, 10, args=(side,), limit=200, points=[0])[0]
        for side, share in ((1, p), (-1, 1 - p))
    )
    assert tsipras_svm.expected_hinge(angle, d, p, eta, eps) == pytest.approx(exact, abs=1e-6)


def test_the_best_direction_is_best():
    d, p, eta = 4, 0.85, 2.0
    angle = tsipras_svm.best_angle(d, p, eta, 0.0)
    angles = np.linspace(0, np.pi / 2, 801)
    losses = [tsipras_svm.expected_hinge(each, d, p, eta, 0.0) for each in angles]
    assert tsipras_svm.expected_hinge(angle, d, p, eta, 0.0) <= min(losses) + 1e-9


# ── spirals ──


@pytest.mark.parametrize("points", [20, 200])
def test_the_classifier_of_the_theorem_is_astute_and_lipschitz(theory, points):
    of = theory("spirals", points=points, n=2000)
    assert of["astuteness", "drawn"].value == 1
    assert of["astuteness", "moved"].value == 1
    assert of["margin_min", "training points"].value >= 1
    assert 0.5 < of["lipschitz", ""].value <= 1 + 1e-12
    assert of["separation", ""].value > 0


def test_it_fails_beyond_the_radius():
    """Half way to the other class it is undecided, and further it is wrong: the theorem's radius is the largest."""
    draw = np.random.default_rng(0)
    training, y = draw.random((30, 2)), np.where(np.arange(30) % 2, 1, -1)
    classifier = ByDistance(training, y)
    nearest = classifier.nearest_other(training, y)
    apart = np.abs(training - nearest).max(axis=1)
    place = apart.argmin()
    assert apart[place] == pytest.approx(2 * classifier.r)
    further = training[place] + 0.51 * (nearest[place] - training[place])
    assert y[place] * classifier(further[None])[0] < 0


# ── the label budget of BAT ──


@pytest.mark.parametrize(("beta", "printed"), [(81, 0.1), (9, 0.5), (1, 0.9)])
def test_the_budget_is_that_of_the_paper(theory, beta, printed):
    of = theory("label_budget", beta=beta)
    assert of["label_budget", ""].value == pytest.approx(printed)
    assert of["label_budget_least", ""].value == pytest.approx(1 / (1 + beta))


def test_the_bound_of_theorem_2_1_at_the_deltas_of_the_paper(theory):
    of = theory("tsipras", n=10)
    assert of["robust_accuracy_bound", "delta=0.01"].value == pytest.approx(0.19)
    assert of["robust_accuracy_bound", "delta=0.04"].value == pytest.approx(0.76)
