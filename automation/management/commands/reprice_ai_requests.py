"""`manage.py reprice_ai_requests`: costs for requests to models whose price was unknown when they were made."""

from argparse import ArgumentParser
from collections import defaultdict
from decimal import Decimal
from typing import Any

from django.template.defaultfilters import pluralize

from automation.prices import reprice
from observability.management.output import PrintingCommand

Key = tuple[str, str, str]  # model, provider, and where the price is from


class Command(PrintingCommand):
    help = "Price requests to AI models that had no known price, by the prices that are known now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Show what it would do, and change nothing.")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        priced, left = defaultdict[Key, list[Decimal]](list), defaultdict[Key, int](int)
        for row, price in reprice(save=not dry_run):
            key = (row.model, row.provider, f"{price.source} {price.version}".rstrip())
            if price.cost is None:
                left[key] += 1
            else:
                priced[key].append(price.cost)
        for (model, provider, source), costs in sorted(priced.items()):
            self.stdout.write(f"{model} of {provider}: {_requests(len(costs))}, {sum(costs):.4f} USD by {source}")
        for (model, provider, _), number in sorted(left.items()):
            self.stdout.write(self.style.WARNING(f"{model} of {provider}: {_requests(number)} without a known price"))
        self.stdout.write(_sum(priced.values(), "would get" if dry_run else "got"))


def _sum(priced: Any, verb: str) -> str:
    costs = [cost for each in priced for cost in each]
    return f"{_requests(len(costs))} {verb} a price: {sum(costs, Decimal(0)):.4f} USD."


def _requests(number: int) -> str:
    return f"{number:,} request{pluralize(number)}"
