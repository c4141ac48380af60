"""How commands with a ledger folder end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click


@contextmanager
def kept(out: Path) -> Iterator[None]:
    """Say on Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.Abort(f"Finished cells are kept in {out}; the same command goes on from there.") from None


def check(failed: int, out: Path) -> None:
    """End with code 1 if cells have failed, and say where the reasons are."""
    if failed:
        click.echo(f"robeval: {failed} cells failed; the reasons are in {out / 'failures'}", err=True)
        raise SystemExit(1)
