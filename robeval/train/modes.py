"""What is switched for a while and back again."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

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


@contextmanager
def weights_of(network: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """The network with other weights inside the block."""
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(weights)
    try:
        yield
    finally:
        network.load_state_dict(own)


class Mixed(nn.Module):
    """A network that computes in bfloat16 where torch holds that to be safe, and answers in float32.

    Only the network: losses, and the steps of the inner problem, stay in float32.
    """

    def __init__(self, net: nn.Module, kind: str) -> None:
        super().__init__()
        self.net, self._kind = net, kind

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32 (n, k), of images (n, c, h, w)."""
        with torch.autocast(self._kind, torch.bfloat16):
            logits: Tensor = self.net(x)
        return logits.float()
