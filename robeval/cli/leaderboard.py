"""`robeval leaderboard`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import options

if TYPE_CHECKING:
    import pandas as pd

    from robeval.ledger.store import Ledger
    from robeval.values.card import ModelCard

TRAINED = "trained/cards"  # of the ledger folder: where tables and `robeval miniature` leave the models they train
FORMATS = ("terminal", "csv", "markdown", "latex", "html", "json")


@click.command()
@click.option("--suite", "suites", multiple=True, metavar="SUITE", help="Only this suite; may be given again.")
@click.option("--method", metavar="METHOD", help="One method on all data sets and threat models, with its ranks.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--to", "path", type=click.Path(path_type=Path), help="A file, instead of the screen; a folder for json.")
@click.option("--title", default="Robustness leaderboard", show_default=True, help="Heads the HTML page.")
@click.option("--pictures", default=0, show_default=True, help="HTML: images of so many broken samples of each model.")
@options.out
@options.data_root
@options.device
def command(
    suites: tuple[str, ...],
    method: str | None,
    form: str,
    path: Path | None,
    title: str,
    pictures: int,
    out: Path,
    data_root: Path | None,
    device: str,
) -> None:
    """Rank the models of a ledger, a table for each suite.

    By the worst case over attacks per sample; models that do not differ significantly share a rank. Beside it: every
    attack with its interval, the number of samples, and versions and day. Nothing is computed that the ledger lacks,
    but for the pictures that --pictures asks for: a ledger keeps no images, so the attacks make them again.

    \b
    --format html  one page that needs no network: tabs, sorting, filters, and charts of each model
    --format json  RobustBench's model_info; --to DIR writes DIR/DATASET/NORM/MODEL.json
    """
    from robeval.ledger.store import Ledger

    _check(form, path, pictures, method)
    ledger = Ledger(out)
    results = _chosen(ledger, suites)
    if method is not None:
        _show_method(results, _cards(out), method, form, path)
    elif form == "json":
        _write_json(results, _cards(out), path)
    elif form == "html":
        _say(_page(ledger, results, title, pictures, data_root, device), path)
    elif form == "terminal" and path is None:
        _print(results)
    else:
        _say(_text(results, form), path)


def _check(form: str, path: Path | None, pictures: int, method: str | None) -> None:
    from robeval.errors import UserError

    if pictures < 0:
        raise UserError(f"{pictures} pictures cannot be made", where="--pictures", fix="Give 0 or more.")
    if pictures and (form != "html" or method):
        raise UserError("only the page has pictures", where="--pictures", fix="Add --format html, without --method.")
    if method is not None and form == "json":
        fix = f"Choose {', '.join(FORMATS[:-2])} or {FORMATS[-2]}."
        raise UserError("the table of a method has no JSON", where="--format", fix=fix)
    if path is not None and path.is_dir() and form != "json":
        raise UserError(f"{path} is a folder", where="--to", fix="Give the path of a file.")


def _chosen(ledger: "Ledger", suites: tuple[str, ...]) -> "pd.DataFrame":
    from robeval.errors import UserError, nearest
    from robeval.reports import measure

    results = measure.results(ledger, ledger.plans())
    known = list(dict.fromkeys(results.suite))
    if not known:
        fix = f"Make some with `robeval run --suite SUITE --model MODEL --out {ledger.root}`."
        raise UserError("there are no results", where=f"ledger {ledger.root}", fix=fix)
    for name in suites:
        if name not in known:
            raise UserError(
                f"there are no results of '{name}'", where=f"ledger {ledger.root}", fix=nearest(name, known)
            )
    return results[results.suite.isin(suites or known)]


def _say(text: str, path: Path | None) -> None:
    from robeval.whole import write_whole

    if path is None:
        click.echo(text, nl=False)
    else:
        write_whole(path, text.encode())
        click.echo(f"Written: {path}")


def _print(results: "pd.DataFrame") -> None:
    from rich.console import Console

    from robeval.cli.screen import show_tables
    from robeval.reports import leaderboard

    console = Console(highlight=False)
    for part in leaderboard.parts(results):
        show_tables(console, part)
        for line in leaderboard.origins(part):
            console.print(f"  {line}", markup=False, soft_wrap=True)


def _text(results: "pd.DataFrame", form: str) -> str:
    from robeval.reports import leaderboard
    from robeval.reports.render import csv, latex, markdown

    if form == "csv":
        return csv.render(results.assign(audit=leaderboard.NOT_AUDITED))
    boards = [leaderboard.board(part, part.suite.iloc[0]) for part in leaderboard.parts(results)]
    return "\n".join(map(latex.render if form == "latex" else markdown.render, boards))


def _page(
    ledger: "Ledger", results: "pd.DataFrame", title: str, count: int, data_root: Path | None, device: str
) -> str:
    from robeval.reports.page import content, html

    cards, made = _cards(ledger.root), None
    if count:
        from robeval.cli.leaderboard_pictures import pictures

        known = set(results.suite)
        plans = [plan for plan in ledger.plans() if plan.group in known]
        made, notes = pictures(ledger, plans, cards, count, data_root, device)
        for note in notes:
            click.echo(f"robeval: {note}", err=True)
    return html.page(title, content.panels(ledger, results, content.Asked(cards, made)))


def _cards(out: Path) -> "dict[str, ModelCard]":
    """The cards of the shelf, and those of models that were trained into the ledger folder, by id.

    One that cannot be read is as if it were not there: nothing of the board's numbers is in it.
    """
    from robeval.errors import Problems
    from robeval.zoo import cards

    unread = Problems()
    trained = {path.stem: unread.attempt(cards.load, str(path)) for path in sorted(out.glob(f"{TRAINED}/*.toml"))}
    return cards.catalog(unread) | {name: card for name, card in trained.items() if card is not None}


def _write_json(results: "pd.DataFrame", cards: "dict[str, ModelCard]", path: Path | None) -> None:
    """One object on the screen or in a file that ends in `.json`; else a folder with a file for each model."""
    import json

    from robeval.reports import model_info
    from robeval.whole import write_whole
    from robeval.zoo import listing

    known = {name: card for name, card in cards.items() if name in set(results.model)}
    infos = model_info.infos(results, known, {name: listing.robust(card) for name, card in known.items()})
    if path is None or (path.suffix == ".json" and not path.is_dir()):
        _say(json.dumps(infos, indent=2, ensure_ascii=False) + "\n", path)
        return
    for dataset, threats in infos.items():
        for threat, models in threats.items():
            for name, info in models.items():
                text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
                write_whole(path / dataset / threat / f"{name}.json", text.encode())
    click.echo(f"Written: {path}")


def _show_method(
    results: "pd.DataFrame", cards: "dict[str, ModelCard]", name: str, form: str, path: Path | None
) -> None:
    from rich.console import Console

    from robeval.errors import UserError, nearest
    from robeval.reports import method, papers
    from robeval.reports.render import csv, html, latex, markdown, terminal

    published = list(papers.catalog().values())
    found = method.results(results, cards, published, name)
    if found.empty:
        fix = nearest(name, method.known(cards, published))
        raise UserError(f"no model of the ledger or the zoo is of the method '{name}'", where="--method", fix=fix)
    tables = method.tables(found, name)
    if form == "terminal" and path is None:
        for table in tables:
            Console(highlight=False).print(terminal.render(table))
    elif form == "csv":
        _say(csv.render(found), path)
    elif form == "html":
        _say(html.page(f"Method: {name}", tables), path)
    else:
        _say("\n".join(map(latex.render if form == "latex" else markdown.render, tables)), path)
