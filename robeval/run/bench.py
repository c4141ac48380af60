"""What a worker keeps ready: the device, and models with the batch shape they are run in."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches

_ROWS = {"cpu": (8, 16, 32, 64, 128, 256), "cuda": (64, 128, 256, 512, 1024)}
_ENOUGH = 0.95  # of the best throughput: the smaller shape is taken, and probes agree more often
_PATIENCE = 1.0  # seconds that the passes of one shape may take; larger ones are not tried then


@dataclass(frozen=True, slots=True)
class Shape:
    """How a model is run: rows in each microbatch, and threads (on a CPU)."""

    rows: int
    threads: int


def choose_device(name: str) -> torch.device:
    """The device called "auto" (CUDA if there is one), "cpu" or "cuda".

    Raises:
        UserError: the name is another, or there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        fix = "Give auto, cpu, or cuda where there is a GPU."
        raise UserError(f"'{name}' cannot be used: {reason[:120]}", where="--device", fix=fix) from None
    return device


@contextmanager
def exact_arithmetic(threads: int) -> Iterator[None]:
    """Float32 as float32 (no TF32), kernels that give the same bits every time, and so many threads."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    saved = cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark
    saved_threads = torch.get_num_threads()
    cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark = False, False, True, False
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark = saved
        torch.set_num_threads(saved_threads)


def probe(module: nn.Module, image: tuple[int, int, int], device: torch.device, rows: int | None = None) -> Shape:
    """The smallest shape with nearly the best throughput for a forward and a backward pass.

    Args:
        image: channels, height and width.
        rows: the number of rows, if it is given and only the threads are to be found.
    """
    speeds: dict[Shape, float] = {}
    for threads in sorted({1, torch.get_num_threads()}) if device.type == "cpu" else [torch.get_num_threads()]:
        with exact_arithmetic(threads):
            speeds |= _speeds(module, image, device, threads, [rows] if rows else _ROWS[device.type])
    best = max(speeds.values())
    return min((shape for shape in speeds if speeds[shape] >= _ENOUGH * best), key=lambda s: (s.threads, s.rows))


def _speeds(
    module: nn.Module, image: tuple[int, int, int], device: torch.device, threads: int, sizes: Iterable[int]
) -> dict[Shape, float]:
    """Rows a second for each number of rows, as far as more of them fit into memory and are not slower."""
    speeds: dict[Shape, float] = {}
    for rows in sizes:
        try:
            times = _times(module, (rows, *image), device)
        except Exception as error:
            if not out_of_memory(error) or rows == 1:
                raise
            break
        speeds[Shape(rows, threads)] = speed = rows / min(times)
        if sum(times) > _PATIENCE or speed < _ENOUGH * max(speeds.values()):
            break
    return speeds or _speeds(module, image, device, threads, [rows // 2])


def out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory was not enough, on CPU or GPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _times(module: nn.Module, shape: tuple[int, ...], device: torch.device) -> list[float]:
    """Seconds of a few gradient steps on a batch of that shape; the first warms up, and is slower."""
    model = Microbatches(module, shape[0])
    x = torch.full(shape, 0.5, device=device)
    y = torch.zeros(shape[0], dtype=torch.int64, device=device)
    times: list[float] = []
    while len(times) < 4 and sum(times) <= _PATIENCE:
        start = time.perf_counter()
        _ask(model, x, y)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return times


def _ask(model: Microbatches, x: Tensor, y: Tensor) -> None:
    """A gradient step, or a forward pass where there is no gradient; an attack that needs one says so."""
    try:
        model.value_and_gradient(x, cross_entropy, y)
    except Exception as error:  # whatever the user's own code raises where gradients are asked for
        if out_of_memory(error):
            raise
        model.logits(x)
