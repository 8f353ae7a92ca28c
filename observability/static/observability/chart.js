// One chart: drawn by uPlot, read with a pointer or with the keyboard, hidden line by line.

import { tick, write } from "./format.js";

const HEIGHT = 180;
const GUTTER = 54; // of all charts, so that the same times stand below each other
const DAY = 86400;
const DASHES = { solid: [], dashed: [7, 4], dotted: [2, 3] };
const ABOVE = { count: 1, rate: 0.1, percent: 0.01, seconds: 0.01, usd: 0.01 }; // the least that an axis shows

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const text = () => colour("--body-quiet-color");

export class Chart {
    constructor(figure, zone, clocks) {
        Object.assign(this, { figure, zone, clocks, hidden: new Set(), plot: null, at: null });
        this.box = figure.querySelector(".plot");
        this.note = this.box.querySelector("p");
        this.tip = this.box.appendChild(document.createElement("div"));
        this.tip.className = "tip";
        this.tip.hidden = true;
        if (!this.box.classList.contains("empty")) this.note.textContent = "Loading…";
        this.makeSlider();
        new ResizeObserver(() => this.resize()).observe(this.box);
    }

    // Lines come and go while the page is open: with a budget, or with a source that is away for long.
    setLines(lines) {
        const labels = lines.map((line) => line.label).join("\n");
        if (labels === this.labels) return;
        this.labels = labels;
        this.hidden.clear();
        this.clear();
        const items = lines.map((line, index) => this.makeItem(line, index));
        this.legend = items.map((item) => item.querySelector("b"));
        this.figure.querySelector(".legend").replaceChildren(...items);
        const heads = this.figure.querySelector("thead tr");
        heads.replaceChildren(heads.cells[0], ...lines.map((line) => this.makeHead(line)));
    }

    makeItem(line, index) {
        const item = document.createElement("li");
        const button = item.appendChild(document.createElement("button"));
        button.type = "button";
        const key = this.figure.querySelector(".legend svg").cloneNode(true);
        key.setAttribute("class", `key colour-${line.role} ${line.dash} ${this.data.kind}`);
        button.append(key, ` ${line.label} `, document.createElement("b"));
        button.setAttribute("aria-pressed", "true");
        button.addEventListener("click", () => {
            const isHidden = this.hidden.has(index);
            this.hidden[isHidden ? "delete" : "add"](index);
            button.setAttribute("aria-pressed", String(isHidden));
            this.plot?.setData(this.arrays());
        });
        return item;
    }

    makeHead(line) {
        const head = document.createElement("th");
        head.scope = "col";
        head.className = "number";
        head.textContent = line.label;
        return head;
    }

    makeSlider() {
        const attributes = { tabindex: 0, role: "slider", "aria-readonly": true, "aria-valuemin": 0, "aria-valuenow": 0 };
        for (const [name, value] of Object.entries(attributes)) this.box.setAttribute(name, value);
        this.box.setAttribute("aria-labelledby", this.figure.querySelector("h3").id);
        this.box.addEventListener("keydown", (event) => this.press(event));
        this.box.addEventListener("blur", () => this.leave());
    }

    update(data) {
        this.data = data;
        this.setLines(data.lines);
        this.figure.querySelector(".summary").textContent = data.summary;
        this.figure.querySelector("details").hidden = data.empty;
        this.box.classList.toggle("empty", data.empty);
        this.note.textContent = data.empty ? "No samples in this range." : "";
        this.fillTable();
        if (data.empty) this.clear();
        else if (this.plot) this.plot.setData(this.arrays());
        else this.draw();
        this.box.setAttribute("aria-valuemax", Math.max(data.times.length - 1, 0));
        this.say(this.at);
    }

    clear() {
        this.plot?.destroy();
        this.plot = null;
        this.tip.hidden = true;
    }

    // Bars stand upon each other: what is drawn first is the sum of all of them.
    arrays() {
        const { times, lines, kind, bar } = this.data;
        const shown = lines.map((line, index) => (this.hidden.has(index) ? line.values.map(() => null) : line.values));
        if (kind === "lines") return [times, ...shown];
        const sums = shown.map((_, index) =>
            times.map((_, at) => {
                const below = shown.slice(0, index + 1).map((values) => values[at]);
                return below.every((value) => value === null) ? null : below.reduce((sum, value) => sum + (value ?? 0), 0);
            }),
        );
        return [times.map((time) => time + bar / 2), ...sums.reverse()]; // in the middle, as the words below them
    }

    series() {
        const lines = this.data.lines.map((line) => {
            const stroke = () => colour(`--observability-${line.role}`);
            if (this.data.kind === "bars") {
                return { stroke, fill: stroke, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 60] }) };
            }
            const fill = line.fill ? () => colour(`--observability-${line.role}-ground`) : undefined;
            return { stroke, fill, width: 1.5, dash: DASHES[line.dash], points: { show: this.isLonely(line), size: 4 } };
        });
        return [{}, ...(this.data.kind === "bars" ? lines.reverse() : lines)];
    }

    // A value without neighbours would not be seen as a line.
    isLonely(line) {
        return () => line.values.filter((value) => value !== null).length < 2;
    }

    draw() {
        const axis = { stroke: text, font: "12px Roboto, system-ui, sans-serif", ticks: { show: false } };
        const options = {
            width: this.box.clientWidth,
            height: HEIGHT,
            padding: [8, 20, 0, 0],
            legend: { show: false },
            tzDate: (moment) => uPlot.tzDate(new Date(moment * 1000), this.zone),
            cursor: {
                sync: { key: "observability", scales: ["x", null] },
                drag: { x: false, y: false, setScale: false },
                y: false,
                points: { show: this.data.kind === "lines", size: 6 },
            },
            scales: {
                x: { range: () => [this.data.start, this.data.end] },
                y: { range: (_, __, high) => [0, this.top(high)] },
            },
            series: this.series(),
            axes: [
                { ...axis, size: 26, grid: { show: false }, space: 56, splits: this.data.bar >= DAY ? (plot) => this.days(plot) : undefined, values: (_, moments) => moments.map((m) => this.moment(m)) },
                {
                    ...axis,
                    size: GUTTER,
                    grid: { stroke: () => colour("--hairline-color"), width: 1 },
                    space: 40,
                    incrs: this.data.format === "count" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 5e4, 1e5, 1e6] : undefined,
                    values: (_, numbers) => numbers.map((number) => tick(this.data.format, number)),
                },
            ],
            hooks: { setCursor: [(plot) => this.move(plot)] },
        };
        this.plot = new uPlot(options, this.arrays(), this.box);
    }

    // Below the middle of a day's bar; of many days the last, and as many before it as there is room for.
    days(plot) {
        const { times, bar } = this.data;
        const every = Math.ceil((times.length * 64) / plot.width);
        return times.filter((_, at) => (times.length - 1 - at) % every === 0).map((time) => time + bar / 2);
    }

    top(high) {
        return Math.max((high ?? 0) * 1.08, ABOVE[this.data.format]);
    }

    moment(moment) {
        const { start, end, bar } = this.data;
        if (bar >= DAY) return this.clocks.day(moment);
        if (end - start < DAY) return this.clocks.time(moment);
        const time = this.clocks.time(moment);
        return time === "00:00" ? this.clocks.day(moment) : time;
    }

    resize() {
        const width = this.box.clientWidth;
        if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
    }

    redraw() {
        this.plot?.redraw(false, true);
    }

    move(plot) {
        const { idx, left } = plot.cursor;
        this.at = idx ?? null;
        if (left < 0) this.at = null;
        this.say(this.at);
        this.showTip(plot);
    }

    // The values at a time, or the newest, in the legend and for a screen reader.
    say(at) {
        const { lines, format, shown, times } = this.data;
        const values = lines.map((line, index) => (at === null ? shown[index] : write(format, line.values[at])));
        this.legend.forEach((place, index) => (place.textContent = values[index]));
        const now = at ?? times.length - 1;
        this.box.setAttribute("aria-valuenow", Math.max(now, 0));
        const words = lines.map((line) => `${line.label} ${write(format, line.values[now])}`).join(", ");
        this.box.setAttribute("aria-valuetext", times.length ? `${this.label(times[now])}: ${words}` : "no samples");
    }

    showTip(plot) {
        const isHere = this.box.matches(":hover") || document.activeElement === this.box;
        this.tip.hidden = this.at === null || !isHere;
        if (this.tip.hidden) return;
        const title = document.createElement("strong");
        title.textContent = this.label(this.data.times[this.at]);
        const rows = this.data.lines.map((line, index) => {
            const row = document.createElement("span");
            const key = this.figure.querySelectorAll(".legend svg")[index].cloneNode(true);
            const value = document.createElement("b");
            value.textContent = write(this.data.format, line.values[this.at]);
            row.append(key, ` ${line.label} `, value);
            return row;
        });
        this.tip.replaceChildren(title, ...rows);
        const before = plot.cursor.left + GUTTER;
        const isLate = before > this.box.clientWidth / 2;
        this.tip.style.left = `${isLate ? before - this.tip.offsetWidth - 10 : before + 10}px`;
    }

    label(moment) {
        if (this.data.bar >= DAY) return this.clocks.day(moment);
        return this.data.end - this.data.start < DAY ? this.clocks.time(moment) : `${this.clocks.day(moment)}, ${this.clocks.time(moment)}`;
    }

    leave() {
        if (this.plot && !this.box.matches(":hover")) this.plot.setCursor({ left: -10, top: -10 }, true, true);
    }

    press(event) {
        const last = (this.data?.times.length ?? 0) - 1;
        if (!this.plot || last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
        const page = Math.max(1, Math.round(last / 12));
        const now = this.at ?? last;
        const to = {
            ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1,
            PageDown: now - page, PageUp: now + page, Home: 0, End: last, Escape: null,
        }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        if (to === null) this.plot.setCursor({ left: -10, top: -10 }, true, true);
        else this.point(Math.min(Math.max(to, 0), last));
    }

    point(at) {
        const { times, bar, kind } = this.data;
        const moment = times[at] + (kind === "bars" ? bar / 2 : 0);
        this.plot.setCursor({ left: this.plot.valToPos(moment, "x"), top: 10 }, true, true);
    }

    fillTable() {
        const body = this.figure.querySelector("tbody");
        const rows = this.data.rows.map((row) => {
            const line = document.createElement("tr");
            row.forEach((value, index) => {
                const cell = line.insertCell();
                cell.textContent = value;
                if (index) cell.className = "number";
            });
            return line;
        });
        body.replaceChildren(...rows);
    }
}
