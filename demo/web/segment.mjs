// Runs a file of tools/export.py in a browser. docs/export.md says what goes in and what comes out.
import * as ort from './node_modules/onnxruntime-web/dist/ort.wasm.min.mjs';

ort.env.wasm.numThreads = 1; // more need a server that isolates the page

// What the file says of itself: the JSON in its metadata, which stand at the end.
export function readMetadata(bytes) {
  const tail = new TextDecoder().decode(bytes.slice(-65536));
  const start = tail.indexOf('{"format_version"');
  if (start < 0) throw new Error('the model was not exported by mmcentermask: give a file that tools/export.py wrote.');
  const metadata = JSON.parse(tail.slice(start, tail.lastIndexOf('}') + 1));
  const { format_version, resize, keep_ratio, static_shape, pasting, batch } = metadata;
  if (format_version !== 1) throw new Error(`the model has the export format ${format_version}, this page reads 1.`);
  if (resize !== 'opencv' || !keep_ratio || static_shape || pasting !== 'bilinear' || (batch ?? 1) !== 1)
    throw new Error('this page runs models that take one image of any size, and no CenterMaskV1.');
  return metadata;
}

// An image, resized as the model was trained, as a tensor uint8 (1, 3, h, w) in BGR.
function toTensor(image, [longSide, shortSide]) {
  const { width, height } = image;
  const factor = Math.min(longSide / Math.max(width, height), shortSide / Math.min(width, height));
  const [w, h] = [Math.floor(width * factor + 0.5), Math.floor(height * factor + 0.5)];
  const context = new OffscreenCanvas(w, h).getContext('2d');
  context.drawImage(image, 0, 0, w, h); // smooths a little otherwise than OpenCV
  const rgba = context.getImageData(0, 0, w, h).data;
  const planes = new Uint8Array(3 * w * h);
  for (let i = 0; i < w * h; i++) for (let c = 0; c < 3; c++) planes[c * w * h + i] = rgba[4 * i + 2 - c];
  return new ort.Tensor('uint8', planes, [1, 3, h, w]);
}

// Calls visit(x, y) for each pixel of the image whose sampled probability reaches the threshold.
function forEachPixel(map, size, [x1, y1, x2, y2], width, height, threshold, visit) {
  const at = (row, column) => (row < 0 || column < 0 || row >= size || column >= size ? 0 : map[row * size + column]);
  for (let y = Math.max(0, Math.floor(y1) - 1); y < Math.min(height, Math.ceil(y2) + 1); y++)
    for (let x = Math.max(0, Math.floor(x1) - 1); x < Math.min(width, Math.ceil(x2) + 1); x++) {
      const [u, v] = [((x + 0.5 - x1) / (x2 - x1)) * size - 0.5, ((y + 0.5 - y1) / (y2 - y1)) * size - 0.5];
      const [column, row] = [Math.floor(u), Math.floor(v)];
      const upper = at(row, column) * (column + 1 - u) + at(row, column + 1) * (u - column);
      const lower = at(row + 1, column) * (column + 1 - u) + at(row + 1, column + 1) * (u - column);
      if (upper * (row + 1 - v) + lower * (v - row) >= threshold) visit(x, y);
    }
}

// Finds the objects of an ImageBitmap: [{name, score, box: [x1, y1, x2, y2], pixels: [[x, y], ...]}].
export async function segment(session, metadata, image, least = 0.3) {
  const images = toTensor(image, metadata.scale);
  const { boxes, scores, labels, masks } = await session.run({ images });
  const [scaleX, scaleY] = [images.dims[3] / image.width, images.dims[2] / image.height];
  const size = masks.dims[2];
  const found = [];
  scores.data.forEach((score, i) => {
    if (score < least) return;
    const box = [...boxes.data.slice(4 * i, 4 * i + 4)].map((value, axis) => value / (axis % 2 ? scaleY : scaleX));
    const map = masks.data.subarray(i * size * size, (i + 1) * size * size);
    const pixels = [];
    forEachPixel(map, size, box, image.width, image.height, metadata.mask_thr, (x, y) => pixels.push([x, y]));
    found.push({ name: metadata.classes[Number(labels.data[i])], score, box, pixels });
  });
  return found;
}

function draw(canvas, image, found, classes) {
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  for (const { name, score, box, pixels } of found) {
    const hue = (classes.indexOf(name) * 222.5 + 210) % 360; // steps of the golden angle
    context.fillStyle = `hsl(${hue} 90% 50% / 0.45)`;
    for (const [x, y] of pixels) context.fillRect(x, y, 1, 1);
    context.strokeStyle = context.fillStyle = `hsl(${hue} 90% 50%)`;
    context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
    context.fillText(`${name} ${score.toFixed(2)}`, box[0] + 2, Math.max(box[1] - 3, 10));
  }
}

const element = (id) => document.getElementById(id);

async function run() {
  const [model, picture] = [element('model').files[0], element('image').files[0]];
  if (!model || !picture) return;
  element('state').textContent = 'Working ...';
  try {
    const bytes = new Uint8Array(await model.arrayBuffer());
    const metadata = readMetadata(bytes);
    const image = await createImageBitmap(picture);
    const session = await ort.InferenceSession.create(bytes);
    const began = performance.now();
    const found = await segment(session, metadata, image, Number(element('threshold').value));
    draw(element('canvas'), image, found, metadata.classes);
    window.found = found;
    element('state').textContent = `${found.length} object(s) in ${Math.round(performance.now() - began)} ms.`;
  } catch (error) {
    element('state').textContent = `Error: ${error.message}`;
  }
}

for (const id of ['model', 'image', 'threshold']) element(id).addEventListener('change', run);
