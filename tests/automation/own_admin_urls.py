"""Addresses of a site with admins of its own beside Django's: one with what was spent alone, one with jobs alone."""

from django.contrib import admin
from django.urls import path

from automation.admin.jobs import JobAdmin
from automation.admin.rows import AIRequestAdmin
from automation.admin.spend import SpendAdmin
from automation.models import AIRequest, Job, Spend

backstage = admin.AdminSite(name="backstage")
backstage.register(Spend, SpendAdmin)

workshop = admin.AdminSite(name="workshop")
workshop.register(Job, JobAdmin)

ledger = admin.AdminSite(name="ledger")
ledger.register(AIRequest, AIRequestAdmin)

urlpatterns = [path(f"{site.name}/", site.urls) for site in (admin.site, backstage, workshop, ledger)]
