
// --- The shell ---

// What all pages do. The page asks whether its cookie serves (start). If it does not, the form exchanges the operator's
// token for one (signIn). If it does, a stream of events follows (listen): `clock` says what time it is there, `end` why
// no more will come, and what else there is, each page knows. Whatever has come is shown as text: nothing here makes
// markup of it.

// A page has declared PAGE before: the path of its stream (source), what it does with each kind of event (events), with
// all that it shows once nobody may see it (clear), and once a second (tick).

const RETRY_SECONDS = 3;
const SILENCE_SECONDS = 45;  // three times what the server lets pass between two events
let stream = null, clock = 0, clockRead = 0, heard = 0;

function part(id) {
  return document.getElementById(id);
}

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
    if (!signed_in) return ask("The browser has not kept the cookie: open this page under the server's own URL.");
    listen();
    part("main").focus();
  } catch {
    ask("The server does not answer.");
  }
}

async function signOut() {
  stop();
  await visit("DELETE").then(answer => answer.json()).catch(() => {});
  ask("");
}

function ask(wrong) {
  stop();
  PAGE.clear();
  only("sign-in");
  say("");
  part("wrong").textContent = wrong;
  part("token").focus();
}

function only(id) {
  for (const each of ["sign-in", "elsewhere", "content"]) part(each).hidden = each !== id;
  part("sign-out").hidden = id === "sign-in";
}

// --- Events ---

function listen() {
  stop();
  only("content");
  say("Connecting");
  stream = new EventSource(PAGE.source());
  for (const [kind, act] of Object.entries(PAGE.events)) on(kind, act);
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

// --- Elements ---

function write(card, texts) {
  for (const [name, text] of Object.entries(texts)) card.querySelector(`[data-is="${name}"]`).textContent = text;
}

function element(name, text, kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
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

function now() {  // there
  return clock + (performance.now() - clockRead) / 1000;
}

function tick() {  // once a second: only what the clock changes
  PAGE.tick();
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
