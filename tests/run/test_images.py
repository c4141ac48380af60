"""The images behind the verdicts, made again."""

import numpy as np
import pytest
import torch
from doubles import COLOUR, ConvNet, classes, images, loaded, samples
from torch import nn

from robeval.errors import CellError, UserError
from robeval.ledger.store import Ledger
from robeval.ops import geometry
from robeval.reports import measure
from robeval.run.drive import execute
from robeval.run.images import adversarial
from robeval.run.local import Local
from robeval.run.plan import make_plan, resolved
from robeval.values.attack import AttackSpec
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel

BALL = ThreatModel("linf", 0.03)
MODEL, X = ConvNet(COLOUR), images(20, COLOUR)
Y = classes(MODEL, X)
Y[::7] = (Y[::7] + 1) % 10
DATA = samples(X, Y, 10)
CPU = torch.device("cpu")


def pgd(name, threat=BALL, **more):
    return AttackSpec(name, "pgd", threat, {"steps": 5, "step_size": 0.01}, **more)


CHAINS = (
    Chain("weak", (AttackSpec("weak", "fgsm", BALL),)),
    Chain("twice", (pgd("twice.a", restarts=2), pgd("twice.b", select="any"))),
    Chain("wide", (pgd("wide", ThreatModel("linf", 0.2)),)),
)


@pytest.fixture
def planned():
    suite = Suite("suite", "A suite", "made", "test", BALL, CHAINS, slice_size=8)
    return make_plan(resolved(suite), [loaded(MODEL, 10)], DATA, limit=None, seed=0)


def made(planned, folder, attack="worst_case"):
    return adversarial(planned, {"model": loaded(MODEL, 10)}, DATA, Ledger(folder), CPU, attack, 8)


@pytest.mark.parametrize("attack", ["weak", "twice", "wide", "worst_case"])
def test_the_images_get_the_verdicts_of_the_run(planned, tmp_path, attack):
    ledger = Ledger(tmp_path)
    executor = Local({"model": loaded(MODEL, 10)}, DATA, ledger, CPU, microbatch=8)
    execute(planned, ledger, executor, lambda _: None)
    table = measure.results(ledger, planned.models).set_index("attack")
    found = made(planned, tmp_path, attack)
    assert 1 - found.broken.mean() == pytest.approx(table.robust_accuracy[attack])
    adv = torch.from_numpy(found.images)
    assert np.array_equal((classes(MODEL, adv) != Y).numpy(), found.broken)
    assert geometry.inside(adv, X, ThreatModel("linf", 0.2) if attack == "wide" else BALL).all()
    wrong = classes(MODEL, X) != Y
    assert torch.equal(adv[wrong], X[wrong]), "what is wrong when clean is left alone"
    assert (adv[~wrong] != X[~wrong]).flatten(1).any(dim=1).all(), "of the others the last try is kept"


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("no more paper")


def test_an_attack_that_fails_is_no_mistake_of_the_user(planned, tmp_path):
    with pytest.raises(CellError, match="weak: the attack failed: RuntimeError: no more paper") as caught:
        adversarial(planned, {"model": loaded(Fails(), 10)}, DATA, Ledger(tmp_path), CPU, "weak", 8)
    assert caught.value.code == 1


def test_unknown_attack(planned, tmp_path):
    with pytest.raises(UserError, match="has no attack 'week'") as caught:
        made(planned, tmp_path, "week")
    assert "Did you mean 'weak'?" in caught.value.fix
