"""Thin clients of the services that jobs call: measured, bounded in time, and patient with what may pass."""

from automation.clients.anthropic import Anthropic
from automation.clients.http import ServiceError
from automation.clients.llm import LLM, Completion
from automation.clients.notion import Notion, notion_id
from automation.clients.openai import OpenAI
from automation.clients.vercel import Vercel

__all__ = ["LLM", "Anthropic", "Completion", "Notion", "OpenAI", "ServiceError", "Vercel", "llm_for", "notion_id"]


def llm_for(model: str) -> type[Anthropic] | type[OpenAI]:
    """Return whose model it is by its name: Claude is Anthropic's, all others are at OPENAI_URL."""
    return Anthropic if model.startswith("claude") else OpenAI
