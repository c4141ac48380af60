"""Published numbers on the released TRADES network for MNIST."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from robeval.datasets import registry as datasets
from robeval.ledger.store import Ledger
from robeval.run.drive import execute
from robeval.run.local import Local
from robeval.run.plan import make_plan, resolved
from robeval.suites import load as suites
from robeval.values.suite import Suite
from robeval.zoo import cards
from robeval.zoo.load import load_model


@pytest.fixture(scope="module")
def mnist(real_data):
    return datasets.load("mnist", "test", (real_data,))


@pytest.fixture(scope="module")
def trades(real_data, mnist):
    path = real_data / "checkpoints" / "trades_mnist_smallcnn.pt"
    return load_model(cards.load("trades_mnist"), mnist.shape, mnist.num_classes, path)


def broken(trades, mnist, folder, attack, limit):
    """Which samples one attack of the shipped suite breaks."""
    about = suites.load("mnist_linf")
    chain = next(chain for chain in about.chains if chain.id == attack)
    about = Suite(about.id, about.title, about.dataset, about.split, about.threat, (chain,), about.slice_size)
    plan = make_plan(resolved(about), [trades], mnist, limit=limit, seed=0)
    ledger, outcomes = Ledger(folder), []
    executor = Local({trades.id: trades}, mnist, ledger, torch.device("cpu"), microbatch=32)
    assert execute(plan, ledger, executor, outcomes.append) == 0
    verdicts = [outcome.verdicts for outcome in outcomes]
    assert not any((each.escaped | each.nonfinite).any() for each in verdicts)
    return np.concatenate([each.broken for each in verdicts])


def test_natural_accuracy_on_all_test_images(trades, mnist, tmp_path):
    """TRADES README: 99.48 %."""
    found = broken(trades, mnist, tmp_path, "clean", None)
    assert len(found) == 10_000
    assert (~found).sum() == 9_948


def test_pgd40_without_random_start_on_100_images(trades, mnist, tmp_path):
    """The released script's loop, `pgd_attack_trades.py`, written once more in plain torch."""
    wrong = []
    for start in range(0, 100, 50):
        x, y = mnist.slice(start, start + 50)
        adv = x
        for _ in range(40):
            adv = adv.detach().requires_grad_()
            (slope,) = torch.autograd.grad(F.cross_entropy(trades.module(adv), y), adv)
            adv = torch.clamp(adv.detach() + 0.01 * slope.sign(), x - 0.3, x + 0.3).clamp(0, 1)
        with torch.no_grad():
            wrong.append(trades.module(adv).argmax(dim=1) != y)
    found = broken(trades, mnist, tmp_path, "pgd40", 100)
    assert np.array_equal(found, torch.cat(wrong))
    assert (~found).sum() == 97
