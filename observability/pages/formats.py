"""Numbers for people; no value is an en dash, never 0."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

NONE = "–"
BREAK = mark_safe("<wbr>")
PARTS = re.compile(r"(?<=[/_])(?=.)")


def count(value: float | None) -> str:
    """``1,284,310``"""
    return NONE if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Per second: ``19.4/s``, two decimals below 10."""
    return NONE if value is None else f"{value:,.{2 if value < 9.995 else 1}f}/s"


def percent(ratio: float | None) -> str:
    """A share as ``4.97 %``, from 10 on with one decimal."""
    return NONE if ratio is None else f"{ratio * 100:.{2 if ratio < 0.09995 else 1}f} %"


def seconds(value: float | None) -> str:
    """A duration as ``37 ms``, ``9.80 s``, ``14.8 s``, ``3 min 05 s`` or ``1 h 21 min``."""
    if value is None:
        return NONE
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.{2 if value < 9.995 else 1}f} s"
    if value < 3599.5:
        return "{} min {:02} s".format(*divmod(round(value), 60))
    return "{} h {:02} min".format(*divmod(round(value / 60), 60))


def usd(value: float | Decimal | None) -> str:
    """A sum of money; one that rounds to nothing is ``<$0.01``, since it is more."""
    if value is None:
        return NONE
    text = f"${value:,.2f}"
    return "<$0.01" if value > 0 and text == "$0.00" else text


def usd_exactly(value: Decimal | None) -> str:
    """A price or a limit, as it was set: ``$2.50``, ``$0.075``"""
    if value is None:
        return NONE
    whole, _, cents = f"{value:,f}".partition(".")
    return f"${whole}.{cents.rstrip('0'):0<2}"


def unbroken(text: str) -> str:
    """The same on one line: no number without its unit."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def age(value: float) -> str:
    """``4 s``, ``3 min 50 s``, ``1 h 14 min``"""
    return f"{max(value, 0):.0f} s" if value < 59.5 else seconds(value)


def clock(at: float, *, with_day: bool = False) -> str:
    """The time of day in the site's time zone, of seconds since the epoch."""
    moment = datetime.fromtimestamp(at, timezone.get_current_timezone())
    return f"{moment:%b} {moment.day}, {moment:%H:%M}" if with_day else f"{moment:%H:%M}"


def day(at: float) -> str:
    """The day in the site's time zone, of seconds since the epoch."""
    moment = datetime.fromtimestamp(at, timezone.get_current_timezone())
    return f"{moment.day} {moment:%b}"


def ago(moment: datetime, now: float) -> SafeString:
    """An age, with the exact time for who wants it."""
    exactly = moment.isoformat(timespec="seconds")
    return format_html('<time datetime="{0}" title="{0}">{1} ago</time>', exactly, age(now - moment.timestamp()))


def identifier(value: str) -> SafeString:
    """A name that may be broken after each ``/`` and ``_``, and reads from left to right."""
    parts = format_html_join(BREAK, "{}", ((part,) for part in PARTS.split(value)))
    return format_html('<bdi dir="ltr">{}</bdi>', parts)
