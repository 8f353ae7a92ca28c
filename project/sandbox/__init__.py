"""Stand-ins for Notion, Vercel, OpenAI and Anthropic: one server that speaks their HTTP, for tests and ``make run``.

A plain ASGI application on uvicorn: a coroutine that waits costs nothing, so that hundreds of slow, silent or cut
answers fit in one process, whose memory then needs no lock. ``docs/operations.md`` says what it answers.
"""
