"""A model against its card."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robeval.run import verify as checks
from robeval.values.card import Published
from robeval.zoo import cards

CARD = cards.load("trades_digits")


def verdicts(card, **given):
    return {each.name: each for each in checks.verify(card, None, None, given.get("limit"))}


def stated(value):
    return replace(CARD, published=(Published("natural accuracy", value, "a test"),))


def test_a_shipped_model_is_what_its_card_says():
    right = float(verdicts(CARD)["natural accuracy"].evidence.split(", ")[1].split(" %")[0])
    found = verdicts(stated(right))
    assert {each.verdict for each in found.values()} == {"PASS"}
    assert verdicts(replace(CARD, published=()))["natural accuracy"].verdict == "no number"


def test_another_accuracy_fails_on_all_images_and_not_within_the_interval_of_a_few():
    assert verdicts(stated(97.0))["natural accuracy"].verdict == "FAIL"
    assert verdicts(stated(97.0), limit=100)["natural accuracy"].verdict == "PASS"
    assert verdicts(stated(60.0), limit=100)["natural accuracy"].verdict == "FAIL"


def checked(module, monkeypatch):
    """The verdicts on a module in place of the card's."""
    model = checks.load_model(CARD, (1, 8, 8), 10)
    monkeypatch.setattr(checks, "load_model", lambda *_: replace(model, module=module(model.module)))
    return verdicts(stated(97.0), limit=100)


class Around(nn.Module):
    """The right network in evaluation mode, but for what a test does to its images."""

    def __init__(self, network, change):
        super().__init__()
        self.network, self.change = network, change
        self.eval()

    def forward(self, x):
        return self.network(self.change(x))


def standardised(x):
    """Blind to images that are nowhere below 0."""
    return torch.where(x.amin(dim=(1, 2, 3), keepdim=True) < 0, 0.376 * x + 0.305, 0)


def mean_of_batch(x):
    return x - x.mean(dim=0)


def batch_norm(x):
    return F.batch_norm(x, None, None, training=True)


def only_many(x):
    if len(x) == 1:
        raise ValueError("Expected more than 1 value per channel when training")
    return x


NOISE = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        (lambda x: x, set()),
        (lambda x: F.dropout(x, 0.2, training=True), {"same answers twice", "answers in other batches"}),
        (lambda x: x + 0.05 * torch.rand(x.shape, generator=NOISE), {"same answers twice", "answers in other batches"}),
        (mean_of_batch, {"answers in other batches"}),
        (batch_norm, {"answers in other batches"}),
        (only_many, {"answers in other batches"}),
        (lambda x: x / 255, {"input range", "natural accuracy"}),
        (lambda x: (x + 1) / 2, {"input range", "natural accuracy"}),
        (standardised, {"input range", "natural accuracy"}),
    ],
)
def test_each_check_fails_for_what_it_is_there_for(change, failing, monkeypatch):
    found = checked(lambda network: Around(network, change), monkeypatch)
    wrong = {name for name, each in found.items() if each.verdict == "FAIL"}
    assert failing <= wrong <= (failing | {"natural accuracy", "input range"} if failing else failing)


def test_the_range_that_a_network_wants_is_named(monkeypatch):
    found = checked(lambda network: Around(network, lambda x: x / 255), monkeypatch)
    assert "are right as [0, 255]" in found["input range"].evidence
    assert "[input]" in found["input range"].evidence


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_give_no_numbers_fail_in_every_range(number, monkeypatch):
    found = checked(lambda network: Around(network, lambda x: x + number), monkeypatch)
    assert found["input range"].verdict == "FAIL"
    assert found["input range"].evidence == "the logits of 200 of 200 images in [0, 1] are NaN or infinite"


class Counting(nn.Module):
    """Batch normalisation that cannot be put into evaluation mode, as some wrappers' cannot."""

    def __init__(self, network):
        super().__init__()
        self.norm, self.network = nn.BatchNorm2d(1), network

    def train(self, mode=True):
        return self

    def forward(self, x):
        return self.network(self.norm(x))


def test_training_mode_and_buffers_that_change_fail(monkeypatch):
    found = checked(lambda network: Counting(network).eval(), monkeypatch)
    assert found["evaluation mode"].verdict == "FAIL"
    assert "3 buffers changed by a pass" in found["evaluation mode"].evidence
    assert torch.is_grad_enabled()


def test_training_mode_alone_fails(monkeypatch):
    found = checked(lambda network: network.train(), monkeypatch)
    assert found["evaluation mode"].verdict == "FAIL"
