// The rows of a comparison's test: two arms are chosen, and what came of a row is told by their two answers.
(() => {
  const data = document.getElementById("item-data");
  if (!data) return;
  const words = JSON.parse(document.getElementById("item-words").textContent);
  const items = JSON.parse(data.textContent);
  const [one, other] = ["item-one", "item-other"].map((name) => document.getElementById(name));
  const group = document.getElementById("item-outcomes");
  const order = Object.keys(words.outcomes);
  let outcome = "";

  function came(item) {
    if (!words.judged) return item.answers[one.value] === item.answers[other.value] ? "same" : "different";
    const [first, second] = [item.right[one.value], item.right[other.value]];
    if (first) return second ? "both" : "one";
    return second ? "other" : "neither";
  }

  function called(kind) {
    return fill(words.outcomes[kind], { one: words.arms[one.value], other: words.arms[other.value] });
  }

  function given(item, arm) {
    return arm in item.answers ? item.answers[arm] || words.empty : "–";
  }

  function mark(item, arm) {
    const right = item.right[arm];
    if (right === undefined || right === null) return element("span", "mark", "");
    return element("span", right ? "mark right" : "mark wrong", right ? words.right : words.wrong);
  }

  function answer(item, arm, kind) {
    const made = panel(words.arms[arm], element("div", "full", given(item, arm)), item.confidence[arm], kind, words);
    made.firstChild.prepend(element("i", "swatch " + words.hues[arm]));
    if (words.judged) made.append(mark(item, arm));
    return made;
  }

  function body(item) {
    const made = element("div", "body");
    const chosen = element("div", "sides");
    const gold = panel(words.gold, element("div", "full", item.gold || words.empty), null, "", words);
    chosen.append(gold, ...[...new Set([one.value, other.value])].map((arm) => answer(item, arm, "is")));
    made.append(element("h4", "", words.text + " · " + item.source), block("full", item.text || words.empty), chosen);
    const left = Object.keys(words.arms).filter((arm) => arm in item.answers && arm !== one.value && arm !== other.value);
    if (left.length) {
      const sides = element("div", "sides");
      sides.append(...left.map((arm) => answer(item, arm, "")));
      made.append(element("h4", "others", words.others), sides);
    }
    return made;
  }

  function row(item) {
    const kind = came(item);
    const pair = given(item, one.value) + " | " + given(item, other.value);
    const short = element("bdi", "answers", words.answers ? pair : item.source);
    return opening([element("span", "mark came-" + kind, called(kind)), oneLine(item.text, words.empty), short], () => body(item));
  }

  const texts = (item) => [item.text, item.gold, item.source, ...Object.values(item.answers)];
  const show = listing(items, words, texts, row);

  // The buttons say what the two chosen arms did, and how often.
  function offer() {
    const groups = Object.fromEntries(order.map((kind) => [kind, []]));
    for (const item of items) groups[came(item)].push(item);
    const everything = order.flatMap((kind) => groups[kind]);
    group.replaceChildren(group.firstElementChild);
    for (const kind of order) {
      const button = element("button", "", called(kind) + " ");
      button.type = "button";
      button.dataset.outcome = kind;
      button.append(element("span", "", groups[kind].length.toLocaleString("en")));
      group.append(button);
    }
    const choose = (kind) => {
      outcome = kind;
      show(kind ? groups[kind] : everything);
    };
    const buttons = [...group.children];
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.outcome === outcome));
    choice(buttons, (button) => choose(button.dataset.outcome));
    choose(outcome);
  }

  one.addEventListener("change", offer);
  other.addEventListener("change", offer);
  offer();
})();
