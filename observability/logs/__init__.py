"""One JSON object a line with the ids that hold, a form to read while debugging, and warnings that flood nothing.

``LOGGING = logging_config(debug=DEBUG)``
"""

from .config import formatter, logging_config
from .own import warn

__all__ = ["formatter", "logging_config", "warn"]
