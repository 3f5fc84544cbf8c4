// Figures of the rows that the filters leave: bars and histograms, each with its numbers as text.

const MOST_BARS = 25;
const BINS = 24;

function drawFigures(figures, isFiltered, total) {
  const panel = document.getElementById("figures");
  // What did not change is not drawn again.
  const wanted = JSON.stringify([language, isFiltered, total, figures], (_, value) => (value instanceof Map ? [...value] : value));
  if (panel.wanted === wanted) return;
  panel.wanted = wanted;
  const restore = rememberFigures(panel);
  const heading = make("p", "of", isFiltered
    ? say("of_filtered", say("n_questions", figures.found), say("n_questions", total))
    : say("of_rows", say("n_questions", figures.found)));
  panel.replaceChildren(
    heading,
    makeFigure("outcomes_figure", makeBars(figures.outcomes, ([code, count]) => ({
      label: code || say("accepted"), count, kind: code ? "bad" : "good",
      filter: { outcome: code ? `=${code}` : "accepted" },
    }))),
    makeFigure("questions_figure", makeQuestionBars(figures)),
    makeFigure("lengths_figure", makeHistogram(figures.lengths, "lengths_figure", (from, to) => ({
      shortest: from, longest: to,
    }))),
    makeFigure("words_figure", makeBars(figures.words, ([words, count]) => ({
      label: words, count, filter: words && { words },
    }), figures.words_count)),
    makeFigure("tokens_figure", makeTokens(figures)),
    makeFigure("repairs_figure", makeBars(figures.steps, ([step, count]) => ({
      label: step, count, filter: { step },
    }))),
    makeFigure("doubts_figure", makeBars(figures.doubts, ([doubt, count]) => ({
      label: doubt, count, kind: "doubt", filter: { doubt },
    }))),
    ...(figures.decisions.size > 0 ? [makeFigure("decisions_figure", makeBars(figures.decisions,
      ([decision, count]) => ({ label: say(`decision_${decision}`), count, kind: DECISION_KINDS[decision], filter: { decision } }),
    ))] : []),
    makeFigure("languages_figure", makeBars(figures.languages, ([code, count]) => ({
      label: code || say("unclear"), count, filter: { language: code || "?" },
    }))),
    makeFigure("groups_figure", makeGroups(figures)),
    ...makePlots(figures.timelines),
  );
  restore();
}

// While a run goes on, figures are drawn again under their reader: the focus, the open tables and the values at the
// pointer stay.
function rememberFigures(panel) {
  const nameOf = (element) => {
    const figure = element.closest(".figure");
    return JSON.stringify([figure?.dataset.key ?? figure?.querySelector("h2").textContent, element.localName, element.title]);
  };
  const focused = panel.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const opened = [...panel.querySelectorAll("details[open]")].map(nameOf);
  return () => {
    for (const box of panel.querySelectorAll("details")) box.open = opened.includes(nameOf(box));
    panel.querySelectorAll(".plot").forEach((figure) => {
      if (figure.dataset.key === pointed.key) figure.showPointed();
    });
    if (focused === null) return;
    [...panel.querySelectorAll("button, summary, .scrolled")].find((each) => nameOf(each) === focused)?.focus({ preventScroll: true });
  };
}

function makeFigure(title, content) {
  const figure = make("section", "figure");
  figure.append(make("h2", "", say(title)), content);
  return figure;
}

// The largest of a map of counts. A bar with a filter is a button that shows its rows. count: of all, if only the largest
// are given.
function makeBars(counts, describe, count = counts.size) {
  if (counts.size === 0) return make("p", "nothing", say("nothing"));
  const bars = byCount(counts).slice(0, MOST_BARS).map(describe);
  const list = make("ul", "bars");
  const most = Math.max(...bars.map((bar) => bar.of ?? bar.count));
  for (const bar of bars) list.append(makeBar(bar, most));
  if (count > MOST_BARS) list.append(make("li", "others", say("others", count - MOST_BARS)));
  return list;
}

function makeBar(bar, most) {
  const item = make("li");
  const line = make(bar.filter ? "button" : "div", `bar ${bar.of === undefined ? "" : "wide"} ${bar.isText ? "text" : ""}`);
  const label = make("span", "label");
  label.dir = "auto";
  label.append(showText(bar.label));
  label.title = label.textContent;
  const track = make("span", bar.of === undefined ? "track" : "track part");
  track.style.setProperty("--width", `${(100 * (bar.of ?? bar.count)) / most}%`);
  const fill = make("span", `fill ${bar.kind ?? ""}`);
  fill.style.setProperty("--width", `${(100 * bar.count) / Math.max(1, bar.of ?? bar.count)}%`);
  track.append(fill);
  line.append(label, track, make("span", "number", bar.text ?? formatValue(bar.count)));
  if (bar.filter) {
    line.type = "button";
    line.title = `${label.textContent}\n${say("show_rows")}`;
    line.addEventListener("click", () => showFiltered(bar.filter, bar.name ?? bar.label));
  }
  item.append(line);
  return item;
}

function makeQuestionBars({ asked, accepted, questions, questions_count: count }) {
  return makeBars(asked, ([number, of]) => ({
    label: questions.get(number) || say("no_question"),
    count: accepted.get(number) ?? 0,
    of,
    kind: "good",
    text: say("accepted_of", accepted.get(number) ?? 0, of),
    filter: { question: String(number) },
    name: questions.get(number),
  }), count);
}

// A group counts as far as the filters leave it.
function makeGroups(figures) {
  const { alike, group_count: count } = figures;
  const box = make("div");
  if (count === 0) {
    box.append(make("p", "nothing", say("nothing")));
  } else {
    const accepted = figures.outcomes.get("");
    const share = (alike / accepted).toLocaleString(language === "zh" ? "zh-CN" : "en-GB",
      { style: "percent", maximumFractionDigits: 1 });
    box.append(
      make("p", "", say("group_sums", alike, accepted, share, count)),
      makeBars(figures.groups, ([group, size]) => ({
        label: source.groups.get(group).first.slice(0, 300), count: size, kind: "doubt", isText: true,
        filter: { group: String(group) }, name: labelGroup(group),
      }), count),
    );
  }
  const note = noteCompared(figures.compared);
  if (note) box.append(make("p", "facts", note));
  return box;
}

// What a served page has not compared: not yet, or not at all.
function noteCompared(compared) {
  if (compared === undefined) return "";
  const [done, most] = compared;
  const accepted = new Map(source.overview.outcomes).get("") ?? 0;
  if (done >= accepted) return "";
  return done >= most ? say("compared_first", done, accepted) : say("compared_so_far", done, accepted);
}

function makeTokens(figures) {
  if (figures.counted === 0) return make("p", "nothing", say("nothing"));
  const box = make("div");
  const mean = (sum) => Math.round(sum / figures.counted);
  box.append(
    make("p", "", say("token_sums", figures.prompt, figures.completion, mean(figures.prompt), mean(figures.completion))),
    make("h3", "", say("token_histogram")),
    makeHistogram(figures.tokens, "token_histogram"),
  );
  return box;
}

// Values with their numbers. Those beyond the 99th percentile are in the last column, so that a single long answer does
// not squeeze the others.
function makeHistogram(values, title, filterOf) {
  if (values.size === 0) return make("p", "nothing", say("nothing"));
  const sorted = [...values].sort((one, other) => one[0] - other[0]);
  const low = sorted[0][0];
  const high = Math.max(low + 1, findPercentile(sorted, 0.99));
  const width = niceStep((high - low) / BINS);
  const start = Math.floor(low / width) * width;
  const bins = new Array(Math.floor((high - start) / width) + 1).fill(0);
  for (const [value, count] of sorted) bins[Math.min(bins.length - 1, Math.floor((value - start) / width))] += count;
  const last = sorted.at(-1)[0];
  const ranges = bins.map((count, number) => ({
    count,
    from: start + number * width,
    to: number === bins.length - 1 ? Math.max(last, start + (number + 1) * width - 1) : start + (number + 1) * width - 1,
  }));
  return drawColumns(ranges, title, filterOf);
}

function findPercentile(sorted, part) {
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  return sorted.find(([, count]) => (seen += count) > Math.floor((total - 1) * part))[0];
}

function niceStep(step) {
  const power = 10 ** Math.floor(Math.log10(Math.max(step, 1)));
  return Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((nice) => nice >= step) ?? 10 * power);
}

function drawColumns(ranges, title, filterOf) {
  const [width, height] = [480, 150];
  const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height + 22}`, role: "img", class: "columns" });
  svg.setAttribute("aria-label", `${say(title)}. ${ranges.filter((range) => range.count)
    .map((range) => say("one_of", range.from, range.to, range.count)).join("; ")}`);
  const most = Math.max(...ranges.map((range) => range.count));
  const step = width / ranges.length;
  ranges.forEach((range, number) => {
    const size = range.count === 0 ? 0 : Math.max(2, (range.count / most) * (height - 16));
    const column = makeSvg("rect", {
      x: number * step + step * 0.08, y: height - size, width: step * 0.84, height: size, class: "column",
    });
    const hover = makeSvg("title", {});
    hover.textContent = say("one_of", range.from, range.to, range.count);
    column.append(hover);
    if (filterOf && range.count) {
      column.classList.add("clickable");
      column.addEventListener("click", () => showFiltered(filterOf(range.from, range.to)));
    }
    svg.append(column);
  });
  svg.append(makeSvg("line", { x1: 0, y1: height, x2: width, y2: height, class: "axis" }));
  for (const [at, value, anchor] of [
    [0, ranges[0].from, "start"],
    [width / 2, ranges[Math.floor(ranges.length / 2)].from, "middle"],
    [width, nameLast(ranges), "end"],
  ]) {
    const text = makeSvg("text", { x: at, y: height + 16, "text-anchor": anchor });
    text.textContent = formatValue(value);
    svg.append(text);
  }
  const top = makeSvg("text", { x: 0, y: 11, "text-anchor": "start" });
  top.textContent = formatValue(most);
  svg.append(top);
  return svg;
}

// The last column may have values far beyond the others.
function nameLast(ranges) {
  const { from, to } = ranges.at(-1);
  return to - from > ranges[0].to - ranges[0].from ? `${formatValue(from)}–${formatValue(to)}` : to;
}

function makeSvg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
