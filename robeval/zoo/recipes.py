"""Models that nobody released: `zoo/papers/<paper>.toml`, the cards of many that differ in a few keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robeval import shelf
from robeval.errors import Problems, UserError, nearest, raise_together
from robeval.values.card import ModelCard
from robeval.values.parameters import resolve
from robeval.zoo import cards

_SECTIONS = ("network", "threat", "input", "training")

Section = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A card to train from, and what is to be known of it: what its paper leaves open, and what stands in for it."""

    card: ModelCard
    notes: tuple[str, ...]


def load(name: str, option: str = "CARD") -> Recipe:
    """The card of that name on the shelf or at that path, or else the recipe.

    Raises:
        UserError: there is neither (names `option`), or something in it is wrong.
    """
    if name.endswith(".toml") or name in shelf.names(shelf.CARDS):
        return Recipe(cards.load(name, option), ())
    known = catalog()
    if name not in known:
        fix = nearest(name, {*known, *shelf.names(shelf.CARDS)})
        raise UserError(f"unknown name '{name}'", where=option, fix=fix)
    return known[name]


def catalog() -> dict[str, Recipe]:
    """Every recipe on the shelf, by name.

    Raises:
        UserError: something in one of the files is wrong; all that is wrong is said at once.
    """
    problems, found = Problems(), dict[str, Recipe]()
    for path in shelf.names(shelf.RECIPES).values():
        file = problems.attempt(lambda each: _File(shelf.read_toml(each), str(each)), path)
        for model in file.models if file else ():
            if recipe := problems.attempt(file.recipe, model) if file else None:
                found.setdefault(model, recipe)
    raise_together(problems)
    return dict(sorted(found.items()))


def _top(*, model: dict[str, Any], base: dict[str, Any] | None = None) -> None:
    """The models, and what several of them have in common."""


def _entry(
    *,
    like: tuple[str, ...] = (),
    note: str = "",
    title: str = "",
    dataset: str = "",
    paper: str = "",
    network: dict[str, Any] | None = None,
    threat: dict[str, Any] | None = None,
    input: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> None:
    """What a model or a base has: keys of a card, over those of what it is like, of which the later ones count.

    `like` has names of bases and models of the file. A section adds its keys to those of before.
    """


class _File:
    """One file."""

    def __init__(self, text: Mapping[str, Any], where: str) -> None:
        keys, problems = resolve(_top, text, where)
        raise_together(problems)
        self.where, self.models = where, tuple(keys["model"])
        self.entries: dict[str, Any] = {**(keys["base"] or {}), **keys["model"]}

    def recipe(self, name: str) -> Recipe:
        """The recipe of a model."""
        where = f"{self.where}: [model.{name}]"
        keys, notes = self.merged(name, ())
        return Recipe(cards.of({"title": f"{name}, by the recipe of its paper", **keys}, name, where), notes)

    def merged(self, name: str, above: tuple[str, ...]) -> tuple[Section, tuple[str, ...]]:
        """The keys of a card, and the notes, of an entry and of what it is like; `above` is what is like it."""
        if name not in self.entries or name in above:
            found = f"it is like '{name}', which is like it" if name in above else f"there is no '{name}' to be like"
            raise UserError(found, where=f"{self.where}: {above[-1]}", fix=nearest(name, set(self.entries) - {*above}))
        given = self.entries[name] if isinstance(self.entries[name], dict) else {"": self.entries[name]}
        own, problems = resolve(_entry, given, f"{self.where}: {name}")
        raise_together(problems)
        keys, notes = Section(), tuple[str, ...]()
        for each in own.pop("like"):
            inherited, more = self.merged(each, (*above, name))
            keys, notes = _over(keys, inherited), notes + more
        note = own.pop("note")
        return _over(keys, own), tuple(dict.fromkeys([*notes, *([note] if note else [])]))


def _over(keys: Section, own: Section) -> Section:
    """Keys with others laid over them."""
    given = {key: value for key, value in own.items() if value}
    return keys | {key: {**keys.get(key, {}), **each} if key in _SECTIONS else each for key, each in given.items()}
