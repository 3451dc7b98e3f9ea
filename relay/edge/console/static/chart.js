// Small charts of the last hour: a bar for each minute, in two parts, stacked.

import { drawing, element } from "./dom.js";

const MINUTES = 60;
const HEIGHT = 20;
const GAP = 0.12; // of a minute, between two bars
const LEAST = 0.4; // what is there is seen, however little it is

/**
 * A chart with its title, what it says in a line, and its legend.
 *
 * `parts` are the lower and the upper part of each bar: `{name, tone, of}`, where `of(point)` is a number or null.
 * `shown(number)` is how a number is written. `points` are those of GET /v1/trends.
 */
export function chart({ title, says, parts, shown, points }) {
  const now = points.length ? new Date(points.at(-1).until).getTime() : 0;
  const bars = points.map((point) => ({
    from: MINUTES - (now - new Date(point.until).getTime()) / 60_000 - point.seconds / 60,
    wide: point.seconds / 60,
    values: parts.map((part) => part.of(point)),
  }));
  const highest = Math.max(0, ...bars.map(({ values }) => values.reduce((sum, value) => sum + (value ?? 0), 0)));
  const peak = highest > 0 && `highest ${shown(highest)}`;
  const words = [`${title}, the last hour: ${says}`, peak].filter(Boolean).join("; ");
  return element(
    "figure",
    { class: "chart" },
    element("figcaption", {}, element("h3", {}, title), element("p", {}, says)),
    drawing(
      "svg",
      { role: "img", "aria-label": words, viewBox: `0 0 ${MINUTES} ${HEIGHT}`, preserveAspectRatio: "none" },
      bars.flatMap((bar) => barOf(bar, parts, highest)),
    ),
    element("p", { class: "scale muted" }, element("span", {}, "1 h ago"), element("span", {}, peak), element("span", {}, "now")),
    parts.length > 1 && element("p", { class: "legend muted" }, parts.map(({ name, tone }) => element("span", { class: tone }, element("span", { class: "dot" }), name))),
  );
}

function barOf({ from, wide, values }, parts, highest) {
  let top = HEIGHT;
  return values.map((value, at) => {
    if (!value) return null;
    const height = Math.max(LEAST, (value / highest) * (HEIGHT - LEAST));
    top -= height;
    const x = Math.min(Math.max(0, from), MINUTES - LEAST);
    return drawing("rect", { class: parts[at].tone, x, y: Math.max(0, top), width: Math.max(LEAST, from + wide - x - GAP), height });
  });
}
