// SPDX-License-Identifier: Apache-2.0
//
// Written by Scripts/embed-page.py from the files beside it: change those, and run it.
// swift-format-ignore-file

/// The page of a hub, and what it loads.
///
/// All its addresses are relative: it works under any path that ends with a slash.
enum HubPage {
    /// A file of the page.
    struct File: Sendable {
        /// Where it is, relative to the page: empty for the page itself.
        let path: String
        let contentType: String
        /// A strong entity tag, quotes included: a digest of the bytes.
        let entityTag: String
        let bytes: [UInt8]
    }

    static let files = [page, styleSheet, script, worker]

    static let page = File(
        path: "",
        contentType: "text/html; charset=utf-8",
        entityTag: "\"8c3e6019798ed48d\"",
        bytes: Array(#"""
<!doctype html>
<!-- SPDX-License-Identifier: Apache-2.0 -->
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="description" content="The topics of this hub: watch them, and publish to them.">
  <title>Plinth hub</title>
  <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%232f6f5e'/%3E%3Cpath d='M7 25h18M9.5 21h13M11.5 9.5h9M12.5 21V9.5M19.5 21V9.5' fill='none' stroke='%23fff' stroke-width='2.4' stroke-linecap='round'/%3E%3C/svg%3E">
  <link rel="stylesheet" href="hub.css">
  <script src="hub.js" defer></script>
</head>
<body>
  <a class="skip" href="#" id="skip">Skip to the events</a>
  <header class="top">
    <a class="brand" href="#" aria-label="Plinth hub: all topics">
      <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
        <rect width="32" height="32" rx="8"></rect>
        <path d="M7 25h18M9.5 21h13M11.5 9.5h9M12.5 21V9.5M19.5 21V9.5"></path>
      </svg>
      <span>Plinth <span class="soft">hub</span></span>
    </a>
    <p id="state" role="status" data-state="connecting">connecting</p>
    <dl class="figures">
      <div><dt>Topics</dt><dd id="topics">–</dd></div>
      <div><dt>Subscribers</dt><dd id="subscribers">–</dd></div>
      <div><dt>Published</dt><dd id="rate">–</dd></div>
      <div><dt>Held</dt><dd id="held">–</dd></div>
      <div><dt>Running for</dt><dd id="uptime">–</dd></div>
    </dl>
  </header>

  <main>
    <section class="card topics" aria-labelledby="topics-title">
      <h1 id="topics-title" class="unseen">Topics</h1>
      <form id="open" class="find" autocomplete="off">
        <label class="unseen" for="name">Find or open a topic</label>
        <input id="name" type="text" inputmode="url" enterkeyhint="go" spellcheck="false" autocapitalize="none"
          autocorrect="off" placeholder="Find or open a topic" aria-describedby="open-hint">
        <button type="submit" id="open-button">Open</button>
        <p id="open-hint" class="hint" role="status">A name, <code>orders/7</code>, or a pattern: <code>orders/*</code></p>
      </form>
      <div class="columns" aria-hidden="true"><span>Topic</span><span>Last minute</span><span>Rate</span><span>Subscribers</span></div>
      <ul id="list" aria-label="Live topics"></ul>
      <p id="list-note" class="hint" hidden></p>
    </section>

    <section class="card watch" id="watch" aria-labelledby="watch-title" tabindex="-1">
      <div id="welcome" class="welcome">
        <h2>Nothing is watched yet</h2>
        <p>Choose a topic to see its events arrive and to publish to it, or open one that does not exist yet: its first event creates it.</p>
        <p class="soft">From a terminal:</p>
        <pre id="example" class="terminal"></pre>
      </div>

      <header class="title" id="watch-header" hidden>
        <a class="back" href="#" aria-label="Back to all topics"><svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="M10 3 5 8l5 5"></path></svg></a>
        <div class="names">
          <h2 id="watch-title"></h2>
          <p id="watch-facts" class="soft"></p>
        </div>
        <div class="tools">
          <button type="button" id="pause" class="quiet">Pause</button>
          <button type="button" id="clear" class="quiet">Clear</button>
          <button type="button" id="earlier" class="quiet" title="Also show the events that the hub still holds">Earlier</button>
          <button type="button" id="purge" class="quiet danger" title="Delete this topic’s history">Purge</button>
        </div>
      </header>

      <div class="stage" id="stage" hidden>
        <ol id="events" role="log" aria-live="off" aria-label="Events" tabindex="0"></ol>
        <div id="waiting" class="waiting">
          <p>Waiting for events.</p>
          <p class="soft">New ones appear as they are published. <strong>Earlier</strong> shows what the hub still holds.</p>
        </div>
        <button type="button" id="latest" class="latest" hidden></button>
      </div>

      <form id="publish" class="publish" autocomplete="off" aria-label="Publish an event" hidden>
        <div class="field to" id="to-field" hidden>
          <label for="to">Topic</label>
          <input id="to" type="text" spellcheck="false" autocapitalize="none" autocorrect="off">
        </div>
        <div class="field data">
          <label for="data">Data</label>
          <textarea id="data" rows="1" spellcheck="false" autocapitalize="none" autocorrect="off" aria-keyshortcuts="Control+Enter Meta+Enter"></textarea>
        </div>
        <div class="field kind">
          <label for="type">Type</label>
          <input id="type" type="text" spellcheck="false" autocapitalize="none" autocorrect="off" placeholder="message">
        </div>
        <button type="submit" id="send">Publish</button>
        <p id="result" class="hint" role="status"></p>
      </form>
    </section>
  </main>

  <p id="announce" class="unseen" role="status" aria-live="polite"></p>

  <dialog id="sure" aria-labelledby="sure-title">
    <h2 id="sure-title">Purge this topic’s history?</h2>
    <p>All events that the hub holds of <strong id="sure-name"></strong> are deleted. Nobody can read them again; live subscribers stay.</p>
    <div class="buttons">
      <button type="button" id="sure-no" class="quiet" autofocus>Keep them</button>
      <button type="button" id="sure-yes" class="danger">Purge</button>
    </div>
  </dialog>

  <noscript><p class="noscript">This page needs JavaScript. Without it: <code>curl -N http://localhost:8080/topics/orders/7</code></p></noscript>
</body>
</html>

"""#.utf8)
    )

    static let styleSheet = File(
        path: "hub.css",
        contentType: "text/css; charset=utf-8",
        entityTag: "\"4d22d2b7845f140e\"",
        bytes: Array(#"""
/* SPDX-License-Identifier: Apache-2.0 */

:root {
  color-scheme: light dark;
  --paper: light-dark(#f6f5f1, #131615);
  --card: light-dark(#ffffff, #1b201e);
  --sunk: light-dark(#f3f2ed, #151918);
  --line: light-dark(#e2e0d8, #2c3431);
  --edge: light-dark(#bfbcb0, #4a5551);
  --ink: light-dark(#1a211e, #e8ece9);
  --soft: light-dark(#5b6561, #9aa6a1);
  --accent: light-dark(#2f6f5e, #6fc3a9);
  --tint: light-dark(#e7f1ed, #20302b);
  --on-accent: light-dark(#ffffff, #0f1f1a);
  --alert: light-dark(#a8421e, #f0a27d);
  --alert-tint: light-dark(#fbefe9, #33231c);
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "Liberation Mono", Menlo, monospace;
}

*,
::before,
::after {
  box-sizing: border-box;
}

[hidden] {
  display: none !important;
}

body {
  display: flex;
  flex-direction: column;
  height: 100vh;
  height: 100dvh;
  max-width: 90rem;
  margin: 0 auto;
  padding: 0 1.25rem 1.25rem;
  background: var(--paper);
  color: var(--ink);
  font: 0.9375rem/1.5 var(--sans);
  -webkit-text-size-adjust: 100%;
  text-size-adjust: 100%;
}

h2,
p,
dl,
dd,
ul,
ol,
pre {
  margin: 0;
  padding: 0;
}

ul,
ol {
  list-style: none;
}

code,
pre {
  font-family: var(--mono);
  font-size: 0.92em;
}

a {
  color: inherit;
}

.soft,
.hint {
  color: var(--soft);
}

.hint {
  min-height: 1.35rem;
  font-size: 0.8125rem;
  overflow-wrap: anywhere;
}

.wrong {
  color: var(--alert);
}

:focus-visible {
  outline: 2px solid var(--accent);
  outline-offset: 2px;
}

.unseen {
  position: absolute;
  width: 1px;
  height: 1px;
  margin: 0;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

.skip {
  position: fixed;
  z-index: 2;
  top: 0.5rem;
  left: 0.5rem;
  padding: 0.6rem 1rem;
  border-radius: 0.6rem;
  background: var(--accent);
  color: var(--on-accent);
  transform: translateY(-200%);
}

.skip:focus {
  transform: none;
}

/* The head: who this is, how it is, and its figures. */

.top {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.75rem 1rem;
  padding: 1rem 0;
}

.brand {
  display: flex;
  align-items: center;
  gap: 0.6rem;
  border-radius: 0.5rem;
  font-size: 1.0625rem;
  font-weight: 650;
  letter-spacing: -0.01em;
  text-decoration: none;
}

.brand .soft {
  font-weight: 450;
}

.brand rect {
  fill: light-dark(#2f6f5e, #3f8a76);
}

.brand path {
  fill: none;
  stroke: #ffffff;
  stroke-width: 2.4;
  stroke-linecap: round;
}

#state {
  display: flex;
  align-items: center;
  gap: 0.45rem;
  padding: 0.1rem 0.7rem 0.1rem 0.6rem;
  border-radius: 1rem;
  background: var(--line);
  color: var(--soft);
  font-size: 0.8125rem;
  font-weight: 550;
}

#state::before {
  content: "";
  width: 0.5rem;
  height: 0.5rem;
  border-radius: 50%;
  background: currentColor;
}

#state[data-state="live"],
#state[data-state="ready"] {
  background: var(--tint);
  color: var(--accent);
}

#state[data-state="reconnecting"] {
  background: var(--alert-tint);
  color: var(--alert);
}

#state[data-state="connecting"]::before,
#state[data-state="reconnecting"]::before {
  animation: pulse 1.2s ease-in-out infinite alternate;
}

@keyframes pulse {
  to {
    opacity: 0.25;
  }
}

.figures {
  display: flex;
  gap: 2rem;
  margin-left: auto;
}

.figures dt {
  color: var(--soft);
  font-size: 0.75rem;
  line-height: 1.3;
}

.figures dd {
  font-size: 1.0625rem;
  font-weight: 600;
  font-variant-numeric: tabular-nums;
  letter-spacing: -0.01em;
  line-height: 1.35;
  white-space: nowrap;
}

/* Two cards, each of which scrolls by itself. */

main {
  display: grid;
  grid-template-columns: minmax(19rem, 5fr) minmax(0, 8fr);
  grid-template-rows: minmax(0, 1fr);
  gap: 1rem;
  flex: 1;
  min-height: 0;
}

.card {
  display: flex;
  flex-direction: column;
  min-width: 0;
  min-height: 0;
  overflow: hidden;
  border: 1px solid var(--line);
  border-radius: 0.9rem;
  background: var(--card);
}

.card:focus {
  outline: none;
}

button,
input,
textarea {
  min-height: 2.5rem;
  border: 1px solid var(--edge);
  border-radius: 0.55rem;
  background: var(--card);
  color: inherit;
  font: inherit;
}

input,
textarea {
  width: 100%;
  min-width: 0;
  padding: 0.4rem 0.75rem;
}

input::placeholder {
  color: var(--soft);
  opacity: 1;
}

input[aria-invalid="true"] {
  border-color: var(--alert);
}

button {
  padding: 0 1rem;
  border-color: var(--accent);
  background: var(--accent);
  color: var(--on-accent);
  font-weight: 600;
  white-space: nowrap;
  cursor: pointer;
}

button:hover:not(:disabled) {
  filter: brightness(1.08);
}

button:disabled {
  opacity: 0.55;
  cursor: default;
}

.quiet {
  border-color: transparent;
  background: transparent;
  color: var(--accent);
}

.quiet:hover:not(:disabled) {
  background: var(--tint);
  filter: none;
}

.quiet.on {
  border-color: var(--accent);
  background: var(--tint);
}

.danger {
  border-color: var(--alert);
  background: var(--alert);
}

.quiet.danger {
  border-color: transparent;
  background: transparent;
  color: var(--alert);
}

.quiet.danger:hover {
  background: var(--alert-tint);
}

/* Topics. */

.find {
  display: grid;
  grid-template-columns: minmax(0, 1fr) auto;
  gap: 0.4rem 0.5rem;
  padding: 0.9rem 0.9rem 0.3rem;
}

.find .hint {
  grid-column: 1 / -1;
  padding: 0 0.1rem;
}

.columns,
#list a {
  display: grid;
  grid-template-columns: minmax(0, 1fr) 4.75rem 3.75rem 4.75rem;
  align-items: center;
  column-gap: 0.75rem;
  padding: 0 0.9rem;
}

.columns {
  padding-bottom: 0.35rem;
  border-bottom: 1px solid var(--line);
  color: var(--soft);
  font-size: 0.75rem;
}

.columns span:nth-child(n + 3),
.rate,
.subscribers {
  text-align: right;
}

#list {
  flex: 0 1 auto;
  min-height: 0;
  overflow-y: auto;
  overscroll-behavior: contain;
}

#list li + li {
  border-top: 1px solid var(--line);
}

#list a {
  position: relative;
  min-height: 2.75rem;
  padding-block: 0.45rem;
  text-decoration: none;
  font-variant-numeric: tabular-nums;
}

#list a:hover {
  background: var(--sunk);
}

#list a:focus-visible {
  outline-offset: -2px;
}

#list a[aria-current] {
  background: var(--tint);
}

#list a[aria-current]::before {
  content: "";
  position: absolute;
  inset: 0 auto 0 0;
  width: 3px;
  background: var(--accent);
}

.name {
  font-weight: 550;
  line-height: 1.35;
  overflow-wrap: anywhere;
}

#list svg {
  display: block;
  width: 100%;
  height: 1.25rem;
  overflow: visible;
}

#list .area {
  fill: var(--accent);
  opacity: 0.14;
}

#list .line {
  fill: none;
  stroke: var(--accent);
  stroke-width: 1.5;
  stroke-linejoin: round;
  vector-effect: non-scaling-stroke;
}

.rate {
  color: var(--soft);
}

.rate.busy {
  color: inherit;
}

#list-note {
  padding: 0.75rem 0.9rem;
  border-top: 1px solid var(--line);
}

/* What is watched. */

.welcome {
  max-width: 34rem;
  margin: auto;
  padding: 2rem;
}

.welcome h2 {
  margin-bottom: 0.5rem;
  font-size: 1.375rem;
  font-weight: 650;
  letter-spacing: -0.02em;
}

.welcome .soft {
  margin: 1.25rem 0 0.4rem;
}

.terminal {
  padding: 0.8rem 1rem;
  overflow-x: auto;
  border-radius: 0.6rem;
  background: var(--sunk);
  line-height: 1.7;
}

.title {
  display: flex;
  align-items: center;
  gap: 0.75rem;
  padding: 0.7rem 0.7rem 0.7rem 1.1rem;
  border-bottom: 1px solid var(--line);
}

.names {
  flex: 1;
  min-width: 0;
}

.title h2 {
  font-size: 1.1875rem;
  font-weight: 650;
  letter-spacing: -0.015em;
  line-height: 1.3;
  overflow-wrap: anywhere;
}

#watch-facts {
  font-size: 0.8125rem;
  font-variant-numeric: tabular-nums;
}

.back {
  display: none;
}

.tools {
  display: flex;
}

.tools button {
  min-height: 2.25rem;
  padding: 0 0.7rem;
  font-size: 0.875rem;
}

#pause {
  min-width: 5rem;
}

.stage {
  position: relative;
  display: flex;
  flex: 1;
  min-height: 0;
}

#events {
  flex: 1;
  min-width: 0;
  overflow-y: auto;
  overscroll-behavior: contain;
  /* The page keeps the end in view by itself. */
  overflow-anchor: none;
}

#events:focus-visible {
  outline-offset: -2px;
}

#events li {
  padding: 0.55rem 1.1rem 0.65rem;
  border-bottom: 1px solid var(--line);
  /* Hundreds of entries, of which a screen shows ten: the others are not laid out. */
  content-visibility: auto;
  contain-intrinsic-size: auto 4.3rem;
}

.about {
  display: flex;
  align-items: center;
  gap: 0.6rem;
  min-height: 1.6rem;
  font-size: 0.8125rem;
}

.type {
  flex: none;
  max-width: 50%;
  padding: 0 0.5rem;
  overflow: hidden;
  border-radius: 0.35rem;
  background: var(--line);
  color: var(--soft);
  font-weight: 600;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.hue-1 { background: light-dark(#e1eefb, #1c2f42); color: light-dark(#1c5a94, #8fc3f2); }
.hue-2 { background: light-dark(#f8ecd4, #382c15); color: light-dark(#7d5407, #e5bd6d); }
.hue-3 { background: light-dark(#ede7fa, #2c2645); color: light-dark(#5b3fa6, #bfaaf5); }
.hue-4 { background: light-dark(#fbe5ec, #3d222c); color: light-dark(#a12a55, #f2a0bb); }
.hue-5 { background: light-dark(#def2ea, #183329); color: light-dark(#1b6b4c, #82d3b0); }
.hue-6 { background: light-dark(#e0f1f3, #16333a); color: light-dark(#14626e, #80cfdb); }

.topic {
  min-width: 0;
  overflow: hidden;
  color: var(--ink);
  font-weight: 550;
  text-overflow: ellipsis;
  text-underline-offset: 0.2em;
  white-space: nowrap;
}

.id {
  min-width: 0;
  overflow: hidden;
  color: var(--soft);
  font: 0.75rem var(--mono);
  text-overflow: ellipsis;
  white-space: nowrap;
}

#events time {
  flex: none;
  margin-left: auto;
  color: var(--soft);
  font-size: 0.75rem;
  font-variant-numeric: tabular-nums;
}

.pretty {
  flex: none;
  min-height: 1.5rem;
  margin: -0.1rem 0;
  padding: 0 0.45rem;
  border-color: var(--line);
  border-radius: 0.35rem;
  background: transparent;
  color: var(--soft);
  font: 0.75rem var(--mono);
}

.pretty[aria-pressed="true"] {
  border-color: var(--accent);
  color: var(--accent);
}

pre.data {
  margin-top: 0.15rem;
  font-size: 0.875rem;
  line-height: 1.5;
  overflow-wrap: anywhere;
  white-space: pre-wrap;
  tab-size: 4;
}

pre.empty {
  color: var(--soft);
  font-family: var(--sans);
  font-style: italic;
}

.more {
  display: block;
  min-height: 2rem;
  margin-top: 0.4rem;
  padding: 0 0.7rem;
  border-color: var(--line);
  background: transparent;
  color: var(--accent);
  font: 600 0.8125rem var(--sans);
}

#events .note,
#events .gap {
  display: flex;
  align-items: baseline;
  gap: 1rem;
  color: var(--soft);
  font-size: 0.875rem;
}

#events .gap {
  border-left: 3px solid var(--alert);
  background: var(--alert-tint);
  color: var(--ink);
  overflow-wrap: anywhere;
}

.waiting {
  position: absolute;
  inset: 0;
  display: grid;
  place-content: center;
  padding: 1.5rem;
  text-align: center;
  text-wrap: balance;
  pointer-events: none;
}

.latest {
  position: absolute;
  bottom: 0.9rem;
  left: 50%;
  border-radius: 1.5rem;
  box-shadow: 0 4px 16px rgb(0 0 0 / 20%);
  font-variant-numeric: tabular-nums;
  transform: translateX(-50%);
}

.publish {
  display: grid;
  grid-template-columns: minmax(0, 1fr) auto auto;
  align-items: end;
  gap: 0.5rem 0.6rem;
  padding: 0.75rem 1.1rem 0.6rem;
  border-top: 1px solid var(--line);
  background: var(--sunk);
}

.field label {
  display: block;
  margin-bottom: 0.15rem;
  color: var(--soft);
  font-size: 0.75rem;
}

.to {
  grid-column: 1 / -1;
}

.kind {
  width: 9rem;
}

textarea {
  display: block;
  height: 2.5rem;
  max-height: 12rem;
  resize: vertical;
  font: 0.875rem/1.5 var(--mono);
  field-sizing: content;
}

@supports (field-sizing: content) {
  textarea {
    height: auto;
    resize: none;
  }
}

.publish .hint {
  grid-column: 1 / -1;
}

/* The question before history is deleted. */

dialog {
  max-width: min(26rem, calc(100vw - 2rem));
  padding: 1.5rem;
  border: 1px solid var(--line);
  border-radius: 0.9rem;
  background: var(--card);
  color: var(--ink);
  overflow-wrap: anywhere;
}

dialog::backdrop {
  background: rgb(0 0 0 / 45%);
}

dialog h2 {
  margin-bottom: 0.5rem;
  font-size: 1.125rem;
}

.buttons {
  display: flex;
  justify-content: flex-end;
  gap: 0.5rem;
  margin-top: 1.25rem;
}

.noscript {
  padding: 1rem 0;
}

@media (max-width: 72rem) {
  .figures {
    gap: 1.5rem;
  }

  .figures div:last-child {
    display: none;
  }
}

/* On a phone one card at a time: the topics, or what is watched. */
@media (max-width: 54rem) {
  body {
    padding: 0;
  }

  .top {
    padding: 0.75rem 1rem;
  }

  #state {
    margin-left: auto;
  }

  .figures {
    display: grid;
    grid-template-columns: repeat(4, auto);
    justify-content: space-between;
    gap: 0.5rem;
    width: 100%;
    margin: 0;
  }

  .figures dd {
    font-size: 1rem;
  }

  main {
    grid-template-columns: minmax(0, 1fr);
  }

  .card {
    border-width: 1px 0 0;
    border-radius: 0;
  }

  .watch,
  .watching .topics,
  .watching .figures {
    display: none;
  }

  .watching .watch {
    display: flex;
  }

  /* Two lines a topic, with words instead of headings. */
  .columns {
    display: none;
  }

  #list {
    border-top: 1px solid var(--line);
  }

  #list a {
    grid-template-columns: minmax(0, 1fr) auto;
    gap: 0.1rem 1rem;
    padding: 0.6rem 1rem;
  }

  #list svg {
    grid-area: 2 / 2;
    width: 6rem;
  }

  .subscribers {
    grid-area: 2 / 1;
    color: var(--soft);
    font-size: 0.8125rem;
    text-align: left;
  }

  .subscribers .unseen {
    position: static;
    clip-path: none;
  }

  .find {
    padding: 1rem 1rem 0.6rem;
  }

  /* Smaller ones make phones zoom in. */
  input,
  textarea {
    min-height: 2.75rem;
    font-size: 1rem;
  }

  button {
    min-height: 2.75rem;
  }

  .title {
    flex-wrap: wrap;
    gap: 0 0.5rem;
    padding: 0.4rem 1rem 0.3rem 0.4rem;
  }

  .back {
    display: grid;
    place-items: center;
    width: 2.75rem;
    height: 2.75rem;
    border-radius: 0.55rem;
    color: var(--accent);
  }

  .back path {
    fill: none;
    stroke: currentColor;
    stroke-width: 2;
    stroke-linecap: round;
    stroke-linejoin: round;
  }

  .tools {
    width: 100%;
  }

  .tools button {
    flex: 1;
    min-height: 2.75rem;
    padding: 0;
  }

  #events li,
  .publish {
    padding-inline: 1rem;
  }

  .mixed .id {
    display: none;
  }

  .pretty {
    min-height: 2rem;
    padding-inline: 0.7rem;
  }

  .publish {
    grid-template-columns: minmax(0, 1fr) auto;
    padding-bottom: max(0.5rem, env(safe-area-inset-bottom));
  }

  .kind {
    width: auto;
  }

  .field.data {
    grid-column: 1 / -1;
  }

  textarea {
    max-height: 8rem;
  }
}

@media (prefers-reduced-motion: reduce) {
  #state::before {
    animation: none !important;
  }
}

"""#.utf8)
    )

    static let script = File(
        path: "hub.js",
        contentType: "text/javascript; charset=utf-8",
        entityTag: "\"5ebc49a7f0f0a5b3\"",
        bytes: Array(#"""
// SPDX-License-Identifier: Apache-2.0

// What a person sees. The stream and the status poll are the worker's, which all tabs share.

"use strict";

const keptEvents = 500;
const shownText = 4000; // Characters of an event's data, until somebody asks for more.

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

// Only what changes is written: a page that stands still costs nothing.
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// MARK: Words for figures

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

/** What the hub would say of a name, said before it is asked; or null. */
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

/** A topic as the path behind `topics/`. */
function topicPath(topic) {
  const segments = topic.split("/").map((segment) => encodeURIComponent(segment).replaceAll("'", "%27"));
  // Browsers resolve `.` and `..`, also encoded ones, unless the slashes around them are no slashes either.
  const isRelative = segments.some((segment) => segment === "." || segment === "..");
  return `topics/${segments.join(isRelative ? "%2F" : "/")}`;
}

// The address says what is watched, so that it can be bookmarked, opened in another tab, and gone back from.
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
    // Not every browser has them, and some refuse them where they refuse cookies. Each tab has its own stream then.
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
    // This tab was asleep for so long that the worker gave it up.
    note("This tab slept. What was published meanwhile is not shown; Earlier shows what the hub still holds.");
    return sayHello();
  case "state":
    connection = data;
    return showState();
  case "status":
    reachable = data.status !== null;
    if (reachable) showStatus(data);
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

// MARK: The state of the connection

const stateElement = element("state");
let connection = { state: "idle", reason: "" };
let reachable = null;

function showState() {
  // Without a stream, the poll says whether there is a hub. There may be one for other tabs.
  let state = watch ? connection.state : "idle";
  if (state === "idle") state = reachable === null ? "connecting" : reachable ? "ready" : "reconnecting";
  if (stateElement.dataset.state === state && stateElement.title === connection.reason) return;
  stateElement.dataset.state = state;
  stateElement.title = connection.reason;
  setText(stateElement, state);
  if (watch && state === "reconnecting" && lastState === "live") {
    note(`The connection is lost: ${connection.reason}. Trying again.`);
  }
  if (watch && state === "live" && lastState === "reconnecting") note("Connected again.");
  if (state === "live" || state === "reconnecting") lastState = state;
}

let lastState = "";

// MARK: Topics

const list = element("list");
const rows = new Map(); // By topic.
let lastData = null;

function showStatus(data) {
  lastData = data;
  const { status, rate } = data;
  setText(element("topics"), whole(status.topics));
  setText(element("subscribers"), whole(status.subscribers));
  setText(element("rate"), rateText(rate));
  setText(element("held"), `${compact.format(status.events)} · ${sizeText(status.bytes)}`);
  element("held").title = `${plural(status.events, "event")}, ${whole(status.bytes)} bytes`;
  setText(element("uptime"), durationText(status.uptime));
  showList();
  showFacts();
}

function makeRow(topic) {
  const item = make("li");
  const link = make("a");
  link.href = hashOf({ name: topic, isPattern: false });
  const name = make("span", "name");
  // A long name may be broken behind its slashes.
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
    // By name: a list that is sorted by what is going on moves away under the finger.
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
    // The places to break a name at would be read as spaces.
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
  if (lastData && total === 0) words = "No topics yet. Open one above and publish its first event.";
  else if (isFiltered && shown.length === 0) words = `No topic here has “${filter}” in its name. Enter opens it.`;
  else if (total > known) words = `The ${whole(known)} most recently active of ${whole(total)} topics.`;
  setText(element("list-note"), words);
  element("list-note").hidden = words === "";
}

function markCurrent(link, isCurrent) {
  if (isCurrent) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

// A point a second, the newest at the right, as high as the busiest second of this topic.
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

// A name is never a pattern by its characters; what is typed here is one if it has a wildcard. A topic that is named like
// a pattern can be opened from the list.
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

let pending = []; // Entries that are not in the list yet.
let unseen = 0; // Events among those and those that gave way to them.
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
  element("purge").hidden = watch?.isPattern ?? false;
  element("to-field").hidden = !watch?.isPattern;
  // What comes before the wildcards is a start.
  element("to").value = watch?.isPattern ? watch.name.replace(/\*.*$/, "") : "";
  showResult(matchMedia("(pointer: fine)").matches ? "Ctrl + Enter publishes" : "", false);
  if (sure.open) sure.close();
  clear();
  pause(false);
  showList();
  showFacts();
  lastState = "";
  showState();
  sayHello();
  if (narrow.matches) scrollTo(0, 0);
  // Whoever came by a link in this page is led on to what it opened; a page that has just loaded leaves the focus alone.
  if (watch && (isFirst || narrow.matches) && hasLoaded) element("watch").focus({ preventScroll: true });
  if (!watch && hasLoaded && narrow.matches) list.querySelector("a")?.focus({ preventScroll: true });
}

function showFacts() {
  if (!watch) return;
  const row = watch.isPattern ? null : lastData?.rows.find(({ topic }) => topic === watch.name);
  const facts = [];
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

// In a list that shows events, each is what its element was made from, for those who ask for more of it.
const shown = new WeakMap();

function receive({ events, missed }) {
  const count = events.filter((event) => event.topic !== null).length + missed;
  seen += count;
  unseen += count;
  pending.push(...events);
  if (pending.length > keptEvents) pending.splice(0, pending.length - keptEvents);
  newsSince += count;
  // The next batch comes when this one is drawn. A tab that nobody sees only keeps them.
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

// Once a frame at most; where drawing takes long, for a third of the time, so that keys and clicks get theirs.
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
  // What nobody can read need not be drawn sixty times a second.
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
  if (entry.topic === null) {
    item.className = "gap";
    item.append(make("p", "", gapText(entry)), make("time", "", timeText(entry.time)));
    return item;
  }
  item.className = "event";
  const about = make("p", "about");
  about.append(make("span", `type hue-${hueOf(entry.type)}`, entry.type));
  if (watch?.isPattern) {
    const link = make("a", "topic", entry.topic);
    link.href = hashOf({ name: entry.topic, isPattern: false });
    about.append(link);
  }
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
  return `Some events are missing here: ${lost}.${gap.oldest ? ` It goes on with ${gap.oldest}.` : ""}`;
}

// The same type has the same color, whatever else there is.
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
    // It only looked like it.
    return button.remove();
  }
  button.setAttribute("aria-pressed", String(!isPretty));
  data.replaceWith(makeData(entry, text));
  if (isFollowing && item === log.lastElementChild) toEnd();
});

// MARK: Following, and stopping to read

const latest = element("latest");
let lastTop = 0;

function toEnd(isAgain = false) {
  log.scrollTop = log.scrollHeight;
  lastTop = log.scrollTop;
  // Entries that were out of view had a height that was guessed.
  if (!isAgain) requestAnimationFrame(() => isFollowing && toEnd(true));
}

// Whoever scrolls up wants to read: nothing moves until they are at the end again, or say so.
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

// A keyboard or a turned phone takes from the list's height, which must not look like scrolling up.
new ResizeObserver(() => isFollowing && toEnd()).observe(log);

// MARK: Earlier events

const earlier = element("earlier");

earlier.addEventListener("click", () => {
  earlier.disabled = true;
  port.postMessage({ kind: "earlier", watch });
  // The worker may be gone, and with it the answer.
  setTimeout(() => (earlier.disabled = false), 10_000);
});

function showEarlier(answer) {
  earlier.disabled = false;
  if (!isSame(answer.watch, watch)) return;
  if (answer.error) return note(`The hub would not show earlier events: ${answer.error}.`);
  const known = new Set([...log.children].map((item) => shown.get(item)?.id));
  for (const entry of pending) known.add(entry.id);
  const entries = answer.events.filter(({ id }) => !known.has(id));
  const room = keptEvents - log.childElementCount;
  const items = document.createDocumentFragment();
  for (const entry of entries.slice(-Math.max(0, room))) items.append(makeItem(entry));
  const count = items.childElementCount;
  if (!answer.isWhole) items.append(makeItem({ note: "There is more between these and what follows.", time: 0 }));
  log.prepend(items);
  element("waiting").hidden = log.childElementCount > 0;
  if (isFollowing) toEnd();
  const text = answer.count === 0 ? "The hub holds no events of it."
    : count === 0 ? "All that the hub holds is shown already."
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

async function answerOf(response) {
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The hub answered ${response.status}.`);
  return answer;
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
    const { id } = await answerOf(await fetch(path, { method: "POST", body: data.value }));
    showResult(`Published as ${id}`, false);
    // Typing replaces it, and publishing again repeats it.
    if (document.activeElement === data) data.select();
  } catch (error) {
    showResult(error instanceof TypeError ? "The hub does not answer: nothing was published." : error.message, true);
  } finally {
    element("send").disabled = false;
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
    const response = await fetch(topicPath(watch.name), { method: "DELETE" });
    if (!response.ok) await answerOf(response);
    note("The history of this topic was purged.");
    say("Purged.");
  } catch (error) {
    showResult(error instanceof TypeError ? "The hub does not answer: nothing was purged." : error.message, true);
  }
});

// MARK: For those who listen

let newsSince = 0;

function say(text) {
  setText(element("announce"), text);
}

// Each event read out would be a burden at one a second, and useless at a thousand.
setInterval(() => {
  if (newsSince > 0 && document.visibilityState === "visible") say(plural(newsSince, "new event"));
  newsSince = 0;
}, 5000);

// MARK: Start

const base = new URL(".", location.href).href;
setText(element("example"), `curl -d 'Hello' ${base}topics/greetings\ncurl -N ${base}topics/greetings`);

let hasLoaded = false;
addEventListener("hashchange", () => {
  const next = watchOfHash();
  if (!isSame(next, watch)) open(next);
});
open(watchOfHash());
hasLoaded = true;

"""#.utf8)
    )

    static let worker = File(
        path: "hub-worker.js",
        contentType: "text/javascript; charset=utf-8",
        entityTag: "\"22e2b85239a7158e\"",
        bytes: Array(#"""
// SPDX-License-Identifier: Apache-2.0

// One stream and one status poll for all tabs of this hub: a browser opens only six HTTP/1.1 connections to a host, and
// a stream for each tab would starve everything else. Runs as a shared worker, or, where there are none, as the worker
// of a single tab.

"use strict";

const keptEvents = 500; // What a tab shows, so that more need not wait for it.
const keptText = 64 * 1024; // Characters of an event's data, and of a line that has not ended.
const minuteOfPolls = 60;

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
      if (/^[0-9]+$/.test(value)) this.retry = Number(value);
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

// An event of a stream of several topics has its topic behind its ID. What has none is the hub's own word: a gap.
function withTopic(event) {
  const tab = event.id.indexOf("\t");
  if (tab === -1) return { ...event, topic: null };
  return { ...event, id: event.id.slice(0, tab), topic: event.id.slice(tab + 1) };
}

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
      await readStream(union.join("&"), parser, signal, onOpen, () => {
        // A block that is only an ID moves the position, too.
        lastID = parser.lastID.split("\t", 1)[0];
        for (const tab of tabs) tab.flush();
      });
    } catch (error) {
      reason = wordsFor(error);
    }
    if (signal.aborted) return;
    retry = Math.max(parser.retry ?? retry, 250);
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
  const event = { ...withTopic(raw), time: Date.now() };
  for (const tab of tabs) {
    if (tab.watch && (event.topic === null || matches(tab.watch, event.topic))) tab.offer(event);
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
    clearTimeout(quiet);
    quiet = setTimeout(() => stop.abort(), 250);
    const event = withTopic(raw);
    if (event.topic === null) return;
    count += 1;
    events.push(event);
    if (events.length >= 2 * keptEvents) events.splice(0, keptEvents);
  });
  const began = performance.now();
  try {
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

"""#.utf8)
    )
}
