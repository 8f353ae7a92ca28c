"""What a process of a deployment does when it is told so, a line at a time; ``conftest.Recorder`` tells it."""

import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.client import HTTPConnection

import prometheus_client
from django.http import HttpResponse
from django.test import RequestFactory

from observability.metrics import MetricsCollector
from observability.middleware import MetricsMiddleware
from observability.testing import metric_value


def obey():
    """Execute each line; answer with the value of an expression, and null to a statement."""
    names = globals()
    for line in sys.stdin:
        code = json.loads(line)
        try:
            do = compile(code, code, "eval")
        except SyntaxError:
            do = compile(code, code, "exec")
        print(json.dumps(eval(do, names)), flush=True)


def record(model, times=1):
    for _ in range(times):
        MetricsCollector.record_ai_request(model, "success", tokens=1, cost=0.5)


answer = MetricsMiddleware(lambda request: HttpResponse("ok"))
request = RequestFactory().get("/ok")


def handle(times=1):
    """Have the middleware see a request so often."""
    for _ in range(times):
        answer(request)


def handled_requests():
    """What all processes recorded of requests: their number, durations, bytes, and how many are in progress."""
    names = ("http_requests_total", "http_request_duration_seconds_count", "http_response_size_bytes_sum")
    return [metric_value(name) for name in (*names, "http_requests_in_progress")]


def recorded(model):
    """What all processes recorded of a model: requests, tokens, observations of cost, their sum."""
    names = ("ai_requests_total", "ai_tokens_total", "ai_cost_usd_count", "ai_cost_usd_sum")
    return [metric_value(name, model=model) for name in names]


def dropped(metric):
    return metric_value("observability_dropped_total", metric=metric)


def exhaust_descriptors(spare):
    """Open so many that only a few more can be opened."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    opened = []
    with suppress(OSError):
        while True:
            opened.append(os.dup(0))
    for _ in range(spare):
        os.close(opened.pop())
    return opened


def make_series(count):
    """A metric of the host's own with so many series."""
    made = prometheus_client.Counter("host_series", "Series of the host's own.", ["number"])
    for number in range(count):
        made.labels(number).inc()


def ask_over_and_over(address, path, authorization, threads, seconds):
    """Ask in threads, without a pause; the number of answers of each status."""
    statuses, deadline = Counter(), time.monotonic() + seconds

    def ask():
        while time.monotonic() < deadline:
            connection = HTTPConnection(*address)  # as light as a client can be: it shares the processors with the site
            connection.request("GET", path, headers={"Authorization": authorization})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            statuses[answer.status] += 1

    in_threads(ask, threads)
    return statuses


def in_threads(action, threads):
    sys.setswitchinterval(1e-5)
    started = [threading.Thread(target=action) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def record_as_child():
    record("child")


def fork_children(count, seconds, child=record_as_child, beside=MetricsCollector.get_metrics):
    """Fork while threads record and do something beside; how many children ended well, and what was recorded."""
    over, done = threading.Event(), []

    def keep_recording():
        while not over.is_set():
            record("parent")
            done.append(1)

    def keep_doing():
        while not over.is_set():
            beside()

    threads = [threading.Thread(target=action) for action in (keep_recording, keep_recording, keep_doing)]
    for thread in threads:
        thread.start()
    ended = 0
    while ended < count and ends_well(fork_child(child), seconds):
        ended += 1
    over.set()
    for thread in threads:
        thread.join()
    return [ended, len(done)]


def fork_child(act=record_as_child):
    """A child that does one thing and ends."""
    if pid := os.fork():
        return pid
    act()
    os._exit(0)


def ends_well(child, seconds):
    """Whether a child ends by itself in time and without an error; one that does not is killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status == 0
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def record_in_handler(in_handler, in_main, seconds):
    """Record in a tight loop that a signal interrupts very often; how often each recorded."""
    done = {"handler": 0, "main": 0}

    def handler(number, frame):
        in_handler(done["handler"])
        done["handler"] += 1
        interrupt_soon()

    def interrupt_soon():
        signal.setitimer(signal.ITIMER_REAL, 0.0003)

    signal.signal(signal.SIGALRM, handler)
    interrupt_soon()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        in_main(done["main"])
        done["main"] += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # first: a handler that still runs would start the timer again
    signal.setitimer(signal.ITIMER_REAL, 0)
    return [done["handler"], done["main"]]
