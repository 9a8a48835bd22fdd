"use strict";
const element = (id) => document.getElementById(id);
const packet = JSON.parse(element("packet").textContent);
const items = packet.items;
const slot = "packet " + packet.digest;
const state = restore();

// What was kept for this packet, as far as it makes sense.
function restore() {
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(slot));
  } catch {
    // The tab's own memory may do; keep() tells when nothing else can.
  }
  kept ??= history.state;
  const answers = {};
  for (const { id } of items) {
    if (["a", "b", "tie"].includes(kept?.answers?.[id])) answers[id] = kept.answers[id];
  }
  const at = Number.isInteger(kept?.at) ? Math.min(Math.max(kept.at, 0), items.length) : 0;
  return { rater: typeof kept?.rater === "string" ? kept.rater : "", at, answers };
}

function keep() {
  // A busy browser has been seen to reload a page before its storage is there; a tab's history is always there.
  history.replaceState(state, "");
  try {
    localStorage.setItem(slot, JSON.stringify(state));
  } catch {
    element("notice").textContent =
      "This browser keeps nothing for this page. Do not close or reload it before you have saved your answers.";
    element("notice").hidden = false;
  }
}

const answered = () => Object.keys(state.answers).length;

function put(id, text) {
  element(id).textContent = text.trim() === "" ? "(empty)" : text;
  element(id).classList.toggle("empty", text.trim() === "");
}

function show() {
  const begun = state.rater !== "";
  const ended = state.at === items.length;
  element("start").hidden = begun;
  element("judge").hidden = !begun || ended;
  element("end").hidden = !begun || !ended;
  element("saved").hidden = true;
  if (begun && !ended) showItem(items[state.at]);
  if (begun && ended) showEnd();
  window.scrollTo(0, 0);
}

function showItem(item) {
  element("progress").textContent = `Item ${state.at + 1} of ${items.length}, ${answered()} answered`;
  element("bar").max = items.length;
  element("bar").value = answered();
  put("prompt", item.prompt);
  put("first", item.first);
  put("second", item.second);
  for (const button of document.querySelectorAll(".choice")) {
    button.setAttribute("aria-pressed", String(state.answers[item.id] === button.dataset.answer));
  }
  element("back").disabled = state.at === 0;
}

function showEnd() {
  const left = items.length - answered();
  element("total").textContent =
    `${answered()} of ${items.length} answered` + (left > 0 ? `; ${left} without an answer.` : ". Thank you.");
  element("review").hidden = left === 0;
  element("save").disabled = answered() === 0;
  element("rater").value = state.rater;
}

function go(at) {
  state.at = Math.min(Math.max(at, 0), items.length);
  keep();
  show();
}

function answer(choice) {
  state.answers[items[state.at].id] = choice;
  go(state.at + 1);
}

// A cell that no spreadsheet runs as a formula, quoted.
function cell(text) {
  const guarded = /^\s*[=+\-@]/.test(text) ? "'" + text : text;
  return /[",\r\n]/.test(guarded) ? '"' + guarded.replaceAll('"', '""') + '"' : guarded;
}

function save() {
  const given = items.filter(({ id }) => id in state.answers);
  const rows = given.map(({ id }) => [packet.name, state.rater, id, state.answers[id]].map(cell).join(","));
  const text = "\ufeff" + ["packet,rater,id,answer", ...rows].join("\n") + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${packet.name}-${state.rater.replace(/[^\p{L}\p{N}_]+/gu, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  element("saved").textContent = `Saved as ${link.download}. Send this file back to whoever gave you the page.`;
  element("saved").hidden = false;
}

function takeName(event, field) {
  event.preventDefault();
  const name = element(field).value.trim();
  if (name === "") {
    element(field).value = "";
    element(field).reportValidity();
    return false;
  }
  state.rater = name;
  keep();
  return true;
}

element("begin").addEventListener("submit", (event) => {
  if (takeName(event, "name")) show();
});
element("finish").addEventListener("submit", (event) => {
  if (takeName(event, "rater")) save();
});
for (const button of document.querySelectorAll(".choice")) {
  // The second click of a double click would answer an item that nobody has read.
  button.addEventListener("click", (event) => event.detail < 2 && answer(button.dataset.answer));
}
element("back").addEventListener("click", () => go(state.at - 1));
element("skip").addEventListener("click", () => go(state.at + 1));
element("previous").addEventListener("click", () => go(items.length - 1));
element("review").addEventListener("click", () => go(items.findIndex(({ id }) => !(id in state.answers))));
element("clear").addEventListener("click", () => {
  if (!confirm("Remove all answers to this packet from this browser?")) return;
  Object.assign(state, { rater: "", at: 0, answers: {} });
  element("name").value = "";
  keep();
  show();
});
document.addEventListener("keydown", (event) => {
  // A held key would answer items that nobody has read.
  if (element("judge").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    a: () => answer("a"),
    b: () => answer("b"),
    t: () => answer("tie"),
    arrowleft: () => go(state.at - 1),
    arrowright: () => go(state.at + 1),
  };
  const act = acts[event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    act();
  }
});

for (const heading of document.querySelectorAll(".question")) heading.textContent = packet.question;
document.title = packet.name;
element("count").textContent = items.length === 1 ? "one item" : `${items.length} items`;
keep();
show();
