// The parts of ARIA role and accessible-name computation that our own markup uses; prefixed to evaluated bodies.
const ROLE_SELECTORS = {
  button: 'button,[role=button],summary,input[type=button],input[type=submit]',
  checkbox: 'input[type=checkbox],[role=checkbox]',
  link: 'a[href],[role=link]',
  table: 'table,[role=table]',
  progressbar: 'progress,[role=progressbar]',
  status: 'output,[role=status]',
  combobox: 'select,[role=combobox]',
  radio: 'input[type=radio],[role=radio]',
};
const squash = text => (text ?? '').replace(/\s+/g, ' ').trim();
const nameOf = element => {
  const root = element.getRootNode();
  const labelled = element.getAttribute('aria-labelledby');
  if (labelled) return squash(labelled.split(/\s+/).map(id => root.getElementById(id)?.textContent).join(' '));
  if (element.hasAttribute('aria-label')) return squash(element.getAttribute('aria-label'));
  if (element.labels?.length) return squash([...element.labels].map(l => l.textContent).join(' '));
  return squash(element.textContent || element.value || element.title);
};
const shown = element => element.getClientRects().length > 0;
const byRole = (role, name, root = document) => {
  for (const element of root.querySelectorAll(ROLE_SELECTORS[role] ?? `[role=${role}]`))
    if (nameOf(element) === name && shown(element)) return element;
  for (const host of root.querySelectorAll('*')) {
    const inner = host.shadowRoot && byRole(role, name, host.shadowRoot);
    if (inner) return inner;
  }
  return null;
};
