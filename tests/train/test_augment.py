"""Random crops and mirror images."""

from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from doubles import images, samples
from PIL import Image

from robeval.datasets import registry
from robeval.datasets.pictures import Crop, pictures
from robeval.errors import UserError
from robeval.ops.noise import Noise
from robeval.train.augment import augment, check, cutter
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


PICTURE = (np.arange(3 * 9 * 12) % 251 + 1).astype(np.uint8).reshape(3, 9, 12)  # nowhere black


def test_a_part_of_a_picture_can_be_anywhere_in_it_and_in_its_border():
    cut = cutter(settings(pad=1, cut_from="picture"), 1, SHAPE)
    padded = np.pad(PICTURE, [(0, 0), (1, 1), (1, 1)])
    every = {padded[:, y : y + 5, x : x + 6].tobytes(): (y, x) for y in range(7) for x in range(9)}
    places = [every[cut(row, PICTURE).tobytes()] for row in range(1000)]
    assert set(places) == set(every.values())
    assert max(places.count(place) for place in every.values()) < 40  # of 16 on average
    assert [every[cut(row, PICTURE).tobytes()] for row in range(1000)] == places
    later = cutter(settings(pad=1, cut_from="picture"), 2, SHAPE)
    assert [every[later(row, PICTURE).tobytes()] for row in range(1000)] != places


def test_what_is_cut_out_of_its_picture_is_not_cut_again():
    x, cut_before = images(9, SHAPE), settings(pad=2, cut_from="picture", flip="image")
    assert torch.equal(augment(x, cut_before, noise(range(9))), augment(x, settings(flip="image"), noise(range(9))))
    assert cutter(settings(pad=2), 1, SHAPE) is None


SAMPLES = samples(images(4, SHAPE), torch.arange(4), num_classes=4)


def test_a_mirror_image_is_no_wider_than_the_image():
    check(settings(pad=4, pad_with="reflect"), SAMPLES, "card")
    check(settings(pad=40), SAMPLES, "card")
    with pytest.raises(UserError, match="'pad' is 5, but images of 5x6 mirror at most 4 pixels"):
        check(settings(pad=5, pad_with="reflect"), SAMPLES, "card")


def test_only_pictures_have_something_around_the_image(tmp_path):
    with pytest.raises(UserError, match="are no parts of larger ones"):
        check(settings(pad=1, cut_from="picture"), SAMPLES, "card")
    Image.fromarray(PICTURE.transpose(1, 2, 0)).save(tmp_path / "a.png")
    x = pictures(tmp_path, ("a.png",), Crop(8, 6))
    photographs = registry.samples("photographs", "train", x, np.zeros(1, np.int64), 2)
    check(settings(pad=1, cut_from="picture"), photographs, "card")
    with pytest.raises(UserError, match="'pad_with' is \"grey\", but whole pictures are padded with black"):
        check(settings(pad=1, pad_with="grey", cut_from="picture"), photographs, "card")
    uncut = registry.samples("photographs", "train", pictures(tmp_path, ("a.png",), None), np.zeros(1, np.int64), 2)
    with pytest.raises(UserError, match="no parts of larger ones"):
        check(settings(pad=1, cut_from="picture"), uncut, "card")
