// Keys: which are named below the rows, and what they do.

function showKeys() {
  const more = source.editable ? "edit_keys" : source.isServed ? "view_keys" : null;
  field("keys").textContent = more === null ? say("keys") : `${say("keys")}, ${say(more)}`;
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
  if (field("large").open) return;
  const actions = {
    j: () => selectNext(1), ArrowRight: () => selectNext(1), k: () => selectNext(-1), ArrowLeft: () => selectNext(-1),
    "[": () => turnTo(state.page - 1), "]": () => turnTo(state.page + 1),
  };
  const isOnRow = target === document.body || target.closest(".card, #cards") !== null;
  const isOnCard = target === document.body || target.classList.contains("card");
  const press = (button) => document.querySelector(`.card[aria-current] ${button}`)?.click();
  if (event.key === "/") field("search").focus();
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
