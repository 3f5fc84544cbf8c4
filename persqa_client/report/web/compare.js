// Two runs side by side: sums, and the rows of each with the words that differ. A pair has the members "one" and
// "other", the rows that ask the same, and its kind.

const COMPARED_PER_PAGE = 30;
const MOST_COMPARED_WORDS = 400;
const KINDS = ["changed", "same", "lost", "gained", "both_failed", "only_first", "only_second"];
const compared = { first: 0, second: 1, kind: "", page: 0, turn: 0, drawn: 0, wanted: "" };

// The filter for a run does not count here.
async function showComparison() {
  const turn = ++compared.turn;
  const { first, second, kind, page } = compared;
  let comparison = null;
  try {
    comparison = await source.compare({
      filters: { ...state.filters, run: "" }, first, second, kind, page, size: COMPARED_PER_PAGE,
    });
    endTrouble("compare");
  } catch (error) {
    showTrouble("compare", error);
  }
  // Another question was asked since, or nothing has changed.
  if (comparison === null || turn !== compared.turn) return;
  Object.assign(compared, { page: comparison.page, drawn: turn });
  const { counts, sides, pairs, found } = comparison;
  const stamps = pairs.map((pair) => [pair.kind, ...[pair.one, pair.other].map((row) => row?.stamp ?? row?.key)]);
  const wanted = JSON.stringify([language, first, second, kind, [...counts], sides, stamps, found]);
  if (wanted === compared.wanted) return;
  compared.wanted = wanted;
  drawComparison(comparison);
}

function drawComparison({ counts, sides, pairs, found }) {
  const names = source.overview.runs.map((run, number) => [String(number), run.name]);
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  fillChoice("first", names, String(compared.first));
  fillChoice("second", names, String(compared.second));
  fillChoice("kind", [
    ["", `${say("all")} (${formatValue(all)})`],
    ...KINDS.map((kind) => [kind, `${sayKind(kind)} (${formatValue(counts.get(kind) ?? 0)})`]),
  ], compared.kind);
  field("sums").replaceChildren(makeSums(sides));
  showPairs(pairs, found);
}

function sayKind(kind) {
  const name = { only_first: compared.first, only_second: compared.second }[kind];
  return say(`kind_${kind}`, name === undefined ? "" : source.overview.runs[name].name);
}

function fillChoice(id, options, value) {
  const element = field(`compared-${id}`);
  const wanted = JSON.stringify(options);
  if (element.wanted === wanted) return;
  element.wanted = wanted;
  element.replaceChildren();
  for (const [key, text] of options) addOption(element, key, text);
  element.value = value;
}

function showPairs(pairs, found) {
  const pages = Math.max(1, Math.ceil(found / COMPARED_PER_PAGE));
  const list = field("pairs");
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  list.start = compared.page * COMPARED_PER_PAGE + 1;
  list.replaceChildren(...(pairs.length > 0 ? pairs.map(makePair) : [make("li", "nothing", say("none"))]));
  if (focused) [...list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  field("pair-count").textContent = say("n_pairs", found);
  for (const pager of document.querySelectorAll("#compare .pair-turns")) {
    pager.hidden = pages === 1;
    pager.replaceChildren(...makePairTurns(pages));
  }
}

function makePairTurns(pages) {
  const turns = [["‹", "previous_page", compared.page - 1], null, ["›", "next_page", compared.page + 1]];
  return turns.map((turn) => {
    if (turn === null) return make("span", "", say("page", compared.page + 1, pages));
    const [sign, label, target] = turn;
    const button = make("button", "quiet", sign);
    button.type = "button";
    button.title = say(label);
    button.setAttribute("aria-label", say(label));
    button.disabled = target < 0 || target >= pages;
    button.addEventListener("click", () => {
      compared.page = target;
      showComparison();
      field("pairs").scrollIntoView();
      field("pairs").focus({ preventScroll: true });
    });
    return button;
  });
}

function makeSums(sides) {
  const table = make("table", "sums");
  const head = make("tr");
  head.append(make("td"));
  for (const number of [compared.first, compared.second]) {
    const cell = make("th");
    cell.scope = "col";
    cell.append(showText(source.overview.runs[number].name));
    head.append(cell);
  }
  table.append(head);
  const codes = new Set(sides.flatMap((side) => side.codes.map(([code]) => code)));
  const lines = [
    [say("sum_questions"), (side) => formatValue(side.count)],
    [say("accepted"), (side) => withShare(side.accepted, side.count)],
    [say("failed"), (side) => withShare(side.count - side.accepted, side.count)],
    ...[...codes].map((code) => [`\u2003${code}`, (side) => formatValue(new Map(side.codes).get(code) ?? 0)]),
    [say("sum_prompt"), (side) => mean(side.prompt, side.counted)],
    [say("sum_completion"), (side) => mean(side.completion, side.counted)],
    [say("sum_length"), (side) => mean(side.length, side.accepted)],
    [say("sum_latency"), (side) => (side.latency ? ["p50", "p95"].map((name) => formatFigure(side.latency[name])).join(" / ") : "–")],
  ];
  for (const [label, format] of lines) {
    const line = make("tr");
    const name = make("th");
    name.scope = "row";
    name.append(showText(label));
    line.append(name, ...sides.map((side) => make("td", "", format(side))));
    table.append(line);
  }
  return table;
}

function mean(sum, count) {
  return count === 0 ? "–" : formatFigure(sum / count);
}

function withShare(count, of) {
  return of === 0 ? "0" : `${formatValue(count)} (${formatFigure((100 * count) / of)}%)`;
}

function makePair({ one, other, kind }) {
  const item = make("li", "card pair");
  const body = make("div", "body");
  const head = make("p", "badges");
  head.append(makeBadge({ lost: "bad", gained: "good", changed: "doubt" }[kind] ?? "", sayKind(kind)));
  body.append(head, makeQuestion(one ?? other));
  const sides = make("div", "sides");
  const words = kind === "changed" ? compareWords(one.answer, other.answer) : null;
  for (const [row, run, part] of [[one, compared.first, 0], [other, compared.second, 1]]) {
    sides.append(makeSide(row, run, words === null ? null : words[part]));
  }
  body.append(sides);
  item.append(makePictures(one?.shown.length ? one : other ?? one), body);
  return item;
}

// As the run answered: what people decided about the answer is not compared.
function makeSide(row, run, words) {
  const side = make("div", "side");
  const head = make("p", "badges");
  const name = make("span", "facts");
  name.append(showText(source.overview.runs[run].name));
  if (row === undefined) {
    head.append(name);
    side.append(head, make("p", "facts", say("no_row")));
    return side;
  }
  const link = make("a", "number", `#${row.id}`);
  link.href = `#row=${row.id}`;
  link.setAttribute("aria-label", say("link", row.id));
  head.append(link, name);
  if (isFailed(row)) head.append(makeBadge("bad", row.code));
  side.append(head, ...(words === null ? makeAnswer({ ...row, decision: undefined }) : [makeMarked(words, tagOf(row))]), makeRejected(row));
  return side;
}

function makeMarked(words, tag) {
  const line = make("p", "answer");
  line.dir = "auto";
  for (const [text, isChanged] of words) {
    const target = isChanged ? make("mark", "word") : document.createDocumentFragment();
    target.append(showText(text, { tag: isChanged ? null : tag }));
    line.append(target);
  }
  return line;
}

// For each text its parts in order, with whether they are only in it. A part is a run of words and spaces.
function compareWords(one, other) {
  const [left, right] = [splitWords(one), splitWords(other)];
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start++;
  let end = 0;
  while (end < left.length - start && end < right.length - start && left.at(-1 - end) === right.at(-1 - end)) end++;
  const middles = [left.slice(start, left.length - end), right.slice(start, right.length - end)];
  const common = findCommon(...middles);
  return [left, right].map((words, side) => joinParts([
    ...words.slice(0, start).map((word) => [word, false]),
    ...middles[side].map((word, place) => [word, !common[side].has(place)]),
    ...words.slice(words.length - end).map((word) => [word, false]),
  ]));
}

// Characters of scripts without spaces are words.
function splitWords(text) {
  return text.match(/[\u3040-\u30ff\u3400-\u9fff]|[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];
}

// The places of a longest common sequence, in each. Long texts are not compared.
function findCommon(left, right) {
  const found = [new Set(), new Set()];
  if (left.length > MOST_COMPARED_WORDS || right.length > MOST_COMPARED_WORDS) return found;
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  for (let at = left.length - 1; at >= 0; at--) {
    for (let to = right.length - 1; to >= 0; to--) {
      lengths[at * width + to] = left[at] === right[to]
        ? lengths[(at + 1) * width + to + 1] + 1
        : Math.max(lengths[(at + 1) * width + to], lengths[at * width + to + 1]);
    }
  }
  let [at, to] = [0, 0];
  while (at < left.length && to < right.length) {
    if (left[at] === right[to]) {
      found[0].add(at++);
      found[1].add(to++);
    } else if (lengths[(at + 1) * width + to] >= lengths[at * width + to + 1]) {
      at++;
    } else {
      to++;
    }
  }
  return found;
}

function joinParts(words) {
  const parts = [];
  for (const [word, isChanged] of words) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === isChanged) last[0] += word;
    else parts.push([word, isChanged]);
  }
  return parts;
}

function listenToComparison() {
  for (const [id, name] of [["first", "first"], ["second", "second"], ["kind", "kind"]]) {
    field(`compared-${id}`).addEventListener("change", (event) => {
      compared[name] = name === "kind" ? event.target.value : Number(event.target.value);
      compared.page = 0;
      showComparison();
    });
  }
}
