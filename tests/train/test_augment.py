"""Random crops and mirror images."""

from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from doubles import images

from robeval.errors import UserError
from robeval.ops.noise import Noise
from robeval.train.augment import augment, check
from robeval.train.recipe import Settings

SHAPE = (3, 5, 6)
FILL = {"zero": {"constant_values": 0.0}, "grey": {"constant_values": 0.5}, "reflect": {"mode": "reflect"}}


def settings(**changes):
    return Settings(epochs=1, batch_size=1, learning_rate=0.1, **changes)


def noise(rows, epoch=1):
    return Noise(0, "augment", epoch, rows)


def windows(image, pad, fill, mirrored):
    """Every part of the padded image, by numpy."""
    padded = np.pad(image.numpy(), [(0, 0), (pad, pad), (pad, pad)], **FILL[fill])
    _, height, width = image.shape
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            part = padded[:, top : top + height, left : left + width]
            yield part[:, :, ::-1] if mirrored else part


@pytest.mark.parametrize("fill", FILL)
def test_every_image_becomes_a_part_of_its_padded_self(fill):
    assert set(FILL) == set(get_args(get_type_hints(Settings)["pad_with"]))
    x = images(300, SHAPE)
    out = augment(x, settings(pad=2, pad_with=fill, flip="image"), noise(range(300)))
    places = []
    for before, after in zip(x, out, strict=True):
        found = [
            (place, mirrored)
            for mirrored in (False, True)
            for place, part in enumerate(windows(before, 2, fill, mirrored))
            if np.array_equal(part, after.numpy())
        ]
        assert found
        places.append(found[0])
    assert {place for place, _ in places} == set(range(25))  # the last row and column are drawn too
    assert 110 < sum(mirrored for _, mirrored in places) < 190


def test_without_either_the_images_are_the_same_tensor():
    x = images(4, SHAPE)
    assert augment(x, settings(), noise(range(4))) is x


def test_flip_batch_mirrors_all_or_none():
    x, seen = images(4, SHAPE), set()
    for epoch in range(20):
        out = augment(x, settings(flip="batch"), noise(range(4), epoch))
        assert torch.equal(out, x) or torch.equal(out, x.flip(3))
        seen.add(torch.equal(out, x))
    assert seen == {True, False}


def test_what_happens_to_an_image_is_its_own_and_of_the_epoch():
    x, crop = images(9, SHAPE), settings(pad=2, flip="image")
    whole = augment(x, crop, noise(range(9)))
    assert torch.equal(augment(x[4:], crop, noise(range(4, 9))), whole[4:])
    assert not torch.equal(augment(x, crop, noise(range(9), epoch=2)), whole)


def test_a_mirror_image_is_no_wider_than_the_image():
    check(settings(pad=4, pad_with="reflect"), SHAPE, "card")
    check(settings(pad=40), SHAPE, "card")
    with pytest.raises(UserError, match="'pad' is 5, but images of 5x6 mirror at most 4 pixels"):
        check(settings(pad=5, pad_with="reflect"), SHAPE, "card")
