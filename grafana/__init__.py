"""The dashboards, as code: ``make dashboards`` writes ``dashboards/*.json``."""

import os

# The registry of metrics, which the queries ask for labels, wants settings; no site is needed.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django.conf.global_settings")
