"""The site under ASGI: ``uvicorn project.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

from observability.lifespan import flushed

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Under ASGI a request may run in any thread, and a connection kept open in each would never be used again.
os.environ.setdefault("CONN_MAX_AGE", "0")

application = flushed(get_asgi_application())
