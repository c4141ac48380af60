"""A ledger for the leaderboard page: three boards in two threat models."""

from records import fill, spec

from robeval.ledger.store import Ledger
from robeval.values.threat import ThreatModel

CLEAN = spec("clean", use="clean", params={})
L2 = ThreatModel("l2", 0.5)
HOSTILE = "<script>alert(1)<'&\""


def filled(folder) -> Ledger:
    """Four models in `small`, one of them on fewer samples and one with a name that is markup; one in `round`."""
    ledger = Ledger(folder)
    for name, broken in {"weak": 30, "middle": 18, HOSTILE: 29}.items():
        _model(ledger, name, broken, 40)
    _model(ledger, "strong", 5, 40)
    _model(ledger, "brief", 2, 20)
    fill(ledger, "strong", [(spec("pgd_l2", L2), "1" * 20 + "0" * 20)], threat=L2, suite="round")
    return ledger


def _model(ledger, name, broken, n) -> None:
    fgsm = spec("fgsm", use="fgsm", params={})
    outcomes = [(CLEAN, "0" * n), (fgsm, "1" * (broken // 2) + "0" * (n - broken // 2))]
    fill(ledger, name, [*outcomes, (spec(), "1" * broken + "0" * (n - broken))], natural="1" * (n - 1) + "0")
