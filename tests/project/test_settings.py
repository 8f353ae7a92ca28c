"""Settings of the site: what it reads from the environment, and what it does without."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from tests.servers import new_folder
from tests.site import ROOT, manage, prepare


def run(code, first="import django; django.setup()", **environment):
    """What code prints, as JSON, in a process that has the site's settings."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json\n{first}\n{code}"],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "project.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def setting(name, **environment):
    return run(f"from django.conf import settings\nprint(json.dumps(settings.{name}))", **environment)


def test_without_a_secret_key_the_site_says_what_to_set():
    done = manage(os.environ | {"SECRET_KEY": ""}, "check")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: SECRET_KEY is not set: give it a long random value in the "
        "environment, or set DEBUG=1 on your own machine."
    )


def test_debug_needs_no_secret_key_and_is_off_by_default():
    assert setting("DEBUG", SECRET_KEY="", DEBUG="1") is True
    assert setting("DEBUG") is False


def test_a_secret_key_is_taken_as_it_is():
    assert setting("SECRET_KEY", SECRET_KEY="$ECRET") == "$ECRET"


def test_a_secret_key_may_come_from_a_file():
    path = new_folder("secret") / "key"
    path.write_text("from a file\n")
    assert setting("SECRET_KEY", SECRET_KEY_FILE=str(path)) == "from a file"


def test_spaces_in_a_list_do_not_matter():
    assert setting("ALLOWED_HOSTS", ALLOWED_HOSTS="a.org, b.org ,,c.org") == ["a.org", "b.org", "c.org"]


def test_only_what_needs_https_is_left_to_the_deployment():
    env = {"SECRET_KEY": "0123456789" * 5, "METRICS_TOKEN": "0123456789abcdef", "ALLOWED_HOSTS": "example.com"}
    done = manage(os.environ | env, "check", "--deploy")
    assert set(re.findall(r"\((\w+\.\w+)\)", done.stderr)) == {"security.W004", "security.W008"}


def test_cookies_travel_over_https_only_unless_debug_is_on(site):
    with site(redis=False) as production:
        assert "Secure" in production.get("/admin/login/").headers["set-cookie"]
    assert setting("CSRF_COOKIE_SECURE", DEBUG="1") is False


def test_static_files_are_served_without_collecting_them(site):
    with site(redis=False) as production:
        assert production.get("/static/admin/css/base.css").status_code == 200
        assert production.get("/static/project/index.css").headers["content-type"] == 'text/css; charset="utf-8"'


COUNT_IN_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from django.contrib.auth.models import Group
from django.db import connection, transaction

def add(_):
    with transaction.atomic():
        group = Group.objects.get()
        group.name = str(int(group.name) + 1)
        group.save()
    connection.close()

Group.objects.create(name="0")
with ThreadPoolExecutor(8) as pool:
    list(pool.map(add, range(200)))
mode = connection.cursor().execute("PRAGMA journal_mode").fetchone()[0]
print(json.dumps([mode, Group.objects.get().name]))
"""


def test_sqlite_takes_many_writers_and_loses_nothing():
    url = f"sqlite:///{new_folder('sqlite')}/db.sqlite3"
    prepare(os.environ | {"DATABASE_URL": url})
    assert run(COUNT_IN_THREADS, DATABASE_URL=url) == ["wal", "200"]


def test_postgresql_gives_up_on_a_server_that_does_not_answer():
    options = setting("DATABASES['default']['OPTIONS']", DATABASE_URL="postgres://user@host/name?sslmode=require")
    assert options.items() >= {"connect_timeout": 5, "sslmode": "require"}.items()


ASK_THE_CACHE = """
import time
from django.core.cache import cache
start = time.monotonic()
try:
    cache.get("key")
    answer = "an answer"
except Exception:
    answer = "an error"
print(json.dumps([answer, time.monotonic() - start]))
"""


def test_a_redis_that_never_answers_costs_a_request_little_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody reads
        answer, seconds = run(ASK_THE_CACHE, REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}")
    assert answer == "an error"
    assert seconds < 1.5


def test_without_redis_the_cache_is_a_table():
    url = f"sqlite:///{new_folder('sqlite')}/db.sqlite3"
    prepare(os.environ | {"DATABASE_URL": url, "REDIS_URL": ""})
    code = "from django.core.cache import cache\ncache.set('key', 5)\nprint(json.dumps(cache.get('key')))"
    assert run(code, DATABASE_URL=url, REDIS_URL="") == 5


@pytest.mark.parametrize("database", ["postgres://user@127.0.0.1/name", "sqlite:///name.sqlite3"])
@pytest.mark.parametrize(("module", "seconds"), [("wsgi", 60), ("asgi", 0)])
def test_connections_are_kept_open_only_where_threads_are_few(module, seconds, database):
    code = "from django.conf import settings\nprint(json.dumps(settings.DATABASES['default']['CONN_MAX_AGE']))"
    assert run(code, first=f"import project.{module}", DATABASE_URL=database) == seconds


ASK_AGAIN_AND_AGAIN = """
from django.db import connection
with connection.cursor() as cursor:
    for number in range(10):
        cursor.execute("SELECT %s", [number])
    cursor.execute("SELECT COUNT(*) FROM pg_prepared_statements")
    print(json.dumps(cursor.fetchone()[0]))
"""


@pytest.mark.parametrize(("options", "prepared"), [("", 1), ("?server_side_binding=0", 0)])
def test_what_a_connection_repeats_is_prepared_unless_the_address_says_otherwise(options, prepared):
    assert run(ASK_AGAIN_AND_AGAIN, DATABASE_URL=os.environ["DATABASE_URL"] + options) == prepared
