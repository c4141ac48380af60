"""What tests of training methods share: a batch, networks in float64, and the inner problem written out."""

import inspect

import torch
import torch.nn.functional as F
from doubles import images, seeded
from torch import Tensor, nn

from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.registry import Course, Entry
from robeval.values.threat import ThreatModel

N = 6
SHAPE = (1, 3, 3)
STEPS, STEP_SIZE = 5, 0.02
LINF = ThreatModel("linf", 9 / 128)  # which float32 holds exactly
L2 = ThreatModel("l2", 0.07)
BALLS = (LINF, L2)


# ── a batch, and networks ──


def smooth_net(classes: int = 3, seed: int = 3) -> nn.Module:
    """A smooth network in float64, without dropout, so that everything can be written out; in training mode."""
    draw = seeded(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, classes)).double().train()
    for weight in layers.parameters():
        weight.data = torch.randn(weight.shape, generator=draw, dtype=torch.float64)
    return layers


def linear_net(classes: int = 3, seed: int = 5) -> nn.Module:
    """W x + b in float64."""
    draw = seeded(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(9, classes)).double().train()
    for weight in layers.parameters():
        weight.data = torch.randn(weight.shape, generator=draw, dtype=torch.float64)
    return layers


def noise() -> Noise:
    """The noise of the batch, from its first draw on."""
    return Noise(1, "method", 2, range(N))


def batch(
    net: nn.Module,
    threat: ThreatModel = LINF,
    *,
    classes: int = 3,
    shape: tuple[int, int, int] = SHAPE,
    low: float = 0.0,
    high: float = 1.0,
) -> Problem:
    """A new problem every time, since its noise is drawn only once; images of the dtype of the weights."""
    x = images(N, shape, low, high).to(next(net.parameters()).dtype)
    return Problem(Microbatches(net, N), x, torch.arange(N) % classes, threat, noise())


def course(epoch: int = 1) -> Course:
    """The beginning of an epoch of 20, with nothing in memory."""
    return Course(epoch, 20, {})


class Seen(nn.Module):
    """Another network that keeps what it is called on and in which mode; attacks are calls of it as well."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.calls: list[tuple[str, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        self.calls.append(("train" if self.training else "eval", x.detach().clone()))
        return self.net(x)

    def told(self, x: Tensor) -> list[tuple[str, str]]:
        """The mode of each call, and whether it was on the images x or on others."""
        return [(mode, "clean" if torch.equal(seen, x) else "changed") for mode, seen in self.calls]


# ── what a method needs to be called at all ──


def needed(entry: Entry, steps: int = 2, step_size: float = STEP_SIZE) -> dict[str, object]:
    """Values for the keywords without a default."""
    given: dict[str, object] = {"steps": steps, "step_size": step_size}
    keywords = inspect.signature(entry.function).parameters.values()
    missing = [each.name for each in keywords if each.kind is each.KEYWORD_ONLY and each.default is each.empty]
    return {name: given[name] for name in missing}


# ── written out once more ──


def slope_of(loss: Tensor, net: nn.Module) -> Tensor:
    """The gradient of the loss to all weights, in one row; 0 where there is none."""
    weights = list(net.parameters())
    slopes = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return torch.cat([(torch.zeros_like(w) if s is None else s).flatten() for w, s in zip(weights, slopes)])


def rows(values: Tensor) -> Tensor:
    """(n,) as (n, 1, 1, 1)."""
    return values[:, None, None, None]


def into(adv: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """Ball, then box."""
    delta = adv - x
    if threat.norm == "linf":
        delta = delta.clamp(-threat.eps, threat.eps)
    else:
        delta = delta * (threat.eps / rows(delta.flatten(1).norm(dim=1))).clamp_max(1)
    return (x + delta).clamp(0, 1)


def along(slope: Tensor, threat: ThreatModel) -> Tensor:
    """The sign or the unit vector; 0 where the slope is."""
    return slope.sign() if threat.norm == "linf" else slope / rows(slope.flatten(1).norm(dim=1).clamp_min(1e-300))


def attacked(net, start, x, threat, loss, steps=STEPS, step_size=STEP_SIZE):
    """The steps of the inner problem; `loss` takes logits and gives one number."""
    adv = start
    for _ in range(steps):
        adv = adv.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(net(adv)), adv)
        adv = into(adv + step_size * along(slope, threat), x, threat).detach()
    return adv


def ce_sum(y):
    """The loss of an untargeted attack, for `attacked`."""
    return lambda logits: F.cross_entropy(logits, y, reduction="sum")


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) per row, of probabilities (n, k)."""
    return (p * (p / q).log()).sum(dim=1)


def agree(ours: Tensor, theirs: Tensor, threat: ThreatModel = LINF) -> None:
    """To float64 rounding; for l2 to float32 rounding, by which the projection stays inside the ball."""
    near = 1e-10 if threat.norm == "linf" else 1e-5
    torch.testing.assert_close(ours, theirs, rtol=near, atol=near)


def agree_with_slope(loss: Tensor, written_out: Tensor, net: nn.Module, threat: ThreatModel = LINF) -> None:
    """The losses and their gradients to the weights."""
    agree(loss, written_out, threat)
    agree(slope_of(loss, net), slope_of(written_out, net), threat)


def by_differences(loss, net: nn.Module, every: int = 7, h: float = 1e-6) -> None:
    """The gradient of `loss()` is its slope by central differences, at every seventh weight."""
    slope = slope_of(loss(), net)
    flat = nn.utils.parameters_to_vector(net.parameters()).detach()

    def at(weights):
        nn.utils.vector_to_parameters(weights, net.parameters())
        return loss().item()

    for place in range(0, len(flat), every):
        step = h * F.one_hot(torch.tensor(place), len(flat)).double()
        found = (at(flat + step) - at(flat - step)) / (2 * h)
        assert abs(found - slope[place].item()) <= 1e-7 + 1e-5 * abs(found), (place, found, slope[place].item())
    at(flat)
