'use strict';
// Tables sort by a click on a heading; numbers by their data-value.
for (const table of document.querySelectorAll('table.sortable')) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.addEventListener('click', () => {
    const down = heading.getAttribute('aria-sort') !== 'descending';
    for (const other of headings) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const isNumber = heading.classList.contains('number');
    const compare = (a, b) => (isNumber ? key(a) - key(b) : key(a).localeCompare(key(b)));
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => (down ? compare(b, a) : compare(a, b))));
  }));
}
// The graph: drag to move, wheel to zoom, click a box for its row.
const view = document.querySelector('.view');
if (view) {
  const drawings = [...view.querySelectorAll('svg')];
  let shown = drawings.find((svg) => !svg.hasAttribute('hidden'));
  let box;
  const apply = () => shown.setAttribute('viewBox', `${box.x} ${box.y} ${box.w} ${box.h}`);
  // The middle of a box of the drawing.
  const place = (one) => {
    const [, x, y] = /translate\(([-\d.]+) ([-\d.]+)\)/.exec(one?.getAttribute('transform') ?? '') ?? [];
    return x === undefined ? null : { x: +x + 116, y: +y + 29 };
  };
  const fit = (whole) => {
    const width = +shown.dataset.width, height = +shown.dataset.height;
    const ratio = view.clientHeight / view.clientWidth;
    const w = whole ? Math.max(width, height / ratio) : Math.min(Math.max(width, 900), 1400);
    box = { w, h: w * ratio, x: (width - w) / 2, y: 0 };
    const first = place(shown.querySelector('.box'));
    if (!whole && first) Object.assign(box, { x: first.x - w / 2, y: first.y - 60 });
    apply();
  };
  const zoom = (factor, px = 0.5, py = 0.5) => {
    const w = Math.min(Math.max(box.w * factor, 150), 200000), scale = w / box.w;
    box.x += box.w * px * (1 - scale);
    box.y += box.h * py * (1 - scale);
    box.w = w;
    box.h *= scale;
    apply();
  };
  view.addEventListener('wheel', (event) => {
    event.preventDefault();
    const at = view.getBoundingClientRect();
    zoom(Math.exp(event.deltaY * 0.0015), (event.clientX - at.left) / at.width, (event.clientY - at.top) / at.height);
  }, { passive: false });
  let from = null;
  view.addEventListener('pointerdown', (event) => {
    from = { x: event.clientX, y: event.clientY, box: { ...box }, moved: false };
  });
  view.addEventListener('pointermove', (event) => {
    if (!from || !event.buttons) return;
    const scale = box.w / view.clientWidth, dx = event.clientX - from.x, dy = event.clientY - from.y;
    if (!from.moved && Math.abs(dx) + Math.abs(dy) < 4) return;
    if (!from.moved) view.setPointerCapture(event.pointerId);
    from.moved = true;
    view.classList.add('moving');
    box.x = from.box.x - dx * scale;
    box.y = from.box.y - dy * scale;
    apply();
  });
  const choose = (link, scroll) => {
    for (const old of document.querySelectorAll('.chosen')) old.classList.remove('chosen');
    document.getElementById(link)?.classList.add('chosen');
    for (const one of view.querySelectorAll('[data-link]')) if (one.dataset.link === link) one.classList.add('chosen');
    if (scroll) document.getElementById(link)?.scrollIntoView({ block: 'center' });
  };
  view.addEventListener('pointerup', (event) => {
    view.classList.remove('moving');
    const target = from && !from.moved ? event.target.closest('[data-link]') : null;
    from = null;
    if (target) choose(target.dataset.link, true);
  });
  document.getElementById('zoom-in').addEventListener('click', () => zoom(1 / 1.4));
  document.getElementById('zoom-out').addEventListener('click', () => zoom(1.4));
  document.getElementById('fit').addEventListener('click', () => fit(true));
  document.getElementById('top').addEventListener('click', () => fit(false));
  const fold = document.getElementById('fold');
  fold?.addEventListener('click', () => {
    const folded = fold.getAttribute('aria-pressed') !== 'true';
    fold.setAttribute('aria-pressed', folded);
    for (const svg of drawings) svg.toggleAttribute('hidden', (svg.id === 'folded') !== folded);
    shown = drawings.find((svg) => !svg.hasAttribute('hidden'));
    fit(false);
  });
  document.getElementById('find').addEventListener('input', (event) => {
    const text = event.target.value.toLowerCase();
    const found = text && [...shown.querySelectorAll('.box')].find((one) => one.querySelector('title').textContent.toLowerCase().includes(text));
    for (const old of shown.querySelectorAll('.chosen')) old.classList.remove('chosen');
    if (!found) return;
    found.classList.add('chosen');
    const { x, y } = place(found);
    box.x = x - box.w / 2;
    box.y = y - box.h / 2;
    apply();
  });
  for (const row of document.querySelectorAll('#launches tbody tr')) row.addEventListener('click', () => choose(row.id, false));
  fit(false);
}
