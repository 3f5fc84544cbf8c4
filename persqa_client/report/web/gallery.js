// Cards of rows. All texts of a row are untrusted: they become text nodes only.

// Control characters, separators of lines, marks that reorder a text, fillers, and halves of surrogate pairs. Joiners and
// tags belong to emoji and to scripts that join letters: they are shown where they join nothing.
const JOINED_BY_NOTHING = "\\s\\p{P}\\p{N}\\p{Script=Latin}\\p{Script=Han}";
const INVISIBLE = new RegExp(
  "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e" +
    "\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\ud800-\\udfff]" +
    `|(?<=^|[${JOINED_BY_NOTHING}])[\\u200c\\u200d]|[\\u200c\\u200d](?=$|[${JOINED_BY_NOTHING}])` +
    "|(?<!\\u{1f3f4}[\\u{e0020}-\\u{e007f}]*)[\\u{e0000}-\\u{e007f}]",
  "gu",
);
const SHORT_ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const MOST_PICTURES = 4;
// Steps that are no repairs, and are shown with the raw text only.
const PLAIN_STEPS = new Set(["constraint", "prefill", "re-ask"]);
const SHOWN_LENGTH = 160;
// Characters of a question or an answer; of longer ones the beginning is shown first.
const [MOST_AT_ONCE, BEGINNING] = [900, 600];

function increase(map, key, by = 1) {
  map.set(key, (map.get(key) ?? 0) + by);
}

function byCount(map) {
  return [...map].sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1));
}

function isFailed(row) {
  return row.code !== undefined;
}

function tagOf(row) {
  return row.tag ?? source.overview.runs[row.run].tag;
}

function make(name, className = "", text = null) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== null) element.textContent = text;
  return element;
}

// The text with its invisible characters as escapes. In a long text, line breaks also break the line.
function showText(text, { breaks = false, tag = null } = {}) {
  const fragment = document.createDocumentFragment();
  let done = 0;
  for (const found of text.matchAll(INVISIBLE)) {
    appendMarked(fragment, text.slice(done, found.index), tag);
    fragment.append(make("span", "escape", escapeCharacter(found[0])));
    if (breaks && found[0] === "\n") fragment.append("\n");
    done = found.index + found[0].length;
  }
  appendMarked(fragment, text.slice(done), tag);
  return fragment;
}

function escapeCharacter(character) {
  const code = character.codePointAt(0).toString(16).padStart(4, "0");
  return SHORT_ESCAPES[character] ?? (code.length > 4 ? `\\u{${code}}` : `\\u${code}`);
}

function appendMarked(fragment, text, tag) {
  if (!tag) {
    fragment.append(text);
    return;
  }
  text.split(tag).forEach((part, number) => {
    if (number > 0) fragment.append(make("mark", "", tag));
    fragment.append(part);
  });
}

// The whole text, or its beginning with a button for the rest.
function showLong(text, options) {
  if (text.length <= MOST_AT_ONCE) return showText(text, options);
  const beginning = document.createDocumentFragment();
  // A pair of surrogates is not cut.
  beginning.append(showText(`${text.slice(0, BEGINNING).replace(/[\ud800-\udbff]$/, "")}…`, options));
  const button = make("button", "quiet whole", say("whole", countCharacters(text)));
  button.type = "button";
  button.addEventListener("click", () => button.parentElement.replaceChildren(showText(text, options)));
  beginning.append(" ", button);
  return beginning;
}

// As people count: a letter that takes two units in UTF-16 is one.
function countCharacters(text) {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0xdc00 || unit > 0xdfff) count++;
  }
  return count;
}

function makeCard(row) {
  forgetSent(row);
  const card = make("li", isFailed(row) ? "card bad" : "card");
  card.id = `row-${row.key}`;
  card.tabIndex = -1;
  const body = make("div", "body");
  body.append(makeHead(row), makeQuestion(row), ...makeAnswer(row), makeRejected(row), ...makeRemarks(row));
  const facts = makeFacts(row);
  if (facts !== null) body.append(facts);
  const tools = make("div", "tools");
  tools.append(makeRawToggle(row, card), ...makeDecisionTools(row, card));
  card.append(makePictures(row), body);
  // Buttons for decisions need the whole width.
  (source.editable ? card : body).append(tools);
  return card;
}

function makeHead(row) {
  const head = make("p", "badges");
  const link = make("a", "number", `#${row.id}`);
  link.href = `#row=${row.id}`;
  link.setAttribute("aria-label", say("link", row.id));
  head.append(link);
  const { runs } = source.overview;
  if (runs.length > 1) head.append(makeBadge("", runs[row.run].name));
  head.append(isFailed(row) ? makeBadge("bad", row.code) : makeBadge("good", say("accepted")));
  if (row.repaired) head.append(makeBadge("", say("repaired")));
  if (row.asks > 1) head.append(makeBadge("", say("reasked")));
  for (const doubt of row.doubts ?? []) head.append(makeBadge("doubt", doubt));
  if (row.group) head.append(makeGroupButton(row));
  if (row.edited) head.append(makeBadge("", say("edited")));
  if (decisionOf(row)) head.append(makeBadge(DECISION_KINDS[decisionOf(row)], say(`decision_${decisionOf(row)}`)));
  return head;
}

function makeGroupButton(row) {
  const button = make("button", "badge alike", say("like_others", source.groups.get(row.group).size - 1));
  button.type = "button";
  button.title = say("show_rows");
  button.addEventListener("click", () => showFiltered({ group: String(row.group) }, labelGroup(row.group)));
  return button;
}

function makeBadge(kind, text) {
  const badge = make("span", `badge ${kind}`);
  badge.append(showText(text));
  return badge;
}

function makeQuestion(row) {
  const text = row.asked;
  const line = make("p", "question");
  line.dir = "auto";
  line.append(text ? showLong(text, { tag: tagOf(row) }) : say("no_question"));
  return line;
}

// The answer to use, and below it the one that it replaces.
function makeAnswer(row) {
  const edited = decisionOf(row) === "edit" ? row.decision.text : null;
  const lines = [];
  const addLine = (kind, content) => {
    const line = make("p", kind);
    line.dir = "auto";
    line.append(content);
    lines.push(line);
  };
  if (isFailed(row)) addLine("message", showLong(row.message ?? row.code));
  if (edited !== null) addLine("answer", showLong(edited, { tag: tagOf(row) }));
  else if (!isFailed(row)) addLine(decisionOf(row) === "reject" ? "answer struck" : "answer", row.answer ? showLong(row.answer, { tag: tagOf(row) }) : say("no_answer"));
  if (edited !== null && !isFailed(row)) addLine("was", showLong(say("was", row.answer), { tag: tagOf(row) }));
  return lines;
}

// The beginning of the last answer that was rejected.
function makeRejected(row) {
  const text = row.raws?.at(-1).text ?? "";
  if (!isFailed(row) || !text.trim()) return "";
  const line = make("p", "rejected");
  line.dir = "auto";
  line.title = say("rejected");
  const cut = [...text.slice(0, 2 * SHOWN_LENGTH)].slice(0, SHOWN_LENGTH).join("");
  line.append(showText(cut.length < text.length ? `${cut}…` : cut, { tag: tagOf(row) }));
  return line;
}

function makeFacts(row) {
  const facts = [];
  const steps = (row.steps ?? []).filter((step) => !PLAIN_STEPS.has(step));
  if (row.refused && row.refused !== row.code) facts.push(say("first_problem", row.refused));
  if (steps.length > 0) facts.push(steps.join(", "));
  if (row.attempts > 1) facts.push(say("attempts", row.attempts));
  if (row.verdict) facts.push(say("verdict", row.verdict));
  return facts.length > 0 ? make("p", "facts", facts.join(" · ")) : null;
}

function makePictures(row) {
  const box = make("div", "pictures");
  if (row.shown.length === 0) box.append(make("div", "missing", say(row.waiting ? "unknown_picture" : "no_picture")));
  for (const picture of row.shown.slice(0, MOST_PICTURES)) box.append(makePicture(picture));
  if (row.shown.length > MOST_PICTURES) box.append(make("div", "facts", `+${row.shown.length - MOST_PICTURES}`));
  return box;
}

function makePicture([name, uri, problem]) {
  const figure = make("figure");
  figure.append(uri ? makeImage(name, uri, figure) : make("div", "missing", say(problem ? "unreadable" : "no_thumbnail")));
  const caption = make("figcaption");
  caption.append(showText(baseName(name)));
  const shown = showText(name).textContent;
  figure.title = problem ? `${shown}\n${problem}` : shown;
  figure.append(caption);
  return figure;
}

// A served picture can be looked at in a larger size. Its address has the reason if it can't be read.
function makeImage(name, uri, figure) {
  const image = make("img");
  image.src = uri;
  image.alt = "";
  image.decoding = "async";
  if (!source.isServed) return image;
  image.loading = "lazy";
  const button = make("button", "zoom");
  button.type = "button";
  button.setAttribute("aria-label", say("larger", showText(baseName(name)).textContent));
  button.append(image);
  button.addEventListener("click", () => showLarge(name, uri));
  image.addEventListener("load", () => {
    button.classList.add("loaded");
    loadNextPicture();
  });
  image.addEventListener("error", async () => {
    button.replaceWith(make("div", "missing", say("unreadable")));
    loadNextPicture();
    figure.title = `${showText(name).textContent}\n${await source.reason(uri)}`;
  });
  return button;
}

// Those that were not scrolled to follow one by one, so that a printed page has them all.
function loadNextPicture() {
  const image = document.querySelector("#cards .zoom:not(.loaded) img[loading=lazy]");
  if (image !== null) image.loading = "eager";
}

function showLarge(name, uri) {
  const dialog = document.getElementById("large");
  const image = make("img");
  image.src = `${uri}?large`;
  image.alt = "";
  const caption = make("p");
  caption.append(showText(name));
  const close = make("button", "quiet", say("close"));
  close.type = "button";
  close.addEventListener("click", () => dialog.close());
  dialog.setAttribute("aria-label", showText(baseName(name)).textContent);
  dialog.replaceChildren(image, caption, close);
  dialog.showModal();
}

function baseName(name) {
  return name.startsWith("data:") ? name : name.slice(name.lastIndexOf("/") + 1) || name;
}

// The raw texts are made when they are asked for.
function makeRawToggle(row, card) {
  const button = make("button", "quiet raw", say(row.raws?.length > 1 ? "raw_answers" : "raw", row.raws?.length ?? 0));
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    const open = card.querySelector(".raws");
    button.setAttribute("aria-expanded", String(open === null));
    if (open !== null) {
      open.remove();
      return;
    }
    const raws = makeRaws(row);
    card.querySelector(".tools").after(raws);
    raws.scrollIntoView({ block: "nearest" });
  });
  return button;
}

function makeRaws(row) {
  const box = make("div", "raws");
  if (!row.raws) box.append(make("p", "facts", say("no_raw")));
  (row.raws ?? []).forEach((raw, number) => {
    const facts = [];
    if (row.raws.length > 1) facts.push(say("raw_number", number + 1));
    if (raw.problem) facts.push(raw.problem);
    if (raw.steps) facts.push(raw.steps.join(", "));
    if (raw.ending) facts.push(say("ending", raw.ending));
    if (raw.tokens) facts.push(say("tokens", raw.tokens));
    if (facts.length > 0) box.append(make("p", "facts", facts.join(" · ")));
    const text = make("pre");
    text.dir = "auto";
    if (raw.same) text.classList.add("same");
    text.append(raw.same ? say("same") : showText(raw.text ?? "", { breaks: true, tag: tagOf(row) }));
    box.append(text);
  });
  for (const [name, , problem] of row.shown) {
    const line = make("p", "facts path");
    line.append(showText(problem ? `${name}: ${problem}` : name));
    box.append(line);
  }
  return box;
}
