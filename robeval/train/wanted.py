"""From words such as `--beta 6` to the card of a model to be trained."""

import inspect
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_origin, get_type_hints

from robeval.datasets import registry as datasets
from robeval.errors import Problems, UserError, nearest, raise_together
from robeval.train import defaults
from robeval.train.recipe import Settings, keys
from robeval.train.registry import Entry, catalog
from robeval.values.card import ModelCard, Network
from robeval.zoo.archs import registry as archs

_WHERE = "robeval train"


def split(words: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """The card, if there is one, and what each `--key value` says; a key alone means true.

    Raises:
        UserError: there is a word that belongs to no key.
    """
    card, given, rest = None, dict[str, Any](), list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            if not equals:
                text = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
            given[name.replace("-", "_")] = _value(text)
        elif card is None and not given and not word.startswith("-"):
            card = word
        else:
            fix = "Give the card first, then options as --KEY VALUE."
            raise UserError(f"nothing takes the word '{word}'", where=_WHERE, fix=fix)
    return card, given


def new(method: str, dataset: str, arch: str, name: str, given: Mapping[str, Any]) -> tuple[ModelCard, dict[str, Any]]:
    """A card made of options alone, and which of its keys were filled in.

    Raises:
        UserError: a name or key is unknown; all that are are named together.
    """
    problems = Problems()
    for option, value, names in (
        ("--method", method, list(catalog())),
        ("--dataset", dataset, list(datasets.catalog())),
        ("--arch", arch, list(archs.catalog())),
    ):
        if value not in names:
            found = f"unknown name '{value}'" if value else "it is missing"
            problems.append(UserError(found, where=option, fix=nearest(value, names)))
    name = name or f"{method}_{dataset}_{arch}"
    if not re.fullmatch(r"\w[\w.-]*", name):
        found = f"'{name}' cannot be the name of a file"
        problems.append(UserError(found, where="--name", fix="Use letters, digits, _ and -."))
    raise_together(problems)
    entry = catalog()[method]
    training, network = _sorted_out(given, entry, arch)
    filled = defaults.fill(dataset, entry, training)
    params = defaults.fill_network(dataset, arch, network) | network
    title = f"{arch} on {dataset}, trained by {method}"
    card = ModelCard(name, title, dataset, Network(arch, params), training={"method": method} | filled | training)
    return replace(card, paper=entry.paper, where=_WHERE), filled


def changed(card: ModelCard, given: Mapping[str, Any]) -> ModelCard:
    """The card with other keys in its `[training]` and `[network]`.

    With fewer epochs it keeps the weights of those of its `keep_epochs` that there are.

    Raises:
        UserError: neither its method nor its network has a key.
    """
    method = catalog().get(str(card.training.get("method")))
    if method is None:
        return card  # reading its recipe says what is wrong
    training, network = _sorted_out(given, method, card.network.arch)
    params = {**card.network.params, **network}
    last, kept = training.get("epochs"), card.training.get("keep_epochs")
    if isinstance(last, int) and isinstance(kept, list) and "keep_epochs" not in training:
        training["keep_epochs"] = [each for each in kept if each <= last]  # what it comes to when it is cut short
    return replace(card, training={**card.training, **training}, network=replace(card.network, params=params))


def _sorted_out(given: Mapping[str, Any], method: Entry, arch: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which keys belong into `[training]` and which into `[network]`."""
    general, own = keys(method)
    build = archs.catalog().get(arch)
    params = inspect.signature(build).parameters.values() if build else ()
    network = {each.name for each in params if each.kind is inspect.Parameter.KEYWORD_ONLY} - general - own
    lists = {key for key, hint in get_type_hints(Settings).items() if get_origin(hint) is tuple}
    problems = Problems()
    for key in given:
        if key not in general | own | network:
            found = f"neither '{method.name}' nor '{arch}' takes '--{_dashed(key)}'"
            problems.append(
                UserError(found, where=_WHERE, fix=nearest(_dashed(key), map(_dashed, general | own | network)))
            )
    raise_together(problems)
    listed = {key: [value] if key in lists and not isinstance(value, list) else value for key, value in given.items()}
    return {key: value for key, value in listed.items() if key not in network}, {
        key: value for key, value in listed.items() if key in network
    }


def _value(text: str) -> Any:
    """A number, a truth value, a list with commas, or else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return [_value(part.strip()) for part in text.split(",") if part.strip()] if "," in text else text


def _dashed(key: str) -> str:
    return key.replace("_", "-")
