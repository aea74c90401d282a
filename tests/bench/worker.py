"""One process of a contender: `python -m tests.bench.worker NAME JOB`, JOB a JSON object of `hand.Job`.

It says "ready", waits for a line on its input, works, and prints what that took as a JSON object.
"""

import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from tests.bench.hand import Job, consume, decode, limit
from tests.bench.plain import plain
from tests.bench.usage import peak_mib

CONTENDERS: Mapping[str, Callable[[Job], int]] = {"consume": consume, "decode": decode, "limit": limit, "plain": plain}


class Took(NamedTuple):
    """Seconds of a clock and of the CPU from the word to go, most memory, rows."""

    seconds: float
    cpu: float
    peak_mib: float
    rows: int


def main() -> None:
    """Do one job."""
    name, job = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Job)
    gc.collect()
    gc.disable()  # nothing here makes cycles
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began, used = time.monotonic(), _cpu()
    rows = CONTENDERS[name](job)
    took = Took(time.monotonic() - began, _cpu() - used, peak_mib(), rows)
    sys.stdout.write(msgspec.json.encode(took).decode() + "\n")


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
