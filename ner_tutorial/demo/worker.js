// Does the work beside the page, so that typing never waits. Nothing is requested before the first question.
import { Tokenizer } from "./tokenizer.js";
import { WordRule } from "./words.js";
import { entities } from "./entities.js";

const MOST_TOKENS = 8000; // a longer text would keep a phone busy for minutes
const here = (path) => new URL(path, import.meta.url).href;

let manifest; // promises, so that two questions do not load anything twice
const settings = () => (manifest ??= json("manifest.json", { cache: "no-cache" }));

async function json(path, options) {
  const answer = await fetch(here(path), options);
  if (!answer.ok) throw new Error(`${path} is not there (${answer.status})`);
  return answer.json();
}

// Files that are kept in the browser under this page's own name, each under its hash: a new version is a new address.
async function load(names) {
  const { cache: name, files } = await settings();
  const cache = "caches" in self ? await caches.open(name).catch(() => null) : null;
  const total = names.reduce((sum, one) => sum + files[one].bytes, 0);
  let done = 0;
  const arrived = (bytes) => { done += bytes; postMessage({ done, total }); };
  const loaded = await Promise.all(names.map((one) => file(files[one], cache, arrived)));
  await forget(cache, Object.values(files));
  return loaded;
}

async function file({ path, bytes, sha256 }, cache, arrived) {
  const address = `${here(path)}?${sha256}`;
  const kept = await cache?.match(address);
  if (kept) {
    const data = new Uint8Array(await kept.arrayBuffer());
    if ((await hash(data)) === sha256) { arrived(data.length); return data; }
  }
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${path} is not there (${answer.status})`);
  const data = new Uint8Array(bytes);
  let at = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > bytes) throw new Error(`${path} is longer than it should be; load the page again`);
    data.set(value, at);
    at += value.length;
    arrived(value.length);
  }
  if (at < bytes || (await hash(data)) !== sha256) throw new Error(`${path} arrived damaged; press the button again`);
  await cache?.put(address, new Response(data)).catch(() => {}); // no room: it is loaded again next time
  return data;
}

// The SHA-256 of some bytes as text. Only pages from https and from this machine may compute it; others get what they ask for.
async function hash(data) {
  if (!self.crypto?.subtle) throw new Error("this address is neither https nor this machine, so the files cannot be checked");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Delete kept files that are not of this version.
async function forget(cache, files) {
  const current = new Set(files.map(({ path, sha256 }) => `${here(path)}?${sha256}`));
  for (const request of (await cache?.keys()) ?? []) if (!current.has(request.url)) await cache.delete(request);
}

const text = (data) => JSON.parse(new TextDecoder().decode(data));

async function makeTokenizer() {
  const [options, [vocabulary, characters]] = await Promise.all([settings(), load(["vocabulary", "characters"])]);
  const table = text(characters);
  return { rule: new WordRule(table.kinds, options.charactersAlone), tokenizer: new Tokenizer(text(vocabulary), table, options) };
}

async function makeModel() {
  const { missing } = await settings();
  if (missing) throw new Error(missing);
  const [wasm, weights] = await load(["wasm", "model"]);
  const ort = await import("./vendor/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1; // more would need headers that a plain server does not send
  ort.env.wasm.wasmBinary = wasm.buffer;
  const session = await ort.InferenceSession.create(weights, { executionProviders: ["wasm"] });
  return { ort, session };
}

// What is loaded stays; what failed is tried again with the next question.
const parts = {};
const once = (name, make) => (parts[name] ??= make().catch((error) => { delete parts[name]; throw error; }));

async function findEntities(input) {
  const { rule, tokenizer } = await once("tokenizer", makeTokenizer);
  const { ort, session } = await once("model", makeModel);
  const { labels } = await settings();
  const started = performance.now();
  let places = rule.cut(input), tokens = 0;
  const words = places.map(([start, end]) => input.slice(start, end));
  const most = words.findIndex((word) => (tokens += tokenizer.pieces(word).length) > MOST_TOKENS);
  const cut = most < 0 ? null : places[most][0];
  if (most >= 0) places = places.slice(0, most);
  // A word that no token answers for is O for certain.
  const scores = places.map(() => labels.map((label) => (label === "O" ? 0 : -Infinity)));
  const windows = tokenizer.windows(words.slice(0, places.length));
  for (const [number, { ids, answers }] of windows.entries()) {
    postMessage({ window: number + 1, windows: windows.length });
    const size = [1, ids.length];
    const { logits } = await session.run({
      input_ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), size),
      attention_mask: new ort.Tensor("int64", new BigInt64Array(ids.length).fill(1n), size),
    });
    answers.forEach((word, token) => {
      if (word >= 0) scores[word] = [...logits.data.subarray(token * labels.length, (token + 1) * labels.length)];
    });
    logits.dispose();
  }
  return { entities: entities(scores, places, labels), cut, milliseconds: performance.now() - started };
}

async function findPieces(input) {
  const { rule, tokenizer } = await once("tokenizer", makeTokenizer);
  const words = rule.cut(input).map(([start, end]) => input.slice(start, end));
  return { words: words.map((word) => ({ word, pieces: tokenizer.pieces(word).map((id) => tokenizer.vocabulary[id]) })) };
}

const KINDS = { entities: findEntities, pieces: findPieces };

self.onmessage = async ({ data: { id, kind, input } }) => {
  try {
    postMessage({ id, ...(input.trim() ? await KINDS[kind](input) : { entities: [], words: [], cut: null, milliseconds: 0 }) });
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
};
