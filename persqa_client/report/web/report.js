// Pages and links of the report.

const PAGE_SIZE = 60;
const SEARCH_DELAY = 150;

const VIEWS = ["rows", "figures", "compare"];
// shown: the rows of the page. at: place of the selected row among those that fit the filters.
const state = {
  filters: { ...NO_FILTERS }, order: "input", page: 0, count: 0, shown: [], selected: null, at: -1, view: "rows",
};
const field = (id) => document.getElementById(id);
const isFiltered = () => Object.keys(NO_FILTERS).some((name) => state.filters[name] !== NO_FILTERS[name]);
// The page that is shown stays one of them when its rows have left the filters.
const pageCount = () => Math.max(state.page + 1, Math.ceil(state.count / PAGE_SIZE));
// Of the latest question for rows, and for figures; only their answers are shown.
let turn = 0;
// The state of the runs that is shown: two questions for the sake of new rows may be answered in the other order.
let newest = 0;
// How many answers somebody waits for, and whether there were new rows meanwhile.
let asking = 0;
let hasNews = false;
let figuresTurn = 0;

// null if another question was asked since, whose answer counts. isNews: asked for the sake of new rows, not by somebody,
// who must not wait for the answer in vain.
async function load(query = {}, { isNews = false } = {}) {
  if (isNews && asking > 0) {
    hasNews = true;
    return null;
  }
  const own = isNews ? turn : ++turn;
  const { filters, order, page } = state;
  if (!isNews) asking++;
  try {
    const found = await source.find({ filters, order, page, size: PAGE_SIZE, ...query });
    endTrouble("rows");
    if (own !== turn || (isNews && found.version < newest)) return null;
    newest = found.version;
    return found;
  } catch (error) {
    showTrouble("rows", error);
    return null;
  } finally {
    if (!isNews) asking--;
    if (asking === 0 && hasNews) {
      hasNews = false;
      setTimeout(showNew);
    }
  }
}

// Why the server did not answer the latest question of a view.
const troubles = new Map();

// A request that got no answer has no status.
function showTrouble(view, error) {
  if (error.status !== undefined) troubles.set(view, error.message);
  else if (source.isServed) source.isLost = true;
  else console.error(error);
  describeReport();
}

function endTrouble(view) {
  if (troubles.delete(view)) describeReport();
}

// keep: a row whose page is shown if it fits. isWanted: whether the cards may still be replaced when the rows are there.
async function applyFilters({ keep = null, page = 0, isWanted = () => true } = {}) {
  await showOther();
  const found = await load({ page, keep: keep?.id });
  if (found === null) return;
  if (isWanted()) {
    showFound(found);
    return;
  }
  isRereadDue = true;
  if (found.page === state.page) mergeFound({ ...found, also: [] });
}

// What the view shows in place of the rows.
async function showOther() {
  if (state.view === "figures") await showFigures();
  else if (state.view === "compare") await showComparison();
}

async function showFigures() {
  const own = ++figuresTurn;
  try {
    const figures = await source.figures(state.filters);
    endTrouble("figures");
    if (figures !== null && own === figuresTurn) drawFigures(figures, isFiltered(), source.overview.loaded ?? source.overview.rows);
  } catch (error) {
    showTrouble("figures", error);
  }
}

function showFound(found) {
  Object.assign(state, { page: found.page, count: found.count, shown: found.rows, at: found.kept ?? -1 });
  state.selected = found.kept === null ? null : found.rows[found.kept % PAGE_SIZE];
  drawPage();
  showCount();
}

function drawPage() {
  const list = field("cards");
  const hadFocus = list.contains(document.activeElement) && document.activeElement !== list;
  list.start = state.page * PAGE_SIZE + 1;
  const cards = state.shown.map(makeCard);
  list.replaceChildren(...(cards.length > 0 ? cards : [make("li", "nothing", say(source.overview.rows ? "none" : "empty"))]));
  markSelected();
  reopenEditors();
  // Elements that are replaced lose the focus.
  if (hadFocus) (list.querySelector(".card[aria-current]") ?? list).focus({ preventScroll: true });
  showPagers();
}

function showPagers() {
  for (const pager of document.querySelectorAll("#rows .turns")) fillPager(pager);
}

function showCount() {
  const { rows: total, loaded = total, read } = source.overview;
  const all = say("n_questions", total);
  const parts = [isFiltered() ? say("count", state.count, all) : say("count_all", all)];
  if (loaded < total) parts.push(say("loading", loaded, total));
  if (read !== undefined && read < 1) parts.push(say("reading", Math.floor(100 * read)));
  const text = parts.join(" · ");
  // A screen reader speaks only of changes.
  if (field("count").textContent !== text) field("count").textContent = text;
}

function fillPager(pager) {
  pager.hidden = pageCount() === 1;
  const turns = [
    ["«", "first_page", 0],
    ["‹", "previous_page", state.page - 1],
    null,
    ["›", "next_page", state.page + 1],
    ["»", "last_page", pageCount() - 1],
  ];
  const focused = [...pager.children].indexOf(document.activeElement);
  pager.replaceChildren(...turns.map((turn) => {
    if (turn === null) return make("span", "", say("page", state.page + 1, pageCount()));
    const [sign, label, target] = turn;
    const button = make("button", "quiet", sign);
    button.type = "button";
    button.setAttribute("aria-label", say(label));
    button.title = say(label);
    button.disabled = target < 0 || target >= pageCount() || target === state.page;
    button.addEventListener("click", () => turnTo(target));
    return button;
  }));
  if (focused >= 0) pager.children[focused].focus();
}

// The next page begins after the last row that is shown: rows that were decided on may have left the pages before.
function loadPage(page) {
  return load({ page, beyond: page === state.page + 1 ? state.shown.at(-1)?.id : undefined });
}

async function turnTo(page) {
  if (page < 0 || page >= pageCount() || state.view !== "rows") return;
  const found = await loadPage(page);
  if (found === null) return;
  const isAmongOthers = found.kept !== null && found.kept % PAGE_SIZE > 0;
  showFound(isAmongOthers ? found : { ...found, kept: null });
  if (isAmongOthers) select(state.selected);
  else field("rows").scrollIntoView();
}

function select(row, { focus = true } = {}) {
  const place = state.shown.indexOf(row);
  if (place < 0) return;
  Object.assign(state, { selected: row, at: state.page * PAGE_SIZE + place });
  markSelected();
  const card = field(`row-${row.key}`);
  if (focus) card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
  history.replaceState(null, "", `#row=${encodeURIComponent(row.id)}`);
}

function markSelected() {
  for (const card of document.querySelectorAll(".card[aria-current]")) card.removeAttribute("aria-current");
  if (state.selected !== null) field(`row-${state.selected.key}`)?.setAttribute("aria-current", "true");
}

async function selectNext(step) {
  const place = state.at < 0 ? 0 : state.at + step - state.page * PAGE_SIZE;
  if (place >= 0 && place < state.shown.length) {
    select(state.shown[place]);
  } else if (place >= 0 || state.page > 0) {
    const found = await loadPage(state.page + step);
    if (found === null || found.rows.length === 0 || (step > 0 && found.kept === null)) return;
    showFound(found);
    select(state.selected ?? state.shown.at(-1));
  }
}

// A link leads to its row also if the filters hide it. Returns whether there is nothing to wait for.
async function followLink() {
  const link = /^#row=(.+)$/.exec(location.hash);
  if (link === null) return true;
  const keep = decodeLink(link[1]);
  let found = await load({ keep });
  if (found !== null && found.kept === null) {
    found = await load({ filters: NO_FILTERS, keep });
    if (found !== null && found.kept === null) return false;
    if (found !== null) {
      field("filters").reset();
      readFilters();
      found = await load({ keep });
    }
  }
  if (found === null) return true;
  showView("rows");
  showFound(found);
  select(state.selected);
  return true;
}

function decodeLink(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function showView(view) {
  state.view = view;
  for (const name of VIEWS) {
    field(name).hidden = name !== view;
    field(`tab-${name}`).setAttribute("aria-selected", String(name === view));
    field(`tab-${name}`).tabIndex = name === view ? 0 : -1;
  }
}

function describeReport() {
  const { rows: total, pictures, outcomes, runs, thumbnails, problems = [] } = source.overview;
  const accepted = new Map(outcomes).get("") ?? 0;
  const failed = outcomes.reduce((sum, [, count]) => sum + count, 0) - accepted;
  field("summary").textContent = say("summary", say("n_questions", total), say("n_pictures", pictures), accepted, failed);
  const notes = source.isLost ? [sayLost()] : [...problems];
  for (const [id, reason] of unstored) notes.unshift(say("note_not_stored", id, reason));
  notes.unshift(...new Set([...troubles.values()].map((trouble) => say("trouble", trouble))));
  for (const run of runs) {
    if (run.model) notes.push(say("note_model", run.file, run.model));
    if (run.state !== "finished") notes.push(say(source.isServed && run.state === "unfinished" ? "note_following" : `note_${run.state}`, run.file));
    if (run.waiting) notes.push(say("note_waiting", run.file, say("n_questions", run.waiting)));
    if (run.without_details) notes.push(say("note_details", run.file, say("n_questions", run.without_details)));
  }
  if (thumbnails < pictures) notes.push(say("note_sample", thumbnails, pictures));
  const text = JSON.stringify(notes);
  if (field("notes").dataset.shown === text) return;
  field("notes").dataset.shown = text;
  field("notes").replaceChildren(...notes.map((note) => {
    const item = make("li");
    item.append(showText(note));
    return item;
  }));
  field("notes").classList.toggle("lost", source.isLost === true || troubles.size > 0 || unstored.size > 0);
}

function listen() {
  let timer = 0;
  const change = () => {
    readFilters();
    applyFilters({ keep: state.selected });
  };
  field("filters").addEventListener("submit", (event) => event.preventDefault());
  field("filters").addEventListener("change", change);
  field("filters").addEventListener("reset", () => setTimeout(change));
  for (const id of ["search", "shortest", "longest"]) {
    field(id).addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(change, SEARCH_DELAY);
    });
  }
  const tabs = VIEWS.filter((name) => name !== "compare" || shared.is_matched);
  field("tab-compare").hidden = !shared.is_matched;
  listenToComparison();
  for (const name of tabs) {
    field(`tab-${name}`).addEventListener("click", () => {
      showView(name);
      applyFilters({ keep: state.selected, page: state.page });
    });
    field(`tab-${name}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
      const step = event.key === "ArrowRight" ? 1 : tabs.length - 1;
      const other = tabs[(tabs.indexOf(name) + step) % tabs.length];
      field(`tab-${other}`).click();
      field(`tab-${other}`).focus();
    });
  }
  field("cards").addEventListener("focusout", () => setTimeout(() => {
    if (isRereadDue && isNobodyWriting()) showNew();
  }));
  field("cards").addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    const control = event.target.closest("a, button, form");
    if (card === null || (control === null && String(getSelection()))) return;
    // The keys after a click on a control are about its card, and the control keeps the focus.
    select(state.shown.find((row) => card.id === `row-${row.key}`), { focus: control === null });
  });
  field("language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    showAll();
  });
  // The address does not change by a link to the row that it names.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a.number");
    if (link && link.hash === location.hash && !(event.ctrlKey || event.metaKey || event.shiftKey)) followLink();
  });
  document.addEventListener("keydown", handleKey);
  addEventListener("hashchange", () => followLink());
}

function showAll() {
  translatePage();
  showKeys();
  fillSelects();
  describeReport();
  // What is being written in an editor stays; its page is drawn when the editor is left.
  isRereadDue = !isNobodyWriting();
  if (!isRereadDue) drawPage();
  showPagers();
  showCount();
  showOther();
}

async function begin() {
  if (source.editable) readDrafts();
  await source.prepare();
  fillSelects();
  describeReport();
  await applyFilters();
  isLinkOpen = !(await followLink());
  epoch = source.overview.epoch;
  source.start(showNew);
}

field("more").open = matchMedia("(min-width: 700px)").matches;
translatePage();
showKeys();
fillSelects();
describeReport();
listen();
readFilters();
begin();
