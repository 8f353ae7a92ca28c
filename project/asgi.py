"""The site under ASGI: ``uvicorn --lifespan off project.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Under ASGI a request may run in any thread, and a connection kept open in each would never be used again.
os.environ.setdefault("CONN_MAX_AGE", "0")

application = get_asgi_application()
