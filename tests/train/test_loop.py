"""Training as a whole: the files it leaves, and that nothing else changes."""

import hashlib
from dataclasses import replace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from trainings import CARD, CPU, RECIPE, STILL, trained

from robeval.errors import UserError
from robeval.train import epochs
from robeval.train.epochs import DivergedError
from robeval.train.log import Epoch
from robeval.train.loop import train
from robeval.values.card import Input, Network
from robeval.zoo import cards, checkpoints
from robeval.zoo.load import load_model


def weights(path):
    return (path.parents[1] / "checkpoints" / f"{path.stem}.safetensors").read_bytes()


def test_it_writes_a_card_and_the_weights_that_belong_to_it(some, tmp_path):
    path = trained(some, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "cards" / "small.toml"
    card = cards.load(str(path))
    assert card.checkpoint.file == "small.safetensors"
    assert card.checkpoint.sha256 == hashlib.sha256(weights(path)).hexdigest()
    assert replace(card, checkpoint=None, where=CARD.where) == replace(CARD, published=())
    model = load_model(card, some.shape, some.num_classes)
    assert model.module(some.slice(0, 4)[0]).isfinite().all()
    found = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    names = "cards/small.toml", "checkpoints/small.safetensors", "logs/small.csv", "recipes/small.toml"
    assert found == [f"new/folder/{name}" for name in names]
    recipe = cards.load(str(tmp_path / "new" / "folder" / "recipes" / "small.toml"))
    assert replace(recipe, where=CARD.where) == replace(CARD, published=())


def test_the_new_card_trains_the_same_again(some, tmp_path):
    first = trained(some, tmp_path / "first")
    second = train(cards.load(str(first)), some, tmp_path / "second", CPU, lambda epoch: None)
    assert weights(first) == weights(second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("method", ["natural", "madry", "trades"])
def test_same_seed_same_bytes_other_seed_other_bytes(some, tmp_path, method):
    ball = ("steps", "step_size", "norm", "eps")
    recipe = {key: value for key, value in RECIPE.items() if method != "natural" or key not in ball}
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        torch.rand(seed)  # whatever was drawn before does not matter
        card = replace(CARD, training=recipe | {"method": method, "seed": seed})
        train(card, some, tmp_path / name, CPU, lambda epoch: None)
    one, again, two = (weights(tmp_path / name / "cards" / "small.toml") for name in ("one", "again", "two"))
    assert one == again
    assert one != two


def test_replays_learn_from_each_batch_so_often(some, tmp_path):
    """On one batch of all images, twice in one epoch is once in two."""
    once = {"method": "natural", "batch_size": 100, "learning_rate": 0.05}

    def net(**changes):
        card = replace(STILL, training=once | changes)
        path = train(card, some, tmp_path, CPU, lambda epoch: None)
        return load_model(cards.load(str(path)), some.shape, 10).module

    for ours, theirs in zip(net(epochs=1, replays=2).parameters(), net(epochs=2).parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_every_replay_has_noise_of_its_own(some, tmp_path):
    """The second replay of the first epoch draws what else the second epoch would."""
    fast = {"method": "fast", "norm": "linf", "eps": 0.2, "batch_size": 100, "learning_rate": 0.05}
    heard: list[Epoch] = []
    for changes in ({"epochs": 2}, {"epochs": 1, "replays": 2}):
        train(replace(STILL, training=fast | changes), some, tmp_path, CPU, heard.append)
    assert heard[2].loss == pytest.approx((heard[0].loss + heard[1].loss) / 2, rel=1e-5)
    assert heard[2].accuracy == pytest.approx((heard[0].accuracy + heard[1].accuracy) / 2)


def test_torch_is_left_as_it_was(some, tmp_path):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    trained(some, tmp_path, threads=threads + 1, epochs=1, batch_size=100, steps=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def test_every_epoch_is_heard_of(some, tmp_path):
    heard: list[Epoch] = []
    trained(some, tmp_path, heard.append, method="madry", epochs=20, learning_rate=0.2, eps=0.01, step_size=0.01)
    assert [(epoch.number, epoch.count) for epoch in heard] == [(number, 20) for number in range(1, 21)]
    assert heard[-1].loss < heard[0].loss < 2.4  # it begins at log 10, where every class is as likely
    assert heard[-1].accuracy > heard[0].accuracy
    assert all(0 <= epoch.accuracy <= 1 and epoch.images_per_second > 0 for epoch in heard)


def test_the_first_loss_is_that_of_ten_equal_classes(some, tmp_path):
    heard: list[Epoch] = []
    trained(some, tmp_path, heard.append, epochs=1, learning_rate=1e-9, beta=0)
    assert heard[0].loss == pytest.approx(2.302585, abs=1e-5)


def test_the_rate_falls_where_the_recipe_says(some, tmp_path):
    """With a rate of next to nothing from the second epoch on, there is no telling a third from none."""
    stop = {"decay_epochs": [2], "decay_factor": 1e-30}
    assert weights(trained(some, tmp_path / "1", epochs=1)) == weights(trained(some, tmp_path / "3", epochs=3, **stop))


@pytest.mark.parametrize("rate", [1e30, 1e-3])
def test_a_loss_that_is_not_finite_stops_with_the_epoch(some, tmp_path, rate):
    momentum = 0.9 if rate > 1 else 1e15  # the second grows over some steps
    with pytest.raises(
        DivergedError, match=r"small\.toml: the loss or a weight is not finite in epoch \d of 3"
    ) as caught:
        trained(some, tmp_path, learning_rate=rate, momentum=momentum)
    assert "Lower 'learning_rate'" in str(caught.value)
    assert not (tmp_path / "unfinished").exists()
    assert not (tmp_path / "cards" / "small.toml").exists()


def test_the_last_good_weights_are_left_and_named(some, tmp_path):
    """The rate goes up by so much after two epochs that the third cannot be finite."""
    with pytest.raises(DivergedError) as caught:
        trained(some, tmp_path / "bad", decay_epochs=[3], decay_factor=1e30)
    good = tmp_path / "bad" / "cards" / "small_last.toml"
    assert f"in epoch 3 of 3; the weights after epoch 2, which are, are those of {good}" in str(caught.value)
    assert weights(good) == weights(trained(some, tmp_path / "two", epochs=2))


def test_a_stop_in_between_keeps_the_files_of_before(some, tmp_path):
    path = trained(some, tmp_path)
    before = path.read_bytes(), weights(path)

    def interrupt(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(some, tmp_path, interrupt, seed=5)
    assert (path.read_bytes(), weights(path)) == before


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_the_optimisers_and_weight_decay_are_those_of_torch(some, tmp_path, optimiser):
    """One step on all images at once, made by hand from the same first weights."""
    once = {
        "method": "natural",
        "epochs": 1,
        "batch_size": 100,
        "weight_decay": 0.1,
        "optimiser": optimiser.__name__.lower(),
    }

    def net(rate):
        path = train(replace(STILL, training=once | {"learning_rate": rate}), some, tmp_path, CPU, lambda epoch: None)
        return load_model(cards.load(str(path)), some.shape, 10).module.requires_grad_(True)

    x, y = some.slice(0, 100)
    by_hand, found = net(1e-30), net(0.01)
    F.cross_entropy(by_hand(x), y).backward()
    optimiser(by_hand.parameters(), lr=0.01, weight_decay=0.1).step()
    for ours, theirs in zip(found.parameters(), by_hand.parameters(), strict=True):
        clear = theirs.grad.abs() > 1e-6  # Adam steps by the sign, even of what is only rounding
        torch.testing.assert_close(ours[clear], theirs[clear], rtol=1e-4, atol=1e-6)


def test_the_input_layer_is_trained_behind_but_not_saved(some, tmp_path):
    card = replace(CARD, input=Input("fixed", (0.3,), (0.4,)))
    path = trained(some, tmp_path, card=card)
    assert sorted(checkpoints.read(tmp_path / "checkpoints" / "small.safetensors")) == sorted(
        load_model(CARD, some.shape, 10, tmp_path / "checkpoints" / "small.safetensors").module.state_dict()
    )
    assert cards.load(str(path)).input == card.input
    assert weights(path) != weights(trained(some, tmp_path / "plain"))


def test_a_bad_recipe_or_network_stops_before_anything_is_made(some, tmp_path):
    with pytest.raises(UserError, match="only 100 training images"):
        trained(some, tmp_path, batch_size=101)
    with pytest.raises(UserError, match="unknown architecture 'small_cn'"):
        trained(some, tmp_path, card=replace(CARD, network=Network("small_cn")))
    assert list(tmp_path.iterdir()) == []


def test_accuracies_are_measured_before_each_batch_is_learnt_from(some, tmp_path):
    """On one batch of all images, whose first weights answer the first class to everything."""
    heard: list[Epoch] = []
    trained(some, tmp_path, heard.append, card=STILL, epochs=1, batch_size=100)
    share = (some.y == 0).mean()
    assert heard[0].accuracy == heard[0].robust_accuracy == pytest.approx(share)
    trained(some, tmp_path, heard.append, card=STILL, epochs=1, batch_size=100, method="madry")
    assert heard[1].accuracy == heard[1].robust_accuracy == pytest.approx(share)


def test_the_log_has_a_row_for_each_epoch(some, tmp_path):
    heard: list[Epoch] = []
    trained(some, tmp_path, heard.append)
    rows = pd.read_csv(tmp_path / "logs" / "small.csv")
    assert rows.number.tolist() == [1, 2, 3]
    assert rows.loss.tolist() == [epoch.loss for epoch in heard]
    assert rows.robust_accuracy.between(0, 1).all()
    assert rows.validation_accuracy.isna().all()


def test_a_training_is_seen_while_it_goes_on(some, tmp_path, monkeypatch):
    monkeypatch.setattr(epochs, "_GLANCE", 0.0)
    seen: list[tuple[float, Epoch]] = []
    train(
        replace(CARD, training=RECIPE), some, tmp_path, CPU, lambda epoch: None, glance=lambda *each: seen.append(each)
    )
    assert [share for share, _ in seen] == pytest.approx([batch / 9 for batch in range(1, 10)])
    assert [epoch.number for _, epoch in seen] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_epochs_that_are_named_are_kept_as_they_were_then(some, tmp_path):
    trained(some, tmp_path / "long", keep_epochs=[2])
    trained(some, tmp_path / "short", epochs=2)
    files = (tmp_path / "long/checkpoints/small_epoch2.safetensors", tmp_path / "short/checkpoints/small.safetensors")
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not (tmp_path / "long/cards/small_epoch1.toml").exists()
