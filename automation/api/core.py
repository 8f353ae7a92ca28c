"""The API as a whole: its documentation and its errors."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, ValidationError, ValidationErrorContext

from automation.api.auth import SIGNED_IN, TOKEN
from automation.errors import IdempotencyKeyTaken, InvalidPayload, NotEnded, UnknownJobType

NO_OBJECT = "Send a JSON object."
WORDS = {
    "extra_forbidden": "Unknown field. An idempotency key is sent as the header Idempotency-Key.",
    "dict_type": NO_OBJECT,
}
View = Callable[..., HttpResponse]


class API(NinjaAPI):
    """Answers in JSON wherever its addresses begin, and tells of a wrong field where it is."""

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        patterns, app_name, namespace = super().urls
        own: list[Any] = [*patterns, re_path("", _nothing)]
        for pattern in own:
            pattern.callback = _in_json(pattern.callback)
        return own, app_name, namespace

    def validation_error_from_error_contexts(self, contexts: list[ValidationErrorContext]) -> ValidationError:
        error = super().validation_error_from_error_contexts(contexts)
        for one in error.errors:
            source, *way = one["loc"]
            if source == "body" or (source == "query" and len(way) > 2):  # ninja names our own argument first
                one["loc"] = (source, *way[1:])
            one["msg"] = _sentence(one)
        return error


def _sentence(error: dict[str, Any]) -> str:
    """Return pydantic's words where there are none of ours, or of the validator that refused the value."""
    if error["loc"] == ("body",):
        return NO_OBJECT
    return WORDS.get(error["type"]) or error.get("ctx", {}).get("error") or error["msg"]


def _in_json(view: View) -> View:
    """Say in the manner of the API what Django would say in HTML: no such address, and not by this method."""

    @csrf_exempt  # who may do what, the API says itself
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            response = api.create_response(request, {"detail": "There is nothing at this address."}, status=404)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = response["Allow"]
            response = api.create_response(request, {"detail": f"This address takes {allowed} only."}, status=405)
            response["Allow"] = allowed
        return response

    return answer


def _nothing(request: HttpRequest) -> HttpResponse:
    raise Http404


def _docs_for_users(view: View) -> View:
    """Show the documentation to those who may use the API, and to all while DEBUG is on."""

    @require_safe
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if settings.DEBUG or TOKEN(request) or request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return api.on_exception(request, AuthenticationError())

    return guarded


api = API(
    title="Automation",
    version="1",
    description="Start jobs and follow them. Send the token as `Authorization: Bearer …`, or sign in, with the "
    "permission `automation.view_job` to read, and `automation.change_job` for all else. "
    "Each answer has an `X-Request-ID`: the one that was sent, or a new one. "
    'Errors are `{"detail": …}`, also for an unknown address (404) and for a method that it does not take (405).',
    urls_namespace="automation",
    auth=[TOKEN, SIGNED_IN],
    docs_decorator=_docs_for_users,
)


@api.exception_handler(AuthenticationError)
def _unauthorized(request: HttpRequest, exc: AuthenticationError) -> HttpResponse:
    response = api.create_response(request, {"detail": "Sign in, or send a valid bearer token."}, status=401)
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(UnknownJobType)
def _unknown_job_type(request: HttpRequest, exc: UnknownJobType) -> HttpResponse:
    return api.create_response(request, {"detail": str(exc)}, status=404)


@api.exception_handler(NotEnded)
def _not_ended(request: HttpRequest, exc: NotEnded) -> HttpResponse:
    return api.create_response(request, {"detail": str(exc)}, status=409)


@api.exception_handler(InvalidPayload)
def _invalid_payload(request: HttpRequest, exc: InvalidPayload) -> HttpResponse:
    errors = [{**error, "loc": ["body", "payload", *error["loc"]]} for error in exc.errors]
    return api.create_response(request, {"detail": errors}, status=422)


@api.exception_handler(IdempotencyKeyTaken)
def _key_taken(request: HttpRequest, exc: IdempotencyKeyTaken) -> HttpResponse:
    error = {"type": "idempotency_key_taken", "loc": ["header", "Idempotency-Key"], "msg": str(exc)}
    return api.create_response(request, {"detail": [error]}, status=422)


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, exc: RequestDataTooBig) -> HttpResponse:
    return api.create_response(request, {"detail": "The request body is too large."}, status=413)
