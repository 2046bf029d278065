// The few interactive patterns that HTML has no element for, after the ARIA Authoring Practices: a segmented choice
// (radio group), tabs, a hint that unfolds, a small menu. One tab stop each; arrow keys move inside.

const NEXT = new Set(['ArrowRight', 'ArrowDown']);
const PREVIOUS = new Set(['ArrowLeft', 'ArrowUp']);

/**
 * A segmented choice of buttons with role="radio" and data-value.
 *
 * @returns {(value: string) => void} shows a value as chosen
 */
export function segmented(group, onChoose) {
  const options = [...group.querySelectorAll('[role=radio]')];
  const show = (value) => mark(options, value, 'aria-checked');
  moveWithArrows(group, options, (value) => {
    show(value);
    onChoose(value);
  });
  return show;
}

/**
 * Tabs with data-value, each controlling the panel that aria-controls names.
 *
 * @returns {(value: string) => void} shows a tab and its panel
 */
export function tabs(list, onChoose) {
  const options = [...list.querySelectorAll('[role=tab]')];
  const show = (value) => {
    mark(options, value, 'aria-selected');
    for (const option of options) {
      document.getElementById(option.getAttribute('aria-controls')).hidden = option.dataset.value !== value;
    }
  };
  moveWithArrows(list, options, (value) => {
    show(value);
    onChoose(value);
  });
  return show;
}

function mark(options, value, attribute) {
  for (const option of options) {
    const chosen = option.dataset.value === value;
    option.setAttribute(attribute, String(chosen));
    option.tabIndex = chosen ? 0 : -1;
  }
}

function moveWithArrows(group, options, choose) {
  group.addEventListener('click', (event) => {
    const option = event.target.closest('[data-value]');
    if (option) choose(option.dataset.value);
  });
  group.addEventListener('keydown', (event) => {
    const at = options.indexOf(event.target.closest('[data-value]'));
    if (at < 0) return;
    let to;
    if (NEXT.has(event.key)) to = (at + 1) % options.length;
    else if (PREVIOUS.has(event.key)) to = (at - 1 + options.length) % options.length;
    else if (event.key === 'Home') to = 0;
    else if (event.key === 'End') to = options.length - 1;
    else return;
    event.preventDefault();
    options[to].focus();
    choose(options[to].dataset.value);
  });
}

/** Every `.hint-toggle` shows and hides the explanation it controls. */
export function hints(root) {
  for (const toggle of root.querySelectorAll('.hint-toggle')) {
    const hint = document.getElementById(toggle.getAttribute('aria-controls'));
    toggle.addEventListener('click', () => {
      hint.hidden = !hint.hidden;
      toggle.setAttribute('aria-expanded', String(!hint.hidden));
    });
  }
}

/** A button that opens a small panel of further controls; Escape, a click elsewhere or a choice closes it. */
export function menu(button, panel) {
  const show = (open) => {
    panel.hidden = !open;
    button.setAttribute('aria-expanded', String(open));
  };
  button.addEventListener('click', () => {
    show(panel.hidden);
    if (!panel.hidden) panel.querySelector('button').focus();
  });
  panel.addEventListener('click', (event) => {
    if (event.target.closest('button')) {
      show(false);
      button.focus();
    }
  });
  panel.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    show(false);
    button.focus();
  });
  document.addEventListener('pointerdown', (event) => {
    if (!panel.hidden && !panel.contains(event.target) && !button.contains(event.target)) show(false);
  });
}
