"""Signals of this app; those about jobs, steps and AI requests are in `observability.signals`.

``budget_nearly_spent(sender, instance, period)``: so much of a budget is spent as its `warn_at` says, once in each of
its days or months, after that is committed.
"""

from django.dispatch import Signal

budget_nearly_spent = Signal()
