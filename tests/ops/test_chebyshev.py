"""The exact nearest images in the l-inf norm, against measuring every distance."""

import numpy as np
import pytest

from robeval.ops import chebyshev
from robeval.ops.chebyshev import Chebyshev


def brute(references, query, allowed):
    apart = np.abs(references.astype(np.float64) - query.astype(np.float64)).max(axis=1)
    return np.where(allowed, apart, np.inf)


def check(references, queries, draw, classes=3):
    labels = draw.integers(classes, size=len(references))
    search = Chebyshev(references)
    for query in queries:
        allowed = labels != draw.integers(classes)
        distance, place = search.nearest(query, allowed)
        apart = brute(references, query, allowed)
        assert distance == apart.min()
        assert apart[place] == distance


# Few grey levels make ties and saturated pixels, as in MNIST; many pixels more than the screen holds.
@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("shape", [(1, 4), (7, 1), (300, 30), (2000, 12), (150, 2500)])
def test_bytes(levels, shape):
    draw = np.random.default_rng(levels)
    pixels = (draw.integers(levels, size=(shape[0] + 8, shape[1])) * (255 // (levels - 1))).astype(np.uint8)
    check(pixels[8:], pixels[:8], draw)


def test_images_that_are_alike_in_blocks():
    draw = np.random.default_rng(1)
    coarse = draw.integers(256, size=(3000, 4, 4)).astype(np.uint8)
    pixels = np.kron(coarse, np.ones((1, 3, 3), np.uint8)).reshape(3000, -1)
    check(pixels[10:], pixels[:10], draw)


@pytest.mark.parametrize("n", [5, 500, 3000])
def test_floats_are_compared_exactly(n):
    draw = np.random.default_rng(n)
    pixels = draw.random((n + 6, 20)).astype(np.float32)
    check(pixels[6:], pixels[:6], draw)


def test_float32_numbers_whose_difference_rounds():
    """In float32 both differences are the same number."""
    query = np.array([[1.0]], np.float32)
    references = np.array([[2.0**-26], [2.0**-25]], np.float32)
    assert Chebyshev(references).nearest(query[0], np.array([True, True])) == (1 - 2.0**-25, 1)


def test_an_identical_image_ends_the_search():
    references = np.tile(np.arange(4, dtype=np.uint8), (1000, 1))
    assert Chebyshev(references).nearest(references[0], np.arange(1000) >= 700) == (0.0, 700)


def test_nothing_is_allowed():
    references = np.zeros((5, 3), np.uint8)
    assert Chebyshev(references).nearest(references[0], np.zeros(5, bool)) == (np.inf, -1)


def test_all_are_as_far_as_can_be():
    references = np.full((3000, 9), 255, np.uint8)
    distance, place = Chebyshev(references).nearest(np.zeros(9, np.uint8), np.arange(3000) != 0)
    assert distance == 255
    assert place > 0


def test_far_apart_in_pixels_that_are_not_on_the_screen():
    """Every difference is where references cannot be ruled out."""
    draw = np.random.default_rng(0)
    width = 2 * chebyshev.SCREEN
    references = np.zeros((400, width), np.uint8)
    references[:, 1] = draw.integers(100, 256, size=400)
    references[77, 1] = 99
    assert Chebyshev(references).nearest(np.zeros(width, np.uint8), np.ones(400, bool)) == (99.0, 77)


def test_most_references_are_not_measured_whole(monkeypatch):
    """Else it would be no faster than measuring every distance."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(256, size=(20_001, 64)).astype(np.uint8)
    whole = []
    apart = chebyshev._apart
    monkeypatch.setattr(chebyshev, "_apart", lambda images, query: whole.append(len(images)) or apart(images, query))
    Chebyshev(pixels[1:]).nearest(pixels[0], np.ones(20_000, bool))
    assert sum(whole) < 2000
