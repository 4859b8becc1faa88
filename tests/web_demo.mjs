// Opens demo/web in Chromium, gives it a model and an image, and prints what it found as JSON.
// node tests/web_demo.mjs FOLDER_OF_NODE_MODULES MODEL IMAGE THRESHOLD [SCREENSHOT]
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, model, image, threshold, screenshot] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(folder), 'package.json'));
const { chromium: browsers } = require('playwright-core');
const chromium = require('@sparticuz/chromium');
const binary = chromium.default ?? chromium;

const page_folder = path.join(import.meta.dirname, '..', 'demo', 'web');
const types = { '.html': 'text/html', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
const server = createServer(async (request, response) => {
  const name = new URL(request.url, 'http://host').pathname;
  const root = name.startsWith('/node_modules/') ? folder : page_folder;
  try {
    const content = await readFile(path.join(root, name));
    response.writeHead(200, { 'content-type': types[path.extname(name)] ?? 'application/octet-stream' }).end(content);
  } catch {
    response.writeHead(404).end();
  }
}).listen(0, '127.0.0.1');

const browser = await browsers.launch({ executablePath: await binary.executablePath(), args: binary.args, headless: true });
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/index.html`);
await page.fill('#threshold', threshold);
await page.setInputFiles('#model', model);
await page.setInputFiles('#image', image);
await page.waitForFunction(() => /object|Error/.test(document.getElementById('state').textContent), null, { timeout: 300000 });
const state = await page.textContent('#state');
const found = await page.evaluate(() => window.found?.map(({ pixels, ...rest }) => ({ ...rest, area: pixels.length })));
if (screenshot) await page.screenshot({ path: screenshot });
console.log(JSON.stringify({ state, found }));
await browser.close();
server.close();
