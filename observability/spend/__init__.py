"""What requests to AI models used and what that costs: tokens as every provider means them, and their prices."""

from .price import NO_PRICE, NO_USAGE, NOT_BILLED, SOURCES, Price, prepare, price
from .price_list import provider_at
from .rules import ANTHROPIC, BEDROCK, EMBEDDINGS, GEMINI, OPENAI, read_usage
from .usage import Usage, from_told

__all__ = [
    "ANTHROPIC",
    "BEDROCK",
    "EMBEDDINGS",
    "GEMINI",
    "NOT_BILLED",
    "NO_PRICE",
    "NO_USAGE",
    "OPENAI",
    "SOURCES",
    "Price",
    "Usage",
    "from_told",
    "prepare",
    "price",
    "provider_at",
    "read_usage",
]
