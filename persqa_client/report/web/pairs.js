// The comparison of a report that is a file: pairs of rows of two runs, and their sums. Rows that ask the same have the
// same member "match". A page that is served asks its server.

// What was paired last, and the number of the latest comparison.
const paired = { key: "", pairs: [] };
let comparing = 0;

function kindOf(one, other) {
  if (isFailed(one)) return isFailed(other) ? "both_failed" : "gained";
  if (isFailed(other)) return "lost";
  return one.answer === other.answer ? "same" : "changed";
}

// In the order of the first run, then what only the second one has. They change only while rows arrive, and when other
// runs are chosen. Null if the comparison was asked for again meanwhile.
async function takePairs(first, second, turn) {
  const key = `${first} ${second} ${rows.length}`;
  if (paired.key === key) return paired.pairs;
  const [pairs, byMatch] = [[], new Map()];
  const takeFirst = (row) => {
    if (row.run !== first) return;
    const pair = { one: row, kind: "only_first" };
    byMatch.set(row.match, pair);
    pairs.push(pair);
  };
  const takeSecond = (row) => {
    if (row.run !== second) return;
    const pair = byMatch.get(row.match);
    if (pair === undefined) pairs.push({ other: row, kind: "only_second" });
    else Object.assign(pair, { other: row, kind: kindOf(pair.one, row) });
  };
  const isWanted = () => turn === comparing;
  for (const take of [takeFirst, takeSecond]) if (!(await workInSlices(rows, take, isWanted))) return null;
  Object.assign(paired, { key, pairs });
  return pairs;
}

// A page of the pairs of which a row fits the filters, and the sums of all of them. Null if another comparison was asked
// for meanwhile.
async function compareRows({ filters, first, second, kind, page, size }) {
  const turn = ++comparing;
  const all = await takePairs(first, second, turn);
  if (all === null) return null;
  const test = makeTest(filters);
  const fits = (row) => row !== undefined && test(row);
  const [fitting, sides, counts] = [[], [startSums(first), startSums(second)], new Map()];
  const count = (pair) => {
    if (!fits(pair.one) && !fits(pair.other)) return;
    if (kind === "" || pair.kind === kind) fitting.push(pair);
    increase(counts, pair.kind);
    if (pair.one !== undefined) addToSums(sides[0], pair.one);
    if (pair.other !== undefined) addToSums(sides[1], pair.other);
  };
  if (!(await workInSlices(all, count, () => turn === comparing))) return null;
  for (const side of sides) side.codes = byCount(side.codes);
  const at = Math.min(page, Math.max(0, Math.ceil(fitting.length / size) - 1));
  return { counts, sides, found: fitting.length, page: at, pairs: fitting.slice(at * size, (at + 1) * size) };
}

function startSums(run) {
  const latency = shared.runs[run].timeline?.latency;
  return { count: 0, accepted: 0, codes: new Map(), prompt: 0, completion: 0, counted: 0, length: 0, latency };
}

function addToSums(sums, row) {
  sums.count++;
  if (isFailed(row)) {
    increase(sums.codes, row.code);
  } else {
    sums.accepted++;
    sums.length += row.length;
  }
  if (row.tokens !== undefined) {
    sums.prompt += row.tokens[0];
    sums.completion += row.tokens[1];
    sums.counted++;
  }
}
