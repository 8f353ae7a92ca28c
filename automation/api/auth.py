"""Who may use the API: whoever has the token, and users with the permissions that the admin asks for, too."""

import hmac

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from ninja.errors import AuthorizationError
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from automation.conf import api_token

SAFE = {"GET", "HEAD"}


class Token(AuthBase):
    """The bearer token of the settings; an empty one there matches nothing."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> bool:
        scheme, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        # headers arrive decoded as latin-1, settings from the environment with surrogates for odd bytes
        expected = api_token().encode("utf-8", "surrogateescape")
        same = hmac.compare_digest(given.encode("latin-1", "backslashreplace"), expected)
        return scheme.lower() == "bearer" and bool(expected) and same


class SignedIn(AuthBase):
    """A signed-in session of somebody who may; unsafe methods also need Django's CSRF token."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    csrf = True  # has the docs page send the CSRF token

    def __call__(self, request: HttpRequest) -> AbstractBaseUser | None:
        # who is nobody hears 401 first: ninja's own session class would say 403 to an anonymous POST
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise AuthorizationError(message="CSRF token missing or wrong: send it as X-CSRFToken.")
        needed = "automation.view_job" if request.method in SAFE else "automation.change_job"
        if not request.user.has_perm(needed):
            raise AuthorizationError(message=f"You need the permission {needed}.")
        return request.user


TOKEN, SIGNED_IN = Token(), SignedIn()


def caller(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the user who asks; None for one with the token."""
    who = getattr(request, "auth", None)  # the user, or True for the token
    return who if isinstance(who, AbstractBaseUser) else None
