"""Image files in folders: ImageNet and its parts, prepared as the papers did."""

import numpy as np
import pytest
import torch
from PIL import Image

from robeval.datasets import registry
from robeval.datasets.pictures import Crop, decode, pictures
from robeval.datasets.restricted_imagenet import GROUPS
from robeval.errors import UserError

SYNSETS = [f"n{i:08d}" for i in range(1000)]


def picture(path, width=64, height=64, seed=0, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.RandomState(seed)
    coarse = Image.fromarray(draw.randint(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height))
    coarse.convert(mode).save(path)


def refused(name, root, split="test"):
    with pytest.raises(UserError) as caught:
        registry.load(name, split, (root,))
    assert caught.value.fix
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("crop", "size", "resized", "corner"),  # worked out by hand: halves are rounded to even numbers
    [
        (Crop(256, 224), (300, 411), (256, 350), (16, 63)),
        (Crop(256, 224), (411, 300), (350, 256), (63, 16)),
        (Crop(256, 224), (257, 256), (257, 256), (16, 16)),
        (Crop(256, 224), (64, 64), (256, 256), (16, 16)),
        (Crop(72, 64), (90, 64), (101, 72), (18, 4)),
        (Crop(72, 64), (64, 64), (72, 72), (4, 4)),
    ],
)
@pytest.mark.parametrize(("suffix", "mode"), [("png", "RGB"), ("jpg", "L"), ("png", "RGBA"), ("png", "P")])
def test_images_are_prepared_as_the_papers_do_it(tmp_path, crop, size, resized, corner, suffix, mode):
    path = tmp_path / f"a.{suffix}"
    picture(path, *size, mode=mode)
    with Image.open(path) as image:
        whole = np.asarray(image.convert("RGB").resize(resized, Image.Resampling.BILINEAR))
    left, top = corner
    expected = whole[top : top + crop.side, left : left + crop.side].transpose(2, 0, 1)
    assert np.array_equal(decode(path, crop, grey=False), expected)
    around = pictures(tmp_path, (path.name,), crop).whole(0)
    assert np.array_equal(around, whole.transpose(2, 0, 1))


@pytest.fixture
def thousand(tmp_path):
    """ImageNet's folders, with three images to test with whose names are not in the order of their classes."""
    for synset in SYNSETS:
        (tmp_path / "imagenet" / "val" / synset).mkdir(parents=True)
    for number, label in enumerate((388, 151, 31), 1):
        path = tmp_path / "imagenet" / "val" / SYNSETS[label] / f"ILSVRC2012_val_{number:08d}.JPEG"
        picture(path, 300, 280, seed=number)
    picture(tmp_path / "imagenet" / "val" / SYNSETS[319] / "ILSVRC2012_val_00000000.JPEG", 300, 280, seed=9)
    return tmp_path


def test_imagenet_is_in_the_order_of_its_names(thousand):
    samples = registry.load("imagenet", "test", (thousand,))
    assert samples.y.tolist() == [319, 388, 151, 31]
    assert samples.shape == (3, 224, 224)
    x, y = samples.slice(1, 3)
    assert x.shape == (2, 3, 224, 224)
    assert y.tolist() == [388, 151]
    path = thousand / "imagenet" / "val" / SYNSETS[151] / "ILSVRC2012_val_00000002.JPEG"
    assert torch.equal(x[1] * 255, torch.from_numpy(decode(path, Crop(256, 224))).float())
    small = registry.load("imagenet_64", "test", (thousand,))
    assert small.y.tolist() == samples.y.tolist()
    assert torch.equal(small.slice(2, 3)[0][0] * 255, torch.from_numpy(decode(path, Crop(72, 64))).float())


def test_restricted_imagenet_groups_its_classes(thousand):
    samples = registry.load("restricted_imagenet", "test", (thousand,))
    assert samples.y.tolist() == [8, 0, 2]  # insect, dog, frog in the paper's order; 388 is no fish
    small = registry.load("restricted_imagenet_64", "test", (thousand,))
    assert small.y.tolist() == [6, 3, 5]  # in alphabetical order
    assert (samples.shape, small.shape) == ((3, 224, 224), (3, 64, 64))
    assert sum(last - first + 1 for first, last in GROUPS.values()) == 203


def test_restricted_imagenet_from_folders_of_its_own(tmp_path):
    for number, group in enumerate(sorted(GROUPS)):
        picture(tmp_path / "restricted_imagenet" / "val" / group / f"{9 - number}.png", 80, 90)
    in_order = registry.load("restricted_imagenet_64", "test", (tmp_path,))
    assert in_order.y.tolist() == list(range(9))[::-1]
    assert sorted(registry.load("restricted_imagenet", "test", (tmp_path,)).y) == list(range(9))


def test_what_is_there_is_part_of_the_name_of_the_data(thousand):
    before = registry.load("imagenet", "test", (thousand,)).content
    assert registry.load("imagenet", "test", (thousand,)).content == before
    assert registry.load("restricted_imagenet", "test", (thousand,)).content != before
    picture(thousand / "imagenet" / "val" / SYNSETS[151] / "ILSVRC2012_val_00000002.JPEG", 310, 280)
    assert registry.load("imagenet", "test", (thousand,)).content != before


def test_folders_that_are_not_the_classes(tmp_path):
    message = refused("imagenet", tmp_path)
    assert f"missing: the folder val/; looked in: {tmp_path / 'imagenet' / 'val'}" in message
    assert "robeval data fetch" not in message
    picture(tmp_path / "val" / "dog" / "a.png")
    for name in ("imagenet", "restricted_imagenet"):
        assert "it holds 1 folders (dog), expected one for each of the 1,000 synsets" in refused(name, tmp_path)


def test_folders_without_images(tmp_path):
    for synset in SYNSETS:
        (tmp_path / "val" / synset).mkdir(parents=True)
    (tmp_path / "val" / SYNSETS[0] / ".hidden.png").touch()
    (tmp_path / "val" / SYNSETS[0] / "notes.txt").touch()
    assert "no images in its 1000 class folders" in refused("imagenet", tmp_path)


def test_images_that_cannot_be_decoded(tmp_path):
    path = tmp_path / "a.png"
    picture(path)
    whole = path.read_bytes()
    huge = bytearray(whole)
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    for content in (b"", b"<html>", whole[:20], whole[: len(whole) // 2], bytes(huge)):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cut or damaged") as caught:
            decode(path, None)
        assert str(path) in str(caught.value)
        assert "object at" not in str(caught.value)
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    with pytest.raises(UserError, match="expected 8 bits"):
        decode(path, None)
    with pytest.raises(UserError, match="cannot be read"):
        decode(tmp_path / "none.png", None)


@pytest.fixture
def tiny(tmp_path):
    """Tiny ImageNet with two images to train on and three to test with."""
    folder = tmp_path / "tiny-imagenet-200"
    synsets = [f"n{i:08d}" for i in range(200)]
    folder.mkdir()
    (folder / "wnids.txt").write_text("\n".join(reversed(synsets)) + "\n")
    for synset in synsets:
        (folder / "train" / synset / "images").mkdir(parents=True)
    for number in (10, 9):
        picture(folder / "train" / synsets[7] / "images" / f"{synsets[7]}_{number}.JPEG", seed=number)
    lines = [f"val_{number}.JPEG\t{synsets[label]}\t0\t0\t62\t62" for number, label in ((0, 199), (1, 0), (10, 7))]
    (folder / "val").mkdir()
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    for number in (0, 1, 10):
        picture(folder / "val" / "images" / f"val_{number}.JPEG", seed=number, mode="L" if number == 1 else "RGB")
    return folder


def test_tiny_imagenet(tiny):
    samples = registry.load("tiny_imagenet", "test", (tiny.parent,))
    assert samples.y.tolist() == [199, 0, 7]
    assert samples.shape == (3, 64, 64)
    x, _ = samples.slice(0, 3)
    assert torch.equal(x[1, 0], x[1, 1])  # a grey one
    assert not torch.equal(x[0, 0], x[0, 1])
    train = registry.load("tiny_imagenet", "train", (tiny.parent,))
    assert train.y.tolist() == [7, 7]
    assert [name.rpartition("_")[2] for name in train.x.names] == ["9.JPEG", "10.JPEG"]


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("wnids.txt", "n00000000\n", "it names 1 classes, expected 200"),
        ("wnids.txt", "é", "it is no list of names"),
        ("val/val_annotations.txt", "val_0.JPEG\tn99999999\t0\n", "line 1 is 'val_0.JPEG"),
        ("val/val_annotations.txt", "../val_0.JPEG\tn00000000\t0\n", "line 1 is '../val_0"),
        ("val/val_annotations.txt", "nonsense", "line 1 is 'nonsense'"),
        ("val/val_annotations.txt", "", "it has no images"),
        ("val/val_annotations.txt", "val_0.JPEG\tn00000000\nval_5.JPEG\tn00000000\n", "val_5.JPEG: the file cannot be"),
        ("val/val_annotations.txt", "val_5.JPEG\tn00000000\t0\n", "val_5.JPEG: the file cannot be read"),
    ],
)
def test_tiny_imagenet_that_is_damaged(tiny, file, content, expected):
    (tiny / file).write_text(content)
    assert expected in refused("tiny_imagenet", tiny.parent)


def test_tiny_imagenet_that_is_missing(tmp_path):
    message = refused("tiny_imagenet", tmp_path)
    assert "missing: tiny-imagenet-200/wnids.txt, tiny-imagenet-200/val/val_annotations.txt" in message
    assert "robeval data fetch tiny_imagenet" in message


def test_an_image_of_another_size(tiny):
    picture(tiny / "val" / "images" / "val_10.JPEG", 65, 64)
    samples = registry.load("tiny_imagenet", "test", (tiny.parent,))
    with pytest.raises(UserError, match="the image is 3x64x65, but the first one is 3x64x64"):
        samples.slice(0, 3)
