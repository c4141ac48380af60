"""What all tests of training share."""

import pytest
from doubles import samples

from robeval.datasets import registry as datasets


@pytest.fixture(scope="module")
def some():
    """100 digits, which 40 does not divide."""
    return samples(*datasets.load("digits", "train").slice(0, 100), num_classes=10, dataset="digits")
