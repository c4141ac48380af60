"""How commands with a ledger folder end."""

from collections.abc import Iterator, Sequence
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


def violations(path: Path, rules: str, found: Sequence[str]) -> None:
    """End with code 1 if images break the rules, and say each way in which they do."""
    if found:
        listed = "\n".join(f"- {each}" for each in found)
        click.echo(f"robeval: {path}: this array breaks the rules of {rules}:\n{listed}", err=True)
        raise SystemExit(1)
