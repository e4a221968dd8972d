
"use strict";

// Of the events, `overview` has what is not of one task, and the IDs of the tasks on this page of them; `task` has all
// about one task.

const STAGES = { upload: "Uploads", aggregation: "Aggregation" };
const TAKEN = ["accepted", "aggregated"];
const DAY = 86400;

const PAGE = {
  source: () => `page/events/${number}`, events: { overview, task: update }, clear, tick: tickAll,
};
const shown = new Map();  // by ID: what is known of a task, and its card
let number = 1, latest = null;

// --- The Aggregator ---

function overview(seen) {
  part("failing").hidden = seen.database === "ok";
  if (seen.database !== "ok") return;
  latest = seen;
  for (const id of [...shown.keys()]) if (!seen.names.includes(id)) remove(id);
  part("task-count").textContent = seen.tasks.toLocaleString("en");
  part("queue").hidden = seen.waiting_reports === undefined;
  part("waiting-reports").textContent = (seen.waiting_reports ?? 0).toLocaleString("en");
  part("waiting-jobs").textContent = seen.waiting_jobs.toLocaleString("en");
  showJobs(seen);
  showPager(seen);
  part("no-key").hidden = seen.keys.some(key => key.advertised);
  tick();
}

function showJobs({ jobs, waiting_jobs }) {
  const more = waiting_jobs - jobs.length;
  part("jobs").hidden = jobs.length === 0;
  write(part("jobs"), { more: more > 0 ? `and ${more.toLocaleString("en")} more` : "" });
}

function showPager({ tasks, page, pages, names, first }) {
  part("shown-count").textContent = names.length ? `${first} to ${first + names.length - 1} of ${tasks}, the newest first` : "none";
  part("pager").hidden = pages === 1 && page === 1;
  part("page-of").textContent = `page ${page} of ${pages}`;
  part("newer").disabled = page <= 1;
  part("older").disabled = page >= pages;
}

function turn(by) {
  number = Math.max(1, number + by);
  clear();
  listen();
}

// --- Tasks ---

function update(seen) {
  const card = shown.has(seen.id) ? shown.get(seen.id).card : add(seen);
  shown.set(seen.id, { task: seen, card });
  const trouble = troubleOf(seen);
  card.classList.toggle("attention", trouble !== "");
  for (const each of card.querySelectorAll(".of-leader")) each.hidden = seen.helper === undefined;
  write(card, {
    id: seen.id, state: trouble ? "attention" : "ok", trouble,
    about: `${seen.vdaf}, ${seen.mode}, ${seen.dialect}; noise: ${seen.noise}`,
    collected: count(seen.collected, "batch", "batches"),
    budget: seen.collections_left === null ? "no noise" : `${seen.collections_left} of ${seen.collections_allowed} collections`,
    waiting: (seen.waiting_reports ?? 0).toLocaleString("en"),
    open: openOf(seen),
  });
  card.querySelector(".stages").replaceChildren(...Object.keys(STAGES).filter(name => seen.outcomes[name]).map(name => stage(name, seen)));
  tick();
}

function troubleOf({ helper, collections_left }) {
  const said = [];
  if (helper && helper.fails) said.push(`The Helper ${helper.url} ${helper.advice}${helper.reason ? ` (${helper.reason})` : ""}.`);
  if (collections_left === 0) said.push("The budget is spent: nothing more can be collected.");
  return said.join(" ");
}

function openOf({ open_batches, open_batch_reports, batches }) {
  if (!open_batches) return "none";
  const more = open_batches > batches.length ? `, ${batches.length} are shown` : "";
  return `${open_batch_reports.toLocaleString("en")} reports in ${open_batches.toLocaleString("en")}${more}`;
}

function add(seen) {
  const card = part("task-card").content.firstElementChild.cloneNode(true);
  card.id = `task-${seen.id}`;
  card.dataset.added = seen.added;
  const later = [...part("tasks").children].find(other => Number(other.dataset.added) < seen.added);
  part("tasks").insertBefore(card, later || null);
  return card;
}

function remove(id) {
  shown.get(id).card.remove();
  shown.delete(id);
}

function clear() {
  for (const id of [...shown.keys()]) remove(id);
  latest = null;
  for (const id of ["task-count", "waiting-reports", "waiting-jobs", "shown-count"]) part(id).textContent = "";
  for (const id of ["jobs", "keys"]) part(id).querySelector("tbody").replaceChildren();
  part("jobs").hidden = true;
}

// --- Outcomes by the hour ---

function stage(name, { outcomes }) {
  const made = part("stage-part").content.firstElementChild.cloneNode(true);
  const counts = outcomes[name], hours = Object.values(counts)[0].length;
  const sums = Object.entries(counts).map(([outcome, each]) => [outcome, each.reduce((a, b) => a + b, 0)]);
  const words = sums.map(([outcome, sum]) => `${sum.toLocaleString("en")} ${outcome.replaceAll("_", " ")}`).join(", ");
  write(made, { name: `${STAGES[name]}, ${hours} hours`, outcomes: words });
  const svg = made.querySelector("svg");
  svg.setAttribute("aria-label", `${STAGES[name]} in the last ${hours} hours: ${words}`);
  draw(svg, counts, hours);
  return made;
}

function draw(svg, counts, hours) {
  const taken = Array(hours).fill(0), refused = Array(hours).fill(0);
  for (const [outcome, each] of Object.entries(counts)) {
    const sums = TAKEN.includes(outcome) ? taken : refused;
    each.forEach((value, hour) => { sums[hour] += value; });
  }
  const top = Math.max(1, ...taken.map((value, hour) => value + refused[hour]));
  svg.setAttribute("viewBox", `0 0 ${hours} 100`);
  for (let hour = 0; hour < hours; hour++) {
    bar(svg, "taken", hour, 0, 100 * taken[hour] / top);
    bar(svg, "refused", hour, 100 * taken[hour] / top, 100 * refused[hour] / top);
  }
}

function bar(svg, kind, hour, from, height) {
  if (!height) return;
  const made = document.createElementNS(svg.namespaceURI, "rect");
  const sides = { x: hour + 0.1, width: 0.8, y: 100 - from - height, height };
  for (const [name, value] of Object.entries(sides)) made.setAttribute(name, value);
  made.setAttribute("class", kind);
  svg.append(made);
}

// --- What the clock changes ---

function tickAll() {
  const there = now();
  if (latest !== null) {
    part("keys").querySelector("tbody").replaceChildren(...latest.keys.map(key => keyRow(key, there)));
    part("jobs").querySelector("tbody").replaceChildren(...latest.jobs.map(job => jobRow(job, there)));
  }
  for (const { task, card } of shown.values()) {
    write(card, {
      added: `${age(there - task.added)} ago`,
      oldest: task.oldest === undefined || task.oldest === null ? "–" : `${age(there - task.oldest)} old`,
    });
    card.querySelector("thead").hidden = task.batches.length === 0;
    card.querySelector("tbody").replaceChildren(...task.batches.map(batch => batchRow(batch, there)));
  }
}

function keyRow(key, there) {
  return row([key.id, age(there - key.created), span(key, "advertised", there), span(key, "accepted", there)]);
}

function span(key, what, there) {
  const until = key[`${what}_until`];
  if (until === null) return "yes";
  return there < until ? `for ${age(until - there)} more` : "no";
}

function jobRow(job, there) {
  const batch = job.interval ? `${job.kind} from ${moment(job.interval[0])}` : job.kind;
  const since = job.since === null ? count(job.attempts, "attempt", "attempts") : `${age(there - job.since)} ago`;
  const next = job.due > there ? `in ${age(job.due - there)}` : "now";
  const made = row([batch, `${job.task.slice(0, 8)}…`, since, next, job.why ?? "a worker"]);
  made.lastElementChild.className = "words";
  return made;
}

function batchRow(batch, there) {
  const name = batch.start !== null ? `from ${moment(batch.start)}`
    : batch.created !== null ? `begun ${age(there - batch.created)} ago` : "selected by the Leader";
  const made = row([name, `${batch.reports.toLocaleString("en")} of ${batch.target.toLocaleString("en")}`, ""]);
  const progress = document.createElement("progress");
  progress.max = batch.target;
  progress.value = Math.min(batch.reports, batch.target);
  progress.setAttribute("aria-label", `${batch.reports} of ${batch.target} reports`);
  made.lastElementChild.append(progress);
  return made;
}

function row(texts) {
  const made = document.createElement("tr");
  made.append(...texts.map(text => element("td", text)));
  return made;
}

// --- Words ---

function count(many, one, more) {
  return `${many.toLocaleString("en")} ${many === 1 ? one : more}`;
}

function age(seconds) {
  return seconds >= 2 * DAY ? `${Math.floor(seconds / DAY)} days` : time(seconds);
}

function moment(seconds) {  // UTC, without the seconds
  const text = new Date(1000 * seconds);
  return Number.isNaN(text.getTime()) ? `${seconds} s after 1970` : `${text.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

part("newer").addEventListener("click", () => turn(-1));
part("older").addEventListener("click", () => turn(1));
