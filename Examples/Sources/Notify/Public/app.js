// SPDX-License-Identifier: Apache-2.0

const state = document.getElementById("state");
const notes = document.getElementById("notes");
const answer = document.getElementById("answer");

function showState(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

function listen(user) {
  const source = new EventSource("/stream");
  source.addEventListener("open", () => showState("open", `${user}: connected`));
  source.addEventListener("error", () => {
    const retries = source.readyState === EventSource.CONNECTING;
    showState("lost", retries ? `${user}: reconnecting` : `${user}: logged out`);
  });
  source.addEventListener("note", (event) => {
    const note = JSON.parse(event.data);
    const entry = document.createElement("li");
    const from = document.createElement("b");
    from.textContent = note.from;
    entry.append(from, ` ${note.text}`);
    notes.prepend(entry);
  });
}

document.getElementById("send").addEventListener("submit", async (submission) => {
  submission.preventDefault();
  const to = document.getElementById("to").value;
  const text = document.getElementById("text");
  const response = await fetch(`/notify/${encodeURIComponent(to)}`, { method: "POST", body: text.value });
  const { tabs } = await response.json();
  answer.textContent = tabs === 0 ? `${to} is offline.` : `Sent to ${tabs} ${tabs === 1 ? "tab" : "tabs"} of ${to}.`;
  text.value = "";
});

const { user } = await (await fetch("/me")).json();
document.getElementById(user === null ? "login" : "inbox").hidden = false;
if (user !== null) listen(user);
