
"use strict";

// The page asks whether its cookie serves (start). If it does not, the form exchanges the operator's token for one
// (signIn). If it does, a stream of events follows (listen): `list` has the names of all sessions, `session` has all
// about one of them, `clock` says what time it is there, and `end` why no more will come. Whatever has come is shown as
// text: nothing here makes markup of it.

const RETRY_SECONDS = 3;
const SILENCE_SECONDS = 45;  // three times what the coordinator lets pass between two events
const STATES = {
  in: "In", answered: "Answered", waiting: "Waiting", late: "Late", not_needed: "Not needed", gone: "Gone", faulty: "Faulty",
};
const BAD = ["late", "gone", "faulty"];

const part = id => document.getElementById(id);
const shown = new Map();  // by name: what is known of a session, and its card
let stream = null, clock = 0, clockRead = 0, heard = 0;

// --- Signing in and out ---

function visit(method, content) {
  return fetch("page/visit", {
    method, cache: "no-store", redirect: "error", credentials: "same-origin",
    headers: { "SecAgg-Page": "1", "Content-Type": "application/json" },
    body: content && JSON.stringify(content),
  });
}

async function start() {
  try {
    const { signed_in } = await (await visit("GET")).json();
    signed_in ? listen() : ask("");
  } catch {
    lost();
  }
}

async function signIn(event) {
  event.preventDefault();
  const token = part("token").value.trim();
  part("token").value = "";
  try {
    const answer = await visit("POST", { token });
    const { detail } = await answer.json();
    if (!answer.ok) return ask(detail);
    const { signed_in } = await (await visit("GET")).json();
    if (!signed_in) return ask("The browser has not kept the cookie: open this page under the coordinator's own URL.");
    listen();
    part("main").focus();
  } catch {
    ask("The coordinator does not answer.");
  }
}

async function signOut() {
  stop();
  await visit("DELETE").then(answer => answer.json()).catch(() => {});
  ask("");
}

function ask(wrong) {
  stop();
  clear();
  only("sign-in");
  say("");
  part("wrong").textContent = wrong;
  part("token").focus();
}

function only(id) {
  for (const each of ["sign-in", "elsewhere", "sessions"]) part(each).hidden = each !== id;
  part("sign-out").hidden = id === "sign-in";
}

// --- Events ---

function listen() {
  stop();
  only("sessions");
  say("Connecting");
  stream = new EventSource("page/events");
  on("list", list);
  on("session", update);
  on("clock", now => { clock = now; clockRead = performance.now(); tick(); });
  on("end", end);
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) lost(); else say("Connection lost"); };
  heard = performance.now();
}

function on(kind, act) {
  stream.addEventListener(kind, event => {
    heard = performance.now();
    say("Live");
    act(JSON.parse(event.data));
  });
}

function stop() {
  if (stream) stream.close();
  stream = null;
}

function lost() {
  stop();
  say("Connection lost");
  setTimeout(() => { if (!stream && part("sign-in").hidden && part("elsewhere").hidden) start(); }, 1000 * RETRY_SECONDS);
}

function end(why) {
  if (why === "signed-out") return ask("You are signed out.");
  if (why === "stopping") return lost();
  stop();
  only("elsewhere");
  say("");
}

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

function write(card, texts) {
  for (const [name, text] of Object.entries(texts)) card.querySelector(`[data-is="${name}"]`).textContent = text;
}

function showRunning(card, s) {
  const { count: answered } = s.users.answered;
  const due = answered + s.users.waiting.count;
  write(card, {
    name: s.name, label: s.label, n: s.n, t: s.t, min_users: s.min_users,
    answered: s.closing ? `${answered} have answered; their answers are being worked on` : `${answered} of ${due} have answered`,
    minimum: s.minimum, may_drop: s.may_drop ?? "–", goal: s.goal ?? "all", received: bytes(s.received_bytes),
  });
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

function element(name, text, kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
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

// --- Time and numbers ---

function bytes(number) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; number >= 1000 && unit < units.length - 1; unit++) number /= 1000;
  return `${unit ? number.toFixed(1) : number} ${units[unit]}`;
}

function time(seconds) {
  const whole = Math.max(0, Math.round(seconds)), minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function tick() {  // once a second: only what the clock changes
  const now = clock + (performance.now() - clockRead) / 1000;
  for (const { session: s, card } of shown.values()) {
    if (s.status === "running") {
      write(card, { age: `${time(now - s.began)} ago`, left: s.ends === null ? "–" : `in ${time(s.ends - now)}` });
    } else {
      write(card, { age: `ended ${time(now - s.ended)} ago` });
    }
  }
  if (stream && performance.now() - heard > 1000 * SILENCE_SECONDS) lost();
}

function say(words) {
  if (part("connection").textContent !== words) part("connection").textContent = words;
}

part("sign-in").addEventListener("submit", signIn);
part("sign-out").addEventListener("click", signOut);
part("here").addEventListener("click", listen);
setInterval(tick, 1000);
start();
