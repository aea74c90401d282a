"""Steps that wait for each other; what does not is done at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A named action that runs once the steps named in `after` are done."""

    name: str
    action: Callable[[], None]
    after: tuple[str, ...] = ()


def closure(wanted: list[str], steps: dict[str, Step]) -> list[Step]:
    """The wanted steps and all that they need."""
    found: dict[str, Step] = {}
    todo = list(wanted)
    while todo:
        step = steps[todo.pop()]
        if step.name not in found:
            found[step.name] = step
            todo.extend(step.after)
    return list(found.values())


def run(steps: list[Step]) -> None:
    """Run all; after a failure start nothing more, then raise the first error."""
    waiting = {step.name: step for step in steps}
    done: set[str] = set()
    running: dict[Future[None], str] = {}
    first: BaseException | None = None
    with ThreadPoolExecutor(max_workers=max(1, len(steps))) as pool:
        while True:
            able = [] if first else [s for s in waiting.values() if done.issuperset(s.after)]
            for step in able:
                running[pool.submit(waiting.pop(step.name).action)] = step.name
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done.add(running.pop(future))
                first = first or future.exception()
    if first is not None:
        raise first
    if waiting:
        raise ValueError(f"steps that wait for each other: {sorted(waiting)}")
