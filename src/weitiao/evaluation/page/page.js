// The rows of a run's test, before and after.
(() => {
  const data = document.getElementById("item-data");
  if (!data) return;
  const words = JSON.parse(document.getElementById("item-words").textContent);
  const order = Object.keys(words.changes);
  const items = JSON.parse(data.textContent);
  items.sort((one, other) => order.indexOf(one.change) - order.indexOf(other.change));

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
    const parts = item.marks[side];
    const full = parts ? marked(parts) : element("div", "full", item[side] || words.empty);
    return panel(title, full, confidence, kind, words);
  }

  function body(item) {
    const made = element("div", "body");
    made.append(element("h4", "", words.text + " · " + item.source));
    const sides = element("div", "sides");
    sides.append(answer(words.gold, item, "gold", null, ""));
    if (words.paired) sides.append(answer(words.before, item, "before", item.before_confidence, "was"));
    sides.append(answer(words.after, item, "after", item.after_confidence, "is"));
    made.append(block("full", item.text || words.empty), sides);
    return made;
  }

  function row(item) {
    const [gold, before, after] = [item.gold, item.before, item.after].map((text) => text || (words.types.length ? "–" : ""));
    const given = after === gold ? after : after + " ≠ " + gold;
    const answers = words.paired ? before + " → " + after : given;
    const mark = element("span", "mark " + item.change, words.changes[item.change] || item.change);
    const short = element("bdi", "answers", words.answers ? answers : item.source);
    return opening([mark, oneLine(item.text, words.empty), short], () => body(item));
  }

  const texts = (item) => [item.text, item.gold, item.before, item.after, item.source];
  const show = listing(items, words, texts, row);
  choice([...document.querySelectorAll("[data-change]")], (button) => {
    const change = button.dataset.change;
    show(items.filter((item) => !change || item.change === change));
  });
  show(items);
})();
