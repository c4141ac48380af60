"""What two attacks did to the same samples, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from robeval.reports import agreement
from robeval.values.pair import Pair

OURS = [True, True, True, False, False]
THEIRS = [True, True, False, True, False]


def verdicts(attack, broken, distance, passes):
    attacked = [False, True, True, True, True]  # the first is wrong when clean
    return pd.DataFrame(
        {
            "attack": attack,
            "sample": range(5),
            "broken": broken,
            "attacked": attacked,
            "distance": np.array(distance, np.float32),
            "queries": np.where(attacked, passes, 0),
            "backwards": np.where(attacked, 1, 0),
        }
    )


@pytest.fixture
def samples():
    nan = np.nan
    return pd.concat(
        [
            verdicts("a", OURS, [0, 0.1, 0.2, 0.9, nan], 10),
            # in another order, as cells may come
            verdicts("a:lib", THEIRS, [0, 0.3, nan, nan, nan], 20).iloc[::-1],
        ]
    )


RESULTS = pd.DataFrame({"attack": ["a", "a:lib"], "seconds": [1.25, 0.51]})


def test_agreement_is_counted_sample_by_sample(samples):
    table = agreement.agreement(samples, [Pair("a", "a:lib", "lib.a")], "suite")
    assert table.rows == (("a", "lib.a", "5", "40.00", "40.00", "2", "1", "1", "1"),)
    assert table.notes == ()
    (note,) = agreement.agreement(samples, [Pair("a", "a:lib", "lib.a", differs="it is blue")], "suite").notes
    assert note == "a:lib: definitions differ: it is blue"


def test_passes_are_those_of_the_samples_that_were_attacked(samples):
    table = agreement.costs(RESULTS, samples, [Pair("a", "a:lib", "lib.a")], "suite")
    assert table.rows == (("a", "lib.a", "11.0", "21.0", "1.2", "0.5"),)
    assert len(table.header) == 6


def test_the_median_counts_what_was_not_found_as_infinite(samples):
    table = agreement.costs(RESULTS, samples, [Pair("a", "a:lib", "lib.a", minimal=True)], "suite")
    assert table.rows[0][6:] == ("0.55", "–")
    assert len(table.header) == 8


def test_what_is_not_finished_has_no_numbers(samples):
    pairs = [Pair("a", "a:other", "other.a"), Pair("a", "a:lib", "lib.a")]
    for found in (samples[samples.attack == "a"], pd.DataFrame(), samples[:8]):
        table = agreement.agreement(found, pairs, "suite")
        assert all(set(row[2:]) == {"INCOMPLETE"} for row in table.rows)
        assert all(set(row[2:]) == {"INCOMPLETE"} for row in agreement.costs(RESULTS, found, pairs, "suite").rows)


def test_nobody_was_attacked(samples):
    samples["attacked"] = False
    table = agreement.costs(RESULTS, samples, [Pair("a", "a:lib", "lib.a", minimal=True)], "suite")
    assert table.rows[0][2:4] == ("–", "–")
    assert table.rows[0][6:] == ("–", "–")
