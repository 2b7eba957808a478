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
  if (!response.ok) throw new Refusal(`the hub answered ${response.status}`);
  settings = await response.json();
}

const isHeartbeat = (event) => settings.heartbeatEvent !== null && event.type === settings.heartbeatEvent;

// MARK: What is watched

function parameter(watch) {
  return `${watch.isPattern ? "match" : "topic"}=${encodeURIComponent(watch.name)}`;
}

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
   * Reports the stream's state. It is live for this tab only once it includes what the tab watches, and an ended topic
   * has ended whatever the stream does for other tabs.
   */
  tell({ state, reason }) {
    if (this.watch) {
      const one = parameter(this.watch);
      if (ended.has(one) && state !== "reconnecting") state = "ended";
      else if (state === "ended" || (state === "live" && !served.includes(one))) state = "connecting";
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
    this.tell(connection);
    const end = watch && ended.get(parameter(watch));
    if (isOther && end) {
      this.offer(end);
      this.flush();
    }
    if (lastStatus) this.post(lastStatus);
    streamChanged();
    pollSoon();
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
  const topic = decodeURIComponent(one.slice("topic=".length));
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
    for (const one of ended.keys()) if (!union.includes(one)) ended.delete(one);
    const hadEnded = connection.state === "ended";
    controller?.abort();
    controller = null;
    if (union.length === 0) return announce("idle");
    if (hadEnded && union.every((one) => ended.has(one))) return announce("ended");
    startStream(hadEnded ? kept : []);
  }, 30);
}

function startStream(kept = []) {
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
    const position = lastID;
    const parser = new EventStreamParser(position, deliver);
    let reason = "the hub ended the stream";
    try {
      const onOpen = () => {
        served = union;
        announce("live");
        // A stream that begins live tells all ends.
        if (position !== "") askForEnds(union, position, signal);
      };
      await readSettings(signal);
      const hasContent = await readStream(union.join("&"), parser, signal, onOpen, () => {
        // A block with only an ID changes the last event ID, too.
        lastID = parser.lastID.split("\t", 1)[0];
        for (const tab of tabs) tab.flush();
      });
      if (signal.aborted) return;
      if (hasContent) lookedAt = null;
      else for (const one of union) takeEndOf(one);
    } catch (error) {
      reason = wordsFor(error);
    }
    if (signal.aborted) return;
    // The hub has ended the stream for good: there is nothing to reconnect for until a topic is opened again.
    if (union.every((one) => ended.has(one))) return rest();
    retry = parser.retry ?? retry;
    failures = performance.now() - began > 5000 ? 0 : failures + 1;
    announce("reconnecting", reason);
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
  if (lookedAt === null) readStatus("").catch(() => {});
}

/** Notices by a status that ended topics may have been opened again, and only then asks for them. */
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

/** An error response of the hub. */
class Refusal extends Error {}

const wordsFor = (error) => (error instanceof Refusal ? error.message : "the hub does not answer");

async function openStream(query, lastID, signal) {
  // In the URL, since a header field cannot carry every ID.
  const position = lastID === "" ? "" : `&last-event-id=${encodeURIComponent(lastID)}`;
  const response = await fetch(`topics?${query}${position}`, {
    headers: { Accept: "text/event-stream" },
    cache: "no-store",
    signal,
  });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Refusal(answer.error ?? `the hub answered ${response.status}`);
}

/** Reads a stream to its end; returns false if there is none, since all topics have ended at the parser's position. */
async function readStream(query, parser, signal, onOpen, onPiece) {
  const response = await openStream(query, parser.lastID, signal);
  if (response.status === 204) return false;
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
    throw new Refusal("the response is not an event stream");
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
  const event = { ...withTopic(raw), time: Date.now() };
  if (event.isEnd && !takeEnd(event)) return;
  if (isPublished(event) && event.topic !== null) takeOpened(parameter({ name: event.topic, isPattern: false }));
  for (const tab of tabs) {
    if (tab.watch && (event.isGap || (event.topic !== null && matches(tab.watch, event.topic)))) tab.offer(event);
  }
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
  const parser = new EventStreamParser("earliest", (raw) => {
    if (isHeartbeat(raw)) return;
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
  tab.post({ kind: "earlier", watch, events: events.slice(-keptEvents), count, isWhole });
}

// MARK: The status

let lastStatus = null;
let poll = null;
let samples = []; // Of the total number of events published.
let topics = new Map(); // A topic's samples and its events in each second of the last minute.
let lastUptime = 0;

// Only while a tab is visible.
function pollSoon() {
  if (poll === null && [...tabs].some((tab) => tab.visible)) poll = setTimeout(takeStatus, 0);
}

async function readStatus(query) {
  const restsBefore = rests;
  const response = await fetch(`status${query}`, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  const status = await response.json();
  if (!response.ok) throw new Refusal();
  lookAt(status, restsBefore);
  return status;
}

async function takeStatus() {
  let next = 1000;
  try {
    const status = await readStatus("?top=50");
    if (lastStatus?.status === null) stopWaiting();
    lastStatus = { kind: "status", status, ...rates(status, performance.now() / 1000) };
  } catch {
    lastStatus = { kind: "status", status: null };
    next = 2000;
  }
  broadcast(lastStatus);
  poll = null;
  if ([...tabs].some((tab) => tab.visible)) poll = setTimeout(takeStatus, next);
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
