"""Tables on narrow terminals."""

import io

import pytest
from rich.console import Console

from robeval.reports.render import terminal
from robeval.values.table import Table

LABEL = "sign of the mean of all others, in the closed form, of a label that is long"
READING = ("60.00 [53.1,66.5]", "+30.00", "published only")


def screen(table, width):
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(terminal.render(table))
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "readings"), [(120, 2), (80, 1)])
@pytest.mark.parametrize("other", ["–", "max(1-a,0)"])
def test_numbers_are_never_broken(width, readings, other):
    header = ("row", "cell", "published", *("measured", "diff.", "") * readings, "n", "notes")
    row = (LABEL, "accuracy under PGD-20 %", "27.07", *READING * readings, "10000", "[1][2][3][4][5][6][7]")
    dash = ("", "natural %", other, *("–", "–", "–") * readings, "", "")
    said = screen(Table("A table", header, (row, dash)), width)
    for text, count in (("27.07", 1), ("60.00 [53.1,66.5]", readings), ("+30.00", readings), ("10000", 1)):
        assert said.count(text) == count, said
    assert max(map(len, said.splitlines())) <= width


def test_a_board_of_a_method_fits_80_columns():
    header = ("model", "data set", "threat model", "what", "status", "%", "source")
    row = ("trades_wrn34_beta1", "cifar10", "linf 0.031", "accuracy under PGD-20 steps", "published", "56.61", LABEL)
    said = screen(Table("trades: published", header, (row, row)), 80)
    assert said.count("56.61") == said.count("trades_wrn34_beta1") == 2


def test_a_formula_that_begins_with_a_number_is_folded():
    header = ("row", "cell", "published", "measured", "diff.", "", "n", "notes")
    row = ("logistic", "psi(0.5), minimised", "1-sqrt(1-theta^2)+" * 6, "0.1887", "–", "published only", "", "[1]")
    said = screen(Table("A table", header, (row,)), 100)
    assert "psi(0.5)," in said and "published" in said.partition("logistic")[2]
    assert max(map(len, said.splitlines())) <= 100


def test_the_name_of_a_column_of_numbers_is_folded_and_takes_no_room_from_them():
    header = ("images made on", "target", "natural %", "robust %, of all samples", "n", "robust %, of clean-correct")
    row = ("natural_digits", "trades_digits", "95.00", "80.00 [58.4,91.9]", "20", "84.21 [62.4,94.5]")
    said = screen(Table("A table", header, (row,)), 92)
    assert all(said.count(each) == 1 for each in row), said


def words(table):
    return [word for row in (table.header, *table.rows) for cell in row for word in cell.split()]


def compared():
    """As `robeval compare` prints two models with names of 22 letters."""
    one, other = "mini_adversarial_digits", "mini_regularised_digit"
    header = (
        "suite", "threat model", "n", one, other, f"only {one}", f"only {other}",
        "difference [95 % CI]", "p", "verdict",
    )  # fmt: skip
    row = (
        "whitebox_digits_linf", "digits (test), linf 0.1875", "602", "48.50", "52.82", "116", "142",
        "-4.32 [-9.5,+1.0]", "0.0042", "no significant difference",
    )  # fmt: skip
    return Table(f"{one} against {other}", header, (row,))


def board():
    """As `robeval leaderboard` prints fifteen models."""
    models = [f"mini_method{place:02}_digits" for place in range(15)]
    rows = [
        (name, *(f"{place}{digit}.50 [44.5,{place}2.5]" for place in range(15)))
        for name, digit in (("pgd", 1), ("apgd", 2))
    ]
    return Table("a board", ("attack", *models), (*rows, ("worst case", *("100.00 [99.4,100.0]",) * 15)))


def noted():
    """As a paper's table has verdicts and footnotes."""
    header = ("row", "cell", "published", "measured", "diff.", "", "measured", "diff.", "", "n", "notes")
    row = ("Samangouei et al. 2018", "robust %", "55.00", *READING, *READING, "602", "[9][8][10][11][12]")
    return Table("a table", header, (row, ("", "natural %", "", *row[3:])))


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("made", [compared, board, noted])
def test_no_cell_is_cut_and_no_word_broken(made, width):
    table = made()
    said = screen(table, width)
    assert max(map(len, said.splitlines())) <= width
    found = said.replace("][", "] [").split()
    lost = [word for word in words(table) for each in word.replace("][", "] [").split() if each not in found]
    assert lost == []
    assert said.count(table.rows[0][0]) >= 1 + (width < 100), "each block says what its rows are"


def test_a_verdict_is_whole():
    assert screen(noted(), 150).count("published only") == 4
