"""``path("api/", include("observability.urls"))``"""

from django.urls import path

from . import views

app_name = "observability"
urlpatterns = [
    path("metrics", views.metrics, name="metrics"),
    path("metrics/json", views.metrics_json, name="metrics_json"),
    path("metrics/health", views.health, name="health"),
]
