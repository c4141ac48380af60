"""How much of its label a sample gives away (Wang & Zhang, 2019, equations 18 to 20, https://arxiv.org/abs/1811.10716)."""

from typing import Annotated

from numpy.random import Generator

from robeval.measures.registry import measure
from robeval.values.measurement import Finding
from robeval.values.parameters import Bound, Positive


@measure("label_budget", about="theory", paper="arXiv:1811.10716")
def label_budget(
    draw: Generator, *, beta: Positive = 9.0, classes: Annotated[int, Bound(2)] = 10
) -> tuple[Finding, ...]:
    """The share eps_y of a label that bilateral adversarial training may move to other classes.

    `label_budget` is eps_y = 1 / (1 + beta / (classes - 1)), equation 19, where all wrong classes are equally likely;
    with the gradient all on one of them it is above 1 / (1 + beta), equation 20 (`label_budget_least`). The true class
    then keeps `beta` times as much as the likeliest wrong one.
    """
    return (
        Finding("label_budget", 1 / (1 + beta / (classes - 1))),
        Finding("label_budget_least", 1 / (1 + beta)),
    )
