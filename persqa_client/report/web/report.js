// Filters, pages, keys and links of the report.

const PAGE_SIZE = 60;
const SEARCH_DELAY = 150;
const MOST_OPTIONS = 300;
const MOST_OPTION_LENGTH = 90;

const VIEWS = ["rows", "figures", "compare"];
const state = { filters: { ...NO_FILTERS }, order: "input", found: [], page: 0, selected: null, view: "rows" };
const field = (id) => document.getElementById(id);
const isFiltered = () => Object.keys(NO_FILTERS).some((name) => state.filters[name] !== NO_FILTERS[name]);
const pageCount = () => Math.max(1, Math.ceil(state.found.length / PAGE_SIZE));

function applyFilters({ keep = null } = {}) {
  state.found = orderRows(findRows(state.filters), state.order);
  const at = keep === null ? -1 : state.found.indexOf(keep);
  state.page = at < 0 ? 0 : Math.floor(at / PAGE_SIZE);
  if (at < 0) state.selected = null;
  refresh();
}

function refresh() {
  if (state.view === "rows") showPage();
  else if (state.view === "figures") drawFigures(state.found, isFiltered());
  else showComparison();
  showCount();
}

function showPage() {
  state.page = Math.min(state.page, pageCount() - 1);
  const start = state.page * PAGE_SIZE;
  const list = field("cards");
  const hadFocus = list.contains(document.activeElement) && document.activeElement !== list;
  list.start = start + 1;
  const cards = state.found.slice(start, start + PAGE_SIZE).map(makeCard);
  list.replaceChildren(...(cards.length > 0 ? cards : [make("li", "nothing", say("none"))]));
  markSelected();
  // Elements that are replaced lose the focus.
  if (hadFocus) (list.querySelector(".card[aria-current]") ?? list).focus({ preventScroll: true });
  showPagers();
}

function showPagers() {
  for (const pager of document.querySelectorAll("#rows .turns")) fillPager(pager);
}

function showCount() {
  const all = say("n_rows", shared.rows);
  const parts = [isFiltered() ? say("count", state.found.length, all) : say("count_all", all)];
  if (rows.length < shared.rows) parts.push(say("loading", rows.length, shared.rows));
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

function turnTo(page) {
  if (page < 0 || page >= pageCount() || state.view !== "rows") return;
  state.page = page;
  state.selected = null;
  showPage();
  field("rows").scrollIntoView();
}

function select(row, { focus = true } = {}) {
  const at = state.found.indexOf(row);
  if (at < 0) return;
  state.selected = row;
  const page = Math.floor(at / PAGE_SIZE);
  if (page !== state.page || field(`row-${row.position}`) === null) {
    state.page = page;
    showPage();
  }
  markSelected();
  const card = field(`row-${row.position}`);
  if (focus) card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
  history.replaceState(null, "", `#row=${encodeURIComponent(row.id)}`);
}

function markSelected() {
  for (const card of document.querySelectorAll(".card[aria-current]")) card.removeAttribute("aria-current");
  if (state.selected !== null) field(`row-${state.selected.position}`)?.setAttribute("aria-current", "true");
}

function selectNext(step) {
  if (state.found.length === 0) return;
  const at = state.selected === null ? -1 : state.found.indexOf(state.selected);
  const next = at < 0 ? state.page * PAGE_SIZE : Math.min(Math.max(at + step, 0), state.found.length - 1);
  select(state.found[next]);
}

// A link leads to its row also if the filters hide it.
function followLink() {
  const found = /^#row=(.+)$/.exec(location.hash);
  if (found === null) return true;
  const position = positions.get(decodeLink(found[1]));
  if (position === undefined) return false;
  const row = rows[position];
  const isElsewhere = state.view !== "rows";
  showView("rows");
  if (isElsewhere) refresh();
  if (!state.found.includes(row)) {
    field("filters").reset();
    readFilters();
    applyFilters();
  }
  select(row);
  return true;
}

function decodeLink(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readFilters() {
  const number = (id) => (field(id).value.trim() === "" ? null : Number(field(id).value));
  state.filters = {
    search: field("search").value.trim(),
    run: field("run").value,
    outcome: field("outcome").value,
    question: field("question").value,
    language: field("question-language").value,
    doubt: field("doubt").value,
    group: field("group").value,
    shortest: number("shortest"),
    longest: number("longest"),
    repaired: field("repaired").checked,
    reasked: field("reasked").checked,
    doubtful: field("doubtful").checked,
    failed: field("failed").checked,
  };
  state.order = field("sort").value;
}

// From a figure: its rows among those that the other filters leave.
function showFiltered(filter) {
  const ids = { language: "question-language" };
  for (const [name, value] of Object.entries(filter)) {
    const element = field(ids[name] ?? name);
    if (element.tagName === "SELECT" && ![...element.options].some((option) => option.value === value)) {
      const texts = { question: () => questions[value][0], group: () => labelGroup(Number(value)) };
      addOption(element, value, texts[name] ? texts[name]() : value);
    }
    element.value = value;
  }
  readFilters();
  showView("rows");
  applyFilters();
  field("cards").focus();
}

function fillSelects() {
  fillSelect("run", shared.runs.map((run, number) => [String(number), run.name]));
  fillSelect("outcome", [
    ["accepted", say("accepted")],
    ["failed", say("all_failed")],
    ...byCount(counts.outcomes).filter(([code]) => code).map(([code, count]) => [`=${code}`, `${code} (${formatValue(count)})`]),
  ]);
  fillSelect("question", byCount(counts.questions).slice(0, MOST_OPTIONS)
    .map(([number, count]) => [String(number), `${questions[number][0] || say("no_question")} (${formatValue(count)})`]));
  fillSelect("question-language", byCount(counts.languages)
    .map(([code, count]) => [code || "?", `${code || say("unclear")} (${formatValue(count)})`]));
  fillSelect("doubt", byCount(counts.doubts).map(([doubt, count]) => [doubt, `${doubt} (${formatValue(count)})`]));
  fillSelect("group", listGroups());
  field("group-field").hidden = groupSizes.length === 0;
  fillSelect("sort", Object.keys(ORDERS).map((order) => [order, say(`order_${order}`)]), false);
  field("run-field").hidden = shared.runs.length < 2;
}

function fillSelect(id, options, hasAll = true) {
  const element = field(id);
  const value = element.value;
  element.replaceChildren();
  if (hasAll) addOption(element, "", say("all"));
  for (const [key, text] of options) addOption(element, key, text);
  element.value = value;
  if (element.selectedIndex < 0) element.selectedIndex = 0;
}

function addOption(element, value, text) {
  const option = make("option");
  option.value = value;
  const cut = text.length > MOST_OPTION_LENGTH ? `${text.slice(0, MOST_OPTION_LENGTH)}…` : text;
  option.append(showText(cut).textContent);
  element.append(option);
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
  const failed = rows.length - (counts.outcomes.get("") ?? 0);
  field("summary").textContent = say("summary", say("n_questions", shared.rows), say("n_pictures", shared.pictures),
    rows.length - failed, failed);
  const notes = [];
  for (const run of shared.runs) {
    if (run.model) notes.push(say("note_model", run.file, run.model));
    if (run.state !== "finished") notes.push(say(`note_${run.state}`, run.file));
    if (run.waiting) notes.push(say("note_waiting", run.file, say("n_questions", run.waiting)));
    if (run.without_details) notes.push(say("note_details", run.file, say("n_questions", run.without_details)));
  }
  if (shared.thumbnails < shared.pictures) notes.push(say("note_sample", shared.thumbnails, shared.pictures));
  field("notes").replaceChildren(...notes.map((note) => {
    const item = make("li");
    item.append(showText(note));
    return item;
  }));
}

function handleKey(event) {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (target.matches("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (target.getAttribute("role") === "tab" && event.key.startsWith("Arrow")) return;
  const actions = {
    j: () => selectNext(1), ArrowRight: () => selectNext(1), k: () => selectNext(-1), ArrowLeft: () => selectNext(-1),
    "/": () => field("search").focus(), "[": () => turnTo(state.page - 1), "]": () => turnTo(state.page + 1),
  };
  const isOnRow = target === document.body || target.classList.contains("card");
  if (event.key === "Enter" && isOnRow) document.querySelector(".card[aria-current] button.raw")?.click();
  else if (event.key in actions && (state.view === "rows" || event.key === "/")) actions[event.key]();
  else return;
  event.preventDefault();
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
      refresh();
    });
    field(`tab-${name}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
      const step = event.key === "ArrowRight" ? 1 : tabs.length - 1;
      const other = tabs[(tabs.indexOf(name) + step) % tabs.length];
      field(`tab-${other}`).click();
      field(`tab-${other}`).focus();
    });
  }
  field("cards").addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (card === null || event.target.closest("a, button") || String(getSelection())) return;
    select(rows[Number(card.id.slice("row-".length))]);
  });
  field("language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    showAll();
  });
  document.addEventListener("keydown", handleKey);
  addEventListener("hashchange", followLink);
}

function showAll() {
  translatePage();
  fillSelects();
  describeReport();
  refresh();
}

// The first part is shown at once; the others follow in steps that leave time for scrolling.
function takeParts(isLinkOpen) {
  const before = rows.length;
  const deadline = performance.now() + 30;
  while (performance.now() < deadline && takePart());
  if (rows.length > before) appendFound(before);
  const isOpen = isLinkOpen && !followLink();
  if (rows.length < shared.rows && !(document.readyState !== "loading" && rows.length === before)) {
    setTimeout(() => takeParts(isOpen), document.readyState === "loading" ? 50 : 0);
    showCount();
    showPagers();
    return;
  }
  fillSelects();
  describeReport();
  if (state.view !== "rows" || state.order !== "input") refresh();
  else showCount();
  showPagers();
}

function appendFound(start) {
  const found = findRows(state.filters, start);
  const wasShort = state.found.length < (state.page + 1) * PAGE_SIZE;
  state.found.push(...found);
  if (rows.length >= shared.rows && state.order !== "input") state.found = orderRows(state.found, state.order);
  if (wasShort && found.length > 0 && state.view === "rows") showPage();
}

takePart();
field("more").open = matchMedia("(min-width: 700px)").matches;
translatePage();
fillSelects();
describeReport();
listen();
readFilters();
applyFilters();
takeParts(!followLink());
