"use strict";
// What the rows of every page share: searched, and written a page at a time, always as text and never as markup.

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

// A row that opens: `heads` stand on its line, `body` is made when it is first opened.
function opening(heads, body) {
  const made = element("details", "item");
  const summary = element("summary");
  summary.append(...heads);
  made.append(summary);
  made.addEventListener("toggle", () => {
    if (made.open && made.children.length === 1) made.append(body());
  });
  return made;
}

function oneLine(text, empty) {
  return element("bdi", "line", text.slice(0, 300).replace(/\s+/g, " ") || empty);
}

function block(kind, text) {
  const made = element("div", kind, text);
  made.dir = "auto";
  return made;
}

// An answer in a frame of its own; `full` is the element that holds it, `share` how sure it was.
function panel(title, full, share, kind, words) {
  const made = element("div", "side-panel " + kind);
  full.dir = "auto";
  made.append(element("h4", "", title), full);
  if (typeof share === "number") {
    const percent = fill(words.percent, { number: Math.round(share * 100) });
    made.append(element("div", "small", fill(words.confidence, { share: percent })));
  }
  return made;
}

// The list of `items`, of which a search reads `texts`. Gives the function that shows the items that it is handed.
function listing(items, words, texts, row) {
  const PAGE = 25;
  const found = new Map();
  const list = document.getElementById("item-list");
  const status = document.getElementById("item-status");
  const more = document.getElementById("item-more");
  const search = document.getElementById("item-search");
  let chosen = items;
  let matching = items;
  let shown = 0;
  let timer = 0;

  function searchable(item) {
    if (!found.has(item)) found.set(item, texts(item).join("\n").toLowerCase());
    return found.get(item);
  }

  function showMore() {
    const next = matching.slice(shown, shown + PAGE);
    list.append(...next.map(row));
    shown += next.length;
    const counts = { shown: shown.toLocaleString("en"), matching: matching.length.toLocaleString("en") };
    status.textContent = matching.length ? fill(words.status, counts) : words.none;
    more.hidden = shown >= matching.length;
  }

  function show(next) {
    chosen = next;
    const needle = search.value.trim().toLowerCase();
    matching = chosen.filter((item) => !needle || searchable(item).includes(needle));
    list.replaceChildren();
    shown = 0;
    showMore();
  }

  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => show(chosen), 120);
  });
  more.addEventListener("click", () => {
    const first = shown;
    showMore();
    const next = list.children[first];
    if (next) next.firstChild.focus();
  });
  return show;
}

// Buttons of which one is pressed.
function choice(buttons, choose) {
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      choose(button);
    });
  }
}

// Paper has nothing to click: open what is folded, but for what is too long for paper, and fold it again afterwards.
(() => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("main details:not([open]):not(.item):not(.long)")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
