from django.apps import AppConfig


class GatedConfig(AppConfig):
    name = "tests.automation.gated"

    def ready(self):
        from . import pipeline  # noqa: F401
