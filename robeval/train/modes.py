"""What is switched for a while and back again."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import nn

Mode = Literal["train", "eval"]


@contextmanager
def eval_mode(net: nn.Module) -> Iterator[None]:
    """Dropout off and BatchNorm on its averages inside the block; afterwards every layer is as it was."""
    learning = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in learning:
            module.training = True


def in_mode(net: nn.Module, mode: Mode) -> AbstractContextManager[None]:
    """Evaluation mode inside the block for "eval"; for "train" everything as it is."""
    return eval_mode(net) if mode == "eval" else nullcontext()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many CPU threads inside the block; as many as before if `count` is 0."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
