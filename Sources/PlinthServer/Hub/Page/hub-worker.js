// SPDX-License-Identifier: Apache-2.0

// One stream and one status poll for all tabs of this hub: a browser opens only six HTTP/1.1 connections to a host, and
// a stream for each tab would starve everything else. Runs as a shared worker, or, where there are none, as the worker
// of a single tab.

"use strict";

const keptEvents = 500; // What a tab shows, so that more need not wait for it.
const keptText = 64 * 1024; // Characters of an event's data, and of a line that has not ended.
const minuteOfPolls = 60;
const longestRetry = 3_600_000; // In milliseconds; a longer timer than 2^31 − 1 would fire at once.
const shortestRetry = 250;

// MARK: The wire format

/** Reads an event stream in pieces of any size, and holds no more of it than `keptText` a line and an event. */
class EventStreamParser {
  #line = "";
  #cut = 0; // Characters of the line that were not kept.
  #afterCR = false;
  #type = "";
  #id;
  #data = "";
  #length = -1; // Of the data, with what was not kept; -1 as long as there is none.

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
    // The next of each is looked for once, not once a line: most streams have no CR at all.
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
      // Lines are joined by a line feed, which counts.
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

// An event of a stream of several topics has its topic behind its ID.
function withTopic(event) {
  const isGap = event.type === settings.gapType;
  const tab = event.id.indexOf("\t");
  if (tab === -1) return { ...event, topic: null, isGap };
  return { ...event, id: event.id.slice(0, tab), topic: event.id.slice(tab + 1), isGap };
}

// MARK: The hub's own events

// Their types, which no publisher can use. They may have changed when the hub is another one.
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

/** As the hub matches: `*` is one segment, `**` at the end one or more. */
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

/** A tab: what it watches, and what it has not taken yet. A slow or sleeping one costs at most `keptEvents`. */
class Tab {
  watch = null;
  visible = false;
  #port;
  #pending = [];
  #missed = 0; // Events that went past while it did not take any.
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

  /** Says how the stream is. It is live for this tab only once it has what this tab watches. */
  tell({ state, reason }) {
    if (state === "live" && this.watch && !served.includes(parameter(this.watch))) state = "connecting";
    if (this.#told === state + reason) return;
    this.#told = state + reason;
    this.post({ kind: "state", state, reason });
  }

  offer(event) {
    this.#pending.push(event);
    if (this.#pending.length >= 2 * keptEvents) this.#shorten();
  }

  #shorten() {
    const surplus = this.#pending.length - keptEvents;
    if (surplus <= 0) return;
    this.#missed += surplus;
    this.#pending.splice(0, surplus);
  }

  // One batch is under way at a time: whoever does not take it gets no second one.
  flush() {
    if (this.#taking || this.#pending.length === 0) return;
    this.#taking = true;
    this.#shorten();
    this.post({ kind: "events", events: this.#pending, missed: this.#missed });
    this.#pending = [];
    this.#missed = 0;
  }

  /** Asks whether it is still there: a tab that crashed says nothing when it goes. */
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
    // One that was given up and has woken says hello first.
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
    if (lastStatus) this.post(lastStatus);
    streamChanged();
    pollSoon();
    if (visible) stopWaiting();
  }
}

function broadcast(message) {
  for (const tab of tabs) tab.post(message);
}

// MARK: The stream

let connection = { state: "idle", reason: "" };
let wanted = []; // The parameters of the stream that is to run,
let served = []; // and of the one that does.
let lastID = "";
let controller = null;
let changing = null;
let stopWaiting = () => {};

function announce(state, reason = "") {
  connection = { state, reason };
  for (const tab of tabs) tab.tell(connection);
}

// Waits a moment: a tab that goes from one topic to another, and a browser that restores its tabs, change it often.
function streamChanged() {
  changing ??= setTimeout(() => {
    changing = null;
    const union = [...new Set([...tabs].filter((tab) => tab.watch).map((tab) => parameter(tab.watch)))].sort();
    if (union.join("&") === wanted.join("&")) return;
    // Nobody has seen anything of a stream that is all new: its past is of no concern.
    if (!union.some((one) => wanted.includes(one))) lastID = "";
    wanted = union;
    served = served.filter((one) => union.includes(one));
    controller?.abort();
    controller = null;
    if (union.length === 0) return announce("idle");
    controller = new AbortController();
    keepStreaming(union, controller.signal);
  }, 30);
}

async function keepStreaming(union, signal) {
  let failures = 0;
  let retry = 1000;
  // A stream that only moves to other topics was live and will be in a moment: nobody needs to hear of it.
  if (connection.state !== "live") announce("connecting");
  while (!signal.aborted) {
    const began = performance.now();
    const parser = new EventStreamParser(lastID, deliver);
    let reason = "the hub ended the stream";
    try {
      const onOpen = () => {
        served = union;
        announce("live");
      };
      await readSettings(signal);
      await readStream(union.join("&"), parser, signal, onOpen, () => {
        // A block that is only an ID moves the position, too.
        lastID = parser.lastID.split("\t", 1)[0];
        for (const tab of tabs) tab.flush();
      });
    } catch (error) {
      reason = wordsFor(error);
    }
    if (signal.aborted) return;
    retry = parser.retry ?? retry;
    failures = performance.now() - began > 5000 ? 0 : failures + 1;
    announce("reconnecting", reason);
    // Doubled each time up to 15 s, and not by all browsers at the same moment.
    const wait = Math.min(retry * 2 ** Math.min(failures, 6), Math.max(retry, 15_000));
    await waiting(wait * (0.5 + Math.random() / 2), signal);
  }
}

/** The hub answered, and this is what it said. */
class Refusal extends Error {}

const wordsFor = (error) => (error instanceof Refusal ? error.message : "the hub does not answer");

async function readStream(query, parser, signal, onOpen, onPiece) {
  // The ID goes into the address: a field of a request cannot carry all that an ID may be.
  const position = parser.lastID === "" ? "" : `&last-event-id=${encodeURIComponent(parser.lastID)}`;
  const response = await fetch(`topics?${query}${position}`, {
    headers: { Accept: "text/event-stream" },
    cache: "no-store",
    signal,
  });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Refusal(answer.error ?? `the hub answered ${response.status}`);
  }
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
    throw new Refusal("what answered is no event stream");
  }
  onOpen();
  const reader = response.body.getReader();
  const decoder = new TextDecoder(); // Drops a byte order mark at the start, and only there.
  for (;;) {
    const { done, value } = await reader.read();
    if (signal.aborted || done) return;
    parser.push(decoder.decode(value, { stream: true }));
    onPiece();
  }
}

function deliver(raw) {
  if (isHeartbeat(raw)) return;
  const event = { ...withTopic(raw), time: Date.now() };
  for (const tab of tabs) {
    if (tab.watch && (event.isGap || (event.topic !== null && matches(tab.watch, event.topic)))) tab.offer(event);
  }
}

// Until the time is over, or somebody has reason to believe that the hub is back.
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

// What history holds, on a stream of its own for the moment that it takes. A stream does not say where history ends and
// the present begins, so that silence has to.
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
    count += 1;
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
let samples = []; // Of all that was published.
let topics = new Map(); // A topic's samples and its events in each second of the last minute.
let lastUptime = 0;

// Only while somebody looks.
function pollSoon() {
  if (poll === null && [...tabs].some((tab) => tab.visible)) poll = setTimeout(takeStatus, 0);
}

async function takeStatus() {
  let next = 1000;
  try {
    const response = await fetch("status?top=50", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    const status = await response.json();
    if (!response.ok) throw new Refusal();
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
  // Another hub, or one that has begun again: what was counted before is not comparable.
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
    // One that was not among them a second ago is new only if all were there.
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

// Over the last five seconds: a figure that jumps each second cannot be read.
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
