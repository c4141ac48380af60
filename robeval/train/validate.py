"""Accuracy on the training images that are held out."""

import torch
from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.images import Images
from robeval.train.inner import climb
from robeval.train.modes import eval_mode
from robeval.train.recipe import Recipe

PARTS = 16  # batches that are held out together: their images need not all be on the device


def hold_out(recipe: Recipe, count: int) -> tuple[Tensor, Tensor]:
    """Which of `count` images are learnt from and which are held out, int64 both, in their order.

    It is chance, by the seed alone, and draws nothing from torch's own random state.
    """
    held = recipe.settings.held_out(count)
    if not held:
        return torch.arange(count), torch.arange(0)
    generator = torch.Generator().manual_seed(recipe.settings.seed)
    order = torch.randperm(count, generator=generator)
    return order[held:].sort().values, order[:held].sort().values


def validate(recipe: Recipe, net: nn.Module, images: Images, rows: Tensor) -> tuple[float, float | None]:
    """Clean accuracy and accuracy under PGD, or None for a method without a ball.

    PGD takes `validation_steps` steps of 2.5 eps / steps from a random point, the same in every epoch, and its last
    iterate counts. The network is in evaluation mode.

    Args:
        rows: the indices of the images that are held out, to which the noise belongs, int64 (n,).
    """
    size = min(recipe.settings.batch_size, len(rows))
    with eval_mode(net):
        counted = [_right(recipe, Microbatches(net, size), images, part) for part in rows.split(PARTS * size)]
    clean, robust = (sum(each) / len(rows) for each in zip(*counted, strict=True))
    return clean, robust if recipe.method.adversarial else None


def _right(recipe: Recipe, model: Microbatches, images: Images, rows: Tensor) -> tuple[int, int]:
    """How many are classified rightly, clean and under PGD; 0 for a method without a ball."""
    settings, (x, y) = recipe.settings, images[rows]
    problem = Problem(model, x, y, recipe.threat, Noise(settings.seed, "validation", 0, rows.numpy(), x.device))

    def right(points: Tensor) -> int:
        return int((problem.logits(points).argmax(dim=1) == y).sum())

    if not recipe.method.adversarial:
        return right(x), 0
    steps = settings.validation_steps
    start = problem.random_point(clip=True)
    adv = climb(problem, start, cross_entropy, steps=steps, step_size=2.5 * settings.eps / steps)
    return right(x), right(adv)
