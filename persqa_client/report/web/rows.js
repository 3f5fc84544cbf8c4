// The rows of a report that is a file: reads them from the page's data, finds those that fit the filters, and orders
// them. A row has the members that report/data.py writes; those without a value are missing. Instead of the numbers of
// its question and pictures, cards use asked and shown. served.js has the same source for a page that is served.

const shared = JSON.parse(document.getElementById("shared").textContent);
const rows = [];
const questions = []; // [text, language]
const pictures = []; // [name, data URI of the thumbnail, problem]
const positions = new Map(); // of the rows, by their id
const counts = { outcomes: new Map(), questions: new Map(), languages: new Map(), doubts: new Map(), steps: new Map(), decisions: new Map() };
let commented = 0;
// Milliseconds of work after which the page may react to its user.
const SLICE = 40;
const groups = new Map(); // of answers that are nearly alike: the first answer, and how many there are

// Takes the parts that have arrived, one at a time. Returns whether there was one. The text of the last one may still
// grow while the document is loading.
function takePart() {
  const element = document.querySelector("script.part");
  if (element === null || (document.readyState === "loading" && element.nextElementSibling === null)) return false;
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
  for (const step of row.steps ?? []) increase(counts.steps, step);
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
  if (filters.step !== "") tests.push((row) => (row.steps ?? []).includes(filters.step));
  if (filters.words !== "") tests.push((row) => !isFailed(row) && firstWords(row) === filters.words);
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
  if (decision === "any") return isDecided;
  return decision === "undecided" ? (row) => !isDecided(row) : (row) => decisionOf(row) === decision;
}

// Does the work of each item, with pauses. Returns false as soon as it is not wanted any more.
async function workInSlices(items, work, isWanted, start = 0, end = items.length) {
  let began = performance.now();
  for (let at = start; at < end; at++) {
    work(items[at]);
    if (at % 500 === 499 && performance.now() - began > SLICE) {
      await new Promise((resume) => setTimeout(resume));
      if (!isWanted()) return false;
      began = performance.now();
    }
  }
  return true;
}

// Numbers, by which rows are sorted.
const KEYS = {
  shortest: (row) => (isFailed(row) ? LAST : row.length),
  longest: (row) => (isFailed(row) ? LAST : -row.length),
  tokens: (row) => -(row.tokens?.[1] ?? 0),
  attempts: (row) => -(row.attempts ?? 1),
  question: (row) => questions[row.question].rank,
  group: (row) => row.group ?? LAST,
  outcome: (row) => codeRanks.get(row.code ?? ""),
};
const LAST = 2 ** 31 - 1;
const codeRanks = new Map();

// Rows that are equal in the order stay as in the input. Each number has the key of a row and its position, so that they
// are sorted without a function, which takes a tenth of the time.
function orderRows(found, order) {
  if (order === "input") return found;
  if (order === "question") rankQuestions();
  if (order === "outcome") [...counts.outcomes.keys()].sort().forEach((code, rank) => codeRanks.set(code, rank));
  const key = KEYS[order];
  const size = rows.length;
  const numbers = Float64Array.from(found, (row) => (key(row) + LAST) * size + row.position).sort();
  return Array.from(numbers, (number) => rows[number % size]);
}

let ranked = 0;

function rankQuestions() {
  if (ranked === questions.length) return;
  ranked = questions.length;
  const collator = new Intl.Collator();
  const sorted = [...questions].sort((one, other) => collator.compare(one[0], other[0]));
  sorted.forEach((question, rank) => (question.rank = rank));
}

const HAN = /^\p{Script=Han}/u;

function startFigures() {
  return {
    outcomes: new Map(), asked: new Map(), accepted: new Map(), words: new Map(), steps: new Map(), doubts: new Map(),
    languages: new Map(), decisions: new Map(), groups: new Map(), alike: 0, lengths: new Map(), tokens: new Map(),
    prompt: 0, completion: 0, counted: 0, found: 0,
  };
}

function addToFigures(figures, row) {
  figures.found++;
  increase(figures.outcomes, row.code ?? "");
  increase(figures.asked, row.question);
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

// Two words, or two Chinese characters.
function firstWords(row) {
  const tag = tagOf(row);
  const start = (row.answer.startsWith(tag) ? row.answer.slice(tag.length) : row.answer).slice(0, 80).trimStart();
  if (HAN.test(start)) return [...start].slice(0, 2).join("");
  return start.split(/\s+/, 2).join(" ").replace(/[.,;:!?]+$/, "").toLowerCase();
}

// Those that have bars, and how many there are: each row may have a question and words of its own.
function findLargest(figures) {
  const largest = (counts) => new Map(byCount(counts).slice(0, MOST_BARS));
  const asked = largest(figures.asked);
  const ofAsked = (find) => new Map([...asked.keys()].map((number) => [number, find(number)]));
  return {
    asked, accepted: ofAsked((number) => figures.accepted.get(number) ?? 0), questions: ofAsked((number) => questions[number][0]),
    words: largest(figures.words), groups: largest(figures.groups),
    questions_count: figures.asked.size, words_count: figures.words.size, group_count: figures.groups.size,
  };
}

const found = { key: "", list: [], until: 0 };
// Numbers of the latest search and the latest figures.
let finding = 0;
let counting = 0;

// All rows that fit. While the page loads, those of a later part are added at the end; it is sorted when all are there.
// Null if other rows were asked for meanwhile.
async function findAll(filters, order) {
  const key = JSON.stringify([filters, order]);
  const until = rows.length;
  const own = ++finding;
  const isNew = key !== found.key || (found.until < until && order !== "input" && source.isComplete);
  if (!isNew && (found.until >= until || order !== "input")) return found.list;
  const [test, fitting] = [makeTest(filters), []];
  const take = (row) => {
    if (test(row)) fitting.push(row);
  };
  if (!(await workInSlices(rows, take, () => own === finding, isNew ? 0 : found.until, until))) return null;
  if (isNew) Object.assign(found, { key, list: orderRows(fitting, order) });
  else for (const row of fitting) found.list.push(row);
  found.until = until;
  return found.list;
}

// Those of the filter.
function largestGroups() {
  const sizes = new Map([...groups].map(([group, { size }]) => [group, size]));
  return byCount(sizes).slice(0, MOST_OPTIONS).map(([group, size]) => [group, size, groups.get(group).first]);
}

function makeOverview() {
  return {
    ...shared,
    loaded: rows.length,
    outcomes: [...counts.outcomes],
    languages: [...counts.languages],
    doubts: [...counts.doubts],
    steps: [...counts.steps],
    decisions: [...counts.decisions],
    commented,
    group_count: shared.group_sizes.length,
    // Sorted only for the filters.
    get groups() {
      return largestGroups();
    },
    get questions() {
      return byCount(counts.questions).map(([number, count]) => [number, ...questions[number], count]);
    },
  };
}

let overview = null;

const source = {
  isServed: false,
  editable: false,
  groups,
  get isComplete() {
    return rows.length >= shared.rows;
  },
  // Of all rows that are loaded. Cards ask for it, so it is made only when there are more.
  get overview() {
    if (overview?.loaded !== rows.length) overview = makeOverview();
    return overview;
  },
  async prepare() {},
  // keep: the id of a row whose page is wanted, if it fits. beyond: of one before the row whose page is wanted.
  async find({ filters, order, page, size, keep = null, beyond = null }) {
    const list = await findAll(filters, order);
    if (list === null) return null;
    const position = positions.get(keep ?? beyond);
    let kept = position === undefined ? -1 : list.indexOf(rows[position]);
    if (keep === null && kept >= 0) kept = kept + 1 < list.length ? kept + 1 : -1;
    const at = Math.min(kept < 0 ? page : Math.floor(kept / size), Math.max(0, Math.ceil(list.length / size) - 1));
    return { count: list.length, page: at, kept: kept < 0 ? null : kept, rows: list.slice(at * size, (at + 1) * size), also: [] };
  },
  async figures(filters) {
    const own = ++counting;
    const [test, figures] = [makeTest(filters), startFigures()];
    const add = (row) => {
      if (test(row)) addToFigures(figures, row);
    };
    if (!(await workInSlices(rows, add, () => own === counting))) return null;
    return { ...figures, ...findLargest(figures), timelines: shared.runs.map((run) => run.timeline) };
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
