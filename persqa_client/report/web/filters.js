// The fields of the filters: their options, and what is chosen in them.

const NO_FILTERS = {
  search: "",
  run: "",
  outcome: "",
  question: "",
  language: "",
  doubt: "",
  step: "",
  words: "",
  group: "",
  shortest: null,
  longest: null,
  repaired: false,
  reasked: false,
  doubtful: false,
  failed: false,
  decision: "",
};
const MOST_OPTIONS = 300;
const MOST_OPTION_LENGTH = 90;
const ORDERS = ["input", "shortest", "longest", "tokens", "attempts", "question", "group", "outcome"];

function readFilters() {
  const number = (id) => (field(id).value.trim() === "" ? null : Number(field(id).value));
  state.filters = {
    search: field("search").value.trim(),
    run: field("run").value,
    outcome: field("outcome").value,
    question: field("question").value,
    language: field("question-language").value,
    doubt: field("doubt").value,
    step: field("step").value,
    words: field("words").value,
    group: field("group").value,
    shortest: number("shortest"),
    longest: number("longest"),
    repaired: field("repaired").checked,
    reasked: field("reasked").checked,
    doubtful: field("doubtful").checked,
    failed: field("failed").checked,
    decision: field("decision").value,
  };
  state.order = field("sort").value;
  // Chosen in the figures.
  field("words-field").hidden = state.filters.words === "";
}

// From a figure: its rows among those that the other filters leave.
function showFiltered(filter, label) {
  const ids = { language: "question-language" };
  for (const [name, value] of Object.entries(filter)) {
    const element = field(ids[name] ?? name);
    if (element.tagName === "SELECT" && ![...element.options].some((option) => option.value === value)) {
      addOption(element, value, label);
    }
    element.value = value;
  }
  readFilters();
  showView("rows");
  applyFilters().then(() => field("rows").scrollIntoView());
  field("cards").focus({ preventScroll: true });
}

function fillSelects() {
  const { runs, outcomes, questions, languages, doubts, steps, decisions, commented } = source.overview;
  const { group_count: groupCount, groups: largest } = source.overview;
  const counted = (text, count) => `${text} (${formatValue(count)})`;
  const sorted = (pairs) => byCount(new Map(pairs));
  fillSelect("run", runs.map((run, number) => [String(number), run.name]));
  fillSelect("outcome", [
    ["accepted", say("accepted")],
    ["failed", say("all_failed")],
    ...sorted(outcomes).filter(([code]) => code).map(([code, count]) => [`=${code}`, counted(code, count)]),
  ]);
  fillSelect("question", questions.slice(0, MOST_OPTIONS)
    .map(([number, text, , count]) => [String(number), counted(text || say("no_question"), count)]));
  fillSelect("question-language", sorted(languages).map(([code, count]) => [code || "?", counted(code || say("unclear"), count)]));
  fillSelect("doubt", sorted(doubts).map(([doubt, count]) => [doubt, counted(doubt, count)]));
  fillSelect("step", sorted(steps).map(([step, count]) => [step, counted(step, count)]));
  fillSelect("words", []);
  fillSelect("decision", [
    ["any", say("all_decided")],
    ["undecided", say("undecided")],
    ...sorted(decisions).map(([decision, count]) => [decision, counted(say(`decision_${decision}`), count)]),
    ...(commented ? [["commented", counted(say("commented"), commented)]] : []),
  ]);
  if (groupCount) {
    fillSelect("group", [
      ["any", say("all_groups", groupCount)],
      ...largest.map(([group, size, first]) => [String(group), nameGroup(first, size)]),
    ]);
  }
  fillSelect("sort", ORDERS.filter((order) => order !== "group" || groupCount).map((order) => [order, say(`order_${order}`)]), false);
  field("run-field").hidden = runs.length < 2;
  field("group-field").hidden = !groupCount;
  field("step-field").hidden = steps.length === 0;
  field("decision-field").hidden = !source.editable && decisions.length === 0 && !commented;
}

function labelGroup(group) {
  const { first, size } = source.groups.get(group);
  return nameGroup(first, size);
}

function nameGroup(first, size) {
  return `${formatValue(size)} × ${first.slice(0, MOST_OPTION_LENGTH)}`;
}

// The options stay while somebody chooses from them, and the chosen one stays an option.
function fillSelect(id, options, hasAll = true) {
  const element = field(id);
  const wanted = JSON.stringify([language, options]);
  if (element.wanted === wanted || document.activeElement === element) return;
  element.wanted = wanted;
  const [value, label] = [element.value, element.selectedOptions[0]?.textContent];
  element.replaceChildren();
  if (hasAll) addOption(element, "", say("all"));
  for (const [key, text] of options) addOption(element, key, text);
  if (value && !options.some(([key]) => key === value)) addOption(element, value, label);
  element.value = value;
  if (element.selectedIndex < 0) element.selectedIndex = 0;
}

function addOption(element, value, text) {
  const option = make("option");
  option.value = value;
  const cut = text.length > MOST_OPTION_LENGTH ? `${text.slice(0, MOST_OPTION_LENGTH)}…` : text;
  option.append(showText(cut).textContent);
  element.append(option);
}
