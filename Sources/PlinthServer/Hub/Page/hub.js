// SPDX-License-Identifier: Apache-2.0

// The page's interface. The worker, which all tabs share, has the stream and the status poll.

"use strict";

const keptEvents = 500;
const shownText = 4000; // Characters of an event's data shown at first.

const element = (id) => document.getElementById(id);
const plural = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;
const whole = (() => {
  const format = new Intl.NumberFormat("en");
  return (number) => format.format(number);
})();

function make(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Writes only changes, so that an idle page costs nothing.
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// MARK: Formatting

const perSecond = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function rateText(rate) {
  if (rate < 0.05) return "0/s";
  return `${rate < 10 ? perSecond.format(rate) : rate < 10_000 ? whole(Math.round(rate)) : compact.format(rate)}/s`;
}

function sizeText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? bytes : bytes.toPrecision(3)} ${units[unit]}`;
}

function durationText(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${whole(Math.floor(hours / 24))} days`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function timeText(time) {
  return `${clock.format(time)}.${String(time % 1000).padStart(3, "0")}`;
}

// MARK: Names

const bytesOf = (text) => new TextEncoder().encode(text).length;

/** Why the hub would refuse a name; null if it would not. */
function problem(name, isPattern) {
  if (bytesOf(name) > 1024) return "A name has at most 1,024 bytes.";
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "A name has no control characters.";
  if (name.isWellFormed?.() === false) return "A name is valid Unicode.";
  if (!isPattern) return name === "*" ? "* is reserved: a topic cannot be named so." : null;
  const segments = name.split("/");
  if (segments.some((one) => one.includes("*") && one !== "*" && one !== "**")) {
    return "In a pattern, * stands for one whole segment: orders/*";
  }
  return segments.slice(0, -1).includes("**") ? "In a pattern, ** is the last segment: orders/**" : null;
}

/** The path of a topic. */
function topicPath(topic) {
  const segments = topic.split("/").map((segment) => encodeURIComponent(segment).replaceAll("'", "%27"));
  // Browsers resolve `.` and `..`, even encoded ones, unless the slashes around them are encoded, too.
  const isRelative = segments.some((segment) => segment === "." || segment === "..");
  return `topics/${segments.join(isRelative ? "%2F" : "/")}`;
}

// The URL names what is watched, so that it can be bookmarked and opened in another tab, and Back works.
function hashOf(watch) {
  return `#${watch.isPattern ? "match" : "topic"}=${watch.name.split("/").map(encodeURIComponent).join("/")}`;
}

function watchOfHash() {
  const [, kind, encoded] = location.hash.match(/^#(topic|match)=(.+)$/s) ?? [];
  if (!kind) return null;
  try {
    const watch = { name: decodeURIComponent(encoded), isPattern: kind === "match" };
    return problem(watch.name, watch.isPattern) === null ? watch : null;
  } catch {
    return null;
  }
}

const isSame = (one, other) => one?.name === other?.name && one?.isPattern === other?.isPattern;

// MARK: The worker

const port = (() => {
  try {
    return new SharedWorker("hub-worker.js", { name: "plinth-hub" }).port;
  } catch {
    // Some browsers lack shared workers, or refuse them when cookies are blocked: then each tab has its own stream.
    return new Worker("hub-worker.js");
  }
})();

let watch = null;

function sayHello() {
  port.postMessage({ kind: "hello", watch, visible: document.visibilityState === "visible" });
}

port.onmessage = ({ data }) => {
  switch (data.kind) {
  case "ping":
    return port.postMessage({ kind: "pong" });
  case "unknown":
    // The tab slept for so long that the worker removed it.
    note("This tab was asleep. Events published meanwhile are not shown; Earlier shows those still held.");
    return sayHello();
  case "state":
    // Of what was watched before: the worker has not heard of the change yet.
    if (!isSame(data.watch, watch)) return;
    connection = data;
    return showState();
  case "session":
    return takeSession(data);
  case "status":
    reachable = data.isReachable;
    statusRefusal = data.refusal;
    // Of the time before a refusal, or of the former subject.
    if (data.status !== null && mayOperate()) showStatus(data);
    else showList();
    return showState();
  case "events":
    return receive(data);
  case "earlier":
    return showEarlier(data);
  }
};

addEventListener("pagehide", () => port.postMessage({ kind: "bye" }));
addEventListener("pageshow", sayHello);
document.addEventListener("visibilitychange", () => {
  sayHello();
  if (document.visibilityState === "visible") renderSoon();
});

// MARK: Who is signed in

// As the worker has it: who the browser is for the hub, and what it may do; null until it is known.
let session = null;
let denial = null; // Why the hub refuses the browser's sign-in; null if it does not.
let mayPublish = true; // To what is watched.
let mayOffer = true; // Whether the hub has a sign-in at all, as far as is known.

const account = element("account");
const who = element("who");
const token = element("token");

const isKnown = () => session !== null || denial !== null;
const subjectOf = ({ issuer, subject }) => JSON.stringify([issuer, subject]);
// Until it is known, the page is as it is without sign-in.
const mayOperate = () => !isKnown() || (denial === null && session.operate);
const isAnonymous = () => denial === null && session?.subject === null;
const hasSignIn = () => isKnown() && mayOffer && (session?.signIn ?? true);
const hasNoRight = () => !session.operate && session.publish.length + session.subscribe.length === 0;
const isEverything = (selectors) => selectors.some((one) => one.match === "**");

function takeSession(data) {
  const isOther = session !== null && data.session !== null && subjectOf(session) !== subjectOf(data.session);
  const hadSubject = session?.subject != null;
  ({ session, denial } = data);
  if (isOther) forget(hadSubject);
  if (isSame(data.watch, watch)) mayPublish = data.mayPublish;
  showSession();
}

/** Clears what another subject was shown. */
function forget(hadSubject) {
  lastData = null;
  statusRefusal = null;
  earlier.disabled = false;
  if (sure.open) sure.close();
  clear();
  showResult("", false);
  // The worker has the state of the new stream.
  connection = { state: watch ? "connecting" : "idle", reason: "" };
  lastState = "";
  // What an anonymous visitor has typed is often what they sign in for.
  if (hadSubject) for (const field of [data, element("type"), element("to"), nameField]) field.value = "";
}

function showSession() {
  if (!mayOperate()) lastData = null;
  const isOpen = isAnonymous() && session.operate && isEverything(session.publish) && isEverything(session.subscribe);
  who.hidden = !isKnown() || (isOpen && !hasSignIn());
  const name = denial ? null : session?.subject ?? null;
  setText(who, name ?? (hasSignIn() ? "Sign in" : "Anonymous"));
  const label = name === null ? who.textContent : `Signed in as ${name}`;
  if (who.ariaLabel !== label) who.ariaLabel = label;
  who.title = isAnonymous() ? "What may be done without signing in" : "Who is signed in, and what they may do";
  element("figures").hidden = !mayOperate();
  element("columns").hidden = !mayOperate();
  element("purge").hidden = (watch?.isPattern ?? false) || !mayOperate();
  if (!mayOperate() && sure.open) sure.close();
  showExample();
  showGranted();
  showAccount();
  showNotice();
  showPublishing();
  showList();
  showFacts();
  showState();
}

const shownSelectors = 100;

/** The topics and patterns of a right, as links. */
function linksOf(selectors) {
  if (selectors.length === 0) return [make("li", "", "nothing")];
  const links = selectors.slice(0, shownSelectors).map((selector) => {
    const isPattern = typeof selector !== "string";
    const name = isPattern ? selector.match : selector;
    const item = make("li");
    const link = make("a", "", name);
    link.href = hashOf({ name, isPattern });
    item.append(link);
    if (isPattern) item.append(" ", make("span", "soft", name === "**" ? "all topics" : "pattern"));
    return item;
  });
  const more = selectors.length - links.length;
  if (more > 0) links.push(make("li", "soft", `and ${whole(more)} more`));
  return links;
}

// Redrawn only if the rights have changed, as a link may have the focus.
function showLinks(target, selectors) {
  const key = JSON.stringify(selectors);
  if (target.dataset.key === key) return;
  target.dataset.key = key;
  target.replaceChildren(...linksOf(selectors));
}

// Without the hub's list of topics, the topics of the right to see them stand for it.
function showGranted() {
  const granted = element("granted");
  const selectors = mayOperate() ? [] : session?.subscribe ?? [];
  showLinks(granted, selectors);
  granted.hidden = selectors.length === 0;
  for (const link of granted.querySelectorAll("a")) {
    markCurrent(link, watch !== null && link.getAttribute("href") === hashOf(watch));
  }
}

function showAccount() {
  const name = session?.subject ?? null;
  let title = "Not signed in";
  if (denial) title = name === null ? "The sign-in is refused" : `${name} is not signed in any more`;
  else if (name !== null) title = `Signed in as ${name}`;
  setText(element("account-title"), title);
  const facts = [];
  if (name !== null && session.issuer !== null) facts.push(`issued by ${session.issuer}`);
  if (denial) facts.push(denial.words);
  else if (session?.expiresAt) facts.push(`until ${momentText(session.expiresAt)}`);
  else if (name !== null) facts.push("without an end");
  else if (isKnown()) facts.push("What anybody may do here:");
  setText(element("account-facts"), facts.join(" · "));
  showLinks(element("rights-publish"), denial ? [] : session?.publish ?? []);
  showLinks(element("rights-subscribe"), denial ? [] : session?.subscribe ?? []);
  setText(element("rights-operate"), isKnown() && mayOperate() ? "yes: status, purge and limits" : "no");
  element("sign-in").hidden = !hasSignIn();
  setText(element("token-label"), name !== null && !denial ? "Token, to go on for longer or as another" : "Token");
  element("sign-out").hidden = !(session?.cookie || denial);
}

/** The time of day and, if it is not today, the date. */
function momentText(time) {
  const isToday = new Date(time).toDateString() === new Date().toDateString();
  return isToday ? clock.format(time) : `${day.format(time)}, ${clock.format(time)}`;
}

const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });

/** What must be known before anything else: that a sign-in has ended, will end soon, or is needed. */
function showNotice() {
  const rest = session?.expiresAt ? session.expiresAt - Date.now() : Infinity;
  const name = session?.subject ?? "";
  let text = "";
  if (denial?.code === "token-expired") {
    text = `The sign-in${name ? ` of ${name}` : ""} has expired: ${denial.words}.`;
    if (hasSignIn()) text += " Sign in again, and the events continue after the last one shown.";
  } else if (denial) {
    text = `The hub refuses this browser’s sign-in: ${denial.words}.`;
  } else if (rest < 60_000) {
    text = `The sign-in of ${name} ends at ${momentText(session.expiresAt)}.`;
    if (hasSignIn()) text += " Sign in again to go on without a break.";
  } else if (isAnonymous() && hasSignIn() && hasNoRight()) {
    text = "Not signed in: without it, this hub shows nothing and takes no events.";
  }
  element("notice").hidden = text === "";
  element("notice").classList.toggle("calm", denial === null && rest === Infinity);
  element("notice-button").hidden = !hasSignIn();
  setText(element("notice-text"), text);
}

// The time passes without a message of the worker.
setInterval(() => {
  if (document.visibilityState === "visible") showNotice();
}, 1000);

function openAccount(toSignIn) {
  showAccountResult("", false);
  account.showModal();
  (toSignIn && hasSignIn() ? token : element("account-close")).focus();
}

who.addEventListener("click", () => openAccount(isAnonymous() || denial !== null));
element("notice-button").addEventListener("click", () => openAccount(true));
element("account-close").addEventListener("click", () => account.close());
account.addEventListener("close", () => (token.value = ""));

function showAccountResult(text, isWrong) {
  element("account-result").classList.toggle("wrong", isWrong);
  setText(element("account-result"), text);
}

element("sign-in").addEventListener("submit", async (submission) => {
  submission.preventDefault();
  // Out of the page at once, whatever comes of it.
  const text = token.value.trim().replace(/^bearer +/i, "");
  token.value = "";
  if (text === "") return showAccountResult("Which token?", true);
  if (!/^[\x21-\x7e]+$/.test(text)) return showAccountResult("A token has no spaces, and only ASCII characters.", true);
  element("sign-in-button").disabled = true;
  showAccountResult("", false);
  try {
    const headers = { Authorization: `Bearer ${text}` };
    const response = await fetch("session", { method: "POST", headers, cache: "no-store" });
    if (response.status === 404) mayOffer = false;
    if (!response.ok) throw await refusalOf(response);
    const { subject } = await response.json();
    port.postMessage({ kind: "signed" });
    const kept = await fetch("session", { cache: "no-store" });
    if (kept.ok && (await kept.json()).subject !== subject) {
      throw new Error("the browser did not keep the hub’s cookie; are cookies blocked for this page?");
    }
    account.close();
    say(`Signed in as ${subject}.`);
  } catch (error) {
    showAccountResult(`Not signed in: ${wordsFor(error)}.`, true);
    token.focus();
  } finally {
    element("sign-in-button").disabled = false;
  }
});

element("sign-out").addEventListener("click", async () => {
  element("sign-out").disabled = true;
  try {
    const response = await fetch("session", { method: "DELETE", cache: "no-store" });
    if (!response.ok) throw await refusalOf(response);
    port.postMessage({ kind: "signed" });
    showAccountResult("Signed out. The token itself stays valid until it expires.", false);
    element("account-close").focus();
  } catch (error) {
    showAccountResult(`Not signed out: ${wordsFor(error)}.`, true);
  } finally {
    element("sign-out").disabled = false;
  }
});

// A link of the rights leads to the topic.
account.addEventListener("click", (click) => {
  if (click.target.closest("a")) account.close();
});

// MARK: The state of the connection

const stateElement = element("state");
let connection = { state: "idle", reason: "" };
let reachable = null;

function showState() {
  // Without a stream of this tab, the poll shows whether the hub is reachable.
  let state = watch ? connection.state : "idle";
  if (state === "idle") state = reachable === null ? "connecting" : reachable ? "ready" : "reconnecting";
  if (state === "ended" && reachable === false) state = "reconnecting";
  if (denial && (state === "ready" || state === "ended")) state = stateOfDenial();
  const reason = state === "ended" ? "This topic has ended. Purging it opens it again."
    : state === stateOfDenial() ? denial.words : connection.reason;
  showWaiting(state, reason);
  if (stateElement.dataset.state === state && stateElement.title === reason) return;
  stateElement.dataset.state = state;
  stateElement.title = reason;
  setText(stateElement, state);
  if (watch && state === "reconnecting" && lastState === "live") {
    note(`Connection lost: ${connection.reason}. Reconnecting.`);
  }
  if (watch && state === "expired" && lastState === "live") {
    note("The sign-in has expired. After signing in again, the events continue here.");
  }
  if (watch && state === "refused" && lastState === "live") note(`The hub refuses these events now: ${reason}.`);
  if (watch && state === "live" && lastState === "reconnecting") note("Reconnected.");
  if (watch && state === "live" && (lastState === "expired" || lastState === "refused")) note("The events continue.");
  if (watch && state === "live" && lastState === "ended") note("This topic has been opened again.");
  // A hub that is away for a moment does not open a topic.
  if (state === "connecting" || (state === "reconnecting" && lastState === "ended")) return;
  lastState = state;
}

const stateOfDenial = () => (denial ? (denial.code === "token-expired" ? "expired" : "refused") : null);

let lastState = "";

// Whether the watched topic has ended, as far as is known.
const hasEnded = () => !!watch && connection.state === "ended";

function showWaiting(state, reason) {
  const isRefused = state === "expired" || state === "refused";
  element("waiting-live").hidden = hasEnded() || isRefused;
  element("waiting-ended").hidden = !hasEnded() || isRefused;
  element("waiting-refused").hidden = !isRefused;
  setText(element("waiting-reason"), isRefused ? reason : "");
  element("sure-ended").hidden = !hasEnded();
  showFacts();
}

// MARK: Topics

const list = element("list");
const rows = new Map(); // By topic.
let lastData = null;
let statusRefusal = null; // Of a status that the page may have, as far as it knows.

function showStatus(data) {
  lastData = data;
  const { status, rate } = data;
  setText(element("topics"), whole(status.topics));
  setText(element("subscribers"), whole(status.subscribers));
  setText(element("rate"), rateText(rate));
  setText(element("held"), `${compact.format(status.events)} · ${sizeText(status.bytes)}`);
  element("held").title = `${plural(status.events, "event")}, ${whole(status.bytes)} bytes`;
  showHistory(status.history);
  setText(element("uptime"), durationText(status.uptime));
  showList();
  showFacts();
}

// Where the events are kept: an operator sees whether a restart would lose them.
function showHistory({ kind, bytes, age, sinceLastSync }) {
  const isMemory = kind === "memory";
  const name = { memory: "memory", sqlite: "SQLite" }[kind] ?? kind;
  setText(element("storage"), isMemory ? name : `${name} · ${sizeText(bytes)}`);
  const facts = isMemory ? ["lost when the hub ends"] : [
    `${whole(bytes)} bytes`,
    age === null ? "no events" : `the oldest event is ${durationText(age)} old`,
    sinceLastSync === null ? "nothing written yet" : `last written ${durationText(sinceLastSync)} ago`,
  ];
  element("storage").title = facts.join(", ");
}

function makeRow(topic) {
  const item = make("li");
  const link = make("a");
  link.href = hashOf({ name: topic, isPattern: false });
  const name = make("span", "name");
  // A long name may break after its slashes.
  for (const [index, part] of topic.split("/").entries()) {
    if (index > 0) name.append("/", make("wbr"));
    name.append(part);
  }
  const spark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  spark.setAttribute("viewBox", "0 0 59 20");
  spark.setAttribute("preserveAspectRatio", "none");
  spark.setAttribute("aria-hidden", "true");
  const [area, line] = ["area", "line"].map((name) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    spark.append(path);
    return path;
  });
  const rate = make("span", "rate");
  const subscribers = make("span", "subscribers");
  const count = make("span");
  const unit = make("span", "unseen");
  subscribers.append(count, unit);
  link.append(name, spark, rate, subscribers);
  item.append(link);
  return { item, link, area, line, rate, count, unit };
}

function showList() {
  const filter = nameField.value.trim();
  const isFiltered = filter !== "" && !isPatternText(filter);
  const shown = (lastData?.rows ?? [])
    .filter(({ topic }) => !isFiltered || topic.toLowerCase().includes(filter.toLowerCase()))
    // By name: a list sorted by activity would move while it is being used.
    .sort((one, other) => (one.topic < other.topic ? -1 : 1));
  const names = new Set(shown.map(({ topic }) => topic));
  for (const [topic, { item }] of rows) {
    if (names.has(topic)) continue;
    item.remove();
    rows.delete(topic);
  }
  let previous = null;
  for (const { topic, rate, subscribers, minute } of shown) {
    let row = rows.get(topic);
    if (!row) rows.set(topic, (row = makeRow(topic)));
    const next = previous ? previous.nextElementSibling : list.firstElementChild;
    if (next !== row.item) list.insertBefore(row.item, next);
    previous = row.item;
    setText(row.rate, rateText(rate));
    row.rate.classList.toggle("busy", rate >= 0.05);
    setText(row.count, whole(subscribers));
    setText(row.unit, subscribers === 1 ? " subscriber" : " subscribers");
    // Without this label, the break opportunities would be read as spaces.
    const label = `${topic}, ${rateText(rate).replace("/s", " a second")}, ${plural(subscribers, "subscriber")}`;
    if (row.link.ariaLabel !== label) row.link.ariaLabel = label;
    const line = sparkline(minute);
    if (row.line.getAttribute("d") !== line) {
      row.line.setAttribute("d", line);
      row.area.setAttribute("d", `${line}V20H0Z`);
    }
    markCurrent(row.link, !!watch && !watch.isPattern && watch.name === topic);
  }
  const total = lastData?.status.topics ?? 0;
  const known = lastData?.rows.length ?? 0;
  let words = "";
  if (statusRefusal) words = `The hub refuses its status: ${statusRefusal}.`;
  else if (!mayOperate()) words = grantedText();
  else if (lastData && total === 0 && known === 0) words = "No topics yet. Open one above and publish its first event.";
  else if (isFiltered && shown.length === 0) words = `No topic here has “${filter}” in its name. Enter opens it.`;
  else if (total > known) words = `The ${whole(known)} most recently active of ${whole(total)} topics.`;
  const ended = lastData?.status.endedTopics ?? 0;
  if (ended > 0 && !isFiltered) words += ` ${plural(ended, "topic")} ${ended === 1 ? "has" : "have"} ended.`;
  setText(element("list-note"), words.trim());
  element("list-note").hidden = words === "";
}

function grantedText() {
  if (!session?.subscribe.length) return "No topics may be seen.";
  if (denial) return `What ${session.subject} could see while signed in.`;
  return `What ${session.subject ?? "anybody"} may see. The list of live topics is for those who operate the hub.`;
}

function markCurrent(link, isCurrent) {
  if (isCurrent) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

// One point per second, the newest at the right, scaled to the topic's busiest second.
function sparkline(minute) {
  if (minute.length === 0) return "M0 19.25H59";
  const highest = Math.max(1, ...minute);
  const y = (value) => (19.25 - 17.5 * (value / highest)).toFixed(1);
  const first = 60 - minute.length;
  return `M0 19.25H${first}${minute.map((value, index) => `L${first + index} ${y(value)}`).join("")}`;
}

// MARK: Opening

const nameField = element("name");
const openHint = element("open-hint");
const usualHint = [...openHint.childNodes];

// The hub never takes a name for a pattern; text typed here is a pattern if it has a wildcard. A topic with such a name
// can be opened from the list.
const isPatternText = (text) => text.includes("*") && text !== "*";

nameField.addEventListener("input", () => {
  const text = nameField.value.trim();
  const wrong = text === "" ? null : problem(text, isPatternText(text));
  nameField.setAttribute("aria-invalid", String(wrong !== null));
  openHint.classList.toggle("wrong", wrong !== null);
  if (wrong) setText(openHint, wrong);
  else if (openHint.firstChild !== usualHint[0]) openHint.replaceChildren(...usualHint);
  setText(element("open-button"), isPatternText(text) ? "Match" : "Open");
  showList();
});

element("open").addEventListener("submit", (submission) => {
  submission.preventDefault();
  const name = nameField.value.trim();
  if (name === "" || problem(name, isPatternText(name))) return nameField.focus();
  const isPattern = isPatternText(name);
  nameField.value = "";
  nameField.dispatchEvent(new Event("input"));
  location.hash = hashOf({ name, isPattern });
});

addEventListener("keydown", (key) => {
  if (key.key === "Escape" && document.activeElement === nameField && nameField.value !== "") {
    nameField.value = "";
    nameField.dispatchEvent(new Event("input"));
  } else if (key.key === "/" && !key.ctrlKey && !key.metaKey && !key.altKey) {
    if (key.target.closest?.("input, textarea, dialog")) return;
    key.preventDefault();
    location.hash = narrow.matches ? "" : location.hash;
    nameField.focus();
  }
});

element("skip").addEventListener("click", (click) => {
  click.preventDefault();
  element(watch ? "events" : "watch").focus();
});

// MARK: What is watched

const log = element("events");
const narrow = matchMedia("(max-width: 54rem)");

let pending = []; // Entries not in the list yet.
let unseen = 0; // Events in `pending`, and those dropped from it.
let seen = 0; // Events since the topic was opened.
let isFollowing = true;
let isAskedToPause = false;

function open(next) {
  const isFirst = watch === null;
  watch = next;
  document.body.classList.toggle("watching", watch !== null);
  element("welcome").hidden = watch !== null;
  element("watch-header").hidden = watch === null;
  element("stage").hidden = watch === null;
  element("publish").hidden = watch === null;
  document.title = watch ? `${watch.name} · Plinth hub` : "Plinth hub";
  setText(element("watch-title"), watch?.name ?? "");
  log.setAttribute("aria-label", watch ? `Events of ${watch.name}` : "Events");
  log.classList.toggle("mixed", watch?.isPattern ?? false);
  element("purge").hidden = (watch?.isPattern ?? false) || !mayOperate();
  element("to-field").hidden = !watch?.isPattern;
  // Prefills the part before the wildcards.
  element("to").value = watch?.isPattern ? watch.name.replace(/\*.*$/, "") : "";
  // The worker knows it exactly for what is watched now.
  mayPublish = !isKnown() || (denial === null && session.publish.length > 0);
  showPublishing();
  if (sure.open) sure.close();
  clear();
  pause(false);
  showList();
  showGranted();
  // The worker has the state of what is watched now.
  connection = { state: watch ? "connecting" : "idle", reason: "" };
  lastState = "";
  showState();
  sayHello();
  if (narrow.matches) scrollTo(0, 0);
  // Following a link in this page moves the focus to what it opened; loading the page does not.
  if (watch && (isFirst || narrow.matches) && hasLoaded) element("watch").focus({ preventScroll: true });
  if (!watch && hasLoaded && narrow.matches) list.querySelector("a")?.focus({ preventScroll: true });
}

function showFacts() {
  if (!watch) return;
  const row = watch.isPattern ? null : lastData?.rows.find(({ topic }) => topic === watch.name);
  const facts = [];
  if (hasEnded()) facts.push("ended");
  if (watch.isPattern) facts.push(watch.name === "**" ? "all topics" : "pattern");
  if (row) facts.push(plural(row.subscribers, "subscriber"), rateText(row.rate));
  facts.push(`${whole(seen)} seen here`);
  setText(element("watch-facts"), facts.join(" · "));
}

function clear() {
  pending = [];
  unseen = 0;
  seen = 0;
  log.replaceChildren();
  element("waiting").hidden = false;
  showLatest();
}

element("clear").addEventListener("click", () => {
  clear();
  showFacts();
  say("Cleared.");
});

// MARK: Events

// The event of each list element, from which the rest of its data can be shown.
const shown = new WeakMap();

const isPublished = (entry) => !entry.isGap && !entry.isEnd && entry.note === undefined;

function receive({ events, missed }) {
  const count = events.filter(isPublished).length + missed;
  seen += count;
  unseen += count;
  pending.push(...events);
  if (pending.length > keptEvents) pending.splice(0, pending.length - keptEvents);
  newsSince += count;
  // The worker sends the next batch when this one is drawn. A hidden tab only stores events.
  isOwed = true;
  if (document.visibilityState === "visible") renderSoon();
  else take();
}

function note(text) {
  if (!watch) return;
  pending.push({ note: text, time: Date.now() });
  renderSoon();
}

let isOwed = false;

function take() {
  if (isOwed) port.postMessage({ kind: "taken" });
  isOwed = false;
}

let rendering = false;
let notBefore = 0;

// At most once per frame. If drawing is slow, at most a third of the time, so that the page stays responsive.
function renderSoon() {
  if (rendering || document.visibilityState !== "visible") return;
  rendering = true;
  const wait = notBefore - performance.now();
  if (wait > 16) setTimeout(() => requestAnimationFrame(render), wait);
  else requestAnimationFrame(render);
}

function render() {
  rendering = false;
  take();
  if (!isFollowing) return showLatest();
  if (pending.length === 0) return;
  const began = performance.now();
  const count = pending.length;
  const surplus = log.childElementCount + pending.length - keptEvents;
  if (surplus >= log.childElementCount) log.replaceChildren();
  else for (let count = surplus; count > 0; count -= 1) log.firstElementChild.remove();
  const items = document.createDocumentFragment();
  for (const entry of pending) items.append(makeItem(entry));
  log.append(items);
  pending = [];
  unseen = 0;
  element("waiting").hidden = true;
  toEnd();
  showFacts();
  // Too fast to read: large batches need not be drawn 60 times a second.
  notBefore = performance.now() + Math.max(2 * (performance.now() - began), count > 50 ? 150 : 0);
}

function makeItem(entry) {
  const item = make("li");
  shown.set(item, entry);
  if (entry.note !== undefined) {
    item.className = "note";
    item.append(make("p", "", entry.note));
    if (entry.time) item.append(make("time", "", timeText(entry.time)));
    return item;
  }
  if (entry.isGap) {
    item.className = "gap";
    item.append(make("p", "", gapText(entry)), make("time", "", timeText(entry.time)));
    return item;
  }
  if (entry.isEnd) {
    item.className = "end";
    const text = make("p", "", watch?.isPattern ? "" : "This topic has ended.");
    if (watch?.isPattern) text.append(makeTopicLink(entry.topic), " has ended.");
    item.append(text);
    if (entry.time) item.append(make("time", "", timeText(entry.time)));
    return item;
  }
  item.className = "event";
  const about = make("p", "about");
  about.append(make("span", `type hue-${hueOf(entry.type)}`, entry.type));
  if (watch?.isPattern) about.append(makeTopicLink(entry.topic));
  const id = make("span", "id", entry.id);
  id.title = "The event’s ID";
  about.append(id);
  if (/^\s*[[{]/.test(entry.data) && entry.length === entry.data.length) {
    const button = make("button", "pretty", "{ }");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", "Indent this JSON");
    about.append(button);
  }
  if (entry.time) about.append(make("time", "", timeText(entry.time)));
  item.append(about, makeData(entry, entry.data));
  return item;
}

function makeTopicLink(topic) {
  const link = make("a", "topic", topic);
  link.href = hashOf({ name: topic, isPattern: false });
  return link;
}

function makeData(entry, text) {
  const data = make("pre", entry.length === 0 ? "data empty" : "data");
  data.textContent = entry.length === 0 ? "no data" : text.slice(0, shownText);
  if (text.length > shownText || entry.length > entry.data.length) {
    const more = make("button", "more");
    more.type = "button";
    more.textContent = text.length > shownText
      ? `Show ${whole(text.length - shownText)} more characters`
      : moreText(entry);
    data.append(more);
  }
  return data;
}

const moreText = (entry) => `${whole(entry.length - entry.data.length)} more characters are not kept here`;

function gapText({ data }) {
  let gap = {};
  try {
    gap = JSON.parse(data) ?? {};
  } catch {}
  const lost = gap.requested ? `what followed ${gap.requested} is no longer held` : "they are no longer held";
  return `Some events are missing here: ${lost}.${gap.oldest ? ` It continues with ${gap.oldest}.` : ""}`;
}

// A type always has the same color.
function hueOf(type) {
  if (type === "message") return 0;
  let sum = 0;
  for (let index = 0; index < type.length && index < 64; index += 1) sum = (sum * 31 + type.charCodeAt(index)) % 65_521;
  return 1 + (sum % 6);
}

log.addEventListener("click", (click) => {
  const button = click.target.closest("button");
  const item = button?.closest("li");
  const entry = item && shown.get(item);
  if (!entry) return;
  const data = item.querySelector(".data");
  if (button.classList.contains("more")) {
    data.textContent = entry.data;
    if (entry.length > entry.data.length) data.append(make("p", "soft", moreText(entry)));
    log.focus();
    return;
  }
  const isPretty = button.getAttribute("aria-pressed") === "true";
  let text = entry.data;
  try {
    if (!isPretty) text = JSON.stringify(JSON.parse(entry.data), null, 2);
  } catch {
    // Not JSON after all.
    return button.remove();
  }
  button.setAttribute("aria-pressed", String(!isPretty));
  data.replaceWith(makeData(entry, text));
  if (isFollowing && item === log.lastElementChild) toEnd();
});

// MARK: Following and pausing

const latest = element("latest");
let lastTop = 0;

function toEnd(isAgain = false) {
  log.scrollTop = log.scrollHeight;
  lastTop = log.scrollTop;
  // The heights of entries out of view were estimates.
  if (!isAgain) requestAnimationFrame(() => isFollowing && toEnd(true));
}

// Scrolling up pauses the list until the end is reached again, or Resume is chosen.
log.addEventListener("scroll", () => {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  if (isAtEnd && !isAskedToPause) follow(true);
  else if (log.scrollTop < lastTop - 2) follow(false);
  lastTop = log.scrollTop;
}, { passive: true });

function follow(value) {
  if (isFollowing === value) return;
  isFollowing = value;
  element("pause").classList.toggle("on", !isFollowing);
  setText(element("pause"), isFollowing ? "Pause" : "Resume");
  showLatest();
  if (isFollowing) renderSoon();
}

function pause(value) {
  isAskedToPause = value;
  follow(!value);
}

function showLatest() {
  latest.hidden = isFollowing || unseen === 0;
  if (!latest.hidden) setText(latest, `${whole(unseen)} new ↓`);
}

function goOn() {
  pause(false);
  toEnd();
}

element("pause").addEventListener("click", () => (isFollowing ? pause(true) : goOn()));
latest.addEventListener("click", () => {
  goOn();
  log.focus({ preventScroll: true });
});

// An on-screen keyboard or a rotation shrinks the list, which must not count as scrolling up.
new ResizeObserver(() => isFollowing && toEnd()).observe(log);

// MARK: Earlier events

const earlier = element("earlier");

earlier.addEventListener("click", () => {
  earlier.disabled = true;
  port.postMessage({ kind: "earlier", watch });
  // The worker may be gone and never answer.
  setTimeout(() => (earlier.disabled = false), 10_000);
});

function showEarlier(answer) {
  earlier.disabled = false;
  if (!isSame(answer.watch, watch)) return;
  if (answer.error) return note(`The hub did not return earlier events: ${answer.error}.`);
  // A topic ends once, and an `end` can have another ID where a stream began behind it.
  const keyOf = (entry) => (entry?.isEnd ? `end ${entry.topic}` : entry?.id);
  const known = new Set([...log.children].map((item) => keyOf(shown.get(item))));
  for (const entry of pending) known.add(keyOf(entry));
  const entries = answer.events.filter((entry) => !known.has(keyOf(entry)));
  const room = keptEvents - log.childElementCount;
  const items = document.createDocumentFragment();
  const added = room > 0 ? entries.slice(-room) : [];
  for (const entry of added) items.append(makeItem(entry));
  const count = added.filter(isPublished).length;
  if (!answer.isWhole) items.append(makeItem({ note: "There are more events between these and the next.", time: 0 }));
  log.prepend(items);
  element("waiting").hidden = log.childElementCount > 0;
  if (isFollowing) toEnd();
  const text = answer.count === 0 ? "The hub holds no events of this topic."
    : count === 0 ? "All events that the hub holds are shown already."
    : `${plural(count, "earlier event")} shown.`;
  if (count === 0) note(text);
  say(text);
}

// MARK: Publishing

const data = element("data");
const result = element("result");

function showResult(text, isWrong) {
  result.classList.toggle("wrong", isWrong);
  setText(result, text);
}

/** The error of a response that is one: the hub's words and its code. */
async function refusalOf(response) {
  const { error, code } = await response.json().catch(() => ({}));
  const words = error ?? `the hub answered ${response.status}`;
  return new Error(code ? `${words} (${code})` : words);
}

const wordsFor = (error) => (error instanceof TypeError ? "the hub does not answer" : error.message);

/** Throws a refusal. If it may be for who is signed in, the worker asks the hub. */
async function check(response) {
  if (response.ok) return;
  if (response.status === 401 || response.status === 403) port.postMessage({ kind: "refused" });
  throw await refusalOf(response);
}

/** Offers to publish, or says why not; the hub decides in any case. */
function showPublishing() {
  const wasOffered = !data.disabled;
  for (const field of [data, element("type"), element("to"), element("send")]) field.disabled = !mayPublish;
  if (!mayPublish) return showResult(reasonNotToPublish(), false);
  if (!wasOffered || !watch || result.dataset.watch !== hashOf(watch)) {
    showResult(matchMedia("(pointer: fine)").matches ? "Ctrl + Enter publishes" : "", false);
  }
  result.dataset.watch = watch ? hashOf(watch) : "";
}

function reasonNotToPublish() {
  if (denial) return `Nothing can be published: ${denial.words}.`;
  const where = watch?.isPattern || session?.publish.length === 0 ? "here" : "to this topic";
  if (session?.subject) return `${session.subject} may not publish ${where}.`;
  return hasSignIn() ? `To publish ${where}, sign in.` : `Anonymous visitors may not publish ${where}.`;
}

element("publish").addEventListener("submit", async (submission) => {
  submission.preventDefault();
  const topic = watch.isPattern ? element("to").value.trim() : watch.name;
  const wrong = topic === "" ? "To which topic?" : problem(topic, false)
    ?? (topic === "." || topic === ".." ? "Browsers cannot address a topic of this name." : null);
  if (wrong) return showResult(wrong, true);
  const type = element("type").value.trim();
  element("send").disabled = true;
  try {
    const path = topicPath(topic) + (type === "" ? "" : `?type=${encodeURIComponent(type)}`);
    const response = await fetch(path, { method: "POST", body: data.value });
    await check(response);
    const { id } = await response.json();
    showResult(`Published as ${id}`, false);
    // Selected, so that typing replaces it, and publishing again repeats it.
    if (document.activeElement === data) data.select();
  } catch (error) {
    showResult(error instanceof TypeError ? "The hub does not answer: nothing was published." : error.message, true);
  } finally {
    element("send").disabled = !mayPublish;
  }
});

data.addEventListener("keydown", (key) => {
  if (key.key !== "Enter" || !(key.ctrlKey || key.metaKey)) return;
  key.preventDefault();
  element("publish").requestSubmit();
});

// MARK: Purging

const sure = element("sure");

element("purge").addEventListener("click", () => {
  setText(element("sure-name"), watch.name);
  sure.showModal();
});
element("sure-no").addEventListener("click", () => sure.close());
element("sure-yes").addEventListener("click", async () => {
  sure.close();
  try {
    await check(await fetch(topicPath(watch.name), { method: "DELETE" }));
    note("The history of this topic was purged.");
    say("Purged.");
  } catch (error) {
    showResult(error instanceof TypeError ? "The hub does not answer: nothing was purged." : error.message, true);
  }
});

// MARK: Screen readers

let newsSince = 0;

function say(text) {
  setText(element("announce"), text);
}

// Announces the number of new events every 5 s instead of each event.
setInterval(() => {
  if (newsSince > 0 && document.visibilityState === "visible") say(plural(newsSince, "new event"));
  newsSince = 0;
}, 5000);

// MARK: Start

function showExample() {
  const base = new URL(".", location.href).href;
  const credential = hasSignIn() ? ' -H "Authorization: Bearer $TOKEN" \\\n ' : "";
  const lines = ["-d 'Hello'", "-N"].map((options) => `curl${credential} ${options} ${base}topics/greetings`);
  setText(element("example"), lines.join("\n"));
}

showExample();

let hasLoaded = false;
addEventListener("hashchange", () => {
  const next = watchOfHash();
  if (!isSame(next, watch)) open(next);
});
open(watchOfHash());
hasLoaded = true;
