"""Numbers, statuses and long texts for people."""

import json
from datetime import datetime
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import is_aware, localtime

from automation.models import AIRequest, AIRequestStatus, PriceSource
from observability.pages import formats

NONE = formats.NONE
seconds = formats.seconds
LONGEST = 100_000  # characters of a text that a page shows
OPEN = 2000  # characters up to which a text is shown at once
ICONS = {"pending": "○", "running": "●", "success": "✓", "cancelled": "⊘"}  # everything else went wrong


def unbroken(*parts: str) -> SafeString:
    """Return parts of which each stays on one line."""
    return format_html_join(" ", '<span class="unbroken">{}</span>', ((part,) for part in parts))


def moment(value: datetime | None) -> str | SafeString:
    """Return a time to the second, as clocks show it where the site is."""
    if value is None:
        return NONE
    exactly = (localtime(value) if is_aware(value) else value).isoformat(timespec="seconds")
    return format_html('<time datetime="{}">{}</time>', exactly, unbroken(exactly[:10], exactly[11:19]))


def cost(amount: Any) -> str:
    """Return what one job or request has cost, in USD; sums of money have two decimals."""
    return NONE if amount is None else f"${amount:,.4f}"


def price(row: AIRequest) -> str | SafeString:
    """Return what a request cost, or why nobody knows."""
    if row.status == AIRequestStatus.RUNNING:
        return NONE
    if row.cost is None:
        return warning("tokens unknown" if row.price_source == PriceSource.NO_USAGE else "no price")
    return cost(row.cost)


def count(number: int | None) -> str:
    return NONE if number is None else f"{number:,}"


def parts(number: int, **of_them: int) -> SafeString:
    """Return a number, and below it those among it that are known by a name."""
    named = format_html_join(
        "", '<span class="part">{} {}</span>', ((count(n), name) for name, n in of_them.items() if n)
    )
    return format_html("{} {}", count(number), named)


def status(value: str, label: str) -> SafeString:
    """Return icon and word, so that colour is never alone."""
    icon = ICONS.get(value, "✕")
    return format_html('<span class="status {}"><span aria-hidden="true">{}</span> {}</span>', value, icon, label)


def warning(words: str) -> SafeString:
    return format_html('<span class="warning">▲ {}</span>', words)


def lacking(unpriced: int, running: int) -> SafeString:
    """Return how many requests a sum of costs lacks."""
    told = warning(f"{count(unpriced)} unpriced") if unpriced else ""
    return format_html(
        "{} {}", told, format_html('<span class="quiet">{} running</span>', count(running)) if running else ""
    )


def error(words: str) -> str | SafeString:
    return format_html('<span class="error">{}</span>', words) if words else NONE


def text(value: str) -> str | SafeString:
    """Return a text as it is, folded away when it is long."""
    return _shown(value) if len(value) <= OPEN else _folded(f"{count(len(value))} characters", value)


def data(value: Any) -> str | SafeString:
    """Return what JSON holds: texts as texts, files (contents by names) one by one, the rest indented."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict) and _are_files(value):
        return format_html_join("", "{}", ((_folded(name, content),) for name, content in value.items()))
    return NONE if value is None else text(json.dumps(value, indent=2, ensure_ascii=False))


def _are_files(value: dict[str, Any]) -> bool:
    return all(isinstance(content, str) for content in value.values()) and "\n" in "".join(value.values())


def _folded(name: str, value: str) -> SafeString:
    return format_html("<details><summary>{}</summary>{}</details>", name, _shown(value))


def _shown(value: str) -> SafeString:
    rest = f"… and {count(len(value) - LONGEST)} characters more." if len(value) > LONGEST else ""
    return format_html('<pre tabindex="0">{}</pre>{}', value[:LONGEST], rest)
