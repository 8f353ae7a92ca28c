"""When what failed is tried again."""

import random


def pause(error: Exception, tried: int, *, tries: int, first: float, longest: float) -> float | None:
    """Return the seconds until the next try; None when there is none, since `tried` of `tries` were made or none helps.

    They are what the error asks for (`retry_after`), if that is not more than `longest`, and beyond that `first`, twice
    as many each time up to `longest`, less a random part of up to half, so that not all come back at once.
    """
    asked = getattr(error, "retry_after", None) or 0.0
    if tried >= tries or not getattr(error, "retriable", False) or asked > longest:
        return None
    return asked + min(longest, first * 2 ** (tried - 1)) * random.uniform(0.5, 1)  # noqa: S311
