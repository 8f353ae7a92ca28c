"""gunicorn for this site; the environment changes it by HOST, PORT, WEB_CONCURRENCY, GUNICORN_LOG_LEVEL."""

import os
from typing import Any

from environ import FileAwareEnv
from gunicorn import glogging

from observability.logs import formatter

LINE = formatter(debug=FileAwareEnv().bool("DEBUG", default=False))


def name_request(record: Any) -> bool:
    """Give a line about a request the id that its answer has."""
    record.request_id = record.args.get("{x-request-id}o")
    return True


class Log(glogging.Logger):
    """gunicorn's, wherever that writes to, with lines in the form of the site's own."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.access_log.addFilter(name_request)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(LINE)


logger_class = Log
bind = os.environ.get("HOST", "127.0.0.1") + ":" + os.environ.get("PORT", "8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# So that a slow client or a scrape does not hold up the other requests of its worker.
threads = 4
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "info")
# It would be made in the home directory, and nothing here uses it.
control_socket_disable = True
