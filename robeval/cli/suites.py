"""`robeval suites`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from robeval.values.attack import AttackSpec
    from robeval.values.suite import Suite

_WIDE = 120  # columns of a terminal that has room for titles


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the suites; with a NAME (or a TOML file), show its title and its attacks."""
    from rich.console import Console

    from robeval.reports.render import terminal
    from robeval.suites import load as suites
    from robeval.values.table import Table

    console = Console(highlight=False)
    wide = console.width >= _WIDE

    def threat(suite: "Suite") -> str:
        return f"{suite.threat.norm} {suite.threat.eps:.4g}"

    if name is None:
        listed = [(s.id, s.dataset, threat(s), str(len(s.chains)), s.title) for s in suites.catalog().values()]
        header = ("suite", "data", "threat", "attacks", "title")
        shown = len(header) if wide else header.index("title")
        table = Table("Suites", header[:shown], tuple(row[:shown] for row in listed))
    else:
        suite = suites.load(name, "NAME")
        rows = [(chain.id, spec.use, _settings(spec, suite)) for chain in suite.chains for spec in chain.attacks]
        table = Table(f"{suite.id} ({threat(suite)}): {suite.title}", ("id", "attack", "settings"), tuple(rows))
    console.print(terminal.render(table))


def _settings(spec: "AttackSpec", suite: "Suite") -> str:
    """What the suite says of the attack; what is not said is as `robeval attacks` lists it."""
    said = {"eps": f"{spec.threat.eps:g}"} if spec.threat != suite.threat else {}
    said |= {"restarts": str(spec.restarts)} if spec.restarts > 1 else {}
    said |= {"select": spec.select} if spec.select != "final" else {}
    said |= {"minimises": spec.minimises} if spec.minimises else {}
    said |= {"score": spec.score} if spec.score != "threshold" else {}
    said |= {"eot": str(spec.eot)} if spec.eot > 1 else {}
    return ", ".join(f"{key}={value}" for key, value in (said | dict(spec.params)).items())
