"""What a month will have cost at its end."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Min
from django.utils import timezone

from automation import daybook
from automation.models import AIRequest
from automation.spend import DECIMALS

DAYS_OF_PACE = 7


@dataclass(frozen=True)
class Forecast:
    """What a month will have cost at its end in USD, if each day to come costs as much as one of the last did."""

    spent: Decimal  # since the month began
    per_day: Decimal  # of the last days
    days: int  # that this goes by: DAYS_OF_PACE, or as many as there are since the first request
    total: Decimal
    ends: date  # the last day of the month

    def __str__(self) -> str:
        ahead = f"{self.total:,.2f} by {self.ends} if each day costs {self.per_day:,.2f}"
        return f"This month: {self.spent:,.2f} USD so far, {ahead}, as {self._lately}."

    @property
    def _lately(self) -> str:
        return "in the last day" if self.days == 1 else f"in the last {self.days} days"


def forecast(now: datetime | None = None) -> Forecast:
    """Return the forecast to the end of this month, in the time zone of the settings."""
    now = timezone.localtime(now, timezone.get_default_timezone())
    begin = daybook.begin_of(now.date().replace(day=1))
    end = daybook.begin_of((begin + timedelta(days=31)).date().replace(day=1))
    first = AIRequest.objects.order_by().aggregate(first=Min("created_at"))["first"] or now
    pace_since = max(now - timedelta(days=DAYS_OF_PACE), first)
    days = max(Decimal((now - pace_since).total_seconds()) / 86400, Decimal(1))
    per_day = daybook.cost(pace_since, now) / days
    spent = daybook.cost(begin, now)
    total = spent + per_day * Decimal((end - now).total_seconds()) / 86400
    spent, per_day, total = (round(cost, DECIMALS) for cost in (spent, per_day, total))
    return Forecast(spent, per_day, round(days), total, end.date() - timedelta(days=1))
