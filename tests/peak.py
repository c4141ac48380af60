"""How much memory reading files of weights takes, in a process of its own, where C's memory counts as Python's does."""

import os
import subprocess
import sys

MEASURE = """
import resource, sys
from pathlib import Path
from robeval.errors import UserError
from robeval.zoo import checkpoints
from robeval.zoo.formats.registry import catalog
catalog()
checkpoints.read(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read = []
for path in sys.argv[2:]:
    try:
        checkpoints.read(Path(path))
    except UserError:
        continue
    read.append(path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *read, sep="\\n")
"""


def peak(first, paths):
    """By how many kilobytes the most memory grew while the paths were read, and which of them were not refused.

    `first` is read before that: it loads what is loaded once.
    """
    command = [sys.executable, "-c", MEASURE, str(first), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    grown, *read = done.stdout.splitlines()
    return int(grown), read
