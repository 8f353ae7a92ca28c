"""Domain signals: what happened to a job, a step or an AI request, whoever's model it is.

Send them with ``send_robust`` after the transaction has committed, once per transition; ``tracking`` does both.
Durations are in seconds, or None where unknown.

``job_started(sender, instance, job_type, queue_wait)``
``job_finished(sender, instance, job_type, status, duration, cost)``: status is success, failed or cancelled; cost is
the job's AI cost in USD, or None where it has none.
``step_finished(sender, instance, step, status, duration)``
``ai_request_finished(sender, instance, model, status, input_tokens, output_tokens, cached_input_tokens,
cache_write_tokens, reasoning_tokens, cost, duration, time_to_first_token)``: status is success, error, timeout,
rate_limited or budget_exceeded; cost is in USD, None where the price is unknown. A client that ``http.instrument``
measures sends it as well: its instance is an ``http.AICall``.
"""

from django.dispatch import Signal

job_started = Signal()
job_finished = Signal()
step_finished = Signal()
ai_request_finished = Signal()
