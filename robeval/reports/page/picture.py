"""Images of one broken sample, as a page can hold them."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample before and after an attack.

    Attributes:
        sample: its index in the split.
        label: its class; `before` and `after` are what the model says of the clean and the adversarial image.
        attack: which one broke it.
        clean, adversarial: float32 (c, h, w) in [0, 1].
    """

    sample: int
    label: int
    before: int
    after: int
    attack: str
    clean: NDArray[np.float32]
    adversarial: NDArray[np.float32]

    def difference(self) -> tuple[NDArray[np.float32], float]:
        """The difference on grey, as large as fits into [0, 1], and how many times it was magnified."""
        apart = self.adversarial - self.clean
        largest = float(np.abs(apart).max())
        times = 0.5 / largest if largest else 1.0
        return (0.5 + times * apart).astype(np.float32), times


def data_uri(image: NDArray[np.float32]) -> str:
    """The image (c, h, w) in [0, 1], 8 bits a channel, as a PNG inside an address."""
    bytes_ = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(bytes_[:, :, 0] if bytes_.shape[2] == 1 else bytes_[:, :, :3])
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()
