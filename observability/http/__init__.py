"""Measure the calls of a project's own HTTP clients, of httpx or httpx2, sync or async:

``OpenAI(http_client=instrument(httpx2.Client()))``
"""

from observability.spend import Usage

from .ai import AICall
from .clients import instrument
from .vercel import Deployment

__all__ = ["AICall", "Deployment", "Usage", "instrument"]
