"use strict";
// The rows of the test: filtered, searched, and written a page at a time, always as text and never as markup.
(() => {
  const PAGE = 25;
  const data = document.getElementById("item-data");
  if (!data) return;
  const words = JSON.parse(document.getElementById("item-words").textContent);
  const order = Object.keys(words.changes);
  const items = JSON.parse(data.textContent);
  items.sort((one, other) => order.indexOf(one.change) - order.indexOf(other.change));
  const found = new Map();
  const list = document.getElementById("item-list");
  const status = document.getElementById("item-status");
  const more = document.getElementById("item-more");
  const search = document.getElementById("item-search");
  const buttons = [...document.querySelectorAll("[data-change]")];
  let change = "";
  let matching = items;
  let shown = 0;
  let timer = 0;

  function element(name, kind, text) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function fill(template, values) {
    return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  }

  function searchable(item) {
    if (!found.has(item)) found.set(item, [item.text, item.gold, item.before, item.after, item.source].join("\n").toLowerCase());
    return found.get(item);
  }

  // A text in parts, of which some have a label: the label stands behind its part, and a colour goes with its type.
  function marked(parts) {
    const made = element("div", "full");
    for (const [text, label] of parts) {
      if (!label) made.append(text);
      else {
        const part = element("mark", "named named-" + (Math.max(words.types.indexOf(label), 0) % words.colours), text);
        part.append(element("sub", "", label));
        made.append(part);
      }
    }
    return made;
  }

  function answer(title, item, side, confidence, kind) {
    const panel = element("div", "side-panel " + kind);
    panel.append(element("h4", "", title));
    const parts = item.marks[side];
    const full = parts ? marked(parts) : element("div", "full", item[side] || words.empty);
    full.dir = "auto";
    panel.append(full);
    if (typeof confidence === "number") {
      panel.append(element("div", "small", fill(words.confidence, { share: fill(words.percent, { number: Math.round(confidence * 100) }) })));
    }
    return panel;
  }

  function body(item) {
    const made = element("div", "body");
    made.append(element("h4", "", words.text + " · " + item.source));
    const full = element("div", "full", item.text || words.empty);
    full.dir = "auto";
    const sides = element("div", "sides");
    sides.append(answer(words.gold, item, "gold", null, ""));
    if (words.paired) sides.append(answer(words.before, item, "before", item.before_confidence, "was"));
    sides.append(answer(words.after, item, "after", item.after_confidence, "is"));
    made.append(full, sides);
    return made;
  }

  function row(item) {
    const made = element("details", "item");
    const summary = element("summary");
    const line = element("bdi", "line", item.text.slice(0, 300).replace(/\s+/g, " ") || words.empty);
    const [gold, before, after] = [item.gold, item.before, item.after].map((text) => text || (words.types.length ? "–" : ""));
    const given = after === gold ? after : after + " ≠ " + gold;
    const answers = words.paired ? before + " → " + after : given;
    summary.append(element("span", "mark " + item.change, words.changes[item.change] || item.change), line);
    summary.append(element("bdi", "answers", words.answers ? answers : item.source));
    made.append(summary);
    made.addEventListener("toggle", () => {
      if (made.open && made.children.length === 1) made.append(body(item));
    });
    return made;
  }

  function tell() {
    const counts = { shown: shown.toLocaleString("en"), matching: matching.length.toLocaleString("en") };
    status.textContent = matching.length ? fill(words.status, counts) : words.none;
    more.hidden = shown >= matching.length;
  }

  function showMore() {
    const next = matching.slice(shown, shown + PAGE);
    list.append(...next.map(row));
    shown += next.length;
    tell();
  }

  function choose() {
    const needle = search.value.trim().toLowerCase();
    matching = items.filter((item) => (!change || item.change === change) && (!needle || searchable(item).includes(needle)));
    list.replaceChildren();
    shown = 0;
    showMore();
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      change = button.dataset.change;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      choose();
    });
  }
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(choose, 120);
  });
  more.addEventListener("click", () => {
    const first = shown;
    showMore();
    const next = list.children[first];
    if (next) next.firstChild.focus();
  });
  choose();
})();

// Paper has nothing to click: open what is folded, and fold it again afterwards.
(() => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("main details:not([open]):not(.item)")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
