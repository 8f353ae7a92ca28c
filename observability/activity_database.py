"""Active users in a table, for sites whose cache is no Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connections, router
from django.utils import timezone

from .conf import get_conf
from .models import ActiveUser


def write(users: dict[str, float]) -> None:
    """Keep when each user was seen, in seconds since the epoch."""
    rows = [ActiveUser(user_id=key, seen_at=_moment(seconds)) for key, seconds in users.items()]
    features = connections[router.db_for_write(ActiveUser)].features
    target = ["user_id"] if features.supports_update_conflicts_with_target else None  # MySQL takes none
    ActiveUser.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=target, update_fields=["seen_at"], batch_size=500
    )
    ActiveUser.objects.filter(seen_at__lt=_begin()).delete()


def count() -> float:
    """Users seen within the window."""
    return ActiveUser.objects.filter(seen_at__gte=_begin()).count()


def _moment(seconds: float) -> datetime:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment if timezone.is_aware(timezone.now()) else timezone.make_naive(moment)


def _begin() -> datetime:
    return timezone.now() - timedelta(seconds=get_conf().ACTIVE_USERS_SECONDS)
