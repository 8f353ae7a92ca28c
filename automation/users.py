"""Users as addresses name them: by their key, whatever the project's user model has for one."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

LARGEST = 2**63 - 1  # SQLite does not even compare with a larger one


def user_key(text: str) -> Any:
    """Return the key that the text stands for; raises ValueError where no user can have it."""
    try:
        key = get_user_model()._meta.pk.to_python(text)
    except ValidationError:
        key = None
    if key is None or (isinstance(key, int) and abs(key) > LARGEST):
        raise ValueError("There is no such id of a user.")
    return key
