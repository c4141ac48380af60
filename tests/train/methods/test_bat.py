"""Bilateral adversarial training: its labels, its targets, and every published configuration."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import ConvNet, seeded
from lessons import (
    BALLS,
    LINF,
    SHAPE,
    STEP_SIZE,
    N,
    Seen,
    agree_with_slope,
    attacked,
    batch,
    by_differences,
    ce_sum,
    noise,
    smooth_net,
)

from robeval.attacks.pgd import pgd
from robeval.errors import UserError
from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.ops.targets import aim
from robeval.train.methods.bat import adversarial_labels, bat, smooth_labels
from robeval.values.threat import ThreatModel

STEP = {"step_size": LINF.eps}


def logits(n=50, k=10, seed=0, scale=3.0):
    return scale * torch.randn(n, k, generator=seeded(seed), dtype=torch.float64)


def by_hand(z, c, beta, gamma=0.01):
    """Equations 14 and 18 for one image, in numpy."""
    p = np.exp(z - z.max())
    v = -np.log(p / p.sum() + 1e-8)
    others = np.delete(np.arange(len(z)), c)
    low, high, mean = v[others].min(), v[others].max(), v[others].mean()
    eps_y = 1 / (1 + beta / len(others) * (high - low + gamma) / (mean - low + gamma))
    label = eps_y / len(others) * (v - low + gamma) / (mean - low + gamma)
    label[c] = 1 - eps_y
    return label


# ── the label adversary ──


@pytest.mark.parametrize("beta", [0.5, 9.0, 100.0])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_labels_sum_to_1_and_the_class_has_beta_times_the_largest_other(k, beta):
    y = torch.arange(50) % k
    label = adversarial_labels(logits(k=k), y, beta, 0.01)
    torch.testing.assert_close(label.sum(dim=1), torch.ones(50).double())
    true = label.gather(1, y[:, None]).squeeze(1)
    others = label.scatter(1, y[:, None], -torch.inf)
    torch.testing.assert_close(true, beta * others.amax(dim=1))
    assert (label > 0).all()


def test_labels_are_equations_14_and_18():
    z, y = logits(), torch.arange(50) % 10
    expected = np.stack([by_hand(each.numpy(), int(c), 9.0) for each, c in zip(z, y)])
    np.testing.assert_allclose(adversarial_labels(z, y, 9.0, 0.01).numpy(), expected, rtol=1e-12)


def test_the_likelier_a_wrong_class_the_less_it_gets():
    z, y = logits(), torch.arange(50) % 10
    label = adversarial_labels(z, y, 9.0, 0.01).scatter(1, y[:, None], torch.inf)
    order = z.scatter(1, y[:, None], -torch.inf).sort(dim=1, descending=True).indices
    assert (label.gather(1, order[:, :-1]).diff(dim=1) > 0).all()


def test_what_is_taken_from_the_class_has_the_published_limits():
    """1 - y'_c is in (1 / (1 + beta), 1 / (1 + beta / (n - 1))]: most where all wrong classes are alike."""
    n, beta = 10, 9.0
    lowest, highest = 1 / (1 + beta), 1 / (1 + beta / (n - 1))
    taken = 1 - adversarial_labels(logits(500), torch.zeros(500, dtype=torch.long), beta, 0.01)[:, 0]
    assert (taken > lowest).all()
    assert (taken <= highest).all()
    alike = torch.zeros(1, n, dtype=torch.float64)
    alike[0, 0] = 3
    at_most = 1 - adversarial_labels(alike, torch.tensor([0]), beta, 0.01)[0, 0]
    assert at_most.item() == pytest.approx(highest, rel=1e-12)
    alike[0, 4] = -15  # one wrong class is far less likely than all others
    at_least = 1 - adversarial_labels(alike, torch.tensor([0]), beta, 1e-6)[0, 0]
    assert at_least.item() == pytest.approx(lowest, rel=1e-5)


def test_smooth_labels_spread_over_the_wrong_classes_only():
    label = smooth_labels(torch.tensor([2, 0]), 5, 0.5)
    torch.testing.assert_close(label, torch.tensor([[0.125, 0.125, 0.5, 0.125, 0.125], [0.5, *[0.125] * 4]]))


# ── the images ──


@pytest.mark.parametrize("target", ["none", "most_confusing", "least_likely", "random"])
@pytest.mark.parametrize("random_start", [True, False])
def test_it_learns_from_the_images_of_the_attack_pgd(target, random_start):
    seen = Seen(smooth_net())
    bat(batch(seen), seen, target=target, random_start=random_start, steps=2, step_size=STEP_SIZE)
    adv = pgd(batch(seen.net), target=target, random_start=random_start, steps=2, step_size=STEP_SIZE)
    torch.testing.assert_close(seen.calls[-1][1], adv, rtol=0, atol=0)


def test_the_attack_is_in_evaluation_mode_and_asks_once_for_the_clean_logits():
    seen = Seen(ConvNet(shape=SHAPE, k=3)).train()
    problem = batch(seen)
    bat(problem, seen, **STEP)
    assert seen.told(problem.x) == [("eval", "clean"), ("eval", "changed"), ("train", "changed")]


def test_random_targets_belong_to_samples():
    """Each image's target is one of its wrong classes, all come up, and they are those of `aim`."""
    net = smooth_net(classes=5)
    wanted = []
    for restart in range(40):
        problem = Problem(
            Microbatches(net, N), batch(net).x, torch.arange(N) % 5, LINF, Noise(1, "m", restart, range(N))
        )
        wanted.append(aim(problem, "random")[:, 1])
    drawn = torch.stack(wanted)
    for row in range(N):
        assert set(drawn[:, row].tolist()) == set(range(5)) - {row % 5}


def test_mosa_takes_the_nearest_boundary_of_the_last_layer():
    """By a loop over classes: margin over distance of the rows, without those that lead."""
    net = smooth_net(classes=5)
    problem = batch(net, classes=5)
    z, w = net(problem.x).detach(), net[3].weight.detach()
    goal = []
    for row, c in enumerate(problem.y.tolist()):
        far = {k: (z[row, c] - z[row, k]).item() / (w[c] - w[k]).norm().item() for k in range(5) if k != c}
        behind = {k: far[k] for k in far if (z[row, c] - z[row, k]) > 1e-4}
        goal.append(min(behind, key=behind.get) if behind else max(far, key=lambda k: z[row, k].item()))
    goal = torch.tensor(goal)
    assert (goal != z.scatter(1, problem.y[:, None], -torch.inf).argmax(dim=1)).any()  # so it is not MC
    start = problem.x + LINF.eps * (2 * noise().uniform(SHAPE) - 1)
    adv = attacked(net, start, problem.x, LINF, lambda out: -ce_sum(goal)(out), 1, LINF.eps)
    written_out = F.cross_entropy(net(adv), problem.y)
    loss = bat(batch(net, classes=5), net, target="mosa", labels="true", **STEP)
    agree_with_slope(loss, written_out, net)


def test_mosa_needs_a_last_linear_layer():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 4), torch.nn.Linear(4, 3), torch.nn.Linear(3, 7))
    net.append(torch.nn.Unflatten(1, (7, 1))).append(torch.nn.Flatten())
    short = torch.nn.Sequential(net, Three())
    with pytest.raises(UserError, match="last linear layer"):
        bat(batch(short), short, target="mosa", **STEP)


class Three(torch.nn.Module):
    """The first three logits."""

    def forward(self, z):
        return z[:, :3]


# ── all of it ──

CONFIGURATIONS = {
    "FGSM": {"target": "none", "random_start": False, "labels": "true"},
    "R-FGSM": {"target": "none", "labels": "true"},
    "R-FGSM-LS": {"target": "none", "labels": "smooth"},
    "R-LL": {"target": "least_likely", "labels": "true"},
    "R-MC": {"labels": "true"},
    "R-MC-LS": {"labels": "smooth"},
    "R-MC-LA": {},
    "Madry-LA": {"target": "none", "steps": 7, "step_size": 0.02},
    "PGD2": {"target": "none", "steps": 2, "labels": "true"},
}


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_loss_of_every_published_configuration_written_out(name, threat):
    how = {"target": "most_confusing", "random_start": True, "labels": "adversarial", "steps": 1}
    how |= {"step_size": threat.eps} | CONFIGURATIONS[name]
    net = smooth_net()
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    clean = net(x).detach()
    start = batch(net, threat).random_point() if how["random_start"] else x
    ranked = clean.scatter(1, y[:, None], torch.nan)
    aims = {
        "none": ce_sum(y),
        "most_confusing": lambda z: -ce_sum(ranked.nan_to_num(nan=-1e9).argmax(dim=1))(z),
        "least_likely": lambda z: -ce_sum(ranked.nan_to_num(nan=1e9).argmin(dim=1))(z),
    }
    adv = attacked(net, start, x, threat, aims[how["target"]], how["steps"], how["step_size"])
    labels = {
        "true": F.one_hot(y, 3).double(),
        "smooth": 0.5 * F.one_hot(y, 3).double() + 0.25 * (1 - F.one_hot(y, 3)),
        "adversarial": torch.tensor(np.stack([by_hand(z.numpy(), int(c), 9.0) for z, c in zip(clean, y)])),
    }
    written_out = -(labels[how["labels"]] * torch.log_softmax(net(adv), dim=1)).sum(dim=1).mean()
    agree_with_slope(bat(problem, net, **how), written_out, net, threat)


def test_the_gradient_is_the_slope_of_the_loss_itself():
    """With labels that do not depend on the weights."""
    net = smooth_net()
    by_differences(lambda: bat(batch(net), net, labels="smooth", **STEP), net)


def test_the_largest_step_stays_in_ball_and_box():
    seen = Seen(smooth_net())
    small = ThreatModel("linf", 0.01)
    problem = batch(seen, small)
    bat(problem, seen, step_size=1.0)
    adv = seen.calls[-1][1]
    assert (adv - problem.x).abs().amax() <= 0.01
    assert adv.amin() >= 0
    assert adv.amax() <= 1
    assert cross_entropy(seen.net(adv), problem.y).mean() != cross_entropy(seen.net(problem.x), problem.y).mean()
