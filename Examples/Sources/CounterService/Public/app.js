// SPDX-License-Identifier: Apache-2.0

"use strict";

const lastCount = 10;

const number = document.getElementById("number");
const arc = document.getElementById("arc");
const state = document.getElementById("state");
const log = document.getElementById("events");
const stop = document.getElementById("stop");

let source = null;

function showState(name) {
  state.dataset.state = name;
  state.textContent = name;
  stop.disabled = name === "stopped" || name === "complete";
}

function showCount(count) {
  number.textContent = String(count);
  // Slightly more than the full circle, so that no seam shows at the top.
  arc.setAttribute("stroke-dasharray", `${(count / lastCount) * 100.5} 101`);
}

// Appends an entry to the log: an event as its lines in the stream, or a note of the connection's state.
function show(kind, text) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  const entry = document.createElement("li");
  entry.className = kind;
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hour12: false });
  const lines = document.createElement("pre");
  lines.textContent = text;
  entry.append(lines, time);
  log.append(entry);
  // Keeps the position of a reader who scrolled up.
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function start() {
  log.replaceChildren();
  showCount(0);
  showState("connecting");
  source = new EventSource("counter");

  source.addEventListener("open", () => {
    showState("open");
    show("note", "open");
  });

  source.addEventListener("counter", (event) => {
    showCount(Number(event.data));
    show("event", `event: ${event.type}\ndata: ${event.data}`);
    if (Number(event.data) < lastCount) return;
    // An EventSource treats the end of a stream as a lost connection and reconnects after a few seconds, which would
    // count from one forever. The page closes it, since nothing follows.
    source.close();
    showState("complete");
    show("note", "closed by the page after its tenth event");
  });

  source.addEventListener("error", () => {
    // CONNECTING (0): the browser retries. CLOSED (2): the response was not an event stream, and it has given up.
    const retries = source.readyState === EventSource.CONNECTING;
    showState(retries ? "reconnecting" : "failed");
    show("note", retries ? "connection lost; the browser reconnects" : "failed: no event stream at /counter");
  });
}

stop.addEventListener("click", () => {
  source.close();
  showState("stopped");
  show("note", "closed by the page");
});

document.getElementById("restart").addEventListener("click", () => {
  source.close();
  start();
});

start();
