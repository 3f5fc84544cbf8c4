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

function takeRows(part) {
  for (const row of [...part.rows, ...part.also]) {
    row.asked = part.questions[row.question][0];
    row.shown = (row.pictures ?? []).map((number) => part.pictures[number]);
    // Equal for equal rows; the numbers are those of this part.
    row.stamp = JSON.stringify({ ...row, question: 0, pictures: 0, shown: row.shown.map(([name]) => name) });
    row.epoch = part.epoch;
  }
  return part;
}

const source = {
  isServed: true,
  isComplete: true,
  isLost: false,
  editable: shared.editable,
  // Only a file has groups of answers that are nearly alike.
  groups: null,
  overview: {
    rows: 0, pictures: 0, runs: [], outcomes: [], languages: [], doubts: [], decisions: [], questions: [], problems: [],
    commented: 0, version: -1, epoch: 0,
  },
  async find({ filters, order, page, size, keep = null, also = [] }) {
    return takeRows(await ask("rows", { ...filters, order, page, size, keep, also: also.join(",") }));
  },
  async figures(filters) {
    const figures = await ask("figures", filters);
    return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Array.isArray(value) ? new Map(value) : value]));
  },
  check: (row, text) => ask("check", {}, { row: row.key, epoch: row.epoch, text }),
  async decide(row, change) {
    await ask("decide", {}, { row: row.key, epoch: row.epoch, answer: textOf(row), ...change });
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
    const isNew = state !== null && state.version !== source.overview.version;
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
