"""Elements of a page, in which every text is escaped where it is put in."""

from html import escape

_VOID = ("img", "input", "meta")


class Markup(str):
    """A text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *inside: str, **attributes: object) -> Markup:
    """One element.

    Args:
        inside: texts, which are escaped, and markup.
        attributes: `class_` is `class`, `data_x` is `data-x`; one that is None or False is left out, True has no value.
    """
    said = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    start = f"<{name}{said}>"
    return Markup(start if name in _VOID else f"{start}{join(*inside)}</{name}>")


def join(*inside: str) -> Markup:
    """Texts and markup one after the other; the texts are escaped."""
    return Markup("".join(each if isinstance(each, Markup) else escape(each) for each in inside))


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")  # SVG's own names, as viewBox, have no dash and are kept
