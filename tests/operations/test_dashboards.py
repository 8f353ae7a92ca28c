"""The dashboards for Grafana: as the code says, loadable without loss, and full of data once the site has run."""

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafana_foundation_sdk.models.prometheus import Dataquery

from grafana import boards, build
from tests.docs.pages import blocks
from tests.operations.test_rules import output_of
from tests.project.conftest import new_checkout  # noqa: F401
from tests.project.test_run import started
from tests.servers import new_folder, requires
from tests.site import ROOT

FOLDER = ROOT / "grafana" / "dashboards"
PROVISIONING = ROOT / "grafana" / "provisioning"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
OF_SPECIFICATION = {
    "HTTP Request Rate",
    "HTTP Request Duration (p95, p99)",
    "Automation Jobs (success/failed)",
    "AI Cost Over Time",
    "Active Users",
    "API Error Rate",
    "Database Connections",
    "Job Duration by Type",
}
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: django, metrics_path: /api/metrics, static_configs: [{{targets: ["{target}"]}}]}}
"""
MINUTES = 3


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def test_the_committed_files_are_those_that_make_dashboards_writes():
    assert {path.stem: path.read_text() for path in FOLDER.glob("*.json")} == {
        name: build.text_of(board) for name, board in build.BOARDS.items()
    }


@each_board
def test_nothing_is_lost_in_the_typed_models(board):
    register_default_plugins()
    typed = Dashboard.from_json(board)
    assert json.loads(JSONEncoder().encode(typed)) == board
    assert all(isinstance(target, Dataquery) for panel in typed.panels for target in getattr(panel, "targets", ()))


def test_the_first_dashboard_has_the_panels_of_the_specification():
    assert {panel["title"] for panel in panels(BOARDS["coding-agent"])} >= OF_SPECIFICATION


@each_board
def test_each_panel_says_what_it_shows_in_which_unit_and_what_no_data_means(board):
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"], panel["title"]


@each_board
def test_panels_have_names_and_places_of_their_own(board):
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in panels(board)]
    places = [place for panel in board["panels"] for place in covered(**panel["gridPos"])]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    assert len(set(places)) == len(places)
    assert all(x < boards.WIDTH for x, _ in places)


def covered(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    return ((column, line) for column in range(x, x + w) for line in range(y, y + h))


@each_board
def test_it_has_the_variables_that_its_queries_name_and_no_other(board):
    asked = " ".join(target["expr"] for panel in panels(board) for target in panel["targets"])
    named = {name for name in re.findall(r"\$(\w+)", asked) if not name.startswith("__")}
    assert {variable["name"] for variable in board["templating"]["list"]} - {"datasource", "site"} == named


@each_board
def test_it_is_linked_with_the_others(board):
    assert (
        [link["tags"] for link in board["links"] if link["type"] == "dashboards"] == [board["tags"]] == [[boards.TAG]]
    )


@each_board
def test_its_links_lead_to_pages_of_the_admin(board, admin_client):
    links = [link["url"] for link in board["links"] if link["type"] == "link"]
    links += [link["url"] for panel in panels(board) for link in panel["fieldConfig"]["defaults"].get("links", ())]
    assert links
    for link in links:
        page = link.removeprefix("${site:raw}").replace("${__data.fields.Type}", "site_check")
        assert admin_client.get(page.replace("${__data.fields.Model}", "gpt-5.5")).status_code == 200, link


def test_grafana_finds_data_source_and_dashboards():
    [source] = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load(next((PROVISIONING / "dashboards").glob("*.yml")).read_text())["providers"]
    [mounted] = [block.code for block in blocks("yaml") if "grafana/grafana" in block.code]
    mounts = dict(volume.split(":")[:2] for volume in yaml.safe_load(mounted)["services"]["grafana"]["volumes"])
    scraped = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert (source["type"], source["isDefault"], source["jsonData"]["timeInterval"]) == ("prometheus", True, scraped)
    assert {ROOT / here: there for here, there in mounts.items()} == {
        PROVISIONING: "/etc/grafana/provisioning",
        FOLDER: provider["options"]["path"],
    }


def as_asked(expr: str, since: float, window: str = "15s") -> str:
    """What Grafana makes of an expression while a dashboard shows everything since then."""
    macros = {"$__rate_interval": window, "$__interval": "1m", "$__range": f"{time.time() - since:.0f}s"}
    macros |= {"$job_type": ".*", "$endpoint": ".*", "$model": ".*", "$job": "django", "$instance": ".+"}
    for macro, value in macros.items():
        expr = expr.replace(macro, value)
    return expr


@dataclass(frozen=True)
class Question:
    """A query of a panel; ``window`` is that of rates: four scrapes or so, or what the panel's least step makes it."""

    expr: str
    instant: bool = False
    window: str = "15s"

    def has_answer(self, server, since: float) -> bool:
        """Whether there is a number, now or, for a panel that shows time, at any moment; NaN is none."""
        query, now = as_asked(self.expr, since, self.window), time.time()
        if self.instant:
            return any(not math.isnan(value) for value in server.query(query))
        answer = server.api("query_range", query=query, start=f"{since}", end=f"{now}", step="5")["result"]
        return any(value != "NaN" for series in answer for _, value in series["values"])


def answers(series, asked):
    """What promtool says of series by the minute, and of queries with their expected samples."""
    path = new_folder("queries") / "test.yml"
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    path.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": asked}]}))
    return output_of("promtool", "test", "rules", path)


@requires("promtool")
def test_a_deploy_is_marked_once_and_a_failed_scrape_is_none():
    of = '{}{{job="django",version="{}",python="3.11.7",django="5.2.19"{}}}'.format
    series = {
        of("app_info", 1, ',instance="a"'): "1x9 stale _ 1x16 stale",
        of("app_info", 2, ',instance="a"'): "_x29 1x30",
        of("app_info", 2, ',instance="b"'): "_x40 1x19",
    }
    marked = {0: 1, 29: 2}  # versions by minutes
    asked = [
        {
            "expr": as_asked(boards.DEPLOYS, time.time()),
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": of("", marked[minute], ""), "value": 1}] if minute in marked else [],
        }
        for minute in range(60)
    ]
    assert "SUCCESS" in answers(series, asked)


# The panels of single numbers, whose metrics count from the first event of a model or reason on.
OF_FIRST = {
    "AI Spend in This Range": ("ai_cost_usd_sum", 12),
    "AI Spend of 24 Hours": ("ai_cost_usd_sum", 12),
    "Tokens in This Range": ("ai_tokens_total", 900),
    "Requests in This Range": ("ai_requests_total", 1),
    "Requests without a Price": ("ai_unpriced_requests_total", 1),
    "Samples Refused": ("observability_dropped_total", 3),
}


@requires("promtool")
@pytest.mark.parametrize("title", OF_FIRST)
def test_what_came_with_the_first_event_of_a_series_is_shown(title):
    name, first = OF_FIRST[title]
    [expr] = {
        panel["targets"][0]["expr"] for board in BOARDS.values() for panel in panels(board) if panel["title"] == title
    }
    labels = '{job="django",instance="a",model="new"}'
    series = {f"{name}{labels}": f"_x10 {first}x50", f"up{labels}": "1x60", f"app_info{labels}": "1x60"}
    asked = [
        {"expr": as_asked(expr, time.time() - 3600), "eval_time": at, "exp_samples": [{"labels": "{}", "value": value}]}
        for at, value in {"10m": 0, "15m": first, "60m": first}.items()
    ]
    assert "SUCCESS" in answers(series, asked)


WINDOWS = {"1m": "61s", "5m": "301s"}


def questions() -> dict[Question, str]:
    """Every query of every panel, with its name; one that is on two dashboards is the same."""
    return {
        Question(target["expr"], target["instant"], WINDOWS.get(panel.get("interval"), Question.window)): (
            f"{panel['title']} {target['refId']}"
        )
        for board in BOARDS.values()
        for panel in panels(board)
        for target in panel["targets"]
    }


def choices(server, since: float) -> dict[str, list[str]]:
    """What the dashboards' variables offer."""
    found = {}
    for board in BOARDS.values():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
                found[label] = server.api(f"label/{label}/values", **{"match[]": as_asked(series, since)})
    return found


@requires("prometheus")
@pytest.mark.timeout(MINUTES * 60 + 90)
def test_every_panel_has_data_before_make_run_has_run_for_three_minutes(new_checkout, prometheus):  # noqa: F811
    since = time.time()
    with started(new_checkout) as site, prometheus(CONFIG.format(target=urlsplit(site.url).netloc)) as server:
        asked = questions()
        while asked and time.time() < since + MINUTES * 60:
            time.sleep(2)
            asked = {question: name for question, name in asked.items() if not question.has_answer(server, since)}
        assert asked == {}
        offered = choices(server, since)
        assert offered["job"] == ["django"]
        assert offered["job_type"] == ["notion_vercel", "site_check"]
        assert all(offered[name] for name in ("instance", "endpoint", "model"))
        assert Question(boards.DEPLOYS).has_answer(server, since)
        site.press_ctrl_c()
        site.exit_code()
