"""Its job types and its task are there once Django is set up."""

from django.apps import AppConfig


class EmptyConfig(AppConfig):
    name = "benchmarks.empty"

    def ready(self) -> None:
        from benchmarks.empty import tasks  # noqa: F401
