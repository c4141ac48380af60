"""What there is to say of the models: all of them side by side, and one on a page."""

import string
from collections.abc import Iterable, Mapping
from itertools import pairwise

from robeval.values.card import ModelCard, Published
from robeval.values.table import Table
from robeval.zoo.checkpoints import known_sha256, whereabouts

NATURAL, ROBUST = "natural accuracy", "accuracy under "
HEADER = "model", "network", "clean", "robust", "by", "weights"
NORMS = "l-inf", "l2", "l1"  # as metrics write them, each before the size of its ball
DIGITS, RECORDED = 8, "*"  # of a sha256 in a table; the mark of one that nobody published
PLACES = {
    "here": "here: the file is where robeval looks for it",
    "at URL": "at URL: `robeval zoo fetch MODEL` gets the file; `robeval zoo show MODEL` says from where",
    "by hand": "by hand: `robeval zoo show MODEL` says where to get the file and where to put it",
    "to train": "to train: `robeval train MODEL` makes the file",
    "not here": "not here: give the file with `--checkpoint FILE`",
}


def tables(cards: Iterable[ModelCard], checksums: bool = False) -> tuple[Table, ...]:
    """One table for each data set and threat model, as only there robust accuracies compare; the best model first.

    The robust accuracy is the least that was published for the card's threat model, or, with its own size, for another
    where none was; letters lead to who published it.

    Args:
        checksums: whether there is room for a column with the beginning of the sha256 of the weights, where it is
            known; else that is a note.
    """
    groups: dict[str, list[ModelCard]] = {}
    for card in sorted(cards, key=lambda card: (card.dataset, card.threat is None, str(card.threat))):
        meant = f"robust in {card.threat}" if card.threat else "not meant to be robust"
        groups.setdefault(f"{card.dataset}, {meant}", []).append(card)
    return tuple(_group(caption, members, checksums) for caption, members in groups.items())


def page(card: ModelCard) -> tuple[Table, ...]:
    """What a card says, and what was published of its model."""
    params = ", ".join(f"{key}={value}" for key, value in card.network.params.items())
    training = ", ".join(f"{key}={value}" for key, value in card.training.items())
    lines = [("data set", card.dataset), ("threat", str(card.threat or "none"))]
    lines += [("network", f"{card.network.arch} {params}".strip()), ("input", _input(card)), ("training", training)]
    told, by = known_sha256(card)
    lines += [("paper", _link(card.paper)), ("sha256", f"{told} ({by})" if told else ""), ("card", card.where)]
    facts = Table(card.id, ("title", card.title), tuple(line for line in lines if line[1]))
    return facts, *(
        Table(
            caption, ("%", "what", "source"), tuple((f"{each.value:.2f}", each.metric, each.source) for each in numbers)
        )
        for caption, numbers in (("Published", card.published), ("Measured", card.measured))
        if numbers
    )


def _group(caption: str, members: list[ModelCard], checksums: bool) -> Table:
    letters: dict[str, str] = {}

    def cite(number: Published | None, what: str) -> str:
        text = f"{what} ({number.source})" if number else ""
        return letters.setdefault(text, _letter(len(letters))) if text else ""

    rows = []
    members.sort(key=lambda card: [-each.value if each else 0.0 for each in (robust(card), natural(card))])
    for card in members:
        clean, hard = natural(card), robust(card)
        marks = [cite(hard, hard.metric if hard else "")]
        if hard is None or (clean is not None and clean.source != hard.source):
            marks.append(cite(clean, NATURAL))
        row = (card.id, _network(card), _percent(clean), _attacked(card, hard), " ".join(filter(None, marks)))
        rows.append((*row, whereabouts(card), *([_checksum(card)] if checksums else [])))
    notes = tuple(f"{letter}  {text}" for text, letter in letters.items())
    known = ", ".join(f"{card.id} {told}" for card in members if (told := _checksum(card)))
    if known and not checksums:
        notes += (f"sha256: {known}",)
    return Table(caption, (*HEADER, *(["sha256"] if checksums else [])), tuple(rows), notes)


def _checksum(card: ModelCard) -> str:
    told, by = known_sha256(card)
    return told[:DIGITS] + RECORDED * (told != "" and by != "the card")


def legend(cards: Iterable[ModelCard]) -> tuple[str, ...]:
    """What the words in the column of weights mean, as far as they occur."""
    known = list(cards)
    found = {whereabouts(card) for card in known}
    words = [text for place, text in PLACES.items() if place in found]
    if any(_checksum(card).endswith(RECORDED) for card in known):
        words.append(
            f"{RECORDED} behind a sha256: nobody published it; it was recorded when the file was first fetched or used"
        )
    return tuple(words)


def natural(card: ModelCard) -> Published | None:
    """The published accuracy on clean images; the measured one where none was published."""
    return next((each for each in card.published + card.measured if each.metric.startswith(NATURAL)), None)


def robust(card: ModelCard) -> Published | None:
    """The least published accuracy under an attack, of those attacks that stay in the card's ball."""
    attacked = [each for each in card.published if each.metric.startswith(ROBUST)]
    inside = [each for each in attacked if _radius(card) in _words(each)] or attacked
    return min(inside, key=lambda each: each.value, default=None)


def _radius(card: ModelCard) -> str:
    """The size of the ball in which a model is meant to be robust, as metrics write it; "" if it is in none."""
    return "" if card.threat is None else str(card.threat).removeprefix(card.threat.norm).strip()


def _words(number: Published) -> list[str]:
    return number.metric.replace(",", " ").split()


def _attacked(card: ModelCard, number: Published | None) -> str:
    """The robust accuracy, and its ball if that is not the card's own, in which others are: `29.35 at 8/255`."""
    words = _words(number) if number else []
    other = next((after for word, after in pairwise(words) if word in NORMS), "") if _radius(card) not in words else ""
    return _percent(number) + (f" at {other}" if other else "")


def _percent(number: Published | None) -> str:
    return f"{number.value:.2f}" if number else ""


def _network(card: ModelCard) -> str:
    """The family, and its depth and width where it has them: `wide_resnet 34-10`."""
    params: Mapping[str, object] = card.network.params
    size = "-".join(str(params[key]) for key in ("depth", "widen_factor") if key in params)
    return f"{card.network.arch} {size}".strip()


def _input(card: ModelCard) -> str:
    if card.input.normalise == "fixed":
        return f"(x - mean) / std, mean {list(card.input.mean)}, std {list(card.input.std)}"
    return {"none": "as it is, in [0, 1]", "per_image": "each image to mean 0 and deviation 1"}[card.input.normalise]


def _link(paper: str) -> str:
    """`arXiv:1901.08573` as something to click on; anything else as it is."""
    return f"https://arxiv.org/abs/{paper.removeprefix('arXiv:')}" if paper.startswith("arXiv:") else paper


def _letter(place: int) -> str:
    """a to z, then aa, ab and so on."""
    letters = string.ascii_lowercase
    return (
        letters[place] if place < len(letters) else _letter(place // len(letters) - 1) + letters[place % len(letters)]
    )
