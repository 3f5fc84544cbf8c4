// Takes in what is new: parts of a large page that arrive, rows of a run that goes on, decisions made elsewhere.

// The address of a link may be that of a row that is not there yet.
let isLinkOpen = true;
// Changes when all rows were read anew.
let epoch;
// Whether they were while somebody wrote in an editor, so that they are shown when it is left.
let isRereadDue = false;

// What is new appears at its place, and what is looked at stays where it is.
async function showNew() {
  if (source.isComplete) fillSelects();
  describeReport();
  if (isLinkOpen && (await followLink())) isLinkOpen = false;
  const isSorted = !source.isServed && source.isComplete && state.order !== "input";
  const isReread = isSorted || isRereadDue || epoch !== source.overview.epoch;
  epoch = source.overview.epoch;
  isRereadDue = isReread && !isNobodyWriting();
  if (isReread && !isRereadDue) {
    await applyFilters({ keep: state.selected ?? state.shown[0] ?? null, page: state.page, isWanted: isNobodyWriting });
    return;
  }
  const found = await load({ also: state.shown.map((row) => row.key) }, { isNews: true });
  if (found !== null) mergeFound(found);
  if (source.isComplete) await showOther();
}

// Other editors are opened again, with their drafts.
const isNobodyWriting = () => document.activeElement?.closest(".editor") == null;

function mergeFound(found) {
  // Rows have numbers that are those of one reading. After another one they are drawn again when nobody writes.
  if (state.shown.some((row) => row.epoch !== found.epoch)) return;
  state.count = found.count;
  const fresh = new Map([...found.rows, ...found.also].map((row) => [row.key, row]));
  state.shown = state.shown.map((row) => refreshCard(row, fresh.get(row.key) ?? row));
  const known = new Set(state.shown.map((row) => row.key));
  const room = found.page === state.page ? PAGE_SIZE - state.shown.length : 0;
  const added = found.rows.filter((row) => !known.has(row.key)).slice(0, room);
  if (added.length > 0) {
    field("cards").querySelector(".nothing")?.remove();
    field("cards").append(...added.map(makeCard));
    state.shown.push(...added);
    reopenEditors();
  }
  showPagers();
  showCount();
}

// A card in which somebody writes stays until the editor is left: moving it would end what an input method composes.
function refreshCard(row, fresh) {
  const card = field(`row-${row.key}`);
  const [editor, focused] = [card.querySelector(".editor"), document.activeElement];
  if (editor?.contains(focused)) {
    showMeanwhile(editor, row, fresh);
    return row;
  }
  if (fresh.stamp === row.stamp) return row;
  const isOpen = card.querySelector(".raws") !== null;
  const hadFocus = card.contains(focused);
  const made = makeCard(fresh);
  card.replaceWith(made);
  if (isOpen) made.querySelector("button.raw").click();
  if (editor !== null) made.append(editor);
  if (state.selected === row) state.selected = fresh;
  markSelected();
  if (hadFocus) (made.querySelector(findSame(focused)) ?? made).focus({ preventScroll: true });
  return fresh;
}

// A decision about the present answer replaces one about another answer.
function applySent(row) {
  return { ...(row.decision?.stale ? {} : row.decision), ...sent.get(row.id) };
}

// The same for decisions of which a card shows the same.
function describeDecision(decision) {
  const { kind = "none", text, comment, stale, about } = decision ?? {};
  return JSON.stringify([kind, kind === "edit" ? text : "", comment ?? "", stale ? about : ""]);
}

// Whether the decision is the one that the card shows, with what this page sent since.
function isKnown(row, decision) {
  const found = describeDecision(decision);
  return found === describeDecision(row.decision) || (sent.get(row.id) && found === describeDecision(applySent(row)));
}

// A new card shows what was sent before, except a decision that is still on its way.
function forgetSent(row) {
  if (underway !== row.id || describeDecision(applySent(row)) === describeDecision(row.decision)) sent.delete(row.id);
}

// What others decided while somebody writes, whose card stays as it is until the editor is left.
function showMeanwhile(form, row, fresh) {
  const shown = form.querySelector(":scope > .meanwhile");
  if (form.ariaBusy === "true" || isKnown(row, fresh.decision)) {
    shown?.remove();
    return;
  }
  const kind = decisionOf(fresh);
  const text = kind === "edit" ? `: ${fresh.decision.text}` : "";
  const parts = [kind ? say(`decision_${kind}`) + text : say("undecided")];
  if (fresh.decision?.comment) parts.push(say("comment_is", fresh.decision.comment));
  const line = makeTrouble("");
  line.classList.add("meanwhile");
  line.append(showLong(say("meanwhile", parts.join(" · ")), { tag: tagOf(row) }));
  if (shown === null) form.prepend(line);
  else if (shown.textContent !== line.textContent) shown.replaceWith(line);
}

// The button that was pressed, in the new card.
function findSame(element) {
  const name = [...element.classList].find((each) => each.startsWith("do-"));
  return name ? `.${name}:not(:disabled)` : ".nothing-else";
}
