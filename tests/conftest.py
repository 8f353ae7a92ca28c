"""Fixtures for every test; the servers they use are started by ``tests.servers``."""

import pytest
from django.test import override_settings

from observability.spend.price import admin_prices
from tests.sandbox import run_sandbox
from tests.sentry import start_sentry
from tests.site import AT_END, run_prometheus, run_site


@pytest.fixture(scope="session", autouse=True)
def quick_passwords():
    """To hash a password as a site should takes 0.3 s."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session")
def site():
    """``with site(env={...}, workers=2, asgi=False, database=True, redis=True) as s:`` runs the site."""
    with AT_END:
        yield run_site


@pytest.fixture(scope="session")
def prometheus():
    """``with prometheus(config_text) as p:`` runs a real Prometheus; without one installed the test is skipped."""
    return run_prometheus


@pytest.fixture(scope="session")
def running_sandbox():
    """One sandbox for all tests of this process; a test takes ``sandbox``."""
    with run_sandbox("--build-seconds", "0.2") as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox):
    """A sandbox with an empty log and no faults: ``sandbox.url``, ``sandbox.faults(...)``, ``sandbox.requests()``."""
    running_sandbox.clear()
    return running_sandbox


@pytest.fixture
def own_prices():
    """No price that another test has set in the admin; none that this one sets stays."""
    admin_prices.__init__()
    yield
    admin_prices.__init__()


@pytest.fixture(scope="session")
def running_sentry():
    """One receiver for all tests of this process; a test takes ``sentry``."""
    receiver = start_sentry()
    with receiver.client:
        yield receiver


@pytest.fixture
def sentry(running_sentry):
    """A real Sentry receiver, empty: ``sentry.dsn``, ``sentry.wait("event")``."""
    running_sentry.clear()
    return running_sentry
