// The rows of a report that is a file: reads them from the page's data, finds those that fit the filters, and orders
// them. A row has the members that report/data.py writes; those without a value are missing. Instead of the numbers of
// its question and pictures, cards use asked and shown. served.js has the same source for a page that is served.

const shared = JSON.parse(document.getElementById("shared").textContent);
const rows = [];
const questions = []; // [text, language]
const pictures = []; // [name, data URI of the thumbnail, problem]
const positions = new Map(); // of the rows, by their id
const counts = { outcomes: new Map(), questions: new Map(), languages: new Map(), doubts: new Map(), decisions: new Map() };
let commented = 0;
const groups = new Map(); // of answers that are nearly alike: the first answer, and how many there are

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
  row.position = row.key = rows.length;
  row.asked = questions[row.question][0];
  row.shown = (row.pictures ?? []).map((number) => pictures[number]);
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
  if (decisionOf(row)) increase(counts.decisions, decisionOf(row));
  if (row.decision?.comment) commented++;
  if (row.group && !groups.has(row.group)) groups.set(row.group, { first: row.answer, size: shared.group_sizes[row.group - 1] });
}

function searchedText(row) {
  const texts = [row.id, row.asked, row.answer, row.message, row.code, row.decision?.text, row.decision?.comment];
  for (const [name] of row.shown) texts.push(name);
  for (const raw of row.raws ?? []) texts.push(raw.text, raw.problem);
  for (const list of [row.doubts, row.steps]) if (list !== undefined) texts.push(...list);
  return texts.filter((text) => text !== undefined).join("\n").toLowerCase();
}

function languageOf(row) {
  return questions[row.question][1];
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
  if (filters.decision !== "") tests.push(makeDecisionTest(filters.decision));
  for (const word of words) tests.push((row) => row.text.includes(word));
  return (row) => tests.every((test) => test(row));
}

function makeDecisionTest(decision) {
  if (decision === "commented") return (row) => Boolean(row.decision?.comment);
  const isDecided = (row) => !["", "stale"].includes(decisionOf(row));
  if (decision === "any") return isDecided;
  return decision === "undecided" ? (row) => !isDecided(row) : (row) => decisionOf(row) === decision;
}

function findRows(filters, start = 0) {
  const test = makeTest(filters);
  const found = [];
  for (let at = start; at < rows.length; at++) if (test(rows[at])) found.push(rows[at]);
  return found;
}

const KEYS = {
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
  const key = KEYS[order];
  const keyed = found.map((row) => [key(row), row]);
  keyed.sort(([one, row], [other, next]) => (one < other ? -1 : one > other ? 1 : row.position - next.position));
  return keyed.map(([, row]) => row);
}

function rankQuestions() {
  const collator = new Intl.Collator();
  const sorted = [...questions].sort((one, other) => collator.compare(one[0], other[0]));
  sorted.forEach((question, rank) => (question.rank = rank));
}

const HAN = /^\p{Script=Han}/u;

function collectFigures(found) {
  const figures = {
    outcomes: new Map(), asked: new Map(), accepted: new Map(), words: new Map(), steps: new Map(), doubts: new Map(),
    languages: new Map(), decisions: new Map(), groups: new Map(), alike: 0, lengths: new Map(), tokens: new Map(), questions: new Map(),
    prompt: 0, completion: 0, counted: 0, found: found.length,
  };
  for (const row of found) {
    increase(figures.outcomes, row.code ?? "");
    increase(figures.asked, row.question);
    figures.questions.set(row.question, row.asked);
    increase(figures.languages, languageOf(row));
    if (!isFailed(row)) {
      increase(figures.accepted, row.question);
      increase(figures.words, firstWords(row));
      increase(figures.lengths, row.length);
      if (row.group) {
        increase(figures.groups, row.group);
        figures.alike++;
      }
    }
    for (const step of row.steps ?? []) increase(figures.steps, step);
    for (const doubt of row.doubts ?? []) increase(figures.doubts, doubt);
    if (decisionOf(row)) increase(figures.decisions, decisionOf(row));
    if (row.tokens !== undefined) {
      figures.prompt += row.tokens[0];
      figures.completion += row.tokens[1];
      increase(figures.tokens, row.tokens[1]);
      figures.counted++;
    }
  }
  figures.group_count = figures.groups.size;
  return figures;
}

// Two words, or two Chinese characters.
function firstWords(row) {
  const tag = tagOf(row);
  const start = (row.answer.startsWith(tag) ? row.answer.slice(tag.length) : row.answer).slice(0, 80).trimStart();
  if (HAN.test(start)) return [...start].slice(0, 2).join("");
  return start.split(/\s+/, 2).join(" ").replace(/[.,;:!?]+$/, "").toLowerCase();
}

const found = { key: "", list: [], until: 0 };

// All rows that fit. While the page loads, those of a later part are added at the end; it is sorted when all are there.
function findAll(filters, order) {
  const key = JSON.stringify([filters, order]);
  const isNew = key !== found.key;
  if (isNew || (found.until < rows.length && order !== "input" && source.isComplete)) {
    Object.assign(found, { key, list: orderRows(findRows(filters), order), until: rows.length });
  } else if (found.until < rows.length && order === "input") {
    found.list.push(...findRows(filters, found.until));
    found.until = rows.length;
  }
  return found.list;
}

// Those of the filter.
function largestGroups() {
  const sizes = new Map([...groups].map(([group, { size }]) => [group, size]));
  return byCount(sizes).slice(0, MOST_OPTIONS).map(([group, size]) => [group, size, groups.get(group).first]);
}

const source = {
  isServed: false,
  editable: false,
  groups,
  get isComplete() {
    return rows.length >= shared.rows;
  },
  // Of all rows that are loaded.
  get overview() {
    return {
      ...shared,
      loaded: rows.length,
      outcomes: [...counts.outcomes],
      languages: [...counts.languages],
      doubts: [...counts.doubts],
      decisions: [...counts.decisions],
      commented,
      group_count: shared.group_sizes.length,
      groups: largestGroups(),
      questions: byCount(counts.questions).map(([number, count]) => [number, ...questions[number], count]),
    };
  },
  async prepare() {},
  // keep: the id of a row whose page is wanted, if it fits.
  async find({ filters, order, page, size, keep = null }) {
    const list = findAll(filters, order);
    const position = keep === null ? undefined : positions.get(keep);
    const kept = position === undefined ? -1 : list.indexOf(rows[position]);
    const at = kept < 0 ? page : Math.floor(kept / size);
    return { count: list.length, page: at, kept: kept < 0 ? null : kept, rows: list.slice(at * size, (at + 1) * size), also: [] };
  },
  async figures(filters) {
    return { ...collectFigures(findRows(filters)), timelines: shared.runs.map((run) => run.timeline) };
  },
  compare: (query) => compareRows(query),
  // The first part is shown at once; the others follow in steps that leave time for scrolling.
  start(onChange) {
    const step = async () => {
      const before = rows.length;
      const deadline = performance.now() + 30;
      while (performance.now() < deadline && takePart());
      if (rows.length > before || source.isComplete) await onChange();
      if (source.isComplete || (document.readyState !== "loading" && rows.length === before)) return;
      setTimeout(step, document.readyState === "loading" ? 50 : 0);
    };
    step();
  },
};

takePart();
