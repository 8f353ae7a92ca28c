"""Days and moments as arguments of commands."""

from argparse import ArgumentTypeError
from datetime import datetime

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime


def moment(text: str) -> datetime:
    """Return a day's beginning, or a moment, in the time zone of the settings where it names none."""
    try:
        day = parse_date(text)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001
    except ValueError:
        found = None
    if found is None:
        raise ArgumentTypeError(f"{text!r} is neither a day, as 2026-11-01, nor a moment, as 2026-11-01T12:00.")
    return found if timezone.is_aware(found) else timezone.make_aware(found, timezone.get_default_timezone())
