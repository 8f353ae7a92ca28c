"""Ask a model in so many threads until the budget refuses: ``python -m tests.automation.spenders THREADS``."""

import sys
from concurrent.futures import ThreadPoolExecutor

import django
from django.db import connection

MODEL = "gpt-5.5"
ASK = [{"role": "user", "content": 'Answer with "files".\n\n# Bakery\n\nBread, and cakes for weddings.'}]
MAX_TOKENS = 900  # 0.0287 USD with the prompt


def spend(_: int) -> None:
    from automation.clients import llm_for
    from automation.errors import BudgetExceeded

    try:
        while True:
            with llm_for(MODEL)() as client:
                client.complete(None, MODEL, ASK, max_tokens=MAX_TOKENS, stream=False)
    except BudgetExceeded:
        pass
    finally:
        connection.close()


if __name__ == "__main__":
    django.setup()
    threads = int(sys.argv[1])
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(spend, range(threads)))
