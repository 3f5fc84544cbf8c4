// The rows of the report: reads them from the page's data, finds those that fit the filters, and orders them.
// A row has the members that report/data.py writes; those without a value are missing.

const shared = JSON.parse(document.getElementById("shared").textContent);
const rows = [];
const questions = []; // [text, language]
const pictures = []; // [name, data URI of the thumbnail, problem]
const positions = new Map(); // of the rows, by their id
const counts = { outcomes: new Map(), questions: new Map(), languages: new Map(), doubts: new Map() };
const groups = new Map(); // first answer of each group of answers that are nearly alike
const groupSizes = shared.group_sizes ?? [];

const NO_FILTERS = {
  search: "",
  run: "",
  outcome: "",
  question: "",
  language: "",
  doubt: "",
  group: "",
  shortest: null,
  longest: null,
  repaired: false,
  reasked: false,
  doubtful: false,
  failed: false,
};

// Takes the parts that have arrived, one at a time. Returns whether there was one.
function takePart() {
  const element = document.querySelector("script.part");
  if (element === null) return false;
  const part = JSON.parse(element.textContent);
  element.remove();
  for (const question of part.questions) questions.push(question);
  for (const picture of part.pictures) pictures.push(picture);
  for (const row of part.rows) addRow(row);
  return true;
}

function addRow(row) {
  row.position = rows.length;
  row.pictures ??= [];
  row.length = row.answer === undefined ? 0 : countCharacters(row.answer);
  row.text = searchedText(row);
  rows.push(row);
  positions.set(row.id, row.position);
  // The first question of an input line is also found by the number of the line.
  const line = row.id.replace(/\.\d+$/, "");
  if (!positions.has(line)) positions.set(line, row.position);
  increase(counts.outcomes, row.code ?? "");
  increase(counts.questions, row.question);
  increase(counts.languages, languageOf(row));
  for (const doubt of row.doubts ?? []) increase(counts.doubts, doubt);
  if (row.group && !groups.has(row.group)) groups.set(row.group, row.answer);
}

function searchedText(row) {
  const texts = [row.id, questions[row.question][0], row.answer, row.message, row.code];
  for (const number of row.pictures) texts.push(pictures[number][0]);
  for (const raw of row.raws ?? []) texts.push(raw.text, raw.problem);
  for (const list of [row.doubts, row.steps]) if (list !== undefined) texts.push(...list);
  return texts.filter((text) => text !== undefined).join("\n").toLowerCase();
}

function increase(map, key, by = 1) {
  map.set(key, (map.get(key) ?? 0) + by);
}

function byCount(map) {
  return [...map].sort((one, other) => other[1] - one[1] || (String(one[0]) < String(other[0]) ? -1 : 1));
}

function languageOf(row) {
  return questions[row.question][1];
}

// Options of a filter: all, and the largest ones.
function listGroups() {
  const sizes = new Map([...groups.keys()].map((group) => [group, groupSizes[group - 1]]));
  const largest = byCount(sizes).slice(0, MOST_OPTIONS).map(([group]) => [String(group), labelGroup(group)]);
  return [["any", say("all_groups", groupSizes.length)], ...largest];
}

function labelGroup(group) {
  return `${formatValue(groupSizes[group - 1])} × ${groups.get(group).slice(0, MOST_OPTION_LENGTH)}`;
}

function isFailed(row) {
  return row.code !== undefined;
}

function tagOf(row) {
  return row.tag ?? shared.runs[row.run].tag;
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

// Each word must be somewhere in the row; words in quotation marks stay together.
function splitSearch(search) {
  return [...search.toLowerCase().matchAll(/"([^"]+)"|(\S+)/g)].map((found) => found[1] ?? found[2]);
}

function makeTest(filters) {
  const words = splitSearch(filters.search);
  const tests = [];
  if (filters.run !== "") tests.push((row) => row.run === Number(filters.run));
  if (filters.outcome === "accepted") tests.push((row) => !isFailed(row));
  else if (filters.outcome === "failed") tests.push(isFailed);
  else if (filters.outcome !== "") tests.push((row) => row.code === filters.outcome.slice(1));
  if (filters.question !== "") tests.push((row) => row.question === Number(filters.question));
  if (filters.language !== "") tests.push((row) => (languageOf(row) || "?") === filters.language);
  if (filters.doubt !== "") tests.push((row) => (row.doubts ?? []).includes(filters.doubt));
  if (filters.group === "any") tests.push((row) => row.group !== undefined);
  else if (filters.group !== "") tests.push((row) => row.group === Number(filters.group));
  if (filters.shortest !== null) tests.push((row) => !isFailed(row) && row.length >= filters.shortest);
  if (filters.longest !== null) tests.push((row) => !isFailed(row) && row.length <= filters.longest);
  if (filters.repaired) tests.push((row) => row.repaired === true);
  if (filters.reasked) tests.push((row) => (row.asks ?? 1) > 1);
  if (filters.doubtful) tests.push((row) => row.doubts !== undefined);
  if (filters.failed) tests.push(isFailed);
  for (const word of words) tests.push((row) => row.text.includes(word));
  return (row) => tests.every((test) => test(row));
}

function findRows(filters, start = 0) {
  const test = makeTest(filters);
  const found = [];
  for (let at = start; at < rows.length; at++) if (test(rows[at])) found.push(rows[at]);
  return found;
}

const ORDERS = {
  input: () => 0,
  shortest: (row) => (isFailed(row) ? Infinity : row.length),
  longest: (row) => (isFailed(row) ? Infinity : -row.length),
  tokens: (row) => -(row.tokens?.[1] ?? 0),
  attempts: (row) => -(row.attempts ?? 1),
  question: (row) => questions[row.question].rank,
  group: (row) => row.group ?? Infinity,
  outcome: (row) => row.code ?? "",
};

// Rows that are equal in the order stay as in the input.
function orderRows(found, order) {
  if (order === "input") return found;
  if (order === "question") rankQuestions();
  const key = ORDERS[order];
  const keyed = found.map((row) => [key(row), row]);
  keyed.sort(([one, row], [other, next]) => (one < other ? -1 : one > other ? 1 : row.position - next.position));
  return keyed.map(([, row]) => row);
}

function rankQuestions() {
  const collator = new Intl.Collator();
  const sorted = [...questions].sort((one, other) => collator.compare(one[0], other[0]));
  sorted.forEach((question, rank) => (question.rank = rank));
}
