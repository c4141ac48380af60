"""What a published table needs measured beside accuracies under attack."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from robeval import api, measuring
from robeval.cli import table_asks, table_cost
from robeval.cli.session import run_shown
from robeval.cli.table_models import Models, in_one_line
from robeval.cli.table_options import Options
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.measures import registry
from robeval.values.digest import digest
from robeval.values.paper import Ask

Call = tuple[str, dict[str, Any], measuring.Request]


class Measures:
    """The measures that some numbers are of, each once; those that cannot be had are left out, and said."""

    def __init__(self, asks: Iterable[Ask], models: Models, options: Options, console: Console) -> None:
        self._options, self._console, self._failed = options, console, 0
        self._calls: list[Call] = []
        known: set[str] = set()
        for ask in (each for each in asks if each.finding):
            said = {key: value for key, value in ask.finding.items() if key != "at" and value != ""}
            if (key := digest([ask.model, said])) not in known:
                known.add(key)
                self._calls.append(_call(said, ask.model, models, options))

    def cost(self, device: torch.device) -> tuple[int, float]:
        """How many questions are open, and how many seconds they take; what cannot be asked is left out from now on."""
        ledger, kept = Ledger(self._options.out), []
        count, seconds = 0, 0.0
        for name, params, about in self._calls:
            try:
                ready = measuring.prepare(name, params, about, ledger)
                more, longer = table_cost.of_measure(ready, ledger, device)
            except UserError as error:
                self._say(f"left out: {in_one_line(error)}")
                continue
            count, seconds = count + more, seconds + longer
            kept += [(name, params, about)] if more else []
        self._calls = kept
        return count, seconds

    def run(self) -> int:
        """Measure; the number of cells that failed on the way."""
        for place, (name, params, about) in enumerate(self._calls, 1):
            models = about.model if isinstance(about.model, Mapping) else {}
            subject = ", ".join(str(each) for each in (*models, about.dataset, about.suite) if each)
            self._say(f"measuring {place}/{len(self._calls)}: {name}{f' of {subject}' if subject else ''}")
            try:
                measuring.run(name, params, about, self._options.out, self._attack)
            except UserError as error:
                self._say(f"left out: {in_one_line(error)}")
        return self._failed

    def _attack(self, job: api.Job, out: Path) -> api.Evaluation:
        found = run_shown(self._console, job, out)
        self._failed += found.failed
        return found

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _call(said: dict[str, Any], model: str, models: Models, options: Options) -> Call:
    """How to measure what a number's `finding` says."""
    subject = {key: value for key, value in said.items() if key in table_asks.SUBJECT}
    name = str(said.get("measure", ""))
    entry = registry.catalog().get(name)
    about = measuring.Request(
        model={model: models.given(model)} if model else None,
        data_root=options.data_root,
        device=options.device,
        microbatch=options.microbatch,
        limit=None if entry and entry.at_once else options.limit,
        seed=options.seed,
        **subject,
    )
    return name, table_asks.params(said), about
