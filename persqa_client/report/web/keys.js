// Keys: which are named below the rows and by "?", and what they do.

const ROW_KEYS = [["j →", "next_row"], ["k ←", "previous_row"], ["Enter", "raw"], ["/", "search"], ["[ ]", "other_page"], ["?", "list_keys"]];
const VIEW_KEYS = [["o", "larger_picture"]];
const DECISION_KEYS = { a: "accept", x: "reject", e: "edit", c: "comment", u: "none" };
const EDIT_KEYS = Object.entries(DECISION_KEYS).map(([key, action]) => [key, `do_${action}`]);

// In an editor. An input method uses Enter, too.
function isSaveKey(event) {
  return event.key === "Enter" && !event.isComposing && (event.ctrlKey || event.metaKey || event.target.matches("input"));
}

function listKeys() {
  return [...ROW_KEYS, ...(source.isServed ? VIEW_KEYS : []), ...(source.editable ? EDIT_KEYS : [])];
}

function showKeys() {
  const texts = listKeys().map(([keys, action]) => `${keys} ${say(action)}`);
  field("keys").textContent = say("keys", texts.join(" · "));
}

function openKeyList() {
  const list = make("dl", "key-list");
  for (const [keys, action] of listKeys()) {
    const names = make("dt");
    names.append(...keys.split(" ").map((key) => make("kbd", "", key)));
    list.append(names, make("dd", "", say(action)));
  }
  openDialog(say("list_keys"), [list]);
}

function handleKey(event) {
  const target = event.target;
  const isChord = (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph");
  if (isChord || event.isComposing) return;
  if (target.matches("input:not([type=checkbox]), select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (target.getAttribute("role") === "tab" && event.key.startsWith("Arrow")) return;
  if (field("large").open) {
    if (event.key === "?") field("large").close();
    return;
  }
  const actions = {
    j: () => selectNext(1), ArrowRight: () => selectNext(1), k: () => selectNext(-1), ArrowLeft: () => selectNext(-1),
    "[": () => turnTo(state.page - 1), "]": () => turnTo(state.page + 1),
  };
  const isOnRow = target === document.body || target.closest(".card, #cards") !== null;
  const isOnCard = target === document.body || target.classList.contains("card");
  const press = (button) => document.querySelector(`.card[aria-current] ${button}`)?.click();
  if (event.key === "/") field("search").focus();
  else if (event.key === "?") openKeyList();
  else if (state.view !== "rows") return;
  else if (event.key in actions) queueKey(actions[event.key]);
  else if (source.editable && isOnRow && event.key in DECISION_KEYS) queueOnce(event, () => decideByKey(event.key));
  else if (event.key === "o" && isOnRow) queueOnce(event, () => press(".zoom"));
  else if (event.key === "Enter" && isOnCard) queueOnce(event, () => press("button.raw"));
  else return;
  event.preventDefault();
}

// Each key acts on the row that the keys before it lead to, though these wait for an answer. keyTurn: keys of earlier
// turns, which wait, are left out.
let keyTurn = 0;
let keyed = Promise.resolve();

function queueKey(action) {
  const own = keyTurn;
  keyed = keyed.then(() => (own === keyTurn ? action() : null)).catch(console.error);
}

// A key that is held down decides on one row.
function queueOnce(event, action) {
  if (!event.repeat) queueKey(action);
}
