// One random walk: the body of an async function with a = [seed, steps, selectors that mean yes].
const [seed, steps, yes] = a;
let state = seed;
const random = (bound) => {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return (((mixed ^ (mixed >>> 14)) >>> 0) % bound + bound) % bound;
};
const everything = (root) =>
  [...root.querySelectorAll("*")].flatMap((node) => [node, ...(node.shadowRoot ? everything(node.shadowRoot) : [])]);
const pick = (list) => list[random(list.length)];
const controls = () =>
  everything(document).filter(
    (node) => node.matches("button, summary, input, select:not(#language), a[href^='#']") && !yes.some((one) => node.matches(one)),
  );
const done = [];
const say = (what, node) => done.push(`${what} ${node?.id || node?.textContent?.trim().slice(0, 30) || ""}`);
const actions = [
  ...Array(6).fill(() => {
    const node = pick(controls());
    if (node instanceof HTMLSelectElement) {
      node.value = pick([...node.options])?.value ?? "";
      node.dispatchEvent(new Event("change", { bubbles: true }));
    } else node?.click();
    say("press", node);
  }),
  () => {
    // What the page disables or hides is tried too.
    const node = pick(controls());
    if (!node) return;
    node.hidden = node.disabled = false;
    node.click();
    say("force", node);
  },
  () => {
    const node = pick(controls());
    if (!node) return;
    node.focus();
    for (const key of ["Enter", " ", "Escape", "Tab"]) node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    say("keys", node);
  },
  () => (scrollTo(0, random(document.body.scrollHeight)), say("scroll")),
  () => (dispatchEvent(new Event(pick(["online", "offline", "pagehide", "beforeunload", "blur", "focus"]))), say("event")),
  () => (document.dispatchEvent(new Event("visibilitychange")), say("visibility")),
];
for (let step = 0; step < steps; step += 1) {
  pick(actions)();
  await new Promise((resolve) => setTimeout(resolve, random(12)));
}
return done;
