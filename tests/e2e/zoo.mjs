// Runs the examples on the pictures beside the models and compares with what is in them. usage: node zoo.mjs EXAMPLES MODELS SCRATCH
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const [examples, models, scratch] = process.argv.slice(2);
const semantic = JSON.parse(fs.readFileSync(path.join(models, 'index.json'), 'utf8')).semantic;
// What a program prints; nothing, and its complaint, where it fails: the other models are tried all the same.
const run = (program, ...args) => {
  const done = spawnSync(path.join(examples, program), args, { encoding: 'utf8' });
  if (done.status !== 0) console.log(`${program} ${args[0]}: ${done.stderr.trim()}`);
  return done.status === 0 ? done.stdout : '';
};
const image = (name) => path.join(models, 'data/images', name);
let problems = 0;
const check = (good, what) => {
  if (!good) problems++;
  console.log(`${good ? 'good' : 'WRONG'}: ${what}`);
};

const detect = (model, picture) =>
  run('detect', model, image(picture)).trim().split('\n').filter(Boolean).map((line) => {
    const words = line.split(' ');
    const numbers = words.splice(-5).map(Number);
    return { c: words.join(' '), s: numbers[0], x1: numbers[1], y1: numbers[2], x2: numbers[3], y2: numbers[4] };
  });
const overlap = (a, b) => {
  const w = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1), h = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (w <= 0 || h <= 0) return 0;
  return (w * h) / ((a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - w * h);
};
const text = (found) => found.map((f) => `${f.c} ${f.s} [${f.x1},${f.y1},${f.x2},${f.y2}]`).join('; ') || 'nothing';

// Every expected object is found where it is, with about its score; and nothing else is found when `only` is set.
function compare(model, picture, expected, { only = false, iou = 0.85, score = 0.05 } = {}) {
  const found = detect(model, picture);
  const missing = expected.filter((e) => !found.some((f) => f.c === e.c && overlap(e, f) >= iou && (score === null || Math.abs(f.s - e.s) <= score)));
  check(missing.length === 0 && (!only || found.length === expected.length), `${model} on ${picture}: ${text(found)}${missing.length ? `; missing ${text(missing)}` : ''}`);
}

for (const picture of ['dog.jpg', 'person.jpg']) {
  const expected = semantic[`yolox_nano data/images/${picture}`];
  compare('yolox-nano-coco', picture, expected, { only: true });
  // Other detectors have their own scores, and boxes that differ a little.
  compare('nanodet-m-320-coco', picture, expected, { iou: 0.5, score: null });
}
compare('fastestdet-coco', 'dog.jpg', semantic['yolox_nano data/images/dog.jpg'].filter((e) => e.c !== 'bicycle'), { iou: 0.5, score: null });
const face = semantic['ultraface_rfb320 data/images/faces5.jpg'];
compare('ultraface-rfb-320', 'faces5.jpg', face);
compare('yunet-120x160', 'faces5.jpg', face, { iou: 0.5, score: null });

const guesses = run('classify', 'squeezenet-1.1', image('chelsea.png')).trim().split('\n').map((line) => Number(line.split(' ')[0]));
check(guesses.slice(0, 3).some((id) => id >= 281 && id <= 285), `squeezenet-1.1 on chelsea.png: classes ${guesses} (cats are 281 to 285)`);

const size = run('enlarge', image('page.png'), path.join(scratch, 'page-x3.png')).trim();
check(size === '1152 x 573', `espcn-x3 on page.png: ${size}`);

if (problems) {
  console.log(`${problems} wrong`);
  process.exit(1);
}
