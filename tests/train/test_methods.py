"""Each method's loss and gradient against its equation, written out once more."""

import pytest
import torch
import torch.nn.functional as F
from doubles import ConvNet, images, seeded
from torch import nn

from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.methods.madry import madry
from robeval.train.methods.natural import natural
from robeval.train.methods.trades import trades
from robeval.train.modes import eval_mode
from robeval.train.registry import catalog, method
from robeval.values.threat import ThreatModel

N = 6
SHAPE = (1, 3, 3)
STEPS, STEP_SIZE, BETA = 5, 0.02, 6.0
LINF = ThreatModel("linf", 9 / 128)  # which float32 holds exactly
L2 = ThreatModel("l2", 0.07)


@pytest.fixture
def net():
    """A smooth network with 3 classes in float64, without dropout, so that everything can be written out."""
    draw = seeded(3)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 3)).double().train()
    for weight in layers.parameters():
        weight.data = torch.randn(weight.shape, generator=draw, dtype=torch.float64)
    return layers


def batch(net, threat=LINF, shape=SHAPE, classes=3):
    """A new problem every time, since its noise is drawn only once."""
    x = images(N, shape).double() if next(net.parameters()).dtype == torch.float64 else images(N, shape)
    return Problem(Microbatches(net, N), x, torch.arange(N) % classes, threat, Noise(1, "method", 2, range(N)))


def drawn(kind):
    """The noise that a problem of `batch` draws first."""
    return getattr(Noise(1, "method", 2, range(N)), kind)(SHAPE)


def gradient(loss, net):
    return torch.cat(
        [slope.flatten() for slope in torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)]
    )


def into(adv, x, threat):
    """Ball, then box."""
    delta = adv - x
    if threat.norm == "linf":
        delta = delta.clamp(-threat.eps, threat.eps)
    else:
        length = delta.flatten(1).norm(dim=1)[:, None, None, None]
        delta = delta * (threat.eps / length).clamp_max(1)
    return (x + delta).clamp(0, 1)


def along(slope, threat):
    return slope.sign() if threat.norm == "linf" else slope / slope.flatten(1).norm(dim=1)[:, None, None, None]


def attacked(net, start, x, threat, loss):
    """The steps of the inner problem; `loss` takes logits and gives one number."""
    adv = start
    for _ in range(STEPS):
        adv = adv.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(net(adv)), adv)
        adv = into(adv + STEP_SIZE * along(slope, threat), x, threat).detach()
    return adv


def agree(ours, theirs, threat):
    """To float64 rounding; for l2 to float32 rounding, by which the projection stays inside the ball."""
    near = 1e-10 if threat.norm == "linf" else 1e-5
    torch.testing.assert_close(ours, theirs, rtol=near, atol=near)


def test_natural_is_the_mean_cross_entropy(net):
    problem = batch(net)
    p = torch.softmax(net(problem.x), dim=1)
    written_out = -sum(torch.log(p[row, problem.y[row]]) for row in range(N)) / N
    loss = natural(problem, net)
    torch.testing.assert_close(loss, written_out)
    torch.testing.assert_close(gradient(loss, net), gradient(written_out, net))


@pytest.mark.parametrize("threat", [LINF, L2], ids=lambda threat: threat.norm)
@pytest.mark.parametrize("random_start", [True, False])
def test_madry_is_the_cross_entropy_after_a_hand_written_pgd(net, threat, random_start):
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    start = into(batch(net, threat).random_point(), x, threat) if random_start else x
    adv = attacked(net, start, x, threat, lambda logits: F.cross_entropy(logits, y, reduction="sum"))
    assert (adv - x).abs().amax() > 0.02
    written_out = F.cross_entropy(net(adv), y)
    loss = madry(problem, net, steps=STEPS, step_size=STEP_SIZE, random_start=random_start)
    agree(loss, written_out, threat)
    agree(gradient(loss, net), gradient(written_out, net), threat)
    assert loss > natural(problem, net)


def test_madry_starts_at_the_same_uniform_noise_clipped_to_the_box(net):
    x = batch(net).x
    start = (x + LINF.eps * (2 * drawn("uniform") - 1)).clamp(0, 1)
    torch.testing.assert_close(batch(net).random_point(clip=True), start, rtol=0, atol=1e-7)


@pytest.mark.parametrize("threat", [LINF, L2], ids=lambda threat: threat.norm)
def test_trades_is_equation_5_with_gradient_through_both_sides(net, threat):
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    clean = torch.softmax(net(x), dim=1).detach()

    def away(logits):
        return (clean * (clean.log() - torch.log_softmax(logits, dim=1))).sum()

    adv = attacked(net, x + 0.001 * drawn("normal"), x, threat, away)
    assert (adv - x).abs().amax() > 0.02
    p, q = torch.softmax(net(x), dim=1), torch.softmax(net(adv), dim=1)
    written_out = F.nll_loss(p.log(), y) + BETA * (p * (p / q).log()).sum() / N
    loss = trades(problem, net, steps=STEPS, step_size=STEP_SIZE, beta=BETA)
    agree(loss, written_out, threat)
    agree(gradient(loss, net), gradient(written_out, net), threat)
    one_sided = F.nll_loss(p.log(), y) + BETA * (p.detach() * (p.detach() / q).log()).sum() / N
    assert not torch.allclose(gradient(one_sided, net), gradient(loss, net), rtol=1e-2)


@pytest.mark.parametrize(
    ("use", "params"),
    [
        (natural, {}),
        (madry, {"steps": STEPS, "step_size": STEP_SIZE}),
        (trades, {"steps": STEPS, "step_size": STEP_SIZE, "beta": BETA}),
    ],
)
def test_the_gradient_is_the_slope_of_the_loss_itself(net, use, params):
    """Finite differences: the adversarial images move by signs, so they stay where they are for a tiny step."""
    slope = gradient(use(batch(net), net, **params), net)
    flat = nn.utils.parameters_to_vector(net.parameters()).detach()

    def loss(weights):
        nn.utils.vector_to_parameters(weights, net.parameters())
        return use(batch(net), net, **params).item()

    h = 1e-6
    for place in range(0, len(flat), 7):
        step = h * F.one_hot(torch.tensor(place), len(flat)).double()
        assert (loss(flat + step) - loss(flat - step)) / (2 * h) == pytest.approx(
            slope[place].item(), rel=1e-5, abs=1e-7
        )


class Noted(nn.Module):
    """Another network that notes in which mode and on how far changed images it is called."""

    def __init__(self, net, x):
        super().__init__()
        self.net, self.x, self.calls = net, x, []

    def forward(self, x):
        mode = "train" if self.training else "eval"
        self.calls.append((mode, "clean" if torch.equal(x, self.x) else "changed"))
        return self.net(x)


def noted(use, **params):
    net = Noted(ConvNet(shape=SHAPE, k=3), images(N, SHAPE)).train()
    use(batch(net), net, steps=2, step_size=STEP_SIZE, **params)
    return net.calls


def test_trades_attacks_in_evaluation_mode_and_learns_from_three_passes():
    attack = [("eval", "clean"), ("eval", "changed"), ("eval", "changed")]
    assert noted(trades) == [*attack, ("train", "clean"), ("train", "changed"), ("train", "clean")]


def test_madry_attacks_in_the_mode_it_is_told():
    learn = ("train", "changed")
    assert noted(madry) == [learn] * 3
    assert noted(madry, attack_mode="eval") == [("eval", "changed")] * 2 + [learn]


@pytest.mark.parametrize("use", [madry, trades])
def test_the_attack_computes_no_gradient_of_the_weights(net, use):
    asked = []
    for weight in net.parameters():
        weight.register_hook(lambda slope: asked.append(slope))
    loss = use(batch(net), net, steps=STEPS, step_size=STEP_SIZE)
    assert asked == []
    loss.backward()
    assert len(asked) == 4
    assert net.training


def test_eval_mode_puts_every_layer_back():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm2d(1), nn.Dropout())).train()
    net[1][0].eval()  # frozen by whoever made it
    with pytest.raises(RuntimeError, match="stop"), eval_mode(net):
        assert not any(layer.training for layer in net.modules())
        raise RuntimeError("stop")
    assert [layer.training for layer in net.modules()] == [True, True, True, False, True]


def test_the_catalog_knows_them_and_refuses_a_second_of_one_name():
    known = catalog()
    assert {"natural", "madry", "trades"} <= set(known)
    assert [known[name].adversarial for name in ("natural", "madry", "trades")] == [False, True, True]
    assert all(entry.summary for entry in known.values())
    with pytest.raises(ValueError, match="two training methods are called 'trades'"):
        method("trades")(natural)
