"""The list of jobs: what it can be asked for, and pages that go on where the one before ended."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from ninja import Field, FilterLookup, FilterSchema, Schema
from ninja.errors import ValidationError as Invalid
from pydantic import AfterValidator

from automation.models import Job, JobStatus
from automation.users import user_key

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = r"^[0-9]{1,17}-[0-9a-f]{32}$"
LIKE_THIS = "as 2026-11-25T01:30:00Z, or as 2026-11-25T03:30:00%2B02:00 (a + itself is a space in an address)"


def _moment(text: str) -> datetime:
    """Return a time of ISO 8601, in UTC, where every database can hold it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"Give a time {LIKE_THIS}.") from None
    if moment.tzinfo is None:
        raise ValueError(f"Give the time zone as well, {LIKE_THIS}.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Give a time between the years 1 and 9999.") from None


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("Give a text that is not empty and has no NUL character, or leave this out.")
    return text


def _cursor(text: str) -> str:
    if not re.fullmatch(CURSOR, text):
        raise ValueError("This is no cursor: take the address of `next` as it is.")
    return text


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}), AfterValidator(_moment)]
Text = Annotated[str, Field(max_length=128, json_schema_extra={"pattern": r"^[^\x00]+$"}), AfterValidator(_text)]
Cursor = Annotated[str, Field(json_schema_extra={"pattern": CURSOR}), AfterValidator(_cursor)]


class JobFilter(FilterSchema):
    """Everything that is given must be true of a job."""

    status: list[JobStatus] = Field([], max_length=len(JobStatus), description="Any of these; give it several times.")
    job_type: Text | None = None
    started_by: Annotated[Text, AfterValidator(user_key)] | None = Field(None, description="Id of a user.")
    request_id: Text | None = Field(None, description="Of the request that started it.")
    has_error: bool | None = None
    created_after: Annotated[Moment | None, FilterLookup("created_at__gte")] = Field(None, description="Or just then.")
    created_before: Annotated[Moment | None, FilterLookup("created_at__lt")] = None
    finished_after: Annotated[Moment | None, FilterLookup("finished_at__gte")] = Field(
        None, description="Or just then. With a bound on their end, the jobs that ended last come first."
    )
    finished_before: Annotated[Moment | None, FilterLookup("finished_at__lt")] = None

    def filter_status(self, statuses: Collection[JobStatus]) -> Q:
        return Q()  # see `parts`

    def filter_has_error(self, wanted: bool) -> Q:
        # SQLite finds the index by the literal only
        return Q(error__gt=RawSQL("''", ())) if wanted else Q(error="")

    @property
    def order(self) -> str:
        """The time by which the list is sorted."""
        return "finished_at" if self.finished_after or self.finished_before else "created_at"

    def parts(self) -> list[QuerySet[Job]]:
        """Return the jobs that are asked for, each status by itself: a database would sort several at once."""
        rows = self.filter(Job.objects.all())
        return [rows.filter(status=status) for status in set(self.status)] or [rows]


class Place(NamedTuple):
    """Where in the list a page ends; written as microseconds and id."""

    moment: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{(self.moment - EPOCH) // timedelta(microseconds=1)}-{self.id.hex}"

    @classmethod
    def read(cls, cursor: str) -> "Place":
        microseconds, _, key = cursor.partition("-")
        return cls(EPOCH + timedelta(microseconds=int(microseconds)), UUID(key))


class Page(Schema):
    """Which part of the list; the cursor comes from the `next` of another page."""

    limit: int = Field(50, ge=1, le=200)
    cursor: Cursor | None = None

    @property
    def after(self) -> Place | None:
        return Place.read(self.cursor) if self.cursor else None


def read_page(request: HttpRequest, filters: JobFilter, page: Page) -> dict[str, Any]:
    """Return the jobs of a page, the newest first, and the address of the next page."""
    _refuse_others(request)
    found = _newest(filters, page.after, page.limit + 1)
    items = found[: page.limit]
    more = len(found) > page.limit
    return {"items": items, "next": _address(request, _place_of(items[-1], filters.order)) if more else None}


def _newest(filters: JobFilter, after: Place | None, number: int) -> list[Job]:
    order, latest = filters.order, f"{filters.order.removesuffix('_at')}_before"
    if after and (bound := getattr(filters, latest)) and after.moment < bound:
        # of two bounds SQLite may enter the index by the one that is further off
        filters = filters.model_copy(update={latest: None})
    found: list[Job] = []
    for part in filters.parts():
        rows = part.filter(_behind(order, after)) if after else part
        found += rows.order_by(f"-{order}", "-id").defer("result")[:number]
    return sorted(found, key=lambda job: _place_of(job, order), reverse=True)[:number]


def _behind(order: str, place: Place) -> Q:
    # the first condition alone is what an index can be entered by
    return Q(**{f"{order}__lte": place.moment}) & (Q(**{f"{order}__lt": place.moment}) | Q(id__lt=place.id))


def _place_of(job: Job, order: str) -> Place:
    return Place(getattr(job, order), job.id)


def _address(request: HttpRequest, place: Place) -> str:
    query = request.GET.copy()
    query["cursor"] = str(place)
    return request.build_absolute_uri(f"?{query.urlencode()}")


def _refuse_others(request: HttpRequest) -> None:
    """A slip in the name of a filter must not list everything."""
    others = sorted(request.GET.keys() - JobFilter.model_fields.keys() - Page.model_fields.keys())
    if others:
        raise Invalid([{"type": "extra_forbidden", "loc": ["query", name], "msg": "Unknown."} for name in others])
