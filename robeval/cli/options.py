"""Options that several commands have, declared once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

# An option, to be put before a command.
Option = Callable[[Callable[..., Any]], Callable[..., Any]]

suite = click.option(
    "--suite", required=True, metavar="SUITE", help="A suite by name (`robeval suites`), or a TOML file."
)
model = click.option(
    "--model", required=True, metavar="MODEL", help="A model by name (`robeval zoo`), or a card's TOML file."
)
models = click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="MODEL",
    help="A model by name (`robeval zoo`), a card's TOML file, or package.module:factory; may be given again.",
)
dataset = click.option("--dataset", metavar="DATASET", help="A data set by name (`robeval data`); else the card's own.")
split = click.option("--split", default="test", show_default=True, help="Which of its splits.")
out = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Ledger folder."
)
checkpoint = click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="Weights for the model, instead of the card's file."
)
data = click.option(
    "--data",
    help="Images in place of the suite's: a data set, FILE.npz (x and y), NAME_X.npy or a folder of class folders.",
)
sample = click.option(
    "--sample", help="Only these samples: START:STOP, or stratified:N:SEED, in which each class has its share."
)
limit = click.option("--limit", type=int, help="Only the first so many samples.")
microbatch = click.option("--microbatch", type=int, help="Batch shape in rows; chosen by a short probe if not given.")

data_root = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help="Folder with the files of data sets; else ROBEVAL_DATA, else the cache.",
)
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
seed = click.option("--seed", default=0, show_default=True, help="Of every random draw.")
