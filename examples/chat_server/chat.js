// The chat page. What others write reaches the page as text (`textContent`), never as markup.

const element = (id) => document.getElementById(id);

/** The most lines that are kept on the page. */
const MOST_LINES = 500;

let ws = null;

element('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  const room = encodeURIComponent(element('room').value);
  const name = encodeURIComponent(element('name').value);
  // Relative to the page, so that it is wss:// where the page is https://.
  const url = new URL(`rooms/${room}?name=${name}`, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  enter(url);
});

element('speak').addEventListener('submit', (event) => {
  event.preventDefault();
  ws.send(element('text').value);
  element('text').value = '';
});

element('leave').addEventListener('click', () => ws.close(1000));

function enter(url) {
  ws = new WebSocket(url);
  element('enter').hidden = true;
  ws.addEventListener('open', () => {
    element('speak').hidden = false;
    element('text').focus();
  });
  ws.addEventListener('message', ({ data }) => show(data, data.startsWith('* ')));
  ws.addEventListener('close', ({ code, reason }) => {
    show(`Closed with ${code}${reason ? `: ${reason}` : ''}`, true);
    element('speak').hidden = true;
    element('enter').hidden = false;
  });
}

function show(line, notice) {
  const item = document.createElement('li');
  item.textContent = line;
  item.classList.toggle('notice', notice);
  const lines = element('lines');
  lines.append(item);
  while (lines.childElementCount > MOST_LINES) lines.firstElementChild.remove();
  item.scrollIntoView({ block: 'nearest' });
}
