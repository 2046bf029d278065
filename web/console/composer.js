// The message editor: five kinds of message, checked while typing, sent once or again and again.

import { OPEN } from './connection.js';
import { byId, setText } from './dom.js';
import { formatHex, formatHexdump, parseHex } from './hexdump.js';
import { LANGUAGES } from './i18n.js';
import { buildMessage, checkComposer } from './payload.js';
import { Repeater, WAIT_ABOVE_BYTES } from './repeater.js';
import { segmented, tabs } from './widgets.js';

const PREVIEW_BYTES = 48;
/** From the store's fields to the inputs that edit them. */
const INPUTS = {
  text: 'text',
  json: 'json',
  hex: 'hex',
  size: 'generate-size',
  interval: 'repeat-interval',
  count: 'repeat-count',
};

export function composerView(page) {
  const { store, connection } = page;
  const change = (patch) => store.change('composer', patch);
  const showKind = tabs(byId('kinds'), (kind) => change({ kind }));
  const showType = segmented(byId('generate-type'), (type) => change({ type }));
  const showFill = segmented(byId('generate-fill'), (fill) => change({ fill }));
  const repeater = new Repeater(page, (values) => connection.send(buildMessage(store.state.composer, values).data));

  for (const [name, id] of Object.entries(INPUTS)) {
    byId(id).addEventListener('input', (event) => change({ [name]: event.target.value }));
  }
  fileChoice(change);

  function send() {
    const { composer, link } = store.state;
    if (link.state !== OPEN || checkComposer(composer).error) return;
    const { data, source } = buildMessage(composer);
    page.record({ type: 'send', source });
    connection.send(data);
  }

  function toggleRepeat() {
    const { composer, repeat } = store.state;
    if (repeat.running) return repeater.stop();
    const plan = repetitions(composer);
    if (plan.error || checkComposer(composer).error) return;
    const { source } = buildMessage(composer);
    page.record({ type: 'send', source, repeat: plan });
    repeater.start(plan);
  }

  byId('send').addEventListener('click', send);
  byId('repeat').addEventListener('click', toggleRepeat);
  byId('json-pretty').addEventListener('click', () => reformat(2));
  byId('json-compact').addEventListener('click', () => reformat(0));
  byId('json-locate').addEventListener('click', () => {
    const { position } = checkComposer(store.state.composer);
    const editor = byId('json');
    editor.focus();
    editor.setSelectionRange(position, position + 1);
  });

  function reformat(indentation) {
    const { composer } = store.state;
    if (!checkComposer(composer).error) change({ json: JSON.stringify(JSON.parse(composer.json), null, indentation) });
  }

  store.subscribe(['composer', 'settings'], ({ composer }) => {
    keepGreetingInLanguage(composer, page.words.t);
    for (const [name, id] of Object.entries(INPUTS)) {
      const input = byId(id);
      if (input.value !== composer[name] && (document.activeElement !== input || input.tagName === 'TEXTAREA'))
        input.value = composer[name];
    }
    showKind(composer.kind);
    showType(composer.type);
    showFill(composer.fill);
    setText(byId('file-name'), composer.file ? composer.file.name : page.words.t('file.choose'));
    showHexPreview(composer);
  });

  store.subscribe(['composer', 'link', 'repeat', 'settings'], ({ composer, link, repeat }) => {
    const checked = checkComposer(composer);
    const open = link.state === OPEN;
    showMessage(checked, composer, repeat, page.words);
    byId('send-closed').hidden = open;
    const { t } = page.words;
    byId('send').disabled = !open || checked.error !== undefined;
    const button = byId('repeat');
    button.disabled =
      !repeat.running && (!open || checked.error !== undefined || repetitions(composer).error !== undefined);
    button.setAttribute('aria-pressed', String(repeat.running));
    setText(
      button,
      repeat.running ? `${t('repeat.stop')} · ${t('repeat.sent', { count: repeat.sent })}` : t('repeat.start'),
    );
  });

  return {
    send,
    /** Puts a logged message back into the editor. */
    reuse(entry) {
      if (entry.kind === 'text') change({ kind: 'text', text: entry.text });
      else change({ kind: 'hex', hex: formatHex(entry.bytes) });
      this.focus();
    },
    focus() {
      const panel = byId(`panel-${store.state.composer.kind}`);
      // The panel of a kind that was chosen just now is shown with the next frame.
      requestAnimationFrame(() => panel.querySelector('textarea, input').focus());
    },
  };
}

/** The first message speaks the reader's language until somebody edits it. */
function keepGreetingInLanguage(composer, t) {
  const untouched =
    composer.text === '' || Object.values(LANGUAGES).some((table) => table['text.first'] === composer.text);
  if (untouched && document.activeElement !== byId('text')) composer.text = t('text.first');
}

function repetitions({ interval, count }) {
  const every = Number(interval);
  if (!Number.isInteger(every) || every < 1 || every > 3_600_000) return { error: 'repeat.error.interval' };
  const times = count.trim() === '' ? 0 : Number(count);
  if (!Number.isInteger(times) || times < 0) return { error: 'repeat.error.count' };
  return { interval: every, count: times };
}

function showMessage(checked, composer, repeat, { t, bytes }) {
  const message = byId('composer-message');
  const plan = repetitions(composer);
  byId('json-locate').hidden = composer.kind !== 'json' || checked.error === undefined || composer.json === '';
  for (const id of ['text', 'json', 'hex', 'generate-size']) byId(id).setAttribute('aria-invalid', 'false');
  if (checked.error && !(composer.kind === 'file')) {
    const field = composer.kind === 'generate' ? 'generate-size' : composer.kind;
    byId(field).setAttribute('aria-invalid', 'true');
  }
  const bad = (checked.error !== undefined && composer.kind !== 'file') || plan.error !== undefined;
  message.classList.toggle('bad', bad);
  // Problems are spoken; the size, which changes with every key, is not.
  message.setAttribute('aria-live', bad ? 'polite' : 'off');
  setText(message, messageText(checked, plan, composer, repeat, t, bytes));
}

function messageText(checked, plan, composer, repeat, t, bytes) {
  if (checked.error) {
    const problem = t(checked.error, checked.values);
    const placed = composer.kind === 'json' || composer.kind === 'hex';
    return placed ? t('json.where', { ...checked.values, problem }) : problem;
  }
  if (plan.error) return t(plan.error);
  if (repeat.waiting) return t('repeat.waiting', { size: bytes(WAIT_ABOVE_BYTES) });
  const binary =
    composer.kind === 'hex' || composer.kind === 'file' || (composer.kind === 'generate' && composer.type === 'binary');
  const size = t('size.note', { size: bytes(checked.size), type: t(binary ? 'type.word.binary' : 'type.word.text') });
  return checked.note ? `${t(checked.note.key, checked.note)} · ${size}` : size;
}

function showHexPreview({ kind, hex }) {
  if (kind !== 'hex') return;
  const { bytes } = parseHex(hex);
  const preview = byId('hex-preview');
  preview.hidden = !bytes || bytes.length === 0;
  if (!preview.hidden) {
    setText(
      preview,
      formatHexdump(bytes.subarray(0, PREVIEW_BYTES), { width: 8 }) + (bytes.length > PREVIEW_BYTES ? '\n…' : ''),
    );
  }
}

function fileChoice(change) {
  const zone = byId('dropzone');
  const input = byId('file');
  input.addEventListener('change', () => change({ file: input.files[0] }));
  const hovering = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle('hovering', on);
  };
  zone.addEventListener('dragover', hovering(true));
  zone.addEventListener('dragleave', hovering(false));
  zone.addEventListener('drop', (event) => {
    hovering(false)(event);
    const file = event.dataTransfer.files[0];
    if (file) change({ file });
  });
}
