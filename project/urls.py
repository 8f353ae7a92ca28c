"""Addresses of the site."""

from django.contrib import admin
from django.urls import include, path

from observability.views import health
from project.views import index

handler500 = "observability.views.server_error"

urlpatterns = [
    path("", index, name="index"),
    path("admin/", admin.site.urls),
    path("api/health", health, name="health"),
    path("api/automation/", include("automation.urls")),
    path("api/", include("observability.urls")),
]
