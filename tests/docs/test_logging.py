"""The page about logs: its examples run, and a line has the fields that it names."""

import ast
import io
import json
import logging
import logging.config

import pytest

from observability.logs import formatter
from observability.logs.filters import CorrelationFilter
from tests.docs.pages import blocks, code_in, ids, rows
from tests.site import ROOT

PAGE = ROOT / "docs" / "logging.md"
EXAMPLES = blocks("python", pages=[PAGE])


@pytest.mark.parametrize("example", [block for block in EXAMPLES if block.file != "settings.py"], ids=ids)
def test_each_example_runs(example):
    exec(example.code, {})


def test_the_settings_are_a_configuration_that_logging_takes():
    names = {"DEBUG": False}
    for block in EXAMPLES:
        if block.file == "settings.py":
            exec(block.code, names)
    config = names["LOGGING"]
    assert [handler["filters"] for handler in config["handlers"].values()] == [["correlation", "mine"]] * 2
    assert names["MIDDLEWARE"][:2] == [
        "observability.middleware.MetricsMiddleware",
        "observability.request_ids.RequestIDMiddleware",
    ]
    config["filters"]["mine"] = {}
    logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["line"])


def test_the_page_names_the_fields_of_a_line():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    handler.addFilter(CorrelationFilter())
    log = logging.getLogger("docs")
    log.addHandler(handler)
    try:
        log.error("Failed.", exc_info=ValueError("x"), stack_info=True)
    finally:
        log.removeHandler(handler)
    named = [name for names, _ in rows("docs/logging.md", "field", "what it is") for name in code_in(names)]
    assert named == list(json.loads(stream.getvalue()))


def test_the_gunicorn_example_is_what_the_site_does():
    def functions_of(code):
        made = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
        return {function.name: [ast.dump(line) for line in function.body] for function in made}

    [example] = [block.code for block in EXAMPLES if block.file == "gunicorn.conf.py"]
    of_example, of_site = map(functions_of, (example, (ROOT / "project" / "gunicorn.conf.py").read_text()))
    assert of_example["name_request"] == of_site["name_request"]
    assert of_example["setup"][:2] == of_site["setup"][:2]  # the form of the lines is the site's own
