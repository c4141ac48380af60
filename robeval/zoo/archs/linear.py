"""A linear classifier."""

from math import prod

from torch import nn

from robeval.zoo.archs.registry import arch


@arch("linear")
def linear(shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """One matrix and one bias: of which adversarial training has a closed form (method `linear_exact`)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), num_classes))
