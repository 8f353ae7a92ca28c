"""The kinds of panels: one helper each. A query comes with its legend, in which ``{{label}}`` is that label's value."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import heatmap as heatmap_options
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, RED, ORANGE, YELLOW, BLUE, PURPLE, GRAY = "green", "red", "orange", "yellow", "blue", "purple", "text"

# Outcomes have the same colour everywhere: by what legends say.
COLORS = {
    "success|2..": GREEN,
    "failed|error|5..": RED,
    "timeout": ORANGE,
    "rate_limited|4..": YELLOW,
    "budget_exceeded": PURPLE,
    "cancelled": GRAY,
    "3..": BLUE,
}

REQUESTS, PER_MINUTE, SHARE, SECONDS = "reqps", "suffix: / min", "percentunit", "s"
NUMBER, BYTES, USD = "short", "decbytes", "currencyUSD"

Query = tuple[str, str]
Shown = TypeVar("Shown", timeseries.Panel, stat.Panel, table.Panel, heatmap.Panel)


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    empty: str = "Nothing yet",
    limit: float | None = None,
    stacked: bool = False,
    step: str = "",
    exemplars: bool = False,
) -> Panel:
    """Lines over time; ``limit`` is where an alert would fire, ``step`` the least time between two points."""
    panel = (
        _shown(timeseries.Panel(), title, description, unit, empty)
        .min(0)
        .fill_opacity(60 if stacked else 8)
        .line_width(1 if stacked else 2)
        .show_points(options.VisibilityMode.AUTO)
        .span_nulls(False)
        .stacking(common.StackingConfig().mode(options.StackingMode.NORMAL if stacked else options.StackingMode.NONE))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if limit is not None:
        dashed = common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_thresholds({0: "transparent", limit: RED})).thresholds_style(dashed)
    if step:
        panel.interval(step)
    for pattern, color in COLORS.items():
        if any(legend == "{{status}}" or re.fullmatch(pattern, legend) for _, legend in queries):
            panel.override_by_regexp(f"/^({pattern})$/", [_fixed(color)])
    return _asking(panel, [_query(*query).exemplar(exemplars) for query in queries])


def number(
    title: str,
    description: str,
    unit: str,
    query: str,
    legend: str = "",
    *,
    empty: str = "None",
    steps: Mapping[float, str] | None = None,
    words: Mapping[str, str] | None = None,
    decimals: int | None = None,
) -> Panel:
    """One number, coloured from each of ``steps`` on; ``words`` stand for some values."""
    panel = (
        _shown(stat.Panel(), title, description, unit, empty)
        .graph_mode(options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.VALUE)
        .thresholds(_thresholds(steps or {0: GRAY}))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    if words:
        panel.mappings([ValueMap(options={value: ValueMappingResult(text=text) for value, text in words.items()})])
    if decimals is not None:
        panel.decimals(decimals)
    return _asking(panel, [_query(query, legend).instant()])


def rows(
    title: str,
    description: str,
    columns: Mapping[str, tuple[str, str]],
    *,
    empty: str = "Nothing yet",
    hidden: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
    link: tuple[str, str] | None = None,
) -> Panel:
    """A table with a row for each set of labels; ``columns`` gives each heading its unit and its query.

    Labels are columns, too: some are ``hidden``, some have a better name. ``link`` is what a row leads to.
    """
    panel = _shown(table.Panel(), title, description, NUMBER, empty).filterable(True)
    queries = [_query(query, "").instant().format(PromQueryFormat.TABLE) for _, query in columns.values()]
    values = {f"Value #{_letter(position)}": heading for position, heading in enumerate(columns)}
    for heading, (unit, _) in columns.items():
        panel.override_by_name(heading, [DynamicConfigValue("unit", unit)])
    if link:
        panel.data_links([dashboard.DashboardLink(link[0]).url(link[1]).target_blank(True)])
    if len(columns) > 1:
        panel.with_transformation(DataTransformerConfig("merge", options={}))
    else:
        values = {"Value": next(iter(columns))}
    organized = {
        "excludeByName": dict.fromkeys(["Time", *hidden], True),
        "renameByName": {**values, **(renamed or {})},
    }
    panel.with_transformation(DataTransformerConfig("organize", options=organized))
    return _asking(panel, queries)


def distribution(title: str, description: str, unit: str, query: str, *, empty: str = "Nothing yet") -> Panel:
    """How observations spread over the buckets of a histogram, over time; the query keeps ``le``."""
    panel = (
        _shown(heatmap.Panel(), title, description, unit, empty)
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_options.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .steps(64)
            .exponent(0.5)
            .fill("dark-blue")
        )
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .scale_distribution(common.ScaleDistributionConfig().type(options.ScaleDistribution.LINEAR))
        .cell_gap(1)
    )
    return _asking(panel, [_query(query, "{{le}}").format(PromQueryFormat.HEATMAP)])


def _shown(panel: Shown, title: str, description: str, unit: str, empty: str) -> Shown:
    return panel.title(title).description(description).unit(unit).no_value(empty).datasource(DATASOURCE)


def _asking(panel: Builder[Panel], queries: Sequence[prometheus.Dataquery]) -> Panel:
    built = panel.build()
    built.targets = [_named(query.build(), position) for position, query in enumerate(queries)]
    return built


def _named(query: Dataquery, position: int) -> Dataquery:
    query.ref_id = _letter(position)
    return query


def _letter(position: int) -> str:
    return "ABCDEFGHIJ"[position]


def _query(expr: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).datasource(DATASOURCE).range()


def _thresholds(steps: Mapping[float, str]) -> dashboard.ThresholdsConfig:
    """Each colour from its number on, the first from the beginning."""
    bounds = [
        Threshold(value=start if place else None, color=color) for place, (start, color) in enumerate(steps.items())
    ]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(bounds)


def _fixed(color: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})
