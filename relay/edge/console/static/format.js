// Formats values: times in the reader's time zone with the full instant as a title, durations, sizes, counts.

import { element } from "./dom.js";

const NUMBER = made(() => new Intl.NumberFormat("en"));
const FULL = made(() => new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" }));
const DAY = made(() => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" }));
const CLOCK = made(() => new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
}));
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Makes what the first texts would wait for, while the page waits for its data: it takes longer than to ask for them. */
export function prepare() {
  for (const format of [NUMBER, FULL, DAY, CLOCK]) format();
}

export function count(number) {
  return NUMBER().format(number);
}

/** `1 task`, `2 tasks`. */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${SIZES[unit]}`;
}

/** A duration in its two largest units: `640 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 1) return `${Math.round(milliseconds)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  if (seconds < 3600) return pair(seconds, 60, "min", 1, "s");
  if (seconds < 86_400) return pair(seconds, 3600, "h", 60, "min");
  return pair(seconds, 86_400, "d", 3600, "h");
}

/** A point in time as the clock shows it here; of another day with its date. */
export function clock(text) {
  const instant = new Date(text);
  if (Number.isNaN(instant.getTime())) return element("span", {}, String(text ?? "unknown"));
  const time = CLOCK().format(instant);
  const today = instant.toDateString() === new Date().toDateString();
  const shown = today ? time : `${DAY().format(instant)} ${time}`;
  return element("time", { datetime: text, title: `${FULL().format(instant)} · ${text}` }, shown);
}

const AGO = /^([0-9.]+)(ms|s|m|h|d)$/;
const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time, or a duration ago such as `15m`, as a field for a local time takes it; "" for anything else. */
export function localTime(text) {
  const [, number, unit] = AGO.exec(text) ?? [];
  const instant = new Date(unit ? Date.now() - number * UNITS[unit] : text);
  if (Number.isNaN(instant.getTime())) return "";
  return new Date(instant - instant.getTimezoneOffset() * UNITS.m).toISOString().slice(0, "2026-01-31T09:00:00".length);
}

/** How long ago, or in how long. */
export function ago(text, now = Date.now()) {
  const passed = now - new Date(text).getTime();
  return passed >= 0 ? `${duration(passed)} ago` : `in ${duration(-passed)}`;
}

/** A JSON text with its lines broken; anything else as it is. */
export function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function pair(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

/** A value that is made when it is first needed. */
function made(make) {
  let value;
  return () => (value ??= make());
}
