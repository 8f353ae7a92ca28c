"""What ``make run`` does first: migrate, make the cache table, make the first account, and a budget for the sandbox."""

import os
import secrets

import django

from project.sandbox.addresses import SERVICES, without_key


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    if len(without_key(os.environ)) == len(SERVICES):
        make_budget()
    print(account(), flush=True)


def account() -> str:
    """Make the account ``admin`` unless there is one, and tell how to sign in."""
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    if users.filter(username="admin").exists():
        return "Sign in as admin. A new password: DEBUG=1 .venv/bin/python manage.py changepassword admin"
    password = secrets.token_urlsafe(12)
    users.create_superuser("admin", password=password)
    return f"Sign in as admin with the password {password} (it is shown only this once)."


def make_budget() -> None:
    """Something to look at, and far from what the traffic spends."""
    from automation.models import Budget

    Budget.objects.get_or_create(name="sandbox", defaults={"period": "day", "limit": 100, "allow_unpriced": True})


if __name__ == "__main__":
    main()
