"""Stand-ins with known answers: classifiers, images, cells, and attacks that cheat."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from robeval.datasets.registry import Samples, content_digest
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.values.attack import AttackSpec
from robeval.values.cell import Cell, DataSlice
from robeval.values.threat import ThreatModel
from robeval.zoo.model import LoadedModel, freeze

GREY = (1, 6, 6)
COLOUR = (3, 6, 6)


# ── images ──


def seeded(seed: int) -> torch.Generator:
    """A generator of random numbers that nobody else uses."""
    return torch.Generator().manual_seed(seed)


def images(n: int, shape: tuple[int, int, int] = GREY, low: float = 0.0, high: float = 1.0, seed: int = 0) -> Tensor:
    """Seeded images, float32 (n, c, h, w), uniform between `low` and `high`."""
    return low + (high - low) * torch.rand(n, *shape, generator=seeded(seed))


def classes(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What the model says, int64 (n,)."""
    with torch.no_grad():
        return model(x).argmax(dim=1)


# ── classifiers ──


class Linear(nn.Module):
    """Logits W(x - 1/2) + b with seeded weights: where its boundary is, is a formula."""

    def __init__(self, shape: tuple[int, int, int] = GREY, k: int = 2, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        draw = seeded(1000 + seed)
        self.weight = nn.Parameter(scale * torch.randn(k, int(np.prod(shape)), generator=draw))
        self.bias = nn.Parameter(scale * 0.1 * torch.randn(k, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        return (x - 0.5).flatten(1) @ self.weight.T + self.bias

    def margin(self, x: Tensor, y: Tensor, norm: str) -> Tensor:
        """How far each image is from the nearest boundary in float64, (n,); negative where it is wrong already."""
        weight, bias = self.weight.detach().double(), self.bias.detach().double()
        logits = (x.double() - 0.5).flatten(1) @ weight.T + bias
        dual = {"linf": 1, "l2": 2, "l1": torch.inf}[norm]
        length = torch.linalg.vector_norm(weight[:, None] - weight[None], ord=dual, dim=2)  # (k, k)
        ahead = (logits.gather(1, y[:, None]) - logits) / length[y]  # 0/0 at the true class
        return ahead.scatter(1, y[:, None], torch.inf).amin(dim=1)


class Constant(nn.Module):
    """The same logits for every image, and so a gradient of 0."""

    def __init__(self, k: int = 2, answer: int = 0) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.eye(k)[answer])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        return 0 * x.flatten(1).sum(dim=1, keepdim=True) + self.logits


class ConvNet(nn.Module):
    """A small seeded network with two convolutions; not linear, and not constant anywhere."""

    def __init__(
        self, shape: tuple[int, int, int] = GREY, k: int = 10, seed: int = 0, kind: type[nn.Module] = nn.ReLU
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Conv2d(shape[0], 8, 3, padding=1),
                kind(),
                nn.Conv2d(8, 16, 3, stride=2, padding=1),
                nn.BatchNorm2d(16),
                nn.Dropout(0.5),  # seen at once where somebody forgets evaluation mode
                kind(),
                nn.Flatten(),
                nn.Linear(16 * ((shape[1] + 1) // 2) * ((shape[2] + 1) // 2), k),
            )
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        return 5 * self.layers(x)


class NotANumber(nn.Module):
    """Another model's logits, but NaN (or times another number) for changed images whose first pixel is light.

    An image is unchanged if all its pixels are multiples of 1/16, as `marked` images are.
    """

    def __init__(self, model: nn.Module, factor: float = torch.nan) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        changed = (16 * x != (16 * x).round()).flatten(1).any(dim=1)
        light = x[:, 0, 0, 0] > 0.5
        return self.model(x) * torch.where(changed & light, self.factor, 1.0)[:, None]


class FirstPixelUnseen(nn.Module):
    """Another model that does not see the first pixel, so that no slope moves it, however far an attack goes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        seen = torch.ones_like(x[:1])
        seen[:, 0, 0, 0] = 0
        return self.model(x * seen)


def marked(n: int, shape: tuple[int, int, int] = GREY, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images for `NotANumber` and whether it fails on each: the first pixel of every other is 0.75, else 0.25."""
    x = torch.randint(4, 13, (n, *shape), generator=seeded(seed)) / 16
    light = torch.arange(n) % 2 == 0
    x[:, 0, 0, 0] = torch.where(light, 0.75, 0.25)
    return x, light


class Watched(nn.Module):
    """Another model that notes how many rows it is given, and can be told to run out of memory."""

    def __init__(self, model: nn.Module, most: int | None = None) -> None:
        super().__init__()
        self.model, self.most = model, most
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        if self.most is not None and len(x) > self.most:
            raise torch.OutOfMemoryError(f"{len(x)} rows are too many")
        self.sizes.append(len(x))
        return self.model(x)


# ── what an attack and an engine are given ──


class Grid(Noise):
    """Numbers in 32nds, so that sums of random and sign steps in a ball of 256ths are not rounded."""

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Uniform on {0, 1/32, ..., 31/32}."""
        return (super().uniform(shape) * 32).floor() / 32


def problem(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    size: int = 32,
    seed: int = 0,
    watch: object = None,
    noise: type[Noise] = Noise,
) -> Problem:
    """A problem as the engine makes it."""
    return Problem(Microbatches(model, size), x, y, threat, noise(seed, "test", 0, range(len(y))), watch)


def cell(use: str, threat: ThreatModel, stop: int, start: int = 0, seed: int = 0, **spec: object) -> Cell:
    """A cell about samples `start` to `stop` of no data set; `spec` has params, restarts, select, ..."""
    part = DataSlice("made", "test", "content", start, stop)
    return Cell("model", "weights", part, AttackSpec(**({"id": use, "use": use, "threat": threat} | spec)), "", seed)


def samples(x: Tensor, y: Tensor, num_classes: int, dataset: str = "made") -> Samples:
    """Images and labels as a data set."""
    pixels, labels = x.numpy(), y.numpy()
    return Samples(dataset, "test", pixels, labels, num_classes, content_digest(pixels, labels))


def loaded(module: nn.Module, num_classes: int, name: str = "model", dataset: str = "") -> LoadedModel:
    """The very module, not a copy, as a model that is ready to be asked."""
    return LoadedModel(name, name, dataset, num_classes, freeze(module), f"fingerprint of {name}")


# ── attacks that cheat: each would break everything if it were believed ──


def outside_ball(problem: Problem) -> Tensor:
    """Inside the pixel box, but far outside the ball."""
    return 1 - problem.x


def just_outside_ball(problem: Problem) -> Tensor:
    """Further than eps at one pixel of each image, by the least float32 difference there is."""
    adv = problem.x.clone()
    first = adv[:, 0, 0, 0]
    edge = (first.double() + problem.threat.eps).float()
    far = edge.double() - first.double() > problem.threat.eps
    adv[:, 0, 0, 0] = torch.where(far, edge, edge.nextafter(torch.tensor(2.0)))
    return adv


def outside_box(problem: Problem) -> Tensor:
    """Inside the ball of images at the border, but outside the pixel box."""
    return problem.x - problem.threat.eps / 2


def not_a_number(problem: Problem) -> Tensor:
    """One NaN in each image."""
    adv = problem.x.clone()
    adv[:, 0, 0, 0] = torch.nan
    return adv


def infinite(problem: Problem) -> Tensor:
    """One infinity in each image."""
    adv = problem.x.clone()
    adv[:, 0, -1, -1] = -torch.inf
    return adv


def wrong_shape(problem: Problem) -> Tensor:
    """One image too few."""
    return problem.x[1:]


def wrong_dtype(problem: Problem) -> Tensor:
    """Float64."""
    return problem.x.double()


def raises(problem: Problem) -> Tensor:
    """Gives up."""
    raise RuntimeError("this attack gives up")
