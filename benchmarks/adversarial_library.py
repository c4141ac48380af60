"""adversarial-library (https://github.com/jeromerony/adversarial-library, on PyPI `adv-lib`) as a reference.

Only benchmarks have it, for its batched DeepFool, which is known to be fast. That is one file of it: the package around
asks for torchvision and visdom as well.
"""

import runpy
from importlib.resources import files

from torch import Tensor

from robeval.attacks.reference.adapter import minimised
from robeval.attacks.registry import attack, never
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, Share

df = runpy.run_path(str(files("adv_lib") / "attacks" / "deepfool.py"))["df"]
ORDERS = {"linf": float("inf"), "l2": 2.0}


@attack(
    "adversarial_library.deepfool",
    norms=("linf", "l2"),
    paper="arXiv:1511.04599",
    minimal=True,
    draws=never,
    library="adversarial_library",
    settings=({"overshoot_at": "each_step"},),
    differs="every wrong class is a candidate, and 1e-4 is added to the length of every step",
)
def deepfool(problem: Problem, *, steps: Count = 50, overshoot: Share = 0.02) -> Tensor:
    """`df`, all images at once. Cost: at most `steps` forwards, and as many backwards for each wrong class."""
    norm = ORDERS[problem.threat.norm]
    return minimised(problem, lambda model, x, y: df(model, x, y, steps=steps, overshoot=overshoot, norm=norm))
