"""What minimal-distance attacks look for: the nearest image that the model gets wrong."""

import torch
from torch import Tensor

from robeval.ops.decisions import misclassified
from robeval.ops.problem import Problem


class Nearest:
    """Keeps, for each row, the nearest misclassified point that was shown to it.

    Attributes:
        points: the points, float32 (n, c, h, w); the clean image where none was found.
        distances: in the problem's norm, float64 (n,); infinite where none was found.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.points = problem.x.clone()
        self.distances = torch.full((len(problem.y),), torch.inf, dtype=torch.float64, device=problem.y.device)

    @property
    def found(self) -> Tensor:
        """Which rows have a misclassified point, bool (n,)."""
        return self.distances.isfinite()

    def see(self, points: Tensor, logits: Tensor) -> Tensor:
        """Look at points and their logits; which of them are misclassified, bool (n,).

        Points outside the pixel box, with NaN logits or of retired rows do not count.
        """
        low, high = self._problem.threat.box
        inside = ((points >= low) & (points <= high)).flatten(1).all(dim=1)
        active = torch.zeros_like(inside).index_fill(0, self._problem.active, True)
        wrong = misclassified(logits, self._problem.y) & inside & active
        lengths = self._problem.distance(points)
        closer = wrong & (lengths < self.distances)
        self.points[closer] = points[closer]
        self.distances[closer] = lengths[closer]
        return wrong
