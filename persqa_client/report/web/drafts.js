// What is written in editors and not stored yet, by run, row and question: kept as long as the tab, also when the page
// is loaded again. Only what differs from the row is kept, because the rest may be changed elsewhere.

const DRAFT = "persqa draft ";
const drafts = new Map();

function draftKey(row) {
  return DRAFT + JSON.stringify([source.overview.runs[row.run].path, row.id, row.asked]);
}

// A browser may forbid its storage, or it may be full: a draft is then kept as long as the page.
function keepDraft(row, draft) {
  const key = draftKey(row);
  const isFirst = !drafts.has(key);
  drafts.set(key, draft);
  try {
    sessionStorage.setItem(key, JSON.stringify(draft));
  } catch (error) {
    console.info(error);
  }
  if (isFirst && source.isLost) describeReport();
}

function forgetDraft(row) {
  const key = draftKey(row);
  drafts.delete(key);
  try {
    sessionStorage.removeItem(key);
  } catch (error) {
    console.info(error);
  }
}

// What to do when the server has ended. A tab keeps what it stores by the port of its page.
function sayLost() {
  return drafts.size > 0 ? say("lost_drafts", location.port) : say("lost");
}

// The editor of a draft that is being stored is not opened again.
function markDraft(row, isStoring) {
  const draft = drafts.get(draftKey(row));
  if (draft) draft.isStoring = isStoring;
}

function readDrafts() {
  try {
    for (const key of Object.keys(sessionStorage).filter((each) => each.startsWith(DRAFT))) {
      drafts.set(key, JSON.parse(sessionStorage.getItem(key)));
    }
  } catch (error) {
    console.info(error);
  }
}

// Opens the editors of the rows that are shown, as they were when their page was left.
function reopenEditors() {
  for (const row of drafts.size > 0 ? state.shown : []) {
    const draft = drafts.get(draftKey(row));
    const card = document.getElementById(`row-${row.key}`);
    const isPossible = card.querySelector(".editor") === null && card.querySelector(`.do-${draft?.action}:not(:disabled)`) !== null;
    if (isPossible && !draft.isStoring) openEditor(row, card, draft.action, draft);
  }
}
