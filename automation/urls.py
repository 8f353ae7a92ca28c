"""Include at any prefix, below which all is the API's: start, jobs, jobs/<uuid:job_id>, docs and openapi.json."""

from django.urls import path

from automation.api import api

urlpatterns = [path("", api.urls)]
