"""The whole program in one loop."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from robeval.ledger.store import Ledger
from robeval.run.plan import pending
from robeval.values.cell import CellFailure, CellResult
from robeval.values.plan import Plan, Task

Outcome = CellResult | CellFailure


class Executor(Protocol):
    """Something that runs tasks: on this machine, or elsewhere."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """The outcome of each cell as it is known."""
        ...


def execute(plan: Plan, ledger: Ledger, executor: Executor, listen: Callable[[Outcome], None]) -> int:
    """Run what the ledger does not have yet, record each cell as it ends, and say how many failed."""
    for model in plan.models:
        ledger.put_plan(model)
    failed = 0
    for outcome in executor.run(pending(plan, ledger)):
        if isinstance(outcome, CellResult):
            ledger.put(outcome)
        else:
            ledger.fail(outcome)
            failed += 1
        listen(outcome)
    return failed
