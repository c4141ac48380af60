"""Accuracy on the training images that are held out."""

import torch
from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.inner import climb
from robeval.train.modes import eval_mode
from robeval.train.recipe import Recipe


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


def validate(recipe: Recipe, net: nn.Module, x: Tensor, y: Tensor, rows: Tensor) -> tuple[float, float | None]:
    """Clean accuracy and accuracy under PGD, or None for a method without a ball.

    PGD takes `validation_steps` steps of 2.5 eps / steps from a random point, the same in every epoch, and its last
    iterate counts. The network is in evaluation mode.

    Args:
        x, y: images (n, c, h, w) and classes (n,) that are held out.
        rows: their indices, to which the noise belongs, int64 (n,).
    """
    settings = recipe.settings
    model = Microbatches(net, min(settings.batch_size, len(y)))
    noise = Noise(settings.seed, "validation", 0, rows.numpy(), x.device)
    problem = Problem(model, x, y, recipe.threat, noise)

    def accuracy(images: Tensor) -> float:
        return (problem.logits(images).argmax(dim=1) == y).double().mean().item()

    with eval_mode(net):
        clean = accuracy(x)
        if not recipe.method.adversarial:
            return clean, None
        steps = settings.validation_steps
        start = problem.random_point(clip=True)
        adv = climb(problem, start, cross_entropy, steps=steps, step_size=2.5 * settings.eps / steps)
        return clean, accuracy(adv)
