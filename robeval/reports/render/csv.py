"""Results as CSV."""

import pandas as pd


def render(results: pd.DataFrame) -> str:
    """Every column, numbers in full precision, missing values empty."""
    return results.to_csv(index=False, lineterminator="\n")
