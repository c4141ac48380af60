"""Model cards: `zoo/cards/<id>.toml`, read and written."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from robeval import shelf
from robeval.errors import Problems, UserError, raise_together
from robeval.values.card import Checkpoint, Input, ModelCard, Network, Published
from robeval.values.digest import digest
from robeval.values.parameters import Positive, Size, resolve
from robeval.values.threat import Norm, ThreatModel, spell
from robeval.whole import write_whole


def load(name: str, option: str = "--model") -> ModelCard:
    """The card called `name` on the shelf, or at that path if it ends in `.toml`.

    Raises:
        UserError: there is no such card (names `option`), or something in it is wrong: names the file and the key.
    """
    return _read(shelf.find(shelf.CARDS, name, option))


def catalog(problems: Problems | None = None) -> dict[str, ModelCard]:
    """Every card on the shelf, by id.

    Args:
        problems: where to note what is wrong, so that the other cards are returned.

    Raises:
        UserError: something in one of them is wrong, and there is no place to note it; all of it is said at once.
    """
    noted = Problems() if problems is None else problems
    cards = {name: noted.attempt(_read, path) for name, path in shelf.names(shelf.CARDS).items()}
    if problems is None:
        raise_together(noted)
    return {name: card for name, card in cards.items() if card is not None}


def write(card: ModelCard, path: Path) -> None:
    """Write a card that `load` reads back equal, apart from the id and `where`, which are those of the new file."""
    write_whole(path, text(card).encode())


# What each section may hold: the keywords are its keys, as `resolve` reads them.


def _top(
    *,
    title: str,
    dataset: str,
    network: dict[str, Any],
    paper: str = "",
    threat: dict[str, Any] | None = None,
    input: dict[str, Any] | None = None,
    checkpoint: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    published: tuple[dict[str, Any], ...] = (),
    measured: tuple[dict[str, Any], ...] = (),
) -> None:
    """The keys and sections of a card."""


def _network(*, arch: str) -> str:
    return arch


def _threat(*, norm: Norm, eps: Positive) -> ThreatModel:
    return ThreatModel(norm, eps)


def _input(
    *,
    normalise: Literal["none", "fixed", "per_image"] = "none",
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
) -> Input:
    return Input(normalise, mean, std)


def _checkpoint(
    *,
    file: str,
    sha256: str = "",
    source: str = "",
    url: str = "",
    member: str = "",
    archive_sha256: str = "",
    size: Size = 0,
    key: str = "",
    stated_sha256: str = "",
) -> Checkpoint:
    sums = sha256.lower(), archive_sha256.lower(), stated_sha256.lower()
    return Checkpoint(file, sums[0], source, url, member, sums[1], size, key, sums[2])


def _published(*, metric: str, value: float, source: str) -> Published:
    return Published(metric, value, source)


def _read(path: Path) -> ModelCard:
    return of(shelf.read_toml(path), path.stem, str(path))


def _split(network: object) -> tuple[object, dict[str, Any]]:
    """The section with the family's name alone, and the keywords of the family."""
    if not isinstance(network, dict):
        return network, {}
    named = {key: value for key, value in network.items() if key == "arch"}
    return named, {key: value for key, value in network.items() if key != "arch"}


def of(keys: Mapping[str, Any], id: str, where: str) -> ModelCard:
    """The card that has these keys and sections.

    Raises:
        UserError: one is missing, unknown or of the wrong type; all that are are named together.
    """
    top, problems = resolve(_top, keys, where)

    def part(make: Callable[..., Any], given: object, name: str) -> Any:
        """What `make` returns for the keys of a section; None if there is no section or something in it is wrong."""
        if not isinstance(given, dict):
            return None
        keywords, wrong = resolve(make, given, f"{where}: {name}")
        problems.extend(wrong)
        return None if wrong else make(**keywords)

    training = top["training"] or {}
    network, params = _split(top.get("network"))
    arch = part(_network, network, "[network]")
    threat = part(_threat, top["threat"], "[threat]")
    input_ = part(_input, top["input"] or {}, "[input]")
    checkpoint = part(_checkpoint, top["checkpoint"], "[checkpoint]")

    def numbers(name: str) -> tuple[Published, ...]:
        return tuple(part(_published, each, f"[[{name}]]") for each in (top[name] if type(top[name]) is tuple else ()))

    published, measured = map(numbers, ("published", "measured"))
    problems += _wrong_values(params, f"{where}: [network]") + _wrong_values(training, f"{where}: [training]")
    problems += _wrong_threat(threat, f"{where}: [threat]")
    problems += _wrong_input(input_, f"{where}: [input]") + _wrong_checkpoint(checkpoint, f"{where}: [checkpoint]")
    raise_together(problems)
    return ModelCard(
        id=id,
        title=top["title"],
        dataset=top["dataset"],
        network=Network(arch, params),
        input=input_,
        checkpoint=checkpoint,
        training=training,
        paper=top["paper"],
        published=published,
        measured=measured,
        where=where,
        threat=threat,
    )


def _wrong_values(section: object, where: str) -> list[UserError]:
    """Dates and numbers such as `nan`, which TOML knows and no network or training takes."""
    problems = []
    for key, value in section.items() if isinstance(section, dict) else ():
        try:
            digest(value)
        except (TypeError, ValueError):
            expected = "a text, a finite number, true or false, a list or a section"
            problems.append(
                UserError(f"'{key}' is {value!r}, expected {expected}", where=where, fix=f"Mend the value of '{key}'.")
            )
    return problems


def _wrong_threat(given: ThreatModel | None, where: str) -> list[UserError]:
    if given is None or given.norm != "linf" or given.eps <= 1:
        return []
    found = f"'eps' is {given.eps:g}, but images are in [0, 1]"
    return [UserError(found, where=where, fix=f'Did you mean "{given.eps:g}/255"?')]


def _wrong_input(given: Input | None, where: str) -> list[UserError]:
    if given is None:
        return []
    if given.normalise != "fixed":
        if not given.mean and not given.std:
            return []
        found = f"'mean' and 'std' are given, but 'normalise' is \"{given.normalise}\", so nothing would use them"
        return [UserError(found, where=where, fix="Write 'normalise = \"fixed\"', or take them out.")]
    fix = "Give one number per channel in both, as in 'mean = [0.5]' and 'std = [0.25]'."
    if not given.mean or len(given.mean) != len(given.std):
        return [UserError(f"'mean' has {len(given.mean)} numbers and 'std' {len(given.std)}", where=where, fix=fix)]
    if min(given.std) <= 0:
        return [UserError(f"'std' is {list(given.std)}, expected numbers above 0", where=where, fix=fix)]
    return []


def _wrong_checkpoint(given: Checkpoint | None, where: str) -> list[UserError]:
    if given is None:
        return []
    problems = []
    if given.file in ("", "..") or given.file != Path(given.file).name:
        found = f"'file' is {given.file!r}, expected the bare name of a file"
        problems.append(UserError(found, where=where, fix="Leave the folder out; --checkpoint takes a path."))
    for key in ("sha256", "stated_sha256", "archive_sha256"):
        value = getattr(given, key)
        if not re.fullmatch(r"([0-9a-f]{64})?", value):
            found = f"'{key}' is {value!r}, expected 64 hexadecimal digits"
            problems.append(UserError(found, where=where, fix="Print it with `sha256sum FILE`, or take the key out."))
    if given.url and not re.match(r"https?://[^/\s]", given.url):
        found = f"'url' is {given.url!r}, expected an address that begins with https:// or http://"
        problems.append(UserError(found, where=where, fix="Give the address of the file itself, or take the key out."))
    if given.archive_sha256 and not given.member:
        found = "'archive_sha256' is given, but no 'member', so nothing would use it"
        problems.append(UserError(found, where=where, fix="Say which entries are wanted, or take the key out."))
    return problems


def text(card: ModelCard) -> str:
    """The card as a TOML file holds it."""
    parts = [_lines({"title": card.title, "dataset": card.dataset} | _given(paper=card.paper))]
    parts.append("\n[network]\n" + _lines({"arch": card.network.arch, **card.network.params}))
    if card.threat is not None:
        parts.append("\n[threat]\n" + _lines({"norm": card.threat.norm, "eps": _radius(card.threat.eps)}))
    fixed = _given(mean=card.input.mean, std=card.input.std)
    parts.append("\n[input]\n" + _lines({"normalise": card.input.normalise} | fixed))
    if card.checkpoint is not None:
        known = {each.name: getattr(card.checkpoint, each.name) for each in fields(card.checkpoint)}
        parts.append("\n[checkpoint]\n" + _lines(_given(**known)))
    if card.training:
        parts.append("\n[training]\n" + _lines(card.training))
    for section, numbers in (("published", card.published), ("measured", card.measured)):
        for each in numbers:
            number = {"metric": each.metric, "value": each.value, "source": each.source}
            parts.append(f"\n[[{section}]]\n" + _lines(number))
    return "".join(parts)


def _radius(eps: float) -> float | str:
    """As a number, or as a fraction where that is the same number."""
    return spell(eps) if "/" in spell(eps) else eps


def _given(**keys: Any) -> dict[str, Any]:
    """The keys that are not empty."""
    return {key: value for key, value in keys.items() if value}


def _lines(section: Mapping[str, Any]) -> str:
    """The keys of a section."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in section.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: object) -> str:
    """A value as TOML writes it; JSON's texts are TOML's but for one control character."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    raise TypeError(f"a card cannot hold a {type(value).__name__}")
