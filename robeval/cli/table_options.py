"""The options that all commands of `robeval table` have."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from robeval.cli import options
from robeval.values.paper import SCALES


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for; the last six as the options of `robeval run`."""

    scale: str
    is_run: bool
    out: Path
    limit: int | None = None
    microbatch: int | None = None
    data_root: Path | None = None
    device: str = "auto"
    seed: int = 0


def shared(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, which it gets together as `options`."""

    @wraps(command)
    def made(**given: Any) -> None:
        common = {each.name: given.pop(each.name) for each in fields(Options)}
        command(**given, options=Options(**common))

    sizes = "The paper's own data and networks, or the embedded digits in miniature."
    own = (
        click.option("--scale", type=click.Choice(SCALES), default="paper", show_default=True, help=sizes),
        click.option("--run", "is_run", is_flag=True, help="First compute what is missing and can be computed."),
    )
    common = options.out, options.limit, options.microbatch, options.data_root, options.device, options.seed
    result: Callable[..., None] = made
    for option in reversed((*own, *common)):
        result = option(result)
    return result
