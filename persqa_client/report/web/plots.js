// Lines over the time of a run, from its timeline: each plot with a legend, what is under the pointer, and a table.

const PLOTS = [
  { title: "rate_plot", lines: ["rate"] },
  { title: "requests_plot", lines: ["in_flight", "limit", "running", "waiting"] },
  { title: "retries_plot", lines: ["retries", "refusals"] },
  { title: "latency_plot", lines: ["p50", "p95", "p99"] },
];
const PLOT_WIDTH = 480;
const PLOT_HEIGHT = 150;
const PLOT_LEFT = 56;
const TABLE_ROWS = 20;

// Of all runs that have a timeline; the filters do not matter.
function makePlots(timelines) {
  return source.overview.runs.flatMap((run, number) => {
    const timeline = timelines[number];
    if (!timeline) return [];
    const heading = make("h2", "of over-time");
    heading.append(showText(say("plots_of", run.name)));
    return [heading, ...PLOTS.map((plot) => makePlot(plot, timeline, number)).filter((figure) => figure !== null)];
  });
}

function makePlot({ title, lines }, timeline, run) {
  const shown = lines.filter((name) => timeline[name] !== undefined)
    .map((name) => ({ name, values: timeline[name], kind: `line-${lines.indexOf(name)}` }));
  if (shown.length === 0) return null;
  const figure = makeFigure(title, drawLines(shown, title, timeline));
  figure.classList.add("plot");
  figure.dataset.key = `${title} ${run}`;
  figure.append(makeLegend(shown), makeReadout(figure, shown, timeline));
  if (title === "latency_plot" && timeline.latency) {
    const { answers, p50, p95, p99 } = timeline.latency;
    figure.append(make("p", "facts", say("overall", answers, ...[p50, p95, p99].map(formatFigure))));
  }
  if (title === "retries_plot") figure.append(...["retries", "refusals"].map((name) => makeReasons(name, timeline)));
  figure.append(makeTable(shown, timeline));
  return figure;
}

function drawLines(lines, title, { seconds, starts }) {
  const svg = makeSvg("svg", { viewBox: `0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT + 24}`, role: "img", class: "columns lines" });
  svg.setAttribute("aria-label", `${say(title)}. ${lines.map(describeLine).join("; ")}`);
  const top = niceTop(Math.max(...lines.flatMap((line) => line.values.map((value) => value ?? 0))));
  const end = Math.max(seconds[seconds.length - 1], 1);
  const x = (at) => PLOT_LEFT + (at / end) * (PLOT_WIDTH - PLOT_LEFT - 4);
  const y = (value) => PLOT_HEIGHT - (value / top) * (PLOT_HEIGHT - 12);
  for (const share of [0, 0.5, 1]) {
    const height = y(share * top);
    svg.append(makeSvg("line", { x1: PLOT_LEFT, x2: PLOT_WIDTH, y1: height, y2: height, class: share ? "grid" : "axis" }));
    svg.append(makeLabel(PLOT_LEFT - 5, height + 4, formatFigure(share * top), "end"));
  }
  for (const [at, anchor] of [[0, "start"], [end / 2, "middle"], [end, "end"]]) {
    svg.append(makeLabel(x(at), PLOT_HEIGHT + 17, formatDuration(at), anchor));
  }
  for (const [number, time] of starts) {
    const at = x(seconds[number]);
    const mark = makeSvg("line", { x1: at, x2: at, y1: 12, y2: PLOT_HEIGHT, class: "restart" });
    const hover = makeSvg("title", {});
    hover.textContent = say("resumed_at", time);
    mark.append(hover);
    svg.append(mark);
  }
  for (const { values, kind } of lines) {
    svg.append(makeSvg("path", { d: tracePath(values, seconds, starts, x, y), class: `line ${kind}` }));
  }
  svg.append(makeSvg("line", { x1: -9, x2: -9, y1: 12, y2: PLOT_HEIGHT, class: "pointer" }));
  return svg;
}

// Breaks where there is no value, and where a process ended. A value between two breaks is a short line of its own.
function tracePath(values, seconds, starts, x, y) {
  const parts = [];
  const firsts = new Set(starts.map(([number]) => number));
  const hasLine = (from, to) => ![values[from] ?? null, values[to] ?? null].includes(null) && !firsts.has(to);
  values.forEach((value, number) => {
    if (value === null) return;
    const isFirst = !hasLine(number - 1, number);
    const [at, height] = [x(seconds[number]), y(value).toFixed(1)];
    if (isFirst && !hasLine(number, number + 1)) parts.push(`M${(at - 1.5).toFixed(1)} ${height}h3`);
    else parts.push(`${isFirst ? "M" : "L"}${at.toFixed(1)} ${height}`);
  });
  return parts.join("");
}

function makeLabel(x, y, text, anchor) {
  const label = makeSvg("text", { x, y, "text-anchor": anchor });
  label.textContent = text;
  return label;
}

function describeLine({ name, values }) {
  const known = values.filter((value) => value !== null);
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return say("line_range", say(`${name}_line`), ...[Math.min(...known), Math.max(...known), mean].map(formatFigure));
}

function makeLegend(lines) {
  const legend = make("p", "legend");
  for (const { name, kind } of lines) {
    const entry = make("span", "entry");
    const sample = makeSvg("svg", { viewBox: "0 0 22 6", class: "sample", "aria-hidden": "true" });
    sample.append(makeSvg("path", { d: "M0 3L22 3", class: `line ${kind}` }));
    entry.append(sample, say(`${name}_line`));
    legend.append(entry);
  }
  return legend;
}

// The plot that the pointer is on, which may be drawn again under it.
const pointed = { key: null, x: 0 };

// The values at the pointer; empty without one.
function makeReadout(figure, lines, { seconds }) {
  const readout = make("p", "readout");
  readout.setAttribute("aria-hidden", "true");
  const svg = figure.querySelector("svg.lines");
  const pointer = svg.querySelector(".pointer");
  const show = (clientX) => {
    const box = svg.getBoundingClientRect();
    const at = ((clientX - box.left) / box.width) * PLOT_WIDTH;
    const end = Math.max(seconds[seconds.length - 1], 1);
    const wanted = ((at - PLOT_LEFT) / (PLOT_WIDTH - PLOT_LEFT - 4)) * end;
    const number = findNearest(seconds, wanted);
    const x = PLOT_LEFT + (seconds[number] / end) * (PLOT_WIDTH - PLOT_LEFT - 4);
    pointer.setAttribute("x1", x);
    pointer.setAttribute("x2", x);
    const values = lines.filter((line) => line.values[number] !== null)
      .map((line) => `${say(`${line.name}_line`)} ${formatFigure(line.values[number])}`);
    readout.textContent = say("at_time", formatDuration(seconds[number]), values.join(" · "));
  };
  figure.showPointed = () => show(pointed.x);
  svg.addEventListener("pointermove", (event) => {
    Object.assign(pointed, { key: figure.dataset.key, x: event.clientX });
    show(event.clientX);
  });
  svg.addEventListener("pointerleave", () => {
    pointed.key = null;
    readout.textContent = "";
    pointer.setAttribute("x1", -9);
    pointer.setAttribute("x2", -9);
  });
  return readout;
}

function findNearest(seconds, wanted) {
  let low = 0;
  let high = seconds.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seconds[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low > 0 && wanted - seconds[low - 1] < seconds[low] - wanted ? low - 1 : low;
}

function makeReasons(name, { reasons }) {
  const counts = byCount(new Map(Object.entries(reasons[name])));
  const line = make("p", "facts");
  if (counts.length === 0) return line;
  const list = counts.map(([code, count]) => `${code} ${formatValue(count)}`).join(", ");
  line.append(showText(say("reasons", say(`${name}_line`), list)));
  return line;
}

// A row for each of some times. Made when it is opened.
function makeTable(lines, { seconds }) {
  const box = make("details");
  box.append(make("summary", "", say("numbers")));
  box.addEventListener("toggle", () => {
    if (!box.open || box.querySelector("table") !== null) return;
    const table = make("table");
    const head = make("tr");
    for (const text of [say("time"), ...lines.map((line) => say(`${line.name}_line`))]) {
      const cell = make("th", "", text);
      cell.scope = "col";
      head.append(cell);
    }
    table.append(head);
    const step = Math.max(1, Math.ceil(seconds.length / TABLE_ROWS));
    for (let number = 0; number < seconds.length; number += step) {
      const line = make("tr");
      const time = make("th", "", formatDuration(seconds[number]));
      time.scope = "row";
      line.append(time, ...lines.map(({ values }) => {
        return make("td", "", values[number] === null ? "–" : formatFigure(values[number]));
      }));
      table.append(line);
    }
    const frame = make("div", "scrolled");
    frame.tabIndex = 0;
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", say("numbers"));
    frame.append(table);
    box.append(frame);
  });
  return box;
}

function niceTop(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((nice) => nice >= value * 0.999);
}

// Three digits.
function formatFigure(value) {
  const digits = value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString(language === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: digits });
}

function formatDuration(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
