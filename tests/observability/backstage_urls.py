"""Addresses of a site whose admin is its own, with nothing in it but the metrics."""

from django.contrib.admin import AdminSite
from django.urls import path

from observability.admin import MetricAdmin
from observability.models import Metric


class Backstage(AdminSite):
    site_header = "Backstage"


backstage = Backstage(name="backstage")
backstage.register(Metric, MetricAdmin)

urlpatterns = [path("backstage/", backstage.urls)]
