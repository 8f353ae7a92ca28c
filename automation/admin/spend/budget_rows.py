"""Where each budget stands in its day or month."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Q

from automation import budgets, daybook
from automation.admin.spend.reading import Reading
from automation.errors import BudgetExceeded
from automation.models import AIRequest, AIRequestStatus, Budget, BudgetPeriod
from observability.pages.formats import usd, usd_exactly

STATES = {
    "exhausted": ("Exhausted", "▲", "bad"),
    "over": ("Forecast over", "▲", "bad"),
    "refused": ("Has refused", "▲", "warn"),
    "close": ("Close to limit", "▲", "warn"),
    "good": ("On track", "✓", "good"),
}


@dataclass(frozen=True)
class Row:
    """A budget as its table shows it; lengths of the meter are percentages of its limit."""

    name: str
    url: str
    period: str
    state: str
    refused: int
    spent: Decimal
    reserved: Decimal
    left: Decimal
    limit: Decimal
    forecast: Decimal | None

    @property
    def words(self) -> tuple[str, str, str]:
        """The state in words, its sign and its kind."""
        return STATES[self.state]

    @property
    def money(self) -> list[tuple[str, str]]:
        """The amounts, each with its name."""
        named = ("spent", "reserved", "left")
        money = [(name.capitalize(), usd(getattr(self, name))) for name in named]
        return [*money, ("Limit", usd_exactly(self.limit))]

    @property
    def forecast_in_words(self) -> str:
        return usd(self.forecast)

    @property
    def is_over(self) -> bool:
        return self.forecast is not None and self.forecast > self.limit

    @property
    def spent_length(self) -> str:
        return self._length(self.spent)

    @property
    def held_length(self) -> str:
        """Spent and reserved together; the first is drawn over it."""
        return self._length(self.spent + self.reserved)

    @property
    def forecast_place(self) -> str:
        return "" if self.forecast is None or self.is_over else self._length(self.forecast)

    def _length(self, amount: Decimal) -> str:
        part = amount / self.limit if self.limit else Decimal(1)
        return f"{min(part, Decimal(1)) * 100:.1f}%"


def rows(reading: Reading, periods: list[BudgetPeriod]) -> list[Row]:
    """Return a row for each budget."""
    refused = _refused(periods)
    return [_row(reading, period, refused[period.budget.pk]) for period in periods]


def _row(reading: Reading, period: BudgetPeriod, refused: int) -> Row:
    budget, forecast, left = period.budget, budgets.forecast(period), budgets.left(period)
    begins = period.begins
    of_day = budget.period == Budget.Period.DAY
    return Row(
        name=budget.name,
        url=reading.url("automation", "budget_change", budget.pk),
        period=f"{begins.day} {begins:%b}" if of_day else f"{begins:%b %Y}",
        state=_state(period, left, forecast, refused),
        refused=refused,
        spent=period.spent,
        reserved=period.reserved,
        left=left,
        limit=budget.limit,
        forecast=forecast,
    )


def _state(period: BudgetPeriod, left: Decimal, forecast: Decimal | None, refused: int) -> str:
    limit = period.budget.limit
    if not left:
        return "exhausted"
    if forecast is not None and forecast > limit:
        return "over"
    if refused:
        return "refused"
    return "close" if (period.spent + period.reserved) * 100 >= limit * period.budget.warn_at else "good"


def _refused(periods: list[BudgetPeriod]) -> Mapping[int, int]:
    """Return how many requests each budget has refused in its period."""
    if not periods:
        return {}
    since = daybook.begin_of(min(period.begins for period in periods))
    refused = AIRequest.objects.filter(status=AIRequestStatus.BUDGET_EXCEEDED, created_at__gte=since).order_by()
    wanted = {f"of_{period.budget.pk}": _by(period) for period in periods}
    found = refused.aggregate(**{name: Count("pk", filter=condition) for name, condition in wanted.items()})
    return {period.budget.pk: found[f"of_{period.budget.pk}"] for period in periods}


def _by(period: BudgetPeriod) -> Q:
    words = str(BudgetExceeded(period.budget.name, ""))
    return Q(error__startswith=words, created_at__gte=daybook.begin_of(period.begins))


def of_today(found: list[BudgetPeriod]) -> BudgetPeriod | None:
    """Return the tightest budget of a day that all requests come under, if there is one."""
    for_all = [one for one in found if one.budget.period == Budget.Period.DAY and _is_for_all(one.budget)]
    return min(for_all, key=lambda one: one.budget.limit, default=None)


def _is_for_all(budget: Budget) -> bool:
    return not (budget.job_type or budget.model or budget.user_id)
