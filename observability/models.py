"""What the app itself keeps in the database, and the permission to read metrics."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models

from .spend import overrides


class NoRows(models.Manager[models.Model]):
    """Of a model without a table: ``dumpdata`` asks every model."""

    def get_queryset(self) -> models.QuerySet[models.Model]:
        return super().get_queryset().none()


class Metric(models.Model):  # noqa: DJ008  # there are no rows
    """No table: it gives the admin's page its place and the permission ``observability.view_metric`` its name."""

    objects = NoRows()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view",)
        verbose_name = "metric"
        verbose_name_plural = "Metrics"


class ActiveUser(models.Model):
    """When a signed-in user was last seen; used where the cache is no Redis. Ids are text: user models differ."""

    user_id = models.CharField(max_length=64, primary_key=True)
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.user_id


class HistorySample(models.Model):
    """A few counters as they stood at a moment; used where the cache is no Redis."""

    tier = models.CharField(max_length=16)
    slot = models.BigIntegerField()
    instance = models.CharField(max_length=100)
    data = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["tier", "slot", "instance"], name="observability_history_once"),
        ]

    def __str__(self) -> str:
        return f"{self.tier} {self.slot} {self.instance}"


def today() -> date:
    return datetime.now(UTC).date()


def _per_million(*, required: bool = False, help_text: str = "") -> models.DecimalField[Any, Any]:
    return models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=not required,
        blank=not required,
        help_text=help_text,
        validators=[MinValueValidator(0)],
    )


class ModelPrice(models.Model):
    """What an AI model costs from a day on, in place of the price list: USD per million tokens."""

    model = models.CharField(max_length=200, help_text="As requests have it; * stands for anything.")
    provider = models.CharField(
        max_length=64, blank=True, default="", help_text="As requests have it, openai or aws. Empty: any."
    )
    since = models.DateField("valid from", default=today, help_text="A day, which begins at 0:00 UTC.")
    input = _per_million(required=True)
    output = _per_million(required=True)
    cached_input = _per_million(help_text="Empty: as input.")
    cache_write = _per_million(help_text="Empty: as input.")
    cache_write_1h = _per_million(help_text="Written for an hour. Empty: as cache write.")
    reasoning = _per_million(help_text="Empty: as output.")
    audio_input = _per_million(help_text="Empty: as input.")
    audio_output = _per_million(help_text="Empty: as output.")

    class Meta:
        verbose_name = "AI price"
        ordering = ["model", "provider", "-since"]
        constraints = [
            models.UniqueConstraint(fields=["model", "provider", "since"], name="observability_one_price_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.since}"

    def as_override(self) -> overrides.Override:
        prices = {name: price for name in overrides.PRICES if (price := getattr(self, name)) is not None}
        return overrides.Override(self.model, self.provider, self.since, prices, overrides.ADMIN)
