"""What is written down of every epoch."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one epoch came to, or has come to so far. Accuracies are shares of 1, and None where none was measured.

    Attributes:
        number: counted from 1, of `count`.
        learning_rate: of the last batch.
        loss: the method's loss, mean over the training images.
        accuracy: on the clean training images, each just before its batch was learnt from, as the method itself saw
            them; of methods that never do, on every tenth batch, in evaluation mode.
        robust_accuracy: on the training images as the method perturbed them.
        validation_accuracy, validation_robust_accuracy: on the images held out, clean and under PGD, at the end.
        images_per_second: training images, all the method's passes included.
        seconds: without validation.
    """

    number: int
    count: int
    learning_rate: float
    loss: float
    accuracy: float | None
    robust_accuracy: float | None
    validation_accuracy: float | None = None
    validation_robust_accuracy: float | None = None
    images_per_second: float
    seconds: float

    @property
    def score(self) -> float:
        """By which the best epoch is chosen: accuracy on the images held out, under PGD if there is a ball."""
        clean, robust = self.validation_accuracy, self.validation_robust_accuracy
        return (clean or 0.0) if robust is None else robust


COLUMNS = tuple(field.name for field in fields(Epoch))


def text(epochs: Sequence[Epoch]) -> str:
    """The epochs as a CSV file."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, epochs))
    return file.getvalue()
