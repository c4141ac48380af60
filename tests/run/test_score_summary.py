"""What is said of a scored array in one sentence."""

import pytest

from robeval.run.score import Score


@pytest.mark.parametrize(
    ("valid", "broken", "said"),
    [
        (10, 4, "net: robust accuracy 60.00 % under these images: 4 of 10 are misclassified and follow the rules"),
        (0, 0, "net: none of the 10 images follows the rules, so nothing counts"),
    ],
)
def test_an_array_that_breaks_the_rules_has_no_accuracy(valid, broken, said):
    assert Score("net", 10, valid, broken, (), ()).summary.startswith(said)
