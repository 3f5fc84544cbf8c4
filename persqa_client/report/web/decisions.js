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
    const button = make("button", `quiet do-${action}`, `${sign} ${say(`do_${action}`)}`);
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
  if (row.decision && !row.decision.stale) add("none", "↺");
  return [group];
}

async function startDecision(row, card, action) {
  if (action === "edit" || action === "comment") {
    openEditor(row, card, action);
    return true;
  }
  return storeDecision(row, card, action === "none" ? { kind: "none", comment: "" } : { kind: action });
}

// Returns whether it is stored.
async function storeDecision(row, card, change) {
  try {
    await source.decide(row, change);
    return true;
  } catch (error) {
    const line = card.querySelector(".trouble") ?? make("p", "message trouble");
    line.setAttribute("role", "alert");
    line.textContent = error.status === 409 ? say("changed") : say("not_stored", nameTrouble(error));
    card.append(line);
    return false;
  }
}

// A request that got no answer has no status.
function nameTrouble(error) {
  if (error.status === undefined) return say("lost");
  return error.status === 409 ? say("changed") : error.message;
}

// What was written in editors that are open, or were when their page was left, by row and answer.
const drafts = new Map();

function openEditor(row, card, action) {
  const open = card.querySelector(".editor");
  if (open !== null) {
    open.querySelector("textarea, input").focus();
    return;
  }
  const form = make("form", "editor");
  const answer = make("textarea");
  answer.dir = "auto";
  answer.rows = 4;
  const key = JSON.stringify([row.id, textOf(row)]);
  const draft = drafts.get(key);
  answer.value = draft?.answer ?? (decisionOf(row) === "edit" ? row.decision.text : textOf(row));
  const comment = make("input");
  comment.type = "text";
  comment.dir = "auto";
  comment.maxLength = 10000;
  const commented = row.decision?.stale ? "" : (row.decision?.comment ?? "");
  comment.value = draft?.comment ?? commented;
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
  card.append(form);
  form.addEventListener("input", () => drafts.set(key, { answer: answer.value, comment: comment.value }));
  const close = () => {
    drafts.delete(key);
    form.remove();
    document.getElementById(card.id)?.focus({ preventScroll: true });
    if (isRereadDue) showNew();
  };
  const checker = action === "edit" ? watchEditor(row, answer, verdict, save) : null;
  cancel.addEventListener("click", close);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    // A comment that was not changed here may have been changed elsewhere.
    const change = comment.value === commented ? {} : { comment: comment.value };
    if (checker !== null) {
      if (!answer.value.trim() || !(await checker.isShown())) return;
      // An answer that was not changed is accepted.
      const text = answer.value.trim();
      Object.assign(change, text === textOf(row) ? { kind: "accept" } : { kind: "edit", text });
    }
    if (Object.keys(change).length === 0) {
      close();
      return;
    }
    save.disabled = true;
    form.classList.add("done");
    if (await storeDecision(row, card, change)) close();
    save.disabled = false;
    form.classList.remove("done");
  });
  const first = action === "edit" ? answer : comment;
  first.focus();
  first.setSelectionRange(first.value.length, first.value.length);
  form.scrollIntoView({ block: "nearest" });
}

function labelled(text, element) {
  const label = make("label");
  label.append(make("span", "", say(text)), element);
  return label;
}

// Shows what the checks say of the text. A problem is seen before the text can be saved; it does not forbid that.
function watchEditor(row, answer, verdict, save) {
  let [timer, shown] = [0, null];
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
    shown = { text, isGood: !result.code && !result.trouble };
    verdict.className = `verdict ${shown.isGood ? "good" : "bad"}`;
    const notes = result.doubts.length > 0 ? ` ${say("check_doubts", result.doubts.join(", "))}` : "";
    const names = result.names ? ` ${say("check_names")}` : "";
    const judgement = result.code ? say("check_bad", result.code, result.message) : say("check_good");
    verdict.textContent = (result.trouble ?? judgement) + notes + names;
    save.textContent = say(result.code ? "save_anyway" : "save");
    save.scrollIntoView({ block: "nearest" });
    return shown;
  };
  answer.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(check, CHECK_DELAY);
  });
  check();
  return {
    // Whether the text is good, or its problem was shown before.
    async isShown() {
      const wasShown = shown?.text === answer.value.trim();
      return (await check()).isGood || wasShown;
    },
  };
}

// By key, the next row follows a decision.
async function decideByKey(key) {
  const { selected } = state;
  const action = DECISION_KEYS[key];
  const card = selected === null ? null : document.getElementById(`row-${selected.key}`);
  const button = card?.querySelector(`.do-${action}`);
  if (!button || button.disabled) return;
  const at = state.at;
  const isStored = await startDecision(selected, card, action);
  if (isStored && (action === "accept" || action === "reject") && state.at === at) await selectNext(1);
  // What was typed ahead was meant for another row, or for the editor.
  if (!isStored || card.querySelector(".editor") !== null) keyTurn++;
}
