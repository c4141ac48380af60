"""Exact minimal distances, computed without gradients of any network: what attacks can be measured by.

All of it in float64, one image after the other. The set of misclassified images is closed here: a tie counts, so that
the infimum is a minimum.
"""

import itertools

import numpy as np
import torch
from doubles import GREY, Linear, seeded
from numpy.typing import NDArray
from scipy.optimize import linprog, nnls
from torch import Tensor, nn

Array = NDArray[np.float64]
BOX = (0.0, 1.0)


class ReluNet(nn.Module):
    """Logits V relu(U(x - 1/2) + u) + v with seeded weights and few hidden units: piecewise linear."""

    def __init__(
        self, shape: tuple[int, int, int] = (1, 2, 3), hidden: int = 5, k: int = 3, seed: int = 0, scale: float = 1.0
    ) -> None:
        super().__init__()
        draw = seeded(2000 + seed)
        self.first = nn.Parameter(scale * torch.randn(hidden, int(np.prod(shape)), generator=draw))
        self.shift = nn.Parameter(0.3 * scale * torch.randn(hidden, generator=draw))
        self.second = nn.Parameter(scale * torch.randn(k, hidden, generator=draw))
        self.bias = nn.Parameter(0.1 * scale * torch.randn(k, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k)."""
        return torch.relu((x - 0.5).flatten(1) @ self.first.T + self.shift) @ self.second.T + self.bias


def linear_distance(model: Linear, x: Tensor, y: Tensor, norm: str, box: tuple[float, float] = BOX) -> Tensor:
    """How far the nearest misclassified image inside the box is from each, float64 (n,); 0 where it is one already.

    Infinite where the box holds none. For one rival class the best move is known up to one number: every pixel
    moves alike (l-inf), in proportion to its weight (l2) or the heaviest first (l1), until it meets the box.
    """
    weight = model.weight.detach().double().numpy()
    bias = model.bias.detach().double().numpy() - 0.5 * weight.sum(axis=1)
    answer = [
        min(
            _to_halfspace(weight[other] - weight[true], bias[other] - bias[true], image, norm, box)
            for other in range(len(weight))
            if other != true
        )
        for image, true in zip(x.double().flatten(1).numpy(), y.tolist())
    ]
    return torch.tensor(answer, dtype=torch.float64)


def _to_halfspace(normal: Array, offset: float, image: Array, norm: str, box: tuple[float, float]) -> float:
    """The least move inside the box to where normal . x + offset >= 0."""
    missing = -(normal @ image + offset)
    if missing <= 0:
        return 0.0
    slope = np.abs(normal)
    room = np.where(normal > 0, box[1] - image, image - box[0])
    if slope @ np.where(slope > 0, room, 0) < missing:
        return np.inf
    if norm == "l1":
        order = np.argsort(-slope)
        gains = np.cumsum(slope[order] * room[order])
        last = int(np.searchsorted(gains, missing))
        before = gains[last - 1] if last else 0.0
        return room[order][:last].sum() + (missing - before) / slope[order][last]
    # Pixel i has moved min(t * pace_i, room_i) at time t, which gains slope_i times that.
    pace = slope if norm == "l2" else (slope > 0).astype(float)
    stops = np.divide(room, pace, out=np.zeros_like(room), where=pace > 0)
    low = 0.0
    for stop in np.unique(stops):
        if slope @ np.minimum(stop * pace, room) >= missing:
            break
        low = stop
    moving = stops > low
    gained = slope @ np.minimum(low * pace, room)
    time = low + (missing - gained) / (slope[moving] @ pace[moving])
    return float(np.linalg.norm(np.minimum(time * pace, room), ord=np.inf if norm == "linf" else 2))


def relu_distance(model: ReluNet, x: Tensor, y: Tensor, norm: str, box: tuple[float, float] = BOX) -> Tensor:
    """How far the nearest misclassified image inside the box is from each, float64 (n,); infinite where there is none.

    Within one pattern of active hidden units the network is linear and the images of the pattern are a polytope; so
    every pattern and rival class is one linear program (l-inf, l1) or least-distance problem (l2).
    """
    first, shift, second, bias = (
        part.detach().double().numpy() for part in (model.first, model.shift, model.second, model.bias)
    )
    shift = shift - 0.5 * first.sum(axis=1)
    regions = {true: _wrong_regions(first, shift, second, bias, true, box) for true in set(y.tolist())}
    answer = []
    for image, true in zip(x.double().flatten(1).numpy(), y.tolist()):
        faced = [(rows, least - rows @ image) for rows, least in regions[true]]
        near = sorted((least_move(*each, image, "l2", box), place) for place, each in enumerate(faced))
        best = np.inf
        for length, place in near:  # no other norm is below the l2 norm times this
            if length * {"linf": len(image) ** -0.5, "l2": 1, "l1": 1}[norm] < best:
                best = min(best, length if norm == "l2" else least_move(*faced[place], image, norm, box))
        answer.append(best)
    return torch.tensor(answer, dtype=torch.float64)


def _wrong_regions(
    first: Array, shift: Array, second: Array, bias: Array, true: int, box: tuple[float, float]
) -> list[tuple[Array, Array]]:
    """The polytopes rows @ x >= least of misclassified images that have any image in the box."""
    middle = np.full(first.shape[1], 0.5)
    regions = []
    for pattern in itertools.product((0.0, 1.0), repeat=len(first)):
        on = np.array(pattern)
        sign = 2 * on - 1
        for other in set(range(len(second))) - {true}:
            lead = (second[other] - second[true]) * on
            rows = np.vstack([sign[:, None] * first, lead @ first])
            least = -np.append(sign * shift, lead @ shift + bias[other] - bias[true])
            if np.isfinite(least_move(rows, least - rows @ middle, middle, "l2", box)):
                regions.append((rows, least))
    return regions


def least_move(rows: Array, least: Array, image: Array, norm: str, box: tuple[float, float]) -> float:
    """The norm of the smallest move d with rows @ d >= least and image + d inside the box; infinite if there is none.

    l2 is Lawson & Hanson's least distance programming (1974, chapter 23): a non-negative least-squares problem.
    """
    size = len(image)
    low, high = box[0] - image, box[1] - image
    if norm == "l2":
        matrix = np.vstack([rows, np.eye(size), -np.eye(size)])
        bounds = np.concatenate([least, low, -high])
        if (bounds <= 0).all():
            return 0.0
        dual = np.vstack([matrix.T, bounds])
        goal = np.append(np.zeros(size), 1.0)
        weights, length = nnls(dual, goal, maxiter=100 * len(matrix))
        residual = dual @ weights - goal
        return np.inf if length < 1e-7 else float(np.linalg.norm(residual[:-1] / residual[-1]))
    if norm == "linf":  # variables: d and its bound
        cost = np.append(np.zeros(size), 1.0)
        ones = np.ones((size, 1))
        upper = np.block([[-rows, np.zeros((len(rows), 1))], [np.eye(size), -ones], [-np.eye(size), -ones]])
        limits = np.concatenate([-least, np.zeros(2 * size)])
        bounds = [*zip(low, high), (0, None)]
    else:  # variables: how far up, and how far down
        cost, upper, limits = np.ones(2 * size), np.hstack([-rows, rows]), -least
        bounds = [*zip(np.zeros(size), high), *zip(np.zeros(size), -low)]
    found = linprog(cost, A_ub=upper, b_ub=limits, bounds=bounds, method="highs")
    return float(found.fun) if found.status == 0 else np.inf


def linear_by_programs(model: Linear, x: Tensor, y: Tensor, norm: str, box: tuple[float, float] = BOX) -> Tensor:
    """The same as `linear_distance`, by linear programs and least-distance problems instead of formulas."""
    weight = model.weight.detach().double().numpy()
    bias = model.bias.detach().double().numpy() - 0.5 * weight.sum(axis=1)
    answer = []
    for image, true in zip(x.double().flatten(1).numpy(), y.tolist()):
        leads = [(weight[j] - weight[true], bias[j] - bias[true]) for j in range(len(weight)) if j != true]
        answer.append(
            min(least_move(lead[None], np.array([-shift - lead @ image]), image, norm, box) for lead, shift in leads)
        )
    return torch.tensor(answer, dtype=torch.float64)


def near_the_border(n: int, shape: tuple[int, int, int] = GREY, seed: int = 0) -> Tensor:
    """Images of which many pixels are at or near 0 and 1, so that the pixel box is in the way."""
    return (-0.3 + 1.6 * torch.rand(n, *shape, generator=seeded(seed))).clamp(0, 1)
