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
  sent.delete(row.id);
  card.replaceWith(made);
  if (isOpen) made.querySelector("button.raw").click();
  if (editor !== null) made.append(editor);
  if (state.selected === row) state.selected = fresh;
  markSelected();
  if (hadFocus) (made.querySelector(findSame(focused)) ?? made).focus({ preventScroll: true });
  return fresh;
}

// The button that was pressed, in the new card.
function findSame(element) {
  const name = [...element.classList].find((each) => each.startsWith("do-"));
  return name ? `.${name}:not(:disabled)` : ".nothing-else";
}
