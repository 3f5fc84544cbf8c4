// What people decided about answers: shown on cards, and in a page that may store them also made.

// The decision of a row as filters name it, with the colour of its badge.
const DECISION_KINDS = { accept: "good", reject: "bad", edit: "by", stale: "doubt" };
const CHECK_DELAY = 250;
const DECISION_KEYS = { a: "accept", x: "reject", e: "edit", c: "comment", u: "none" };

function decisionOf(row) {
  if (!row.decision) return "";
  if (row.decision.stale) return "stale";
  return row.decision.kind === "none" ? "" : row.decision.kind;
}

// Whether there is a decision about the present answer. A comment alone is none.
function isDecided(row) {
  return !["", "stale"].includes(decisionOf(row));
}

// Whether somebody accepted the answer, or wrote another one in its place.
function isKept(row) {
  return isDecided(row) && decisionOf(row) !== "reject";
}

// What a decision is about: the answer, or the last rejected text.
function textOf(row) {
  return row.about ?? row.answer ?? "";
}

// The comment, and what a decision about another answer was.
function makeRemarks(row) {
  const { decision } = row;
  if (!decision) return [];
  const lines = [];
  if (decision.stale) {
    const line = make("p", "was");
    line.dir = "auto";
    const now = decision.kind === "edit" ? ` → ${decision.text}` : "";
    line.append(showLong(`${say(`was_${decision.kind}`, decision.about)}${now}`, { tag: tagOf(row) }));
    lines.push(line);
  }
  if (decision.comment) {
    const line = make("p", "comment");
    line.dir = "auto";
    line.append(showLong(say("comment_is", decision.comment)));
    lines.push(line);
  }
  return lines;
}

function makeDecisionTools(row, card) {
  if (!source.editable) return [];
  const group = make("div", "decide");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", say("decide", row.id));
  const add = (action, sign, isPossible = true) => {
    const name = action === "accept" && isFailed(row) && !isKept(row) ? "accept_anyway" : `do_${action}`;
    const button = make("button", `quiet do-${action}`, `${sign} ${say(name)}`);
    button.type = "button";
    button.disabled = !isPossible;
    if (action === "accept" || action === "reject" || action === "edit") {
      button.setAttribute("aria-pressed", String(decisionOf(row) === action));
    }
    button.addEventListener("click", () => startDecision(row, card, action));
    group.append(button);
  };
  const hasText = textOf(row).trim() !== "" && !row.long;
  add("accept", "✓", hasText);
  add("reject", "✗", hasText);
  add("edit", "✎", row.asked !== "" && !row.long);
  add("comment", "…", !row.long);
  if (isDecided(row)) add("none", "↺");
  return [group];
}

async function startDecision(row, card, action) {
  if (action === "edit" || action === "comment") {
    openEditor(row, card, action);
    return true;
  }
  return storeDecision(row, card, () => (action === "accept" ? acceptShown(row) : { kind: action }));
}

// The new answer of an edit is accepted as it is; the one before the edit comes back by "Undo" only. A decision that was
// stored meanwhile may not be known to the row of an earlier card.
function acceptShown(row) {
  const { kind, text } = applySent(state.shown.find((each) => each.id === row.id) ?? row);
  return kind === "edit" ? { kind, text } : { kind: "accept" };
}

// Sent one after the other, so that the last decision counts.
let sending = Promise.resolve();

// makeChange: called when the decisions before it are stored. Returns whether it is stored.
function storeDecision(row, card, makeChange) {
  const tools = card.querySelector(".decide");
  tools.setAttribute("aria-busy", "true");
  const isStored = sending.then(() => sendDecision(row, makeChange()));
  sending = isStored.then(() => tools.removeAttribute("aria-busy"));
  return isStored;
}

// What this page sent about rows since their cards were drawn: changes by the number of the row.
const sent = new Map();

// The number of the row whose decision is sent.
let underway = null;

async function sendDecision(row, change) {
  const before = sent.get(row.id);
  sent.set(row.id, { ...before, ...change });
  underway = row.id;
  try {
    await source.decide(row, change);
    showNotStored(row, null);
    return true;
  } catch (error) {
    sent.set(row.id, before);
    showNotStored(row, nameTrouble(error));
    return false;
  } finally {
    underway = null;
  }
}

// Decisions that were not stored, of rows that are no longer shown: reasons by the number of the row.
const unstored = new Map();

// On the card that the row has now.
function showNotStored(row, reason) {
  const shown = state.shown.find((each) => each.id === row.id);
  const card = shown && document.getElementById(`row-${shown.key}`);
  const isChanged = unstored.delete(row.id);
  card?.querySelector(":scope > .trouble")?.remove();
  if (reason !== null && card) card.append(makeTrouble(reason === say("changed") ? reason : say("not_stored", reason)));
  else if (reason !== null) unstored.set(row.id, reason);
  if (isChanged || unstored.has(row.id)) describeReport();
}

function makeTrouble(text) {
  const line = make("p", "message trouble", text);
  line.setAttribute("role", "alert");
  return line;
}

// A request that got no answer has no status.
function nameTrouble(error) {
  if (error.status === undefined) return sayLost();
  return error.status === 409 ? say("changed") : error.message;
}

// draft: what was written in an editor of the row before, which is opened again, without the focus.
function openEditor(row, card, action, draft = null) {
  const open = card.querySelector(".editor");
  if (open !== null) {
    open.querySelector("textarea, input").focus();
    return;
  }
  const editor = makeEditor(row, action);
  if (draft !== null && !restoreDraft(row, editor, draft)) return;
  card.append(editor.form);
  listenToEditor(row, editor, action);
  if (draft !== null) return;
  const first = action === "edit" ? editor.answer : editor.comment;
  first.focus();
  first.setSelectionRange(first.value.length, first.value.length);
  editor.form.scrollIntoView({ block: "nearest" });
}

// before: the values of the fields, which leave out some characters of what they are set to.
function makeEditor(row, action) {
  const form = make("form", "editor");
  const answer = make("textarea");
  answer.dir = "auto";
  answer.rows = 4;
  answer.value = decisionOf(row) === "edit" ? row.decision.text : textOf(row);
  const comment = make("input");
  comment.type = "text";
  comment.dir = "auto";
  comment.maxLength = 10000;
  comment.value = row.decision?.stale ? "" : (row.decision?.comment ?? "");
  const verdict = make("p", "verdict");
  verdict.setAttribute("role", "status");
  const save = make("button", "", say("save"));
  save.type = "submit";
  const cancel = make("button", "quiet", say("cancel"));
  cancel.type = "button";
  const buttons = make("div", "tools");
  buttons.append(save, cancel, make("span", "facts keys", say("editor_keys")));
  if (action === "edit") form.append(labelled("new_answer", answer), verdict);
  form.append(labelled("comment", comment), buttons);
  return { form, answer, comment, verdict, save, cancel, before: { answer: answer.value, comment: comment.value } };
}

// What differs from the row: the rest may be changed elsewhere. Spaces around a text are not stored.
function findWritten({ answer, comment, before }) {
  return {
    ...(answer.value.trim() === before.answer.trim() ? {} : { answer: answer.value }),
    ...(comment.value.trim() === before.comment.trim() ? {} : { comment: comment.value }),
  };
}

// Returns whether anything of it is not stored.
function restoreDraft(row, editor, draft) {
  const { form, answer, comment, before } = editor;
  answer.value = draft.answer ?? before.answer;
  comment.value = draft.comment ?? before.comment;
  const isOpen = Object.keys(findWritten(editor)).length > 0;
  if (!isOpen) forgetDraft(row);
  if (draft.about !== textOf(row)) form.prepend(makeTrouble(say("changed")));
  return isOpen;
}

function listenToEditor(row, editor, action) {
  const { form, answer, cancel } = editor;
  form.addEventListener("input", () => {
    const written = findWritten(editor);
    if (Object.keys(written).length === 0) forgetDraft(row);
    else keepDraft(row, { action, about: textOf(row), ...written });
  });
  const close = () => {
    // The focus may be in another editor by now.
    const hadFocus = form.contains(document.activeElement) || document.activeElement === document.body;
    const card = form.closest(".card");
    forgetDraft(row);
    form.remove();
    if (hadFocus) card?.focus({ preventScroll: true });
    showNew();
  };
  const checker = action === "edit" ? watchEditor(row, editor) : null;
  cancel.addEventListener("click", close);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    // A key that is held down would also confirm the problem that is shown first.
    else if (isSaveKey(event)) event.repeat || form.requestSubmit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { comment } = findWritten(editor);
    const change = comment === undefined ? {} : { comment };
    if (checker !== null) {
      const text = answer.value.trim();
      // A key has no button, whose words would say that there is a problem.
      if (!text || !(await checker.mayStore(event.submitter === null))) return;
      // An answer that was not changed is accepted.
      Object.assign(change, text === textOf(row) ? { kind: "accept" } : { kind: "edit", text });
    }
    if (Object.keys(change).length === 0) close();
    else if (!editor.isStoring) await storeWritten(row, editor, change, close);
  });
}

function isSaveKey(event) {
  return event.key === "Enter" && !event.isComposing && (event.ctrlKey || event.metaKey || event.target.matches("input"));
}

// What is stored can't be changed meanwhile. If its page is left, the editor is only opened again if it is not stored.
async function storeWritten(row, editor, change, close) {
  const { form, answer, comment, save } = editor;
  const setStoring = (isStoring) => {
    editor.isStoring = answer.readOnly = comment.readOnly = save.disabled = isStoring;
    form.ariaBusy = String(isStoring);
    markDraft(row, isStoring);
  };
  setStoring(true);
  const isStored = await storeDecision(row, form.closest(".card"), () => change);
  setStoring(false);
  if (isStored) close();
  else if (!form.isConnected) reopenEditors();
}

function labelled(text, element) {
  const label = make("label");
  label.append(make("span", "", say(text)), element);
  return label;
}

// Shows what the checks say of the text. A problem is seen before the text can be saved; it does not forbid that.
function watchEditor(row, { form, answer, verdict, save }) {
  let [timer, shown, warned] = [0, null, null];
  const check = async () => {
    const text = answer.value.trim();
    if (text === shown?.text) return shown;
    let result = null;
    try {
      result = text ? await source.check(row, text) : { code: "empty", message: say("empty_answer"), doubts: [] };
    } catch (error) {
      result = { trouble: nameTrouble(error), doubts: [] };
    }
    if (text !== answer.value.trim()) return check();
    shown = { text, isGood: !result.code && !result.trouble, isBad: Boolean(result.code) };
    verdict.className = `verdict ${shown.isGood ? "good" : "bad"}`;
    const notes = result.doubts.length > 0 ? ` ${say("check_doubts", result.doubts.join(", "))}` : "";
    const names = result.names ? ` ${say("check_names")}` : "";
    const judgement = result.code ? say("check_bad", result.code, result.message) : say("check_good");
    verdict.textContent = (result.trouble ?? judgement) + notes + names;
    save.textContent = say(result.code ? "save_anyway" : "save");
    // An empty text can't be stored.
    save.disabled = !text;
    if (form.contains(document.activeElement)) save.scrollIntoView({ block: "nearest" });
    return shown;
  };
  answer.addEventListener("input", () => {
    clearTimeout(timer);
    warned = null;
    timer = setTimeout(check, CHECK_DELAY);
  });
  check();
  return {
    // Whether the text is good, or its problem was shown before: by key, after a warning that a key confirms.
    async mayStore(isByKey) {
      const isWarned = (text) => warned === text || !isByKey || !shown.isBad;
      const wasShown = shown?.text === answer.value.trim() && isWarned(shown.text);
      if ((await check()).isGood || wasShown) return true;
      if (!isWarned(shown.text)) {
        warned = shown.text;
        verdict.append(` ${say("save_again")}`);
      }
      return false;
    },
  };
}

// Before a key accepts an answer that the checks rejected: keys are pressed in a row, without a look at each button.
// Returns whether the warning is new.
function warnOfRejected(row, card) {
  if (card.querySelector(":scope > .accept-again") !== null || isKept(row)) return false;
  const line = makeTrouble("");
  line.classList.add("accept-again");
  line.append(showText(say("accept_again", row.code)));
  card.append(line);
  line.scrollIntoView({ block: "nearest" });
  return true;
}

// By key, the next row follows a decision.
async function decideByKey(key) {
  const { selected } = state;
  const action = DECISION_KEYS[key];
  const card = selected === null ? null : document.getElementById(`row-${selected.key}`);
  const button = card?.querySelector(`.do-${action}`);
  if (!button || button.disabled) return;
  if (action === "accept" && isFailed(selected) && warnOfRejected(selected, card)) {
    keyTurn++;
    return;
  }
  const at = state.at;
  const isStored = await startDecision(selected, card, action);
  if (isStored && (action === "accept" || action === "reject") && state.at === at) await selectNext(1);
  // What was typed ahead was meant for another row, or for the editor.
  if (!isStored || card.querySelector(".editor") !== null) keyTurn++;
}
