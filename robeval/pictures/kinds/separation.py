"""How far the classes of data sets are apart, as a ledger has it (Yang et al., 2020, Table 1)."""

import numpy as np

from robeval.pictures.content import Bins, Histogram
from robeval.pictures.records import Records, of_answer
from robeval.pictures.registry import picture
from robeval.values.measurement import Measured
from robeval.values.parameters import Count, Positive


@picture("separation", about="ledger", paper="arXiv:2003.02460")
def separation(records: Records, *, bins: Count = 20, eps: Positive | None = None) -> Histogram:
    """Histograms of the distance to the nearest training image of another class, from `robeval measure separation`.

    One for each data set and split that the ledger has, over `bins` equal parts of [0, 1], as the paper counts them.
    With `eps`, 2 eps is marked: where every distance is above it, a classifier can be right on every ball of that
    radius.
    """
    answers = records.answers("separation", "robeval measure separation --dataset DATASET")
    whole = {(_data(each), each.question.reference): each for each in answers}  # `drop` changes no distance
    sets = tuple(_bins(each, bins) for each in whole.values())
    note = "ℓ∞ distance from each image to the nearest training image of another class, exact."
    mark = None if eps is None else 2 * eps
    label = "" if eps is None else f"2ε = {2 * eps:.4g}"
    names = ", ".join(dict.fromkeys(of_answer(each).dataset for each in whole.values()))
    return Histogram(
        f"Separation of the classes, {names}", note, "ℓ∞ distance, pixels in [0, 1]", "images, %", sets, mark, label
    )


def _data(answer: Measured) -> tuple[object, ...]:
    data = answer.question.data
    return (data.content, data.start, data.stop) if data else ()


def _bins(answer: Measured, bins: int) -> Bins:
    distance = answer.columns["distance"]
    counts, edges = np.histogram(distance, bins=bins, range=(0, 1))
    least = float(distance.min())
    return Bins(f"{of_answer(answer).data}: least {least:.3g}", edges, 100 * counts / len(distance), least)
