"""Rounds in which everything that is compared is measured in turn."""

import gc
import random
from collections.abc import Callable, Hashable, Mapping
from time import perf_counter
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def in_turn(
    works: Mapping[Key, Callable[[], float]], rounds: int, before: Callable[[], object] = lambda: None
) -> dict[Key, list[float]]:
    """What each of them measured, round by round, without a first round to warm up.

    A machine that slows down slows all of them: each round has all, in an order of its own, and begins with ``before``.
    Garbage is collected ahead of each, or it would fall to whoever comes next.
    """
    order, times = list(works), {key: list[float]() for key in works}
    mixed = random.Random(1)
    gc.collect()
    gc.freeze()  # what is there already is not looked through each time
    for _ in range(1 + rounds):
        before()
        mixed.shuffle(order)
        for key in order:
            gc.collect()
            times[key].append(works[key]())
    gc.unfreeze()
    return {key: values[1:] for key, values in times.items()}


def seconds(action: Callable[[], object]) -> float:
    begin = perf_counter()
    action()
    return perf_counter() - begin
