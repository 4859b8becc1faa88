// Opens the page of demo/web_demo.py in Chromium, uses it as a person does, and prints what it showed as JSON.
// node tests/gradio_demo.mjs FOLDER_OF_NODE_MODULES ADDRESS FILES X Y STARS; FILES has image.png, text.png and large.png, and
// gets what is downloaded and screenshots. X, Y: a place of the drawing, in its pixels. STARS: how many of them there are
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, address, files, x, y, stars] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(folder), 'package.json'));
const { chromium: browsers } = require('playwright-core');
const chromium = require('@sparticuz/chromium');
const binary = chromium.default ?? chromium;

const browser = await browsers.launch({ executablePath: await binary.executablePath(), args: binary.args, headless: true });
const page = await browser.newPage({ viewport: { width: 1500, height: 1100 } });
page.setDefaultTimeout(60000);
const errors = [];
const elsewhere = [];
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
page.on('pageerror', (error) => errors.push(String(error)));
page.on('request', (request) => /^https?:/.test(request.url()) && !request.url().startsWith(address) && elsewhere.push(request.url()));

const summaries = page.getByText(/objects shown/);
const summary = async (start) => {
  for (let wait = 0; wait < 600; wait++) {
    const texts = await summaries.allTextContents();
    if (texts.length && texts.every((text) => text.trim().startsWith(start))) return texts;
    await page.waitForTimeout(100);
  }
  throw new Error(`no "${start}", but ${await summaries.allTextContents()}`);
};
const upload = async (name) => page.locator('input[type=file]').first().setInputFiles(path.join(files, name));
const toast = async () => {
  const text = await page.locator('.toast-body').last().innerText();
  await page.locator('.toast-close').last().click();
  await page.locator('.toast-body').last().waitFor({ state: 'detached' });
  return text;
};
const download = async (name) => {
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByText(name, { exact: true }).first().click()]);
  await file.saveAs(path.join(files, file.suggestedFilename()));
};
const shot = (name) => page.screenshot({ path: path.join(files, name), fullPage: true });

await page.goto(address);
await upload('image.png');
const shown = { first: await summary('') };
await page.getByLabel('number input for least score').fill('0');
await page.getByLabel('number input for least score').press('Enter');
shown.all = await summary('5 of 5');
const least = page.getByLabel('range slider for least score');
await least.fill('1');
shown.none = await summary('0 of 5');
await least.fill('0');
await summary('5 of 5');
await download('COCO JSON');
await download('PNG');

const drawing = page.locator('.drawn img').first();
const box = await drawing.evaluate((image) => {
  const { width, height } = image.getBoundingClientRect();
  return [width, height, image.naturalWidth, image.naturalHeight];
});
const scale = Math.min(box[0] / box[2], box[1] / box[3], 1);
const [left, top] = [(box[0] - scale * box[2]) / 2, (box[1] - scale * box[3]) / 2];
await drawing.click({ position: { x: left + scale * (Number(x) + 0.5), y: top + scale * (Number(y) + 0.5) } });
await page.locator('table').first().waitFor();
const facts = await page.locator('table').first().innerText();
await page.locator('.inside img').first().waitFor();
await page.waitForTimeout(500); // to load it
await shot('clicked.png');

await page.getByLabel('classes').first().click();
await page.getByRole('option', { name: 'star' }).click();
shown.stars = await summary(`${stars} of 5`);
await page.keyboard.press('Escape');

await upload('text.png');
const refused = { text: await toast() };
const seenErrors = [...errors]; // gradio asks for the progress of an upload that it has refused, which is an error of the network
await upload('large.png');
refused.large = await toast();
await shot('refused.png');
await upload('image.png');
await summary('');
const before = await drawing.getAttribute('src');
await page.getByText('Draw an image').click();
for (let wait = 0; wait < 600 && (await drawing.getAttribute('src').catch(() => before)) === before; wait++) await page.waitForTimeout(100);
await summary('');
console.log(JSON.stringify({ shown, facts, refused, errors: seenErrors, elsewhere }));
await browser.close();
