"""gunicorn for this site; the environment changes it by HOST, PORT, WEB_CONCURRENCY, GUNICORN_LOG_LEVEL."""

import os

bind = os.environ.get("HOST", "127.0.0.1") + ":" + os.environ.get("PORT", "8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# So that a slow client or a scrape does not hold up the other requests of its worker.
threads = 4
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "info")
# It would be made in the home directory, and nothing here uses it.
control_socket_disable = True
