"""What `robeval miniature` takes: seconds of CPU, which do not depend on what else a machine does."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from robeval.whole import write_whole

_WALL = "from_nothing.json"


@contextmanager
def counted(folder: Path, name: str, kind: str) -> Iterator[None]:
    """Add the CPU seconds of this process inside to those of a model's "training" or "attacks" in a seed's folder."""
    start = time.process_time()
    try:
        yield
    finally:
        found = _read(_path(folder, name))
        found[kind] = found.get(kind, 0.0) + time.process_time() - start
        write_whole(_path(folder, name), json.dumps(found).encode())


def forget(folder: Path, name: str) -> None:
    """The model is trained anew: what another one of that name took is no part of its cost."""
    _path(folder, name).unlink(missing_ok=True)


def note_wall(out: Path, seconds: float, models: int, workers: int) -> None:
    """Write down how long a run took that began with nothing."""
    date = datetime.now(UTC).date().isoformat()
    found = {"seconds": round(seconds, 1), "models": models, "workers": workers, "date": date}
    write_whole(out / _WALL, json.dumps(found).encode())


def words(results: Sequence[pd.DataFrame], out: Path, seeds: Sequence[int]) -> str:
    """What the computing took, and with what.

    CPU seconds where they were counted; where not, as of models of an earlier version, those of the clock.

    Args:
        results: of the ledger of each seed, as `measure.results` gives them.
    """
    training = attacks = 0.0
    clock = count = 0
    for seed, found in zip(seeds, results):
        own = _own(found).groupby("model").seconds.sum()
        for log in sorted((out / f"seed{seed}" / "trained" / "logs").glob("*.csv")):
            cpu = _read(_path(out / f"seed{seed}", log.stem))
            if "training" not in cpu:
                clock += 1
                cpu = {"training": float(pd.read_csv(log).seconds.sum()), "attacks": float(own.get(log.stem, 0.0))}
            count, training, attacks = count + 1, training + cpu["training"], attacks + cpu.get("attacks", 0.0)
    made = sorted({each for found in results for text in _own(found).made_with.dropna() for each in text.split("; ")})
    parts = [
        f"{count} trainings: {training:.0f} s of CPU; attacks: {attacks:.0f} s; "
        f"together {(training + attacks) / 120:.0f} min on each of two cores.",
        f"Of {clock} of them seconds of the clock are counted, those of CPU are not known." if clock else "",
        _wall(out),
        f"{'; '.join(filter(None, made))}.",
    ]
    return "\n".join(filter(None, parts))


def _wall(out: Path) -> str:
    found = _read(out / _WALL)
    if not found:
        return ""
    took, what = f"{found['seconds'] / 60:.0f} min", f"{found['models']:.0f} models with {found['workers']:.0f} workers"
    return f"From nothing to this page by the clock: {took} ({what}, {found['date']})."


def _own(found: pd.DataFrame) -> pd.DataFrame:
    """Each attack that was computed once, without the parts that it is made of."""
    own = found[(found.part_of == "") & (found.attack != "worst_case")]
    return own.drop_duplicates(["model", "attack", "seed", "seconds"])


def _path(folder: Path, name: str) -> Path:
    return folder / "cpu" / f"{name}.json"


def _read(path: Path) -> dict[str, float]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}
