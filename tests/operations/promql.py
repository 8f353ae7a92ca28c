"""What is wrong with a PromQL expression by the registry of metrics: names, types, labels, and what is added up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import promql_parser as promql

from observability import metrics

# Grafana's macros, then its variables.
REPLACED = {r"\$__(rate_interval|interval|range)": "5m", r"\$\{?\w+\}?": ".*"}
TARGET = {"job", "instance"}
OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}
WIDE = {metric._name for metric in (*metrics.SETTABLE, *metrics.READ)}  # the same number on every instance
OF_COUNTERS = {"rate", "irate", "increase"}
OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear"}
TOKENS = {"input", "output"}  # of which the other types are parts
KEEPING = {"topk", "bottomk", "limitk"}  # aggregations that return the series they choose
ADDING = {"sum", "avg", "count"}


@dataclass(frozen=True)
class Shape:
    """What a part of an expression gives: its labels (None: it is a scalar or a string) and what its numbers are."""

    labels: frozenset[str] | None = None
    kind: str = "computed"  # or "counter", "gauge"; of a recording rule: "recorded"
    buckets: bool = False
    wide: bool = False  # one series an instance of what is the same on each
    mixed: bool = False  # series of a whole and of its parts

    def having(self, labels: set[str] | frozenset[str], **changes) -> "Shape":
        here = {"wide": self.wide and "instance" in labels, "mixed": self.mixed and "type" in labels}
        return replace(self, labels=frozenset(labels), **here | changes)


NUMBER = Shape()


def samples():
    """The metric of each sample's name that the registry can produce."""
    for metric in metrics.declared():
        for suffix in ("_bucket", "_sum", "_count") if metric._type == "histogram" else ("",):
            yield f"{metrics.name_of(metric)}{suffix}", metric


METRICS = dict(samples())


def declared(name: str) -> Shape | None:
    """What a sample's name gives, by the registry; None: nobody knows it."""
    if name in OF_PROMETHEUS:
        return Shape(frozenset(OF_PROMETHEUS[name] | TARGET), "gauge")
    if (metric := METRICS.get(name)) is None:
        return None
    buckets = name.endswith("_bucket")
    labels = frozenset({*metric._labelnames, *TARGET, *(["le"] if buckets else [])})
    return Shape(labels, "gauge" if metric._type == "gauge" else "counter", buckets, wide=name in WIDE)


def closed(name: str) -> dict[str, set[str]]:
    """The labels of a sample whose values are all known, with these."""
    metric = METRICS.get(name)
    known = {label: set(metrics._known(metric, label)) for label in metric._labelnames} if metric else {}
    return {label: known[label] for label in ("status", "type") if known.get(label)}


def chosen_of(known: set[str], label: str, matchers: list[promql.Matcher]) -> set[str]:
    """The values of a label that all matchers let through."""
    return {value for value in known if all(fits(matcher, value) for matcher in matchers if matcher.name == label)}


def fits(matcher: promql.Matcher, value: str) -> bool:
    is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    pattern = matcher.value if is_pattern else re.escape(matcher.value)
    wanted = matcher.op in (promql.MatchOp.Re, promql.MatchOp.Equal)  # these cannot be hashed
    return bool(re.fullmatch(pattern, value)) == wanted


def parse(expression: str) -> promql.Expr:
    for pattern, stand_in in REPLACED.items():
        expression = re.sub(pattern, stand_in, expression)
    return promql.parse(expression)


@dataclass
class Reading:
    """One look at an expression: ``wrong`` is what it found, ``metrics`` the names that were used."""

    recorded: Mapping[str, str] = field(default_factory=dict)  # the expressions of recording rules by name
    wrong: list[str] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)

    def of(self, expression: str) -> frozenset[str]:
        """Read an expression and return the labels of its result."""
        shape = self.shape(parse(expression))
        if shape.wide:
            self.wrong.append("the same number comes once an instance: take max")
        return shape.labels or frozenset()

    def shape(self, node: promql.Expr) -> Shape:
        match node:
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                return self.shape(node.expr)
            case promql.MatrixSelector():
                return self.shape(node.vector_selector)
            case promql.VectorSelector():
                return self.selector(node)
            case promql.Call():
                return self.call(node)
            case promql.AggregateExpr():
                return self.aggregation(node)
            case promql.BinaryExpr():
                return self.operation(node)
            case _:
                return NUMBER

    def selector(self, node: promql.VectorSelector) -> Shape:
        shape, matchers = self.named(node.name), node.matchers.matchers
        self.expect({matcher.name for matcher in matchers}, shape, node.name)
        chosen = {label: chosen_of(known, label, matchers) for label, known in closed(node.name).items()}
        for label in chosen.keys() & {matcher.name for matcher in matchers}:
            if not chosen[label]:
                self.wrong.append(f"{node.name} has no such {label}")
        whole = chosen.get("type", set()) & TOKENS
        return replace(shape, mixed=bool(whole) and whole != chosen["type"])

    def named(self, name: str) -> Shape:
        if name in self.recorded:
            return replace(Reading(self.recorded).shape(parse(self.recorded[name])), kind="recorded")
        if (shape := declared(name)) is None:
            self.wrong.append(f"there is no metric {name}")
            return Shape(frozenset(), "recorded")
        self.metrics.add(metrics.name_of(METRICS[name]) if name in METRICS else name)
        return shape

    def call(self, node: promql.Call) -> Shape:
        name, arguments = node.func.name, [self.shape(argument) for argument in node.args]
        first = next((shape for shape in arguments if shape.labels is not None), NUMBER)
        if name in OF_COUNTERS and first.kind not in {"counter", "recorded"}:
            self.wrong.append(f"{name} of a {first.kind}")
        if name in OF_GAUGES and first.kind == "counter":
            self.wrong.append(f"{name} of a counter")
        match name:
            case "histogram_quantile":
                return self.quantile(first)
            case "label_replace":
                _, target, _, source, _ = (getattr(argument, "val", "") for argument in node.args)
                self.expect({source} - {""}, first, name)
                return first.having(first.labels | {target})
            case "scalar" | "time":
                return NUMBER
            case "absent":
                return Shape(frozenset())
        return first if first is NUMBER else first.having(first.labels, kind="computed")

    def quantile(self, of: Shape) -> Shape:
        if not of.buckets or of.kind != "computed":
            self.wrong.append("a quantile of what is not the rate of buckets")
        self.expect({"le"}, of, "histogram_quantile")
        return of.having(of.labels - {"le"}, buckets=False)

    def aggregation(self, node: promql.AggregateExpr) -> Shape:
        shape, how = self.shape(node.expr), node.modifier
        named = set(how.labels) if how else set()
        self.expect(named, shape, f"{node.op} over")
        if how is None:
            left = shape.labels if str(node.op) in KEEPING else frozenset()
        else:
            left = named & shape.labels if how.type == promql.AggModifierType.By else shape.labels - named
        if shape.wide and str(node.op) in ADDING:
            self.wrong.append(f"{node.op} of the same number of each instance: take max")
        if shape.mixed and str(node.op) in ADDING and "type" not in left:
            self.wrong.append("tokens are added to what they are a part of")
        return shape.having(left)

    def operation(self, node: promql.BinaryExpr) -> Shape:
        left, right = self.shape(node.lhs), self.shape(node.rhs)
        if left.labels is None or right.labels is None:
            return right if left.labels is None else left
        if str(node.op) == "or":
            return left.having(left.labels | right.labels, wide=left.wide or right.wide)
        return self.matched(node, left, right)

    def matched(self, node: promql.BinaryExpr, left: Shape, right: Shape) -> Shape:
        """Two vectors, whose series find each other by labels."""
        how, kept = node.modifier, left.labels
        if how and how.matching:
            named, on = set(how.matching.labels), how.matching.type == promql.LabelModifierType.Include
            known = left.labels & right.labels if on else left.labels | right.labels
            self.expect(named, left.having(known), f"{node.op} on")
            kept = left.labels & named if on else left.labels - named
        elif left.labels != right.labels:
            self.wrong.append(f"nothing matches: {sorted(left.labels)} {node.op} {sorted(right.labels)}")
        if how and how.card == promql.VectorMatchCardinality.ManyToOne:
            self.expect(set(how.group_labels or ()), right, "group_left")
            kept = left.labels | set(how.group_labels or ())
        return left.having(left.labels if str(node.op) in {"and", "unless"} else kept, wide=left.wide or right.wide)

    def expect(self, labels: set[str], shape: Shape, where: str) -> None:
        for label in sorted(labels - (shape.labels or frozenset())):
            self.wrong.append(f"{where}: there is no label {label}")
