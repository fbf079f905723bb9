// @ts-check
/**
 * The look of Fleetune's elements in other people's pages. A constructed stylesheet, because a strict content security
 * policy allows it; pages set the `--fleetune-…` properties.
 */
const CSS = `
:host { display: block; color-scheme: light dark; font: var(--fleetune-font, 16px/1.5 system-ui, sans-serif);
  --ink: var(--fleetune-ink, #182326); --soft: var(--fleetune-soft, #4d5c60); --ground: var(--fleetune-ground, #fff);
  --line: var(--fleetune-line, #d5dcda); --accent: var(--fleetune-accent, #1a5c69); --accent-ink: var(--fleetune-accent-ink, #fff);
  --radius: var(--fleetune-radius, 14px); }
@media (prefers-color-scheme: dark) { :host {
  --ink: var(--fleetune-ink, #e8eeec); --soft: var(--fleetune-soft, #a9b8b8); --ground: var(--fleetune-ground, #182226);
  --line: var(--fleetune-line, #34454a); --accent: var(--fleetune-accent, #6fc3d1); --accent-ink: var(--fleetune-accent-ink, #082127); } }
@supports (color: oklch(from red l c h)) { :host { /* On an accent of the page's own: black or white, whichever can be read. */
  --accent-ink: var(--fleetune-accent-ink, oklch(from var(--accent) calc((0.57 - l) * 1000) 0 0)); } }
:host([hidden]), [hidden] { display: none !important; }
:host(fleetune-widget) { container-type: inline-size; contain-intrinsic-inline-size: 42rem; min-inline-size: min(200px, 100%); }
* { box-sizing: border-box; }
.card { background: var(--ground); color: var(--ink); border: 1px solid var(--line); border-radius: var(--radius);
  padding: 1rem 1.2rem; overflow-wrap: anywhere; max-width: var(--fleetune-width, 42rem); }
dialog.card { margin: auto; } dialog::backdrop { background: rgb(0 0 0 / .45); }
h2 { font-size: 1.2rem; line-height: 1.25; margin: 0 0 .4rem; } h3 { font-size: 1rem; margin: .8rem 0 .3rem; }
p { margin: 0 0 .6rem; } .soft { color: var(--soft); font-size: .9rem; } .status { min-height: 1.5em; font-variant-numeric: tabular-nums; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; margin-block: .5rem; } .actions.equal { display: grid; grid-template-columns: 1fr 1fr; } .actions.equal button { padding-inline: .4rem; }
button { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--soft); border-radius: 10px; padding: .45rem 1rem;
  min-height: 2.75rem; cursor: pointer; }
button:disabled { opacity: .55; cursor: default; }
button.primary { background: var(--accent); color: var(--accent-ink); border-color: var(--accent); font-weight: 650; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
progress { width: 100%; height: .8rem; accent-color: var(--accent); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; } th, td { text-align: start; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); } th { overflow-wrap: normal; } td:nth-child(2) { width: 100%; }
td:last-child, th:last-child { text-align: end; white-space: nowrap; font-variant-numeric: tabular-nums; }
pre { max-height: 16rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; padding: .6rem; font-size: .82rem; white-space: pre-wrap; }
summary { cursor: pointer; padding: .5rem 0; font-weight: 600; } label { display: flex; gap: .5rem; align-items: center; min-height: 2rem; }
a { color: var(--accent); }
@container (max-width: 22rem) { .card { padding: .7rem; } .actions.equal { grid-template-columns: minmax(0, 1fr) !important; }
  button { padding-inline: .5rem !important; } thead { position: absolute; clip-path: inset(50%); } tr { display: grid; grid-template-columns: 1fr auto; border-bottom: 1px solid var(--line); }
  :is(th, td):is(th, td) { border: 0; } td:nth-child(2) { grid-area: 2 / 1 / auto / -1; } }
`;

/** @type {CSSStyleSheet | undefined} */
let sheet;

/** A shadow root on `host` in this look. @param {HTMLElement} host */
export function shadow(host) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  return root;
}
