
"use strict";

// Of the events, `list` has the names of all sessions, and `session` has all about one of them.

const STATES = {
  in: "In", answered: "Answered", waiting: "Waiting", late: "Late", not_needed: "Not needed", gone: "Gone", faulty: "Faulty",
};
const BAD = ["late", "gone", "faulty"];

const PAGE = { source: () => "page/events", events: { list, session: update }, clear, tick: tickSessions };
const shown = new Map();  // by name: what is known of a session, and its card

function list({ names, unopened }) {
  for (const name of [...shown.keys()]) if (!names.includes(name)) remove(name);
  part("unopened").hidden = unopened.length === 0;
  part("unopened").textContent = `These sessions could not be opened, see the log: ${unopened.join(", ")}`;
  count();
}

function update(session) {
  const before = shown.get(session.name);
  const running = session.status === "running";
  const same = before && (before.session.status === "running") === running;
  const card = same ? before.card : add(session.name, running ? "running" : "ended");
  shown.set(session.name, { session, card });
  (running ? showRunning : showEnded)(card, session);
  announce(before && before.session, session);
  place(card, running ? "running" : "ended", session.created);
  count();
  tick();
}

function announce(before, session) {
  if (!before || (before.round === session.round && before.status === session.status)) return;
  const news = session.status === "running" ? `${session.round} has begun` : session.status;
  part("news").textContent = `Session ${session.name}: ${news}`;
}

// --- Cards ---

function add(name, kind) {
  remove(name);
  const card = part(`${kind}-card`).content.firstElementChild.cloneNode(true);
  card.id = `session-${name}`;
  return card;
}

function remove(name) {
  if (shown.has(name)) shown.get(name).card.remove();
  shown.delete(name);
}

function clear() {
  for (const name of [...shown.keys()]) remove(name);
}

function place(card, where, created) {  // the latest first
  card.dataset.created = created;
  if (card.parentNode) return;
  const later = [...part(where).children].find(other => Number(other.dataset.created) < created);
  part(where).insertBefore(card, later || null);
}

function count() {
  for (const each of ["running", "ended"]) part(`${each}-count`).textContent = part(each).children.length || "none";
}

function showRunning(card, s) {
  const { count: answered } = s.users.answered;
  const due = answered + s.users.waiting.count;
  write(card, {
    name: s.name, label: s.label, n: s.n, t: s.t, min_users: s.min_users,
    answered: s.closing ? `${answered} have answered; their answers are being worked on` : `${answered} of ${due} have answered`,
    minimum: s.minimum, may_drop: s.may_drop ?? "–", goal: s.goal ?? "all", received: bytes(s.received_bytes),
  });
  for (const each of card.querySelectorAll(".sparse")) each.hidden = s.neighbourhood === null;
  if (s.neighbourhood !== null) write(card, s.neighbourhood);
  const progress = card.querySelector("progress");
  progress.max = due || 1;
  progress.value = answered;
  progress.setAttribute("aria-label", `Answers to ${s.round}`);
  card.querySelector(".rounds").replaceChildren(...s.rounds.map(each => step(each, s.round)));
  card.querySelector("tbody").replaceChildren(...Object.keys(STATES).map(state => row(state, s.users[state])));
}

function showEnded(card, s) {
  card.classList.add(s.status);
  const finished = s.status === "finished";
  write(card, {
    name: s.name, label: s.label, status: s.status, received: bytes(s.received_bytes),
    outcome: finished ? `The sum of ${s.survivors} inputs, of ${s.n} invited` : s.reason,
    sha256: finished ? `SHA-256 ${s.sha256}` : "",
  });
}

function step({ name, users }, current) {
  const made = element("li", users === null ? name : `${name} ${users}`, users !== null ? "over" : name === current ? "now" : "");
  if (name === current) made.setAttribute("aria-current", "step");
  return made;
}

function row(state, { count, ids }) {
  const made = element("tr", "", count && BAD.includes(state) ? "bad" : "");
  const head = element("th", STATES[state]);
  head.scope = "row";
  made.append(head, element("td", count), element("td", ids));
  return made;
}

function tickSessions() {
  const there = now();
  for (const { session: s, card } of shown.values()) {
    if (s.status === "running") {
      write(card, { age: `${time(there - s.began)} ago`, left: s.ends === null ? "–" : `in ${time(s.ends - there)}` });
    } else {
      write(card, { age: `ended ${time(there - s.ended)} ago` });
    }
  }
}
