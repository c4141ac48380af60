"""A model against its card."""

from dataclasses import replace

import pytest
import torch
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


class Neighbours(nn.Module):
    """Subtracts the mean of the batch, as batch normalisation in training mode does."""

    def forward(self, x):
        logits = x.flatten(1)[:, :10]
        return logits - logits.mean(dim=0)


@pytest.mark.parametrize(("module", "verdict"), [(Neighbours(), "FAIL"), (nn.Flatten(), "PASS")])
def test_answers_that_depend_on_neighbours_fail(module, verdict, monkeypatch):
    model = checks.load_model(CARD, (1, 8, 8), 10)
    monkeypatch.setattr(checks, "load_model", lambda *_: replace(model, module=module.eval()))
    assert verdicts(CARD)["answers in other batches"].verdict == verdict


def test_training_mode_fails(monkeypatch):
    model = checks.load_model(CARD, (1, 8, 8), 10)
    monkeypatch.setattr(checks, "load_model", lambda *_: replace(model, module=model.module.train()))
    assert verdicts(CARD)["evaluation mode"].verdict == "FAIL"
    assert torch.is_grad_enabled()
