"""Random recordings: what several processes declare and record, to be made by prometheus_client's own classes."""

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

from hypothesis import strategies as st
from prometheus_client import Counter, Gauge, Histogram, Summary, values

KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram, "summary": Summary}
MODES = sorted(Gauge._MULTIPROC_MODES)
BUCKETS = [(0.1, 1, 10), (0.25, 1, 2.5), (0, 1, 1e6), (1e-9, 1e21)]
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
AWKWARD = st.text(st.sampled_from('"\\\n\r\t ,={}#é☃\U0001f600\0a'), max_size=8)
TEXTS = ANY_TEXT | AWKWARD
NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True) | ANY_TEXT.filter(bool)
LABELS = st.lists(st.sampled_from(["method", "a", "B", "status_code", "été", "with space"]), unique=True, max_size=3)
AMOUNTS = st.floats(min_value=0, allow_nan=False) | st.sampled_from([0.1, 1.0, 3.0, 1e22, 5e-324])
NUMBERS = st.floats().map((0.0).__add__) | AMOUNTS  # 0.0 for -0.0, which is no change of it for us


@dataclass(frozen=True)
class Declaration:
    """A metric as one process declares it."""

    kind: str
    name: str
    help: str
    labels: tuple[str, ...]
    mode: str
    buckets: tuple[float, ...]

    def make(self):
        options = {
            "gauge": {"multiprocess_mode": self.mode},
            "histogram": {"buckets": self.buckets},
        }
        return KINDS[self.kind](self.name, self.help, self.labels, registry=None, **options.get(self.kind, {}))


@dataclass(frozen=True)
class Recording:
    """One value recorded in one series."""

    declaration: Declaration
    labels: tuple[str, ...]
    value: float


@dataclass
class Metrics:
    """The metrics of one process, made as they are first recorded."""

    made: dict[Declaration, object] = field(default_factory=dict)

    def record(self, recording):
        if recording.declaration not in self.made:
            self.made[recording.declaration] = recording.declaration.make()
        metric = self.made[recording.declaration]
        child = metric.labels(*recording.labels) if recording.labels else metric
        record = {"counter": "inc", "gauge": "set"}.get(recording.declaration.kind, "observe")
        getattr(child, record)(recording.value)

    def samples(self):
        """Every sample by its name and labels, without creation times."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for metric in self.made.values()
            for family in metric.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }


@contextmanager
def values_kept(in_class, folder=""):
    """Have prometheus_client keep the values of the metrics made in a block in this class, and its files there."""
    variable = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with mock.patch.object(values, "ValueClass", in_class), mock.patch.dict(os.environ, variable):
        yield


class Process:
    """A process, of which prometheus_client believes that it has this identifier, and its files in a folder."""

    def __init__(self, folder, identifier):
        self.folder = folder
        self.value_class = values.MultiProcessValue(lambda: identifier)
        self.metrics = Metrics()

    def record(self, recording):
        with values_kept(self.value_class, self.folder):
            self.metrics.record(recording)

    def close(self):
        self.value_class.close_all_files()


@st.composite
def declarations(draw, names=NAMES):
    """Metrics of different names, as a first and as a second version of a program declare them."""
    drawn = draw(st.lists(names.map(stem).filter(bool), unique=True, min_size=1, max_size=4))
    return [draw(versions(name)) for name in drawn]


def stem(name):
    """The name without the endings that prometheus_client adds or refuses."""
    while name.endswith(("_total", "_created", "_info")):
        name = name.rpartition("_")[0]
    return name


@st.composite
def versions(draw, name):
    kind, mode, labels = draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from(MODES)), draw(LABELS)
    return [Declaration(kind, name, draw(TEXTS), tuple(labels), mode, draw(st.sampled_from(BUCKETS))) for _ in range(2)]


@st.composite
def recordings(draw, of):
    """A value for a series of one of these declarations."""
    declaration = draw(st.sampled_from(of))
    labels = [draw(TEXTS | st.sampled_from(["GET", "POST"])) for _ in declaration.labels]
    value = draw(AMOUNTS if declaration.kind == "counter" else NUMBERS)
    return Recording(declaration, tuple(labels), value)
