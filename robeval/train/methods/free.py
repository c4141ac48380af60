"""Free adversarial training (Shafahi et al., 2019, https://arxiv.org/abs/1904.12843)."""

import torch
from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.registry import Course, method
from robeval.values.parameters import Positive


@method("free", paper="arXiv:1904.12843", norms=("linf",))
def free(problem: Problem, net: nn.Module, course: Course, /, *, step_size: Positive | None = None) -> Tensor:
    """Cross-entropy at a change of the images that learns from the same backward pass: Algorithm 1.

    The change delta, one for each place in the batch and 0 at first, goes on from batch to batch. The backward pass
    that gives the weights their slopes also gives delta its own: delta <- clip(delta + step * sign), the step eps
    unless given. Set `replays` (the paper's m: 8 on CIFAR-10, 4 on ImageNet), the number of passes over one batch,
    and divide the epochs by it.

    As in the released code, x + delta is clipped to the pixel box within the pass, so that pixels outside have a
    slope of 0. The network is in training mode throughout.
    """
    eps, count = problem.threat.eps, len(problem.x)
    length = eps if step_size is None else step_size
    kept = course.memory.get("delta", torch.zeros_like(problem.x))
    delta = kept[:count].clone().requires_grad_()

    def move(slope: Tensor) -> None:
        moved = (delta.detach() + length * slope.sign()).clamp(-eps, eps)
        course.memory["delta"] = torch.cat([moved, kept[count:]])

    delta.register_hook(move)
    return cross_entropy(net(problem.clip(problem.x + delta)), problem.y).mean()
