"""Signals of this app; those about jobs, steps and AI requests are in `observability.signals`.

``budget_nearly_spent(sender, instance, period)``: so much of a budget is spent as its `warn_at` says, or that a
request does not fit any more. Once in each of its days or months, after that is committed; where the process that was
to send it has died, by a worker, which may be the second time.
"""

from django.dispatch import Signal

budget_nearly_spent = Signal()
