// SPDX-License-Identifier: Apache-2.0

const shownOrders = 100; // As many as the service returns.
const pause = 2000; // Milliseconds before the page tries again what its EventSource does not.

const element = (id) => document.getElementById(id);
const list = element("orders");
const rows = new Map(); // By the order's number.

function showState(name, text = name) {
  element("state").dataset.state = name;
  element("state").textContent = text;
}

// MARK: The list

function makeRow(id) {
  const item = document.createElement("li");
  item.tabIndex = -1;
  const [number, what, state] = ["number", "what", "status"].map((name) => {
    const part = document.createElement("span");
    part.className = name;
    return part;
  });
  number.textContent = `#${id}`;
  item.append(number, what, state);
  const row = { item, what, state, version: 0, ship: null };
  rows.set(id, row);
  // The newest first; nearly all are newer than those that are shown.
  const next = [...list.children].find((other) => Number(other.dataset.id) < id);
  item.dataset.id = id;
  list.insertBefore(item, next ?? null);
  return row;
}

// Shows an order, unless a later state of it is shown. Events from between the mark and the state arrive again.
function apply(order) {
  const row = rows.get(order.id) ?? makeRow(order.id);
  if (order.version <= row.version) return false;
  row.version = order.version;
  row.what.textContent = `${order.quantity} × ${order.item}`;
  row.state.textContent = order.state;
  row.item.dataset.state = order.state;
  if (order.state === "placed" && !row.ship) {
    row.ship = document.createElement("button");
    row.ship.type = "button";
    row.ship.className = "quiet";
    row.ship.textContent = "Ship";
    row.ship.setAttribute("aria-label", `Ship order ${order.id}`);
    row.ship.addEventListener("click", () => send(`/orders/${order.id}/ship`));
    row.item.append(row.ship);
  }
  if (order.state !== "placed" && row.ship) {
    // The focus must not get lost with the button.
    if (document.activeElement === row.ship) row.item.focus();
    row.ship.remove();
    row.ship = null;
  }
  while (list.children.length > shownOrders) {
    rows.delete(Number(list.lastElementChild.dataset.id));
    list.lastElementChild.remove();
  }
  element("none").hidden = true;
  return true;
}

function show({ orders, items }) {
  rows.clear();
  list.replaceChildren();
  element("none").hidden = orders.length > 0;
  orders.forEach(apply);
  const menu = element("item");
  const chosen = menu.value;
  menu.replaceChildren(...items.map((item) => new Option(item, item, false, item === chosen)));
}

// MARK: The stream

// Reads the state with its mark, and follows what changes after the mark.
async function follow() {
  let mark;
  try {
    const response = await fetch("/orders");
    if (!response.ok) throw new Error(`status ${response.status}`);
    const state = await response.json();
    mark = state.mark;
    show(state);
  } catch {
    return again();
  }
  // When the browser reconnects, it sends the ID of its last event, which takes precedence over the query.
  const source = new EventSource(`/hub/topics/orders?last-event-id=${encodeURIComponent(mark)}`);
  source.addEventListener("open", () => showState("open", "live"));
  source.addEventListener("order", (event) => {
    const order = JSON.parse(event.data);
    if (apply(order)) element("news").textContent = `Order ${order.id}, ${order.quantity} ${order.item}: ${order.state}`;
  });
  source.addEventListener("gap", () => {
    // Events after this page's last one are no longer held: the list is out of date.
    source.close();
    follow();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CONNECTING) return showState("lost", "reconnecting");
    // The response was not an event stream, as from a proxy without its server: the browser has given up.
    again();
  });
}

function again() {
  showState("lost", "reconnecting");
  setTimeout(follow, pause);
}

// MARK: Requests

// The list changes by the event that the service publishes, here as in every other tab.
async function send(path, body) {
  const refusal = element("refusal");
  refusal.textContent = "";
  try {
    const response = await fetch(path, { method: "POST", body });
    if (!response.ok) refusal.textContent = `Refused: ${(await response.text()).trim()}.`;
  } catch {
    refusal.textContent = "The service cannot be reached.";
  }
}

element("order").addEventListener("submit", (submission) => {
  submission.preventDefault();
  send("/orders", new URLSearchParams(new FormData(submission.target)));
});

follow();
