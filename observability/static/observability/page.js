// Brings a page of numbers to life: charts, sorted tables, new numbers every few seconds.

import { Chart } from "./chart.js";
import { clocks } from "./format.js";
import { put } from "./fragments.js";
import { Live } from "./live.js";
import { prepare } from "./sorting.js";

const page = document.querySelector(".observability .page");
const zone = page.dataset.zone;
const charts = new Map();
for (const figure of page.querySelectorAll("[data-chart]")) {
    charts.set(figure.dataset.chart, new Chart(figure, zone, clocks(zone)));
}

function show(data) {
    for (const chart of data.charts) charts.get(chart.id)?.update(chart);
    for (const [name, html] of Object.entries(data.fragments)) put(page, name, html);
}

prepare(page);
const live = page.dataset.source ? new Live(page, show) : null;
const still = document.getElementById("page-data"); // of a page that is read once
if (still) show(JSON.parse(still.textContent));

// The filter answers while somebody types, and the address keeps what it was told.
const form = page.querySelector("form.filter");
function look(changes) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
    history.replaceState(null, "", `?${query}`);
    live.read();
}
const filter = () => look({ q: form.elements.q.value, rows: "" });
let typing = null;
form?.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(filter, 250);
});
form?.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
});
if (form && form.elements.q.value !== form.elements.q.defaultValue) filter(); // typed before this script was there
page.addEventListener("click", (event) => {
    const link = event.target.closest(".more a");
    if (!link) return;
    event.preventDefault();
    link.blur();
    look({ rows: new URL(link.href).searchParams.get("rows") });
});

// The canvas does not follow the style sheet by itself.
const redraw = () => charts.forEach((chart) => chart.redraw());
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
