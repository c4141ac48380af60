"""Arrays as the public challenges take them: their form, and every violation."""

import numpy as np
import pytest

from robeval.errors import UserError
from robeval.run import challenge

TRADES, MADRY = challenge.find("trades", "cifar10"), challenge.find("madry", "cifar10")
N = 24
every_form = pytest.mark.parametrize("rules", challenge.RULES.values(), ids=challenge.RULES)


def clean(rules=TRADES, n=N):
    shape = (n, 3, 32, 32) if rules.dataset == "cifar10" else (n, 1, 28, 28)
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    return (pixels / 255).astype(np.float32)


@every_form
def test_packing_and_unpacking(rules):
    images = clean(rules)
    packed = rules.packed(images)
    assert packed.shape == (N, *rules.shape)
    assert packed.dtype == np.float32
    assert packed.max() == rules.scale
    assert challenge.wrong_form(rules, packed, N) == ""
    assert np.abs(rules.unpacked(packed, images.shape[1:]) - images).max() < 1e-7
    assert challenge.violations(rules, packed, images)[0] == []


def test_channels_are_last_in_the_file():
    images = np.zeros((1, 3, 32, 32), np.float32)
    images[0, 2, 5, 7] = 1
    assert TRADES.packed(images)[0, 5, 7, 2] == 1
    assert MADRY.packed(images)[0, 5, 7, 2] == 255


@pytest.mark.parametrize(("rules", "inside", "outside"), [(TRADES, 0.0309, 0.0311), (MADRY, 8.00009, 8.0002)])
def test_the_ball_and_its_tolerance(rules, inside, outside):
    images = np.full((N, 3, 32, 32), 0.5, np.float32)
    array = rules.packed(images).astype(np.float64)
    array[3, 1, 1, 1] += inside
    assert challenge.violations(rules, array, images)[0] == []
    array[5, 1, 1, 1] -= outside
    array[6, 1, 1, 1] += outside
    (said,), valid = challenge.violations(rules, array, images)
    assert said.startswith(f"2 images further than {rules.eps:g} from the test image ({str(outside)[:4]}")
    assert said.endswith(": 5, 6")
    assert np.flatnonzero(~valid).tolist() == [5, 6]


def test_the_strict_rules_know_no_rounding():
    images = np.full((N, 3, 32, 32), 0.5, np.float32)
    array = TRADES.packed(images)
    array[0] = np.nextafter(np.float32(0.5) + np.float32(0.031), np.float32(1))
    assert len(challenge.violations(TRADES, array, images)[0]) == 1


def test_every_kind_of_violation_is_said_at_once():
    images = clean()
    array = TRADES.packed(images)
    array[0, 0, 0, 0] = np.nan
    array[1, 0, 0, 0] = -0.5
    array[[2, 3, 4, 5], 0, 0, 0] = 1.25
    said, valid = challenge.violations(TRADES, array, images)
    assert [each.split(":")[0] for each in said[:3]] == [
        "1 image with NaN or infinity",
        "1 image with pixels below 0 (-0.5)",
        "4 images with pixels above 1 (1.25)",
    ]
    assert said[2].endswith("2, 3, 4 and 1 more")
    assert said[3].startswith("5 images further than 0.031")
    assert valid.sum() == N - 6


def test_it_guesses_what_has_happened():
    images = clean()
    array = TRADES.packed(images)
    assert "is its scale 0 to 1?" in challenge.violations(TRADES, 255 * array, images)[0][-1]
    assert "is its scale 0 to 255?" in challenge.violations(MADRY, array, images)[0][-1]
    assert "official order" in challenge.violations(TRADES, array[::-1], images)[0][-1]
    assert "channels seem to come first" in challenge.violations(TRADES, images.reshape(array.shape), images)[0][-1]
    turned = array.transpose(0, 2, 1, 3)
    assert "rows and columns seem to be exchanged" in challenge.violations(TRADES, turned, images)[0][-1]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((N, 3, 32, 32), np.float32), "expected (24, 32, 32, 3); channels come last: x.transpose(0, 2, 3, 1)"),
        (np.zeros((9, 32, 32, 3), np.float32), "its shape is (9, 32, 32, 3), expected (24, 32, 32, 3)"),
        (np.zeros((N, 3072), np.float32), "it holds as many numbers: x.reshape(24, 32, 32, 3)"),
        (np.zeros((N, 32, 32, 3), np.uint8), "its numbers are uint8, expected floats from 0 to 1"),
        (np.zeros((N, 32, 32, 3), complex), "its numbers are complex128"),
        (np.zeros((N, 32, 32, 3), bool), "its numbers are bool"),
        (np.zeros((9, 32), np.int8), "its shape is (9, 32), expected (24, 32, 32, 3), and its numbers are int8"),
        (np.float32(0.5), "its shape is ()"),
    ],
)
def test_another_form(array, said):
    assert said in challenge.wrong_form(TRADES, array, N)


def test_whole_pixels_do_not_wrap_around():
    """The difference of two uint8 arrays would: 3 - 250 is 9 to them."""
    images = np.zeros((N, 3, 32, 32), np.float32)
    array = MADRY.packed(images).astype(np.uint8)
    assert challenge.wrong_form(MADRY, array, N) == ""
    array[0, 0, 0, 0], array[1, 0, 0, 0] = 8, 250
    (said,), valid = challenge.violations(MADRY, array, images)
    assert said == "1 image further than 8 from the test image (250): 1"
    assert valid[0]


def test_numbers_that_float32_cannot_hold_are_infinite():
    images = clean()
    array = TRADES.packed(images).astype(np.float64)
    array[0, 0, 0, 0] = 1e300
    assert challenge.violations(TRADES, array, images)[0] == ["1 image with NaN or infinity: 0"]


def test_every_single_violation_can_be_listed():
    images = clean()
    array = TRADES.packed(images)
    array[[2, 3, 4, 5], 0, 0, 0] = 1.25
    array[7, 1, 1, 1] = np.nan
    lines = challenge.every_one(challenge.kinds(TRADES, array, images)).splitlines()
    assert lines[0] == "image,violation,value"
    assert sum(",with pixels above 1,1.25" in line for line in lines) == 4
    assert sum("further than 0.031" in line for line in lines) == 4
    assert lines[-1] == "7,with NaN or infinity,"


def test_files(tmp_path):
    challenge.write(tmp_path / "a" / "adv.npy", TRADES.packed(clean()))
    assert np.array_equal(challenge.read(tmp_path / "a" / "adv.npy"), TRADES.packed(clean()))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a" / "adv.npy").read_bytes()[:5000])
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("<html>")
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("cut", "objects", "text", "empty"):
        with pytest.raises(UserError, match=r"no array of numbers"):
            challenge.read(tmp_path / f"{name}.npy")
    np.savez(tmp_path / "two.npz", adv=np.zeros(3), y=np.zeros(3))
    with pytest.raises(UserError, match="an archive of arrays: adv, y"):
        challenge.read(tmp_path / "two.npz")
    with pytest.raises(UserError, match="there is no such file"):
        challenge.read(tmp_path / "none.npy")


def test_unknown_rules():
    with pytest.raises(UserError, match="no rules 'trade' for mnist") as caught:
        challenge.find("trade", "mnist")
    assert "Did you mean 'trades'?" in caught.value.fix
