"""Addresses of a site whose admin is its own, with nothing in it but what was spent."""

from django.contrib.admin import AdminSite
from django.urls import path

from automation.admin.spend import SpendAdmin
from automation.models import Spend

backstage = AdminSite(name="backstage")
backstage.register(Spend, SpendAdmin)

urlpatterns = [path("backstage/", backstage.urls)]
