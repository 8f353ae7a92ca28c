"""What the app itself keeps in the database, and the permission to read metrics."""

from __future__ import annotations

from django.db import models


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
