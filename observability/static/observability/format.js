// Numbers for people, as observability/pages/formats.py writes them.

export const NONE = "–";

const count = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const decimals = (number) => new Intl.NumberFormat("en-US", { minimumFractionDigits: number, maximumFractionDigits: number });
const [tenths, hundredths] = [decimals(1), decimals(2)];
const two = (number) => String(number).padStart(2, "0");

export function seconds(value) {
    if (value < 0.9995) return `${(value * 1000).toFixed(0)} ms`;
    if (value < 59.95) return `${value.toFixed(value < 9.995 ? 2 : 1)} s`;
    if (value < 3599.5) return `${Math.floor(Math.round(value) / 60)} min ${two(Math.round(value) % 60)} s`;
    const minutes = Math.round(value / 60);
    return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

export const age = (value) => (value < 59.5 ? `${Math.max(value, 0).toFixed(0)} s` : seconds(value));

const WRITE = {
    count: (value) => count.format(value),
    rate: (value) => `${(value < 9.995 ? hundredths : tenths).format(value)}/s`,
    percent: (value) => `${(value * 100).toFixed(value < 0.09995 ? 2 : 1)} %`,
    seconds,
    usd: (value) => (value > 0 && value < 0.005 ? "<$0.01" : `$${hundredths.format(value)}`),
};

export const write = (format, value) => (value === null || value === undefined ? NONE : WRITE[format](value));

// What stands at an axis: as short as the steps between its numbers allow.
const TICK = {
    count: (value) => count.format(value),
    rate: (value) => `${+value.toPrecision(3)}/s`,
    percent: (value) => `${+(value * 100).toPrecision(3)} %`,
    seconds: (value) => (value === 0 ? "0" : value < 1 ? `${+(value * 1000).toPrecision(3)} ms` : shortly(value)),
    usd: (value) => `$${+value.toPrecision(3)}`,
};

function shortly(value) {
    if (value < 60) return `${+value.toPrecision(3)} s`;
    return value < 3600 ? `${+(value / 60).toPrecision(2)} min` : `${+(value / 3600).toPrecision(2)} h`;
}

export const tick = (format, value) => TICK[format](value);

export function clocks(zone) {
    const make = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    const time = make({ hour: "2-digit", minute: "2-digit" });
    const exact = make({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const day = make({ month: "short", day: "numeric" });
    const at = (clock) => (moment) => clock.format(new Date(moment * 1000));
    return { time: at(time), exact: at(exact), day: at(day) };
}
