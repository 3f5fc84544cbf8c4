// The rows of a page that is served: asks its server for those of one page. It has the same source as rows.js.

const shared = JSON.parse(document.getElementById("shared").textContent);
// Milliseconds between two questions for what is new: while there is more, and otherwise.
const [BUSY_PAUSE, IDLE_PAUSE] = [250, 1000];

async function ask(path, parameters = {}, body = undefined) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value || value === 0));
  const response = await fetch(`${path}?${query}`, body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw Object.assign(new Error(await response.text()), { status: response.status });
  return response.json();
}

// Answers that are nearly alike: the first answer and the number of each group that rows, filters and figures name.
const groups = new Map();

function takeGroups(found) {
  for (const [group, size, first] of found) groups.set(group, { first, size });
}

function takeRows(part) {
  takeGroups(part.groups);
  for (const row of [...part.rows, ...part.also]) {
    row.asked = part.questions[row.question][0];
    row.shown = (row.pictures ?? []).map((number) => part.pictures[number]);
    // Equal for equal rows; the numbers are those of this part.
    const size = groups.get(row.group)?.size;
    row.epoch = part.epoch;
    row.stamp = JSON.stringify({ ...row, question: 0, pictures: 0, shown: row.shown.map(([name]) => name), size });
  }
  return part;
}

// The name and the question find the row if all rows were read anew since.
function nameShown(row) {
  return { row: row.key, epoch: row.epoch, name: row.id, question: row.asked };
}

const source = {
  isServed: true,
  isComplete: true,
  isLost: false,
  editable: shared.editable,
  groups,
  overview: {
    rows: 0, pictures: 0, runs: [], outcomes: [], languages: [], doubts: [], steps: [], decisions: [], questions: [], problems: [],
    commented: 0, group_count: 0, groups: [], version: -1, epoch: 0,
  },
  async find({ filters, order, page, size, keep = null, beyond = null, also = [] }) {
    return takeRows(await ask("rows", { ...filters, order, page, size, keep, beyond, also: also.join(",") }));
  },
  async figures(filters) {
    const { timelines, compared, group_names: names, ...figures } = await ask("figures", filters);
    takeGroups(names);
    const counts = Object.entries(figures).map(([name, value]) => [name, Array.isArray(value) ? new Map(value) : value]);
    return { ...Object.fromEntries(counts), timelines, compared };
  },
  async compare({ filters, ...query }) {
    const { pairs, counts, sides, found, page, ...part } = await ask("pairs", { ...filters, ...query });
    const known = new Map(takeRows(part).rows.map((row) => [row.key, row]));
    const shown = pairs.map(([one, other, kind]) => ({ one: known.get(one), other: known.get(other), kind }))
      .filter(({ one, other }) => one ?? other);
    return { pairs: shown, counts: new Map(counts), sides, found, page };
  },
  check: (row, text) => ask("check", {}, { ...nameShown(row), text }),
  async decide(row, change) {
    await ask("decide", {}, { ...nameShown(row), answer: textOf(row), ...change });
    await source.poll();
  },
  // Why a picture can't be shown.
  reason: (uri) => fetch(uri).then((response) => (response.ok ? "" : response.text()), () => ""),
  // Whether anything is new.
  async poll() {
    const wasLost = source.isLost;
    let state = null;
    try {
      state = await ask("state", { version: source.overview.version });
      source.isLost = false;
    } catch {
      source.isLost = true;
    }
    // Two requests may be answered in the other order.
    const isNew = state !== null && state.version > source.overview.version;
    if (isNew) source.overview = state;
    if (isNew || wasLost !== source.isLost) await source.onChange();
    return isNew;
  },
  async prepare() {
    source.overview = await ask("state");
  },
  start(onChange) {
    source.onChange = onChange;
    let timer = 0;
    const step = async () => {
      clearTimeout(timer);
      const isNew = !document.hidden && (await source.poll());
      clearTimeout(timer);
      timer = setTimeout(step, isNew ? BUSY_PAUSE : IDLE_PAUSE);
    };
    document.addEventListener("visibilitychange", step);
    step();
  },
};
