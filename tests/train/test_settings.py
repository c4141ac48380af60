"""What the settings of `[training]` do to the weights."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn
from trainings import CARD, CPU, RECIPE, STILL, trained

from robeval.attacks.pgd import pgd
from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train import images
from robeval.train import validate as validating
from robeval.train.images import Images
from robeval.train.log import Epoch
from robeval.train.loop import train
from robeval.train.modes import Mixed
from robeval.train.recipe import read
from robeval.train.validate import hold_out, validate
from robeval.values.card import Network
from robeval.zoo import cards, checkpoints
from robeval.zoo.load import load_model

ONCE = {"method": "natural", "epochs": 1, "batch_size": 100, "learning_rate": 0.1, "threads": 1}


def learnt(some, out, **changes):
    """Weights by name after one step on all images, or as many as are asked for."""
    path = train(replace(STILL, training=ONCE | changes), some, out, CPU, lambda epoch: None)
    return checkpoints.read(path.parents[1] / "checkpoints" / "small.safetensors")


def test_a_sum_is_as_many_times_the_mean_as_there_are_images(some, tmp_path):
    mean = learnt(some, tmp_path, learning_rate=1e-3)
    summed = learnt(some, tmp_path, learning_rate=1e-5, reduction="sum")
    for name, weight in mean.items():
        torch.testing.assert_close(summed[name], weight, rtol=1e-4, atol=1e-6)


def test_kernels_alone_decay_if_they_are_to(some, tmp_path):
    plain = learnt(some, tmp_path)
    both, kernels = (learnt(some, tmp_path, weight_decay=0.5, decay_on=each, epochs=1) for each in ("all", "kernels"))
    first = learnt(some, tmp_path, learning_rate=1e-30)
    for name, weight in plain.items():
        decayed = weight - 0.1 * 0.5 * first[name]
        torch.testing.assert_close(both[name], decayed)
        torch.testing.assert_close(kernels[name], decayed if weight.ndim > 1 else weight)


def test_the_average_is_that_of_the_weights_after_each_step(some, tmp_path):
    """Whose epochs are single steps: what is kept after n of them is an average of n + 1."""
    steps = [learnt(some, tmp_path, epochs=count) for count in (1, 2, 3)]
    average = learnt(some, tmp_path, learning_rate=1e-30)
    for weights_after in steps:
        average = {name: 0.75 * weight + 0.25 * weights_after[name] for name, weight in average.items()}
    for name, weight in learnt(some, tmp_path, epochs=3, ema=0.75).items():
        torch.testing.assert_close(weight, average[name], rtol=1e-5, atol=1e-6)


def test_the_best_epoch_on_the_images_held_out_is_kept_and_the_last_beside_it(some, tmp_path):
    """A rate that is far too high at the end makes the last epoch a bad one."""
    heard: list[Epoch] = []
    changes = {"validation": 0.3, "validation_steps": 3, "decay_epochs": [12], "decay_factor": 1e3, "epochs": 12}
    changes |= {"method": "madry", "eps": 0.02, "step_size": 0.01, "batch_size": 10}
    changes |= {"optimiser": "adam", "momentum": 0.0, "learning_rate": 0.01}
    wider = replace(STILL, network=Network("small_cnn", {"width": 8, "hidden": 32, "padding": 1, "drop": 0}))
    path = trained(some, tmp_path, heard.append, card=wider, **changes)
    scores = [epoch.validation_robust_accuracy for epoch in heard]
    assert max(scores) > 0.2 + scores[-1]
    assert all(0 <= epoch.validation_accuracy <= 1 for epoch in heard)
    x, y = some.slice(0, 100)
    held = hold_out(read(replace(CARD, training=RECIPE | changes), 100), 100)[1]
    assert len(held) == 30

    def clean(path):
        net = load_model(cards.load(str(path)), some.shape, 10).module
        return (net(x[held]).argmax(dim=1) == y[held]).double().mean().item()

    best = heard[scores.index(max(scores))]
    assert clean(path) == best.validation_accuracy
    assert clean(path.with_name("small_last.toml")) == heard[-1].validation_accuracy


def test_what_is_held_out_is_chance_and_the_same_every_time():
    recipe = read(replace(CARD, training=RECIPE | {"validation": 0.25}), 100)
    learnt, held = hold_out(recipe, 100)
    assert sorted([*learnt.tolist(), *held.tolist()]) == list(range(100))
    assert len(held) == 25
    assert held.tolist() != list(range(25))
    assert torch.equal(hold_out(recipe, 100)[1], held)
    other = read(replace(CARD, training=RECIPE | {"validation": 0.25, "seed": 1}), 100)
    assert not torch.equal(hold_out(other, 100)[1], held)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("steps", [1, 4])
def test_validation_is_under_the_attack_pgd(some, norm, steps):
    """On a shipped model, whose accuracy PGD lowers by far more than chance does."""
    net = load_model(cards.load("natural_digits"), some.shape, 10).module
    eps = {"linf": 0.12, "l2": 0.8}[norm]
    recipe = read(replace(CARD, training=RECIPE | {"norm": norm, "eps": eps, "validation_steps": steps}), 100)
    x, y = some.slice(0, 100)
    clean, robust = validate(recipe, net, Images(some, CPU), torch.arange(100))
    noise = Noise(recipe.settings.seed, "validation", 0, range(100))
    problem = Problem(Microbatches(net, 40), x, y, recipe.threat, noise)
    adv = pgd(problem, steps=steps, step_size=2.5 * eps / steps, clip_start=True)
    right = [(problem.logits(each).argmax(dim=1) == y).double().mean().item() for each in (x, adv)]
    assert [clean, robust] == right
    assert robust < 0.7 < clean


def test_images_that_do_not_fit_on_the_device_are_brought_there_batch_by_batch(some, tmp_path, monkeypatch):
    once = trained(some, tmp_path / "kept", validation=0.25)
    monkeypatch.setattr(images, "ROOM", 4 * 100 * 64 - 1)  # a byte too few
    monkeypatch.setattr(Samples, "slice", None)  # which would take many at once
    monkeypatch.setattr(validating, "PARTS", 1)
    again = trained(some, tmp_path / "read", validation=0.25)
    assert once.read_text() == again.read_text()  # the card has the checksum of the weights
    logs = [pd.read_csv(next((tmp_path / name / "logs").glob("*.csv"))) for name in ("kept", "read")]
    columns = ["loss", "accuracy", "validation_accuracy", "validation_robust_accuracy"]
    pd.testing.assert_frame_equal(logs[0][columns], logs[1][columns], check_exact=True)


def test_validation_of_a_method_without_a_ball_is_clean(some, tmp_path):
    heard: list[Epoch] = []
    train(replace(STILL, training=ONCE | {"validation": 0.5, "batch_size": 50}), some, tmp_path, CPU, heard.append)
    assert heard[0].validation_accuracy is not None
    assert heard[0].validation_robust_accuracy is None


def test_bfloat16_is_for_cuda(some, tmp_path):
    with pytest.raises(UserError, match="'precision' is \"bfloat16\", which is for CUDA, but the device is cpu"):
        trained(some, tmp_path, precision="bfloat16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bfloat16_on_cuda_learns_and_goes_on(some, tmp_path):
    heard: list[Epoch] = []
    card = replace(CARD, training=RECIPE | {"precision": "bfloat16", "method": "madry", "epochs": 10})
    train(card, some, tmp_path, torch.device("cuda"), heard.append, pause=0.0)
    assert heard[-1].loss < heard[0].loss


def test_mixed_precision_is_the_networks_alone(some):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    x = some.slice(0, 8)[0].requires_grad_()
    logits = Mixed(net, "cpu")(x)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, net(x))
    torch.testing.assert_close(logits, net(x), rtol=0.05, atol=0.05)
    assert torch.autograd.grad(logits.sum(), x)[0].dtype == torch.float32
