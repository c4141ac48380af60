"""What tests of weights share."""

import zipfile

import pytest
from tensorflows import FIXTURES


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folders of the checkpoints that TensorFlow wrote, by archive and name."""
    folder = tmp_path_factory.mktemp("saved")
    for archive in FIXTURES.glob("*.zip"):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder / archive.stem)
    return {path.stem: next(path.rglob("checkpoint-*")).parent for path in folder.iterdir()}
