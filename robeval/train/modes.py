"""What is switched for a while and back again."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


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


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many CPU threads inside the block; as many as before if `count` is 0."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
