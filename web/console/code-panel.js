// The panel that shows what was done as JavaScript, and the list of steps behind it.

import { programCode, stepCode } from './codegen.js';
import { byId, copyText, setText } from './dom.js';
import { javascript } from './highlight.js';
import { segmented } from './widgets.js';

/** Steps after the connect that a program shows; the newest stay. */
const MAX_STEPS = 12;
const COPIED_FOR_MS = 1500;

export function initialCode() {
  return { actions: [], scope: 'step' };
}

/** Adds a step; a connect begins a new program. */
export function recordAction(actions, action) {
  if (action.type === 'connect') return [action];
  const [connect, ...steps] = [...actions, action];
  return [connect, ...steps.slice(-MAX_STEPS)];
}

export function codePanel(page) {
  const { store } = page;
  const showScope = segmented(byId('code-scope'), (scope) => store.change('code', { scope }));

  store.subscribe(['code', 'target', 'settings'], ({ code, target }) => {
    showScope(code.scope);
    // Before anything was done: what Connect would do.
    const actions = code.actions.length > 0 ? code.actions : [plannedConnect(target)];
    const source = code.scope === 'step' ? stepCode(actions.at(-1)) : programCode(actions);
    if (byId('code').textContent !== source) byId('code').replaceChildren(...javascript(source));
  });

  byId('code-copy').addEventListener('click', async () => {
    const label = byId('code-copy').lastElementChild;
    if (!(await copyText(byId('code').textContent))) return;
    setText(label, page.words.t('copied'));
    setTimeout(() => setText(label, page.words.t('copy')), COPIED_FOR_MS);
  });
}

function plannedConnect({ url, protocols, binaryType, reconnect }) {
  return { type: 'connect', url, protocols: protocols.split(/[\s,]+/).filter(Boolean), binaryType, reconnect };
}
