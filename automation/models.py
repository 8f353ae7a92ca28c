"""Jobs, the steps they took, the AI requests they paid for, and the budgets for these."""

import uuid
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.functional import cached_property

MAX_ID = 128  # characters of an id that others made


class JobStatus(models.TextChoices):
    """The states of a job; the last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(models.TextChoices):
    """The states of a step; the last two are final."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class AIRequestStatus(models.TextChoices):
    """The states of a request to a model; all but the first are final."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXCEEDED = "budget_exceeded"


class PriceSource(models.TextChoices):
    """From where the cost of a request to a model is known; the last two say why it is not."""

    LIST = "genai-prices", "price list"
    SETTINGS = "settings", "settings"
    ADMIN = "admin", "admin"
    PROVIDER = "provider", "told by the provider"
    NOT_BILLED = "not_billed", "not billed"
    NO_PRICE = "no_price", "no price"
    NO_USAGE = "no_usage", "tokens unknown"


class Job(models.Model):
    """One run of a job type with its payload, from the request to its outcome."""

    Status = JobStatus

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job_type = models.CharField(max_length=100)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    payload = models.JSONField(default=dict, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    duration = models.FloatField("seconds", null=True, blank=True, help_text="By a monotonic clock in one worker.")
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="automation_jobs",
        db_index=False,  # automation_job_by_user begins with it
    )
    request_id = models.CharField(
        max_length=MAX_ID, blank=True, default="", help_text="Of the request that started it."
    )
    trace_id = models.CharField(
        max_length=MAX_ID,
        blank=True,
        default="",
        help_text="Of Sentry; its worker's, or else its request's.",
    )
    sentry_event_id = models.CharField(max_length=32, blank=True, default="", help_text="Of the error in Sentry.")
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, unique=True)
    asked_digest = models.CharField(
        max_length=64, blank=True, default="", help_text="Of type and payload as they came with the idempotency key."
    )
    retry_of = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retry", help_text="The job before."
    )
    task_id = models.UUIDField(null=True, blank=True, help_text="Of the task that runs it; none in the foreground.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How many workers have taken it so far.")
    worker = models.CharField(max_length=100, blank=True, default="", help_text="Host and process that took it last.")
    heartbeat_at = models.DateTimeField(null=True, blank=True, help_text="When its worker last gave a sign of life.")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="automation_job_newest"),
            models.Index(fields=["status", "job_type", "finished_at"], name="automation_job_by_outcome"),
            models.Index(fields=["status", "-created_at", "-id"], name="automation_job_by_status"),
            models.Index(fields=["job_type", "-created_at", "-id"], name="automation_job_by_type"),
            models.Index(fields=["started_by", "-created_at", "-id"], name="automation_job_by_user"),
            models.Index(
                fields=["-finished_at", "-id"],
                condition=Q(finished_at__isnull=False),
                name="automation_job_by_end",
            ),
            models.Index(fields=["request_id"], name="automation_job_by_request"),
            models.Index(fields=["-created_at", "-id"], condition=Q(error__gt=""), name="automation_job_with_error"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=JobStatus.values),
                name="automation_job_status_known",
            ),
            models.CheckConstraint(
                condition=Q(duration__isnull=True) | Q(duration__gte=0),
                name="automation_job_duration_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_type} {self.id} ({self.status})"

    @property
    def waiting_since(self) -> datetime | None:
        """When the wait for its start began; a job that is taken up again has been started before."""
        return self.created_at if self.attempts <= 1 else None

    def ai_cost(self) -> Decimal | None:
        """Return what the job's AI requests cost in USD; None without any, or when a price is unknown."""
        costs = list(self.ai_requests.order_by().values_list("cost", flat=True))
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal()) if costs and len(known) == len(costs) else None

    @cached_property
    def final_cost(self) -> Decimal | None:
        """What `ai_cost()` was when the job ended: the statement that ends a job tells it."""
        return self.ai_cost()


class Step(models.Model):
    """One step of a job; its name is a metric label, so what varies goes to detail."""

    Status = StepStatus

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    detail = models.TextField(blank=True, default="")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    duration = models.FloatField("seconds", null=True, blank=True, help_text="By a monotonic clock in one worker.")
    error = models.TextField(blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=1, help_text="How often it was tried.")
    output = models.JSONField(
        null=True, blank=True, help_text="What it returned; a job taken up again goes on from it."
    )

    class Meta:
        ordering = ["job", "position"]
        indexes = [
            models.Index(fields=["status", "-id"], name="automation_step_by_status"),
            models.Index(fields=["name", "-id"], name="automation_step_by_name"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="automation_step_position_unique"),
            models.CheckConstraint(
                condition=Q(status__in=StepStatus.values),
                name="automation_step_status_known",
            ),
            models.CheckConstraint(
                condition=Q(duration__isnull=True) | Q(duration__gte=0),
                name="automation_step_duration_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.name} {self.detail}".rstrip() + f" ({self.status})"


class AIRequest(models.Model):
    """One HTTP request to a model; outlives its job, because the money is spent."""

    Status = AIRequestStatus

    job = models.ForeignKey(Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="ai_requests")
    step = models.CharField(max_length=100, blank=True, default="", help_text="Of the job, that made it.")
    provider = models.CharField(max_length=32, blank=True, default="")
    model = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    error = models.TextField(blank=True, default="", help_text="Why it failed.")
    input_tokens = models.PositiveIntegerField(default=0, help_text="All that is billed.")
    output_tokens = models.PositiveIntegerField(default=0, help_text="All that is billed.")
    cached_input_tokens = models.PositiveIntegerField(default=0, help_text="Among the input.")
    cache_write_tokens = models.PositiveIntegerField(default=0, help_text="Among the input.")
    reasoning_tokens = models.PositiveIntegerField(default=0, help_text="Among the output.")
    cost = models.DecimalField(
        "cost in USD", max_digits=14, decimal_places=8, null=True, blank=True, help_text="Empty: unknown."
    )
    price_source = models.CharField(
        "price", max_length=16, choices=PriceSource.choices, blank=True, default="", help_text="Where it is from."
    )
    price_version = models.CharField(
        max_length=64, blank=True, default="", help_text="Of the list, or the day from which it holds."
    )
    billed = models.JSONField(default=dict, blank=True, help_text="What the cost is worked out from.")
    duration = models.FloatField("seconds", null=True, blank=True, help_text="By a monotonic clock.")
    time_to_first_token = models.FloatField(
        "seconds to the first token", null=True, blank=True, help_text="Of a stream."
    )
    request_id = models.CharField(
        max_length=MAX_ID, blank=True, default="", help_text="The provider's, for its support."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "AI request"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="automation_ai_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="automation_ai_by_status"),
            models.Index(fields=["model", "-created_at", "-id"], name="automation_ai_by_model"),
            models.Index(fields=["request_id"], name="automation_ai_by_request"),
            models.Index(
                fields=["id"], condition=Q(price_source=PriceSource.NO_PRICE), name="automation_ai_without_price"
            ),
            models.Index(
                fields=["-created_at", "-id"],
                condition=Q(price_source=PriceSource.NO_PRICE),
                name="automation_ai_unpriced_newest",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=AIRequestStatus.values),
                name="automation_ai_status_known",
            ),
            models.CheckConstraint(
                condition=Q(cost__isnull=True) | Q(cost__gte=0), name="automation_ai_cost_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(input_tokens__gte=F("cached_input_tokens") + F("cache_write_tokens")),
                name="automation_ai_input_has_its_parts",
            ),
            models.CheckConstraint(
                condition=Q(output_tokens__gte=F("reasoning_tokens")), name="automation_ai_output_has_its_parts"
            ),
            models.CheckConstraint(
                condition=Q(duration__isnull=True) | Q(duration__gte=0), name="automation_ai_duration_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(time_to_first_token__isnull=True) | Q(time_to_first_token__gte=0),
                name="automation_ai_first_token_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} ({self.status})"


class Budget(models.Model):
    """What AI requests may cost in each day or month: all of them, or those of a job type, a model, a user."""

    class Period(models.TextChoices):
        DAY = "day"
        MONTH = "month"

    name = models.CharField(max_length=100, unique=True, help_text="A label of metrics.")
    period = models.CharField(max_length=5, choices=Period.choices, default=Period.MONTH)
    limit = models.DecimalField("limit in USD", max_digits=20, decimal_places=8, validators=[MinValueValidator(0)])
    job_type = models.CharField(max_length=100, blank=True, default="", help_text="Empty: of all.")
    model = models.CharField(max_length=200, blank=True, default="", help_text="As jobs ask for it. Empty: all.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="automation_budgets",
        help_text="Who started the jobs. Empty: all, and nobody.",
    )
    warn_at = models.PositiveSmallIntegerField(
        "warn at percent",
        default=80,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Of the limit: when so much is spent, it is told once in each day or month.",
    )
    allow_unpriced = models.BooleanField(default=False, help_text="Let models through whose price is unknown.")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(limit__gte=0), name="automation_budget_limit_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name


class BudgetPeriod(models.Model):
    """One day or month of a budget, and where that stands."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="periods", db_index=False)
    begins = models.DateField()
    spent = models.DecimalField("spent in USD", max_digits=20, decimal_places=8, default=Decimal(0))
    reserved = models.DecimalField("reserved in USD", max_digits=20, decimal_places=8, default=Decimal(0))
    warn_since = models.DateTimeField(null=True, blank=True, help_text="Since when it is to be told how much is spent.")
    has_warned = models.BooleanField(default=False, help_text="That has been told.")

    class Meta:
        ordering = ["budget", "-begins"]
        indexes = [
            models.Index(
                fields=["warn_since"],
                condition=Q(has_warned=False, warn_since__isnull=False),
                name="automation_budget_untold",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["budget", "begins"], name="automation_budget_period_unique"),
            models.CheckConstraint(
                condition=Q(spent__gte=0, reserved__gte=0), name="automation_budget_period_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.budget} from {self.begins}"


class Reservation(models.Model):
    """What a request may cost at most, held in a period of a budget until its cost is known."""

    period = models.ForeignKey(BudgetPeriod, on_delete=models.CASCADE, related_name="reservations")
    request = models.ForeignKey(AIRequest, on_delete=models.CASCADE, related_name="reservations", db_index=False)
    amount = models.DecimalField("amount in USD", max_digits=20, decimal_places=8)
    is_spent = models.BooleanField(default=False, help_text="The request has ended, and its cost is unknown.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "period"], name="automation_reservation_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} USD of {self.period}"


class SpendDay(models.Model):
    """A past day in a time zone; its sums in Spend hold as long as it is current."""

    day = models.DateField(primary_key=True)
    zone = models.CharField(max_length=64, blank=True, default="")
    is_current = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.day} ({'current' if self.is_current else 'to be summed'})"


class Spend(models.Model):
    """What AI requests of one day have used and cost, summed by one dimension; who may view it may see the page."""

    day = models.DateField()
    dimension = models.CharField(max_length=16)
    key = models.CharField(max_length=200, blank=True, default="")
    number = models.PositiveIntegerField()
    jobs = models.PositiveIntegerField(help_text="Whose first request is among them.")
    unpriced = models.PositiveIntegerField()
    tokens_in = models.PositiveBigIntegerField()
    tokens_cached = models.PositiveBigIntegerField()
    tokens_out = models.PositiveBigIntegerField()
    spent = models.DecimalField("spent in USD", max_digits=20, decimal_places=8, null=True)
    wasted = models.DecimalField("spent in USD on jobs that failed", max_digits=20, decimal_places=8, null=True)

    class Meta:
        verbose_name = verbose_name_plural = "AI spend"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["dimension", "day", "key"], name="automation_spend_once"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.dimension} {self.key}"
