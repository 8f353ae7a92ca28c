"""What all dashboards have in common: variables, annotations, links, and how panels are laid out."""

from collections.abc import Mapping, Sequence
from copy import deepcopy

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    TextBoxVariable,
)
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.dashboard import GridPos, Panel, VariableOption, VariableRefresh, VariableSort
from grafana_foundation_sdk.models.prometheus import Dataquery

from grafana.panels import DATASOURCE
from grafana.queries import INSTANCES, VARIABLES

TAG = "django-automation-observability"  # by which the dashboards find each other
WIDTH = 24  # of Grafana's grid
HEIGHTS = {"stat": 4, "timeseries": 8, "table": 8, "heatmap": 8}
SITE = "http://localhost:8000"
ALL = VariableOption(selected=True, text=["All"], value=["$__all"])

Lines = Sequence[Sequence[Panel]]

# A version that was not there before; ten minutes, so that a scrape that failed is no deploy.
_VERSION = "max by (job, version, python, django)"
DEPLOYS = f"""\
{_VERSION} (app_info{{{INSTANCES}}})
unless
{_VERSION} (max_over_time(app_info{{{INSTANCES}}}[10m] offset $__interval))"""
FIRING = 'max by (job, alertname, severity) (ALERTS{alertstate="firing", job=~"$job"})'


def board(
    uid: str,
    title: str,
    description: str,
    *,
    admin: Mapping[str, str],
    lines: Mapping[str, Lines],
    since: str = "now-1h",
) -> model.Dashboard:
    """A dashboard whose ``lines`` of panels have a heading each.

    ``admin`` are pages of the site's admin by name. The variables are those that the queries name.
    """
    made = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .refresh("30s")
        .time(since, "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .variables([_datasource(), *_instances(), *_labels(lines), _site()])
        .annotations([_annotation("Deploys", DEPLOYS, "blue"), _annotation("Alerts", FIRING, "red")])
        .links([_others(), *(_page(*each) for each in admin.items())])
        .build()
    )
    made.panels = _laid_out(lines)
    for number, panel in enumerate(made.panels, 1):
        panel.id_val = number
    return made


def _laid_out(lines: Mapping[str, Lines]) -> list[Panel | model.RowPanel]:
    """Each line as wide as the dashboard, its panels of the same width."""
    placed: list[Panel | model.RowPanel] = []
    y = 0
    for heading, below in lines.items():
        placed.append(Row(heading).grid_pos(GridPos(h=1, w=WIDTH, x=0, y=y)).build())
        y += 1
        for line in below:
            width, height = WIDTH // len(line), max(HEIGHTS[panel.type_val] for panel in line)
            for position, panel in enumerate(line):
                copy = deepcopy(panel)  # it may be on another dashboard, too
                copy.grid_pos = GridPos(h=height, w=width, x=position * width, y=y)
                placed.append(copy)
            y += height
    return placed


def _datasource() -> DatasourceVariable:
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def _instances() -> list[QueryVariable]:
    """Which deployments and which of their instances; the first has no pattern for all, since `up` is everybody's."""
    return [
        _choice("job", "label_values(app_info, job)").label("Job"),
        _choice("instance", 'label_values(app_info{job=~"$job"}, instance)').label("Instance").all_value(".+"),
    ]


def _labels(lines: Mapping[str, Lines]) -> list[QueryVariable]:
    panels = [panel for below in lines.values() for line in below for panel in line]
    asked = [query.expr for panel in panels for query in panel.targets or () if isinstance(query, Dataquery)]
    return [
        _choice(label, f"label_values({name}{{{INSTANCES}}}, {label})")
        .label(label.replace("_", " ").capitalize())
        .all_value(".*")
        for label, name in VARIABLES.items()
        if any(f'"${label}"' in expr for expr in asked)
    ]


def _choice(name: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(ALL)
    )


def _site() -> TextBoxVariable:
    return (
        TextBoxVariable("site")
        .label("Site")
        .description("Where the site is, for links to its admin.")
        .default_value(SITE)
        .current(VariableOption(selected=True, text=SITE, value=SITE))
    )


def _annotation(name: str, expr: str, color: str) -> AnnotationQuery:
    return AnnotationQuery().name(name).datasource(DATASOURCE).expr(expr).icon_color(color).enable(True)


def _others() -> DashboardLink:
    others = DashboardLink("Dashboards").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return others.as_dropdown(False).include_vars(True).keep_time(True)


def _page(title: str, path: str) -> DashboardLink:
    link = DashboardLink(title).type(model.DashboardLinkType.LINK).url(f"${{site:raw}}{path}")
    return link.icon("external link").tooltip("In the admin of the site").target_blank(True)
