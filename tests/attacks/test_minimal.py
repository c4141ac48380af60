"""How far above the exact minimum every minimal-distance attack ends, and that none ends below it.

A linear model with four classes and a network of five hidden units, each with images in the middle of the pixel box and
at its border. There is no list of attacks: a new one is asked for its factors.
"""

import inspect
import math
from functools import cache

import pytest
import torch
from doubles import COLOUR, Linear, classes, images, problem
from exact import ReluNet, linear_distance, near_the_border, relu_distance

from robeval.attacks import registry
from robeval.values.threat import NORMS, ThreatModel

MINIMAL = {name: entry for name, entry in registry.catalog().items() if entry.minimal and not entry.library}
SMALL = (1, 2, 3)
KINDS = {"linear": linear_distance, "network": relu_distance}

# How many times the exact distance at most: on a linear model, on the network, and in the median of either. A walk that
# is misled by a kink may end at a far boundary of the network, in whatever number of steps.
FACTORS = {
    "carlini_wagner": (3, 8, 1.4),
    "deepfool": (1.0201, 4, 1.03),
    "fab": (1.0001, 3, 1.0001),
    "fab_targeted": (1.0001, 3, 1.0001),
    "hop_skip_jump": (5, 25, 1.5),
    "lbfgs": (3, 5, 1.1),
    "mifgsm_search": (1.3, 20, 1.25),
}
# And how much more than that: lengths below which they do not look, C&W's last tau and DeepFool's shortest step.
MORE = {"carlini_wagner": 1.3 / 256, "deepfool": 1.03e-4}
# Models and images are drawn with these seeds; of slow attacks with the one at which they end furthest.
SEEDS = {"carlini_wagner": (2,), "hop_skip_jump": (2,), "lbfgs": (0,)}
# Fewer steps than the defaults, where those would take long; other changes of a walk are said in the docstring.
CHEAP = {
    ("carlini_wagner", "l2"): {"steps": 200, "step_size": 0.02, "searches": 7},
    ("carlini_wagner", "linf"): {"steps": 100, "step_size": 0.03, "initial_c": 1e-3, "searches": 12},
    **{(name, norm): {"steps": 20} for name in ("fab", "fab_targeted") for norm in NORMS},
    **{("hop_skip_jump", norm): {"steps": 4} for norm in NORMS},
    ("lbfgs", "l2"): {"steps": 30, "precision": 1e-4, "lengths": 100},
}


def subject(kind, seed):
    """A model, eight images in the middle of the box and eight at its border, and their classes."""
    shape = COLOUR if kind == "linear" else SMALL
    model = Linear(shape, 4, seed) if kind == "linear" else ReluNet(shape, seed=seed)
    x = torch.cat([images(8, shape, 0.2, 0.8, seed), near_the_border(8, shape, seed)])
    return model, x, classes(model, x)


@cache
def exact(kind, norm, seed):
    return KINDS[kind](*subject(kind, seed), norm)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "norm", "seed"),
    [
        (name, norm, seed)
        for name, entry in MINIMAL.items()
        for norm in entry.norms
        for seed in SEEDS.get(name, (0, 1, 2))
    ],
)
def test_never_below_the_optimum_and_at_most_the_stated_factor_above(name, norm, seed, kind):
    model, x, y = subject(kind, seed)
    best = exact(kind, norm, seed)
    asked = problem(model, x, y, ThreatModel(norm, math.inf), 16)
    given = CHEAP.get((name, norm), {})
    adv = MINIMAL[name].function(asked, **given)
    found, reachable = classes(model, adv) != y, best.isfinite()
    assert (found <= reachable).all()
    assert found.sum() >= reachable.sum() * (1.0 if kind == "linear" else 0.8)
    further, more = asked.distance(adv), MORE.get(name, 0.0)
    assert (further >= best - 1e-6)[found].all()
    ratio = ((further - more) / best)[found]
    assert name in FACTORS, "say here how near it comes, and in its docstring"
    *largest, median = FACTORS[name]
    assert ratio.median() <= median
    assert ratio.max() <= largest[kind == "network"]
    said = f"at most {largest[0]:g} times as far on a linear model, {largest[1]:g} times on a network of 5 hidden units"
    text = " ".join(inspect.getdoc(MINIMAL[name].function).split())
    assert said in text
    if given.keys() - {"steps"}:
        assert ", ".join(f"{key} = {value:g}" for key, value in given.items()) in text
