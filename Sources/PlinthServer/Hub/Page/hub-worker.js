// SPDX-License-Identifier: Apache-2.0

// One stream and one status poll for all tabs of a hub: a browser opens only six HTTP/1.1 connections to a host, so a
// stream for each tab would starve all other requests. Runs as a shared worker or, where there are none, as the worker
// of a single tab.

"use strict";

const keptEvents = 500; // The most events that a tab shows, and so the most to keep for it.
const keptText = 64 * 1024; // The most characters kept of an event's data, and of an incomplete line.
const minuteOfPolls = 60;
const longestRetry = 3_600_000; // In milliseconds; a longer timer than 2^31 − 1 would fire at once.
const shortestRetry = 250;
const refusedWait = 30_000; // In milliseconds, until a refused stream is asked for again; signing in ends the wait.

// MARK: The wire format

/** Parses an event stream in pieces of any size; keeps at most `keptText` of a line and of an event. */
class EventStreamParser {
  #line = "";
  #cut = 0; // Characters of the line that were dropped.
  #afterCR = false;
  #type = "";
  #id;
  #data = "";
  #length = -1; // Of the data, including what was dropped; -1 if there is none.

  constructor(lastID, onEvent) {
    this.lastID = this.#id = lastID;
    this.retry = null;
    this.onEvent = onEvent;
  }

  push(text) {
    let at = 0;
    if (this.#afterCR && text.length > 0) {
      this.#afterCR = false;
      if (text[0] === "\n") at = 1;
    }
    // Searches for each only once, not once per line: most streams have no CR at all.
    let cr = text.indexOf("\r", at);
    let lf = text.indexOf("\n", at);
    while (cr !== -1 || lf !== -1) {
      const end = cr === -1 ? lf : lf === -1 ? cr : Math.min(cr, lf);
      if (this.#line === "") {
        this.#takeLine(text.slice(at, end), 0);
      } else {
        this.#keep(text.slice(at, end));
        const [line, cut] = [this.#line, this.#cut];
        this.#line = "";
        this.#cut = 0;
        this.#takeLine(line, cut);
      }
      at = end + 1;
      if (end === cr) {
        if (at === text.length) this.#afterCR = true;
        else if (text[at] === "\n") at += 1;
      }
      if (cr !== -1 && cr < at) cr = text.indexOf("\r", at);
      if (lf !== -1 && lf < at) lf = text.indexOf("\n", at);
    }
    if (at < text.length) this.#keep(text.slice(at));
  }

  #keep(piece) {
    const room = Math.max(0, "data: ".length + keptText - this.#line.length);
    this.#line += room < piece.length ? piece.slice(0, room) : piece;
    this.#cut += Math.max(0, piece.length - room);
  }

  #takeLine(line, cut) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    let value = "";
    if (colon !== -1) value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      // Lines are joined by a line feed, which counts toward the length.
      if (this.#length >= 0 && this.#data.length < keptText) this.#data += "\n";
      this.#length += 1 + value.length + cut;
      this.#data += value.slice(0, keptText - this.#data.length);
    } else if (field === "event") {
      this.#type = value;
    } else if (field === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (field === "retry") {
      if (/^[0-9]+$/.test(value)) this.retry = Math.min(Math.max(Number(value), shortestRetry), longestRetry);
    }
  }

  #dispatch() {
    this.lastID = this.#id;
    if (this.#length >= 0) {
      this.onEvent({ type: this.#type || "message", id: this.#id, data: this.#data, length: this.#length });
    }
    this.#type = "";
    this.#data = "";
    this.#length = -1;
  }
}

// With several topics, an event's ID is followed by a tab and its topic.
function withTopic(event) {
  const isGap = event.type === settings.gapType;
  const isEnd = event.type === "end";
  const tab = event.id.indexOf("\t");
  if (tab === -1) return { ...event, topic: null, isGap, isEnd };
  return { ...event, id: event.id.slice(0, tab), topic: event.id.slice(tab + 1), isGap, isEnd };
}

/** Whether an event was published; a gap and an end are the hub's own. */
const isPublished = (event) => !event.isGap && !event.isEnd;

// MARK: The hub's own events

// Their types, which no publisher can use. They are read for each stream, since a restarted hub may have others.
let settings = { gapType: "gap", heartbeatEvent: null };

async function readSettings(signal) {
  const response = await fetch("hub.json", { cache: "no-cache", signal });
  if (!response.ok) throw await refusalOf(response);
  settings = await response.json();
}

const isHeartbeat = (event) => settings.heartbeatEvent !== null && event.type === settings.heartbeatEvent;

// Publishers may use the type; but an event of theirs names its topic.
const isExpiry = (event) => event.type === "expired" && !event.id.includes("\t");

// MARK: What is watched

function parameter(watch) {
  return `${watch.isPattern ? "match" : "topic"}=${encodeURIComponent(watch.name)}`;
}

const watchOf = (one) => ({
  name: decodeURIComponent(one.slice(one.indexOf("=") + 1)),
  isPattern: one.startsWith("match="),
});

/** Matches as the hub does: `*` is one segment, `**` at the end one or more. */
function matches(watch, topic) {
  if (!watch.isPattern) return watch.name === topic;
  const wanted = watch.name.split("/");
  const given = topic.split("/");
  for (let index = 0; index < wanted.length; index += 1) {
    if (index >= given.length) return false;
    if (wanted[index] === "**") return true;
    if (wanted[index] !== "*" && wanted[index] !== given[index]) return false;
  }
  return wanted.length === given.length;
}

// MARK: Tabs

const tabs = new Set();

/** A tab: what it watches, and the events it has not taken yet. A slow or sleeping tab is trimmed to `keptEvents`. */
class Tab {
  watch = null;
  visible = false;
  #port;
  #pending = [];
  #missed = 0; // Published events dropped because the tab did not take them.
  #taking = false;
  #heardFrom = 0;
  #told = "";

  constructor(port) {
    this.#port = port;
    port.onmessage = ({ data }) => this.#receive(data);
  }

  post(message) {
    this.#port.postMessage(message);
  }

  /**
   * Reports the stream's state. It is live for this tab only once it includes what the tab watches. An ended topic has
   * ended, and a refused one is refused, whatever the stream does for other tabs.
   */
  tell({ state, reason }) {
    if (this.watch && denial === null) {
      const one = parameter(this.watch);
      if (refused.has(one)) [state, reason] = ["refused", refused.get(one)];
      else if (ended.has(one) && state !== "reconnecting") state = "ended";
      else if (state === "live" ? !served.includes(one) : ["ended", "refused"].includes(state)) state = "connecting";
    }
    if (this.#told === state + reason) return;
    this.#told = state + reason;
    this.post({ kind: "state", watch: this.watch, state, reason });
  }

  offer(event) {
    this.#pending.push(event);
    if (this.#pending.length >= 2 * keptEvents) this.#shorten();
  }

  #shorten() {
    const surplus = this.#pending.length - keptEvents;
    if (surplus <= 0) return;
    this.#missed += this.#pending.splice(0, surplus).filter(isPublished).length;
  }

  // One batch at a time: the next is sent when the tab has taken it.
  flush() {
    if (this.#taking || this.#pending.length === 0) return;
    this.#taking = true;
    this.#shorten();
    this.post({ kind: "events", events: this.#pending, missed: this.#missed });
    this.#pending = [];
    this.#missed = 0;
  }

  /** Reports who is signed in, and whether to offer publishing to what the tab watches. */
  tellSession() {
    if (session === null && denial === null) return;
    this.post({ kind: "session", session, denial, watch: this.watch, mayPublish: mayPublish(this.watch) });
  }

  /** Drops what another subject has received. */
  forget() {
    this.#pending = [];
    this.#missed = 0;
    this.#told = "";
  }

  /** Checks whether the tab is alive: a crashed tab sends no `bye`. */
  ping(now) {
    if (now - this.#heardFrom > 60_000) return this.leave();
    this.post({ kind: "ping" });
  }

  leave() {
    if (!tabs.delete(this)) return;
    this.#pending = [];
    this.#taking = false;
    streamChanged();
  }

  #receive(message) {
    this.#heardFrom = Date.now();
    if (message.kind === "bye") return this.leave();
    if (message.kind === "hello") return this.#enter(message);
    // A removed tab that has woken up must send `hello` first.
    if (!tabs.has(this)) return this.post({ kind: "unknown" });
    if (message.kind === "taken") {
      this.#taking = false;
      this.flush();
    } else if (message.kind === "earlier") {
      readEarlier(this, message.watch);
    } else if (message.kind === "signed") {
      elsewhere.postMessage("signed");
      signedInOrOut();
    } else if (message.kind === "refused") {
      readSession().catch(() => {});
    }
  }

  #enter({ watch, visible }) {
    tabs.add(this);
    const isOther = watch?.name !== this.watch?.name || watch?.isPattern !== this.watch?.isPattern;
    if (isOther) {
      this.#pending = [];
      this.#missed = 0;
    }
    this.watch = watch;
    this.visible = visible;
    this.#taking = false;
    this.#told = "";
    this.tellSession();
    this.tell(connection);
    const end = watch && ended.get(parameter(watch));
    if (isOther && end) {
      this.offer(end);
      this.flush();
    }
    if (lastStatus) this.post(lastStatus);
    streamChanged();
    // Another page of this origin may have signed in meanwhile.
    if (visible && denial !== null) pollNow();
    else pollSoon();
    if (visible) stopWaiting();
  }
}

function broadcast(message) {
  for (const tab of tabs) tab.post(message);
}

// MARK: Ended topics

// The `end` of each watched topic that has ended, by the topic's parameter.
const ended = new Map();

/** Records an end; returns false if it is known, as when a stream begins behind it. */
function takeEnd(event) {
  const one = parameter({ name: event.topic, isPattern: false });
  if (ended.has(one)) return false;
  if (wanted.includes(one)) {
    ended.set(one, event);
    tellAll();
  }
  return true;
}

// For an end that the hub tells by a status or a field, not by its event.
function takeEndOf(one) {
  const topic = watchOf(one).name;
  const event = { type: "end", id: "", data: "", length: 0, topic, isGap: false, isEnd: true, time: Date.now() };
  if (!takeEnd(event)) return;
  for (const tab of tabs) {
    if (!tab.watch || parameter(tab.watch) !== one) continue;
    tab.offer(event);
    tab.flush();
  }
}

function takeOpened(one) {
  if (ended.delete(one)) tellAll();
}

/**
 * Whether all of some topics have ended, and at or before a position if there is one: ends that follow it are for the
 * stream to tell. Null if the hub does not answer.
 */
async function haveEnded(query, position, signal) {
  const stop = new AbortController();
  try {
    const head = await fetch(`topics?${query}`, { method: "HEAD", cache: "no-store", signal });
    if (!head.ok) return null;
    if (head.headers.get("Topic-Ended") !== "true") return false;
    if (position === null) return true;
    // 204 if there is nothing to receive from there.
    return (await openStream(query, position, AbortSignal.any([signal, stop.signal]))).status === 204;
  } catch {
    return null;
  } finally {
    stop.abort();
  }
}

// A stream that resumes behind a topic's end does not tell it, and none tells that a topic was opened again before its
// first event.
async function askForEnds(parameters, position, signal) {
  await Promise.all(parameters.filter((one) => one.startsWith("topic=")).map(async (one) => {
    const before = ended.get(one);
    const answer = await haveEnded(one, position, signal);
    // What the stream has told meanwhile is newer.
    if (answer === null || signal.aborted || ended.get(one) !== before) return;
    if (answer) takeEndOf(one);
    else takeOpened(one);
  }));
}

// MARK: Who is signed in

// What the hub says of this browser: who it is, what it may do, and until when.
let session = null;
// Why the hub refuses the browser's cookie; null if it does not. `session` is then the last that it took.
let denial = null;
let signings = 0; // Sign-ins and sign-outs in this browser,
let subjects = 0; // and changes of the subject.
let reading = null; // The running request for the session.
let expiry = null; // The timer at which to ask for it again, as it has expired.
// The refused topics and patterns of the stream, by their parameters, with the hub's words.
const refused = new Map();
// Tells the workers of tabs that share none; another hub at this origin asks in vain.
const elsewhere = new BroadcastChannel("plinth-hub");
elsewhere.onmessage = () => signedInOrOut();

const subjectOf = ({ issuer, subject }) => JSON.stringify([issuer, subject]);
const rightsOf = ({ publish, subscribe, operate }) => JSON.stringify([publish, subscribe, operate]);

function hasExpired() {
  if (denial !== null) return denial.code === "token-expired";
  // The hub ends a stream when its grant expires; by the two clocks that may be a moment early.
  return typeof session?.expiresAt === "number" && session.expiresAt <= Date.now() + 1000;
}

const mayOperate = () => denial === null && session?.operate === true;

function mayPublish(watch) {
  if (denial !== null || session === null) return false;
  if (watch === null || watch.isPattern) return session.publish.length > 0;
  return session.publish.some((one) => includes(one, watch.name));
}

/** Whether a topic is one that a right names: in quotes, or by a pattern. */
function includes(selector, topic) {
  return typeof selector === "string" ? selector === topic : matches({ name: selector.match, isPattern: true }, topic);
}

/** Asks the hub who is signed in; one request at a time. */
function readSession() {
  reading ??= fetchSession().finally(() => (reading = null));
  return reading;
}

async function fetchSession() {
  for (;;) {
    const before = signings;
    const response = await fetch("session", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    const answer = response.ok ? await response.json() : await refusalOf(response);
    // The answer may be of the former subject.
    if (signings !== before) continue;
    if (response.ok) return takeSession(answer, response);
    if (!isDenied(answer)) throw answer;
    return takeDenial(answer);
  }
}

function takeSession(answer, response) {
  const former = session;
  const wasRefused = denial !== null;
  // By this machine's clock; the field is precise to a second.
  const skew = Date.parse(response.headers.get("Date")) - Date.now();
  const expiresAt = answer.expires === null ? null : Date.parse(answer.expires) - (Math.abs(skew) > 2000 ? skew : 0);
  session = { ...answer, expiresAt };
  denial = null;
  const isOther = former !== null && subjectOf(former) !== subjectOf(session);
  if (isOther) forget();
  clearTimeout(expiry);
  if (expiresAt !== null) {
    // The timers of a browser have a longest time, too.
    const rest = Math.min(Math.max(expiresAt - Date.now() + 500, 1000), longestRetry);
    expiry = setTimeout(() => readSession().catch(() => {}), rest);
  }
  for (const tab of tabs) tab.tellSession();
  if (isOther || wasRefused || (former !== null && rightsOf(former) !== rightsOf(session))) beginAgain();
}

function takeDenial(refusal) {
  denial = { words: wordsFor(refusal), code: refusal.code };
  clearTimeout(expiry);
  for (const tab of tabs) tab.tellSession();
}

/** Drops what another subject has received. */
function forget() {
  lastID = "";
  lookedAt = null;
  ended.clear();
  lastStatus = null;
  samples = [];
  topics = new Map();
  subjects += 1;
  for (const tab of tabs) tab.forget();
}

/** Streams and polls with the rights of now, behind the last event. */
function beginAgain() {
  refused.clear();
  if (wanted.length > 0) startStream();
  pollNow();
}

async function signedInOrOut() {
  signings += 1;
  // No event of the former subject reaches a tab from here on.
  const former = controller;
  former?.abort();
  await readSession().catch(() => {});
  if (controller === former) beginAgain();
}

/** Takes a refusal of the stream's topics: those that are not granted or, if all seem to be, all of them. */
function refuse(asked, words) {
  const isGranted = ({ name, isPattern }) =>
    isPattern ? session.subscribe.length > 0 : session.subscribe.some((one) => includes(one, name));
  const denied = asked.filter((one) => !isGranted(watchOf(one)));
  for (const one of denied.length > 0 ? denied : asked) refused.set(one, words);
  tellAll();
}

// MARK: Refusals

/** An error response of the hub. */
class Refusal extends Error {
  constructor(message, status, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function refusalOf(response) {
  const { error, code } = await response.json().catch(() => ({}));
  return new Refusal(error ?? `the hub answered ${response.status}`, response.status, code);
}

/** Whether it is for who is signed in that the hub refuses. */
const isDenied = (error) => error instanceof Refusal && (error.status === 401 || error.status === 403);

function wordsFor(error) {
  if (!(error instanceof Refusal)) return "the hub does not answer";
  return error.code === "" ? error.message : `${error.message} (${error.code})`;
}

// MARK: The stream

let connection = { state: "idle", reason: "" };
let wanted = []; // The parameters of the wanted stream,
let served = []; // and of the running one.
let lastID = "";
let controller = null;
let changing = null;
let stopWaiting = () => {};

function announce(state, reason = "") {
  connection = { state, reason };
  tellAll();
}

function tellAll() {
  for (const tab of tabs) tab.tell(connection);
}

// Coalesced: a tab that changes topics and a browser that restores its tabs cause many changes.
function streamChanged() {
  changing ??= setTimeout(() => {
    changing = null;
    const union = [...new Set([...tabs].filter((tab) => tab.watch).map((tab) => parameter(tab.watch)))].sort();
    if (union.join("&") === wanted.join("&")) return;
    const kept = union.filter((one) => wanted.includes(one));
    // If all topics are new, there is nothing to resume.
    if (kept.length === 0) lastID = "";
    wanted = union;
    served = served.filter((one) => union.includes(one));
    for (const known of [ended, refused]) for (const one of known.keys()) if (!union.includes(one)) known.delete(one);
    const hadEnded = connection.state === "ended";
    controller?.abort();
    controller = null;
    if (union.length === 0) return announce("idle");
    if (hadEnded && union.every((one) => ended.has(one))) return announce("ended");
    startStream(hadEnded ? kept.filter((one) => !refused.has(one)) : []);
  }, 30);
}

function startStream(kept = []) {
  controller?.abort();
  controller = new AbortController();
  keepStreaming(wanted, controller.signal, kept);
}

async function keepStreaming(union, signal, kept) {
  let failures = 0;
  let retry = 1000;
  // A live stream that only changes topics will be live again in a moment, so the state is not announced.
  if (connection.state !== "live") announce("connecting");
  // The position of a stream that has ended may be old, and topics that are new to it begin live.
  if (kept.length > 0 && (await haveEnded(kept.join("&"), lastID, signal))) lastID = "";
  while (!signal.aborted) {
    const began = performance.now();
    let reason = "the hub ended the stream";
    let asked = union.filter((one) => !refused.has(one));
    if (asked.length === 0) asked = union;
    try {
      // The events of a stream are its subject's, so that is known before.
      await Promise.all([readSettings(signal), readSession()]);
      if (signal.aborted) return;
      const position = lastID;
      const parser = new EventStreamParser(position, deliver);
      const onOpen = () => {
        for (const one of asked) refused.delete(one);
        served = asked;
        announce("live");
        // A stream that begins live tells all ends.
        if (position !== "") askForEnds(asked, position, signal);
      };
      const onPiece = () => {
        retry = parser.retry ?? retry;
        // A block with only an ID changes the last event ID, too.
        lastID = parser.lastID.split("\t", 1)[0];
        for (const tab of tabs) tab.flush();
      };
      if (denial === null) {
        const hasContent = await readStream(asked.join("&"), parser, signal, onOpen, onPiece);
        if (signal.aborted) return;
        if (hasContent) lookedAt = null;
        else for (const one of asked) takeEndOf(one);
      }
    } catch (error) {
      if (signal.aborted) return;
      reason = wordsFor(error);
      if (isDenied(error) && ["unauthorized", "forbidden"].includes(error.code)) {
        refuse(asked, reason);
        if (union.some((one) => !refused.has(one))) continue;
      } else if (isDenied(error)) {
        takeDenial(error);
      }
    }
    if (signal.aborted) return;
    // The hub has ended the stream for good: there is nothing to reconnect for until a topic is opened again.
    if (denial === null && asked.every((one) => ended.has(one))) return rest();
    if (denial !== null || union.every((one) => refused.has(one))) {
      announce(hasExpired() ? "expired" : "refused", denial?.words ?? reason);
      await waiting(refusedWait, signal);
      continue;
    }
    failures = performance.now() - began > 5000 ? 0 : failures + 1;
    announce(hasExpired() ? "expired" : "reconnecting", reason);
    // Doubled each time up to 15 s, with jitter.
    const wait = Math.min(retry * 2 ** Math.min(failures, 6), Math.max(retry, 15_000));
    await waiting(wait * (0.5 + Math.random() / 2), signal);
  }
}

let rests = 0;
// What the status had when the ended stream was last known to have nothing new; null if that is not known yet.
let lookedAt = null;

function rest() {
  rests += 1;
  announce("ended");
  // Now, and also for hidden tabs: a later change is noticed only by comparison. If this fails, the poll does it.
  if (lookedAt === null) (mayOperate() ? readStatus("") : readMark()).catch(() => {});
}

/** Notices by a status or a mark that ended topics may have been opened again, and only then asks for them. */
function lookAt({ mark, endedTopics }, restsBefore) {
  if (connection.state === "ended") {
    if (rests !== restsBefore) return;
    const now = `${mark} ${endedTopics}`;
    // If the stream's end was the hub's last position, nothing was published since.
    const isUnchanged = lookedAt === now || (lookedAt === null && mark === lastID);
    lookedAt = now;
    if (!isUnchanged) startStream();
  } else if (connection.state === "live" && ended.size > 0 && endedTopics !== lastStatus?.status?.endedTopics) {
    askForEnds([...ended.keys()], null, controller.signal);
  }
}

async function openStream(query, lastID, signal) {
  // In the URL, since a header field cannot carry every ID.
  const position = lastID === "" ? "" : `&last-event-id=${encodeURIComponent(lastID)}`;
  const response = await fetch(`topics?${query}${position}`, {
    headers: { Accept: "text/event-stream" },
    cache: "no-store",
    signal,
  });
  if (response.ok) return response;
  throw await refusalOf(response);
}

/** Reads a stream to its end; returns false if there is none, since all topics have ended at the parser's position. */
async function readStream(query, parser, signal, onOpen, onPiece) {
  const response = await openStream(query, parser.lastID, signal);
  if (response.status === 204) return false;
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
    throw new Refusal("the response is not an event stream", response.status);
  }
  onOpen();
  const reader = response.body.getReader();
  const decoder = new TextDecoder(); // Drops a byte order mark at the start only.
  for (;;) {
    const { done, value } = await reader.read();
    if (signal.aborted || done) return true;
    parser.push(decoder.decode(value, { stream: true }));
    onPiece();
  }
}

function deliver(raw) {
  if (isHeartbeat(raw)) return;
  if (isExpiry(raw)) return takeExpiry(raw.data);
  const event = { ...withTopic(raw), time: Date.now() };
  if (event.isEnd && !takeEnd(event)) return;
  if (isPublished(event) && event.topic !== null) takeOpened(parameter({ name: event.topic, isPattern: false }));
  for (const tab of tabs) {
    if (tab.watch && (event.isGap || (event.topic !== null && matches(tab.watch, event.topic)))) tab.offer(event);
  }
}

/** Takes the hub's event that the cookie's token has expired; it is the last of its stream. */
function takeExpiry(data) {
  let answer = {};
  try {
    answer = JSON.parse(data) ?? {};
  } catch {}
  takeDenial(new Refusal(answer.error ?? "the sign-in has expired", 401, answer.code ?? "token-expired"));
}

// Until the time has passed, or until the hub is likely to be back.
function waiting(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    stopWaiting = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", stopWaiting, { once: true });
  });
}

self.addEventListener("online", () => stopWaiting());

// MARK: Earlier events

// Reads the events held, on a temporary stream. It ends by itself if the topic has ended; another does not mark where
// history ends, so 250 ms of silence does.
async function readEarlier(tab, watch) {
  const events = [];
  let count = 0;
  const stop = new AbortController();
  let quiet = setTimeout(() => stop.abort(), 1500);
  const atMost = setTimeout(() => stop.abort(), 8000);
  let isWhole = true;
  const subjectsBefore = subjects;
  const parser = new EventStreamParser("earliest", (raw) => {
    if (isHeartbeat(raw)) return;
    if (isExpiry(raw)) return takeExpiry(raw.data);
    clearTimeout(quiet);
    quiet = setTimeout(() => stop.abort(), 250);
    const event = withTopic(raw);
    if (event.isGap) return;
    if (isPublished(event)) count += 1;
    events.push(event);
    if (events.length >= 2 * keptEvents) events.splice(0, keptEvents);
  });
  const began = performance.now();
  try {
    await readSettings(stop.signal);
    await readStream(parameter(watch), parser, stop.signal, () => {}, () => {});
  } catch (error) {
    if (!stop.signal.aborted) {
      tab.post({ kind: "earlier", watch, error: wordsFor(error) });
      return;
    }
    isWhole = performance.now() - began < 8000;
  } finally {
    clearTimeout(quiet);
    clearTimeout(atMost);
    stop.abort();
  }
  // Another subject's.
  if (subjects !== subjectsBefore) return;
  if (denial !== null) return tab.post({ kind: "earlier", watch, error: denial.words });
  tab.post({ kind: "earlier", watch, events: events.slice(-keptEvents), count, isWhole });
}

// MARK: The status

let lastStatus = null;
let poll = null;
let polls = 0; // Polls that were begun out of turn.
let samples = []; // Of the total number of events published.
let topics = new Map(); // A topic's samples and its events in each second of the last minute.
let lastUptime = 0;

// Only while a tab is visible.
const isSeen = () => [...tabs].some((tab) => tab.visible);

function pollSoon() {
  if (poll === null && isSeen()) poll = setTimeout(takeStatus, 0);
}

/** Polls at once; the answer to a poll of before is not taken. */
function pollNow() {
  polls += 1;
  clearTimeout(poll);
  poll = null;
  pollSoon();
}

async function readStatus(query) {
  const restsBefore = rests;
  const response = await fetch(`status${query}`, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw await refusalOf(response);
  const status = await response.json();
  lookAt(status, restsBefore);
  return status;
}

/** Stands for the status where it is not granted: the mark of the watched topics, if all have ended. */
async function readMark() {
  if (connection.state !== "ended") return;
  const restsBefore = rests;
  const asked = wanted.filter((one) => !refused.has(one)).join("&");
  const head = await fetch(`topics?${asked}`, {
    method: "HEAD",
    cache: "no-store",
    signal: AbortSignal.timeout(10_000),
  });
  if (!head.ok) return;
  lookAt({ mark: head.headers.get("Last-Event-ID"), endedTopics: head.headers.get("Topic-Ended") }, restsBefore);
}

// Without the right to operate, the hub is asked only who is signed in, and whether ended topics have been opened
// again.
async function takeStatus() {
  if (!isSeen()) return void (poll = null);
  const mine = polls;
  let next = 1000;
  let latest = { kind: "status", status: null, refusal: null, isReachable: true };
  try {
    if (!mayOperate() || lastStatus?.isReachable === false) await readSession();
    if (mine !== polls) return;
    if (mayOperate()) {
      const status = await readStatus("?top=50");
      if (mine !== polls) return;
      latest = { ...latest, status, ...rates(status, performance.now() / 1000) };
    } else {
      next = denial === null ? 5000 : refusedWait;
      await readMark();
    }
    if (lastStatus?.isReachable === false) stopWaiting();
  } catch (error) {
    next = 2000;
    if (isDenied(error)) {
      latest.refusal = wordsFor(error);
      readSession().catch(() => {});
    } else {
      latest.isReachable = false;
    }
  }
  if (mine !== polls) return;
  lastStatus = latest;
  broadcast(lastStatus);
  poll = null;
  if (isSeen()) poll = setTimeout(takeStatus, next);
}

function rates(status, now) {
  // Another hub, or a restarted one: earlier counts are not comparable.
  if (status.uptime < lastUptime) {
    samples = [];
    topics = new Map();
  }
  lastUptime = status.uptime;
  const isFirst = samples.length === 0;
  samples = [...samples.slice(-5), { now, published: status.published }];
  const isComplete = status.topics <= (status.top?.length ?? 0);
  const next = new Map();
  for (const { topic, subscribers, published } of status.top ?? []) {
    // A topic that was not listed a second ago is new only if all topics were listed.
    const known = topics.get(topic)
      ?? { samples: isFirst || !isComplete ? [] : [{ now: now - 1, published: 0 }], minute: [] };
    const before = known.samples.at(-1);
    if (before) {
      const rate = (published - before.published) / (now - before.now);
      known.minute = [...known.minute.slice(1 - minuteOfPolls), rate];
    }
    known.samples = [...known.samples.slice(-5), { now, published }];
    next.set(topic, { ...known, subscribers });
  }
  topics = next;
  return {
    rate: rateOf(samples),
    rows: [...topics].map(([topic, { samples, minute, subscribers }]) => ({
      topic,
      subscribers,
      published: samples.at(-1).published,
      rate: rateOf(samples),
      minute,
    })),
  };
}

// Averaged over five seconds, so that the figure does not jump every second.
function rateOf(samples) {
  const [first, last] = [samples[0], samples.at(-1)];
  return samples.length < 2 ? 0 : Math.max(0, (last.published - first.published) / (last.now - first.now));
}

// MARK: Start

setInterval(() => {
  const now = Date.now();
  for (const tab of tabs) tab.ping(now);
}, 15_000);

if ("SharedWorkerGlobalScope" in self) self.onconnect = ({ ports }) => new Tab(ports[0]);
else new Tab(self);
